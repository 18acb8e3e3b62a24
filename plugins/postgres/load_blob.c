/* load_blob.c: large objects under their old numbers. See loader.h. */
#include "loader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "cleanup.h"

#define PIECE_BYTES (512u * 1024)
/* Large objects per transaction: each may take locks, of which a server has a bounded number. */
#define TRANSACTION_BLOBS 100

int32_t load_blob_commit(struct loader *loader, struct orch_error *err)
{
    loader->blobs_open = 0;
    return link_run(loader->link, "COMMIT", err);
}

int32_t load_blob_begin(struct loader *loader, struct orch_error *err)
{
    const char *digits = loader->object + strlen(POSTGRES_BLOB_PREFIX);
    loader->blob_oid = strtoul(digits, NULL, 10);
    if (strspn(digits, "0123456789") != 10 || strlen(digits) != 10 || loader->blob_oid == 0 ||
        loader->blob_oid > UINT32_MAX || loader->meta == NULL) {
        return orch_fail(err, ORCH_E_CORRUPT, "object %s is not a large object", loader->object);
    }
    loader->piece.len = 0;
    loader->blob_offset = 0;
    loader->blob_made = 0;
    return loader->blobs_open == 0 ? link_run(loader->link, "BEGIN", err) : ORCH_OK;
}

/* Writes `piece`; the first call makes the large object. */
static int32_t write_piece(struct loader *loader, struct orch_error *err)
{
    char oid[24];
    char at[24];
    (void)snprintf(oid, sizeof(oid), "%lu", loader->blob_oid);
    (void)snprintf(at, sizeof(at), "%" PRIu64, loader->blob_offset);
    int32_t rc = text_check(&loader->piece, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int first = !loader->blob_made;
    const char *const params[] = {oid, loader->piece.data, at};
    const int lengths[] = {0, (int)loader->piece.len, 0};
    const int formats[] = {0, 1, 0};
    const char *sql = first ? "SELECT lo_from_bytea($1::oid, $2::bytea)"
                            : "SELECT lo_put($1::oid, $3::int8, $2::bytea)";
    if (PQsendQueryParams(link_pg(loader->link), sql, first ? 2 : 3, NULL, params, lengths, formats,
                          0) == 0) {
        return link_fail(loader->link, NULL, err);
    }
    rc = link_finish(loader->link, NULL, err);
    loader->blob_made = 1;
    loader->blob_offset += loader->piece.len;
    loader->piece.len = 0;
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot write large object %s", oid);
}

int32_t load_blob_data(struct loader *loader, const void *data, size_t len, struct orch_error *err)
{
    const char *at = data;
    while (len > 0) {
        size_t room = PIECE_BYTES - loader->piece.len;
        size_t some = len < room ? len : room;
        text_bytes(&loader->piece, at, some);
        at += some;
        len -= some;
        if (loader->piece.failed || loader->piece.len == PIECE_BYTES) {
            int32_t rc = write_piece(loader, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    return ORCH_OK;
}

static int32_t run(struct loader *loader, struct text *sql, struct orch_error *err)
{
    int32_t rc = text_check(sql, err);
    return rc == ORCH_OK ? link_run(loader->link, sql->data, err) : rc;
}

/* Owner, access list, comment. */
static int32_t dress(struct loader *loader, struct orch_error *err)
{
    const char *owner = json_string_value(json_object_get(loader->meta, "owner"));
    const char *comment = json_string_value(json_object_get(loader->meta, "comment"));
    int32_t rc = ORCH_OK;
    if (owner == NULL) {
        return orch_fail(err, ORCH_E_CORRUPT, "large object %lu has no owner", loader->blob_oid);
    }
    if (comment != NULL) {
        struct text CLEANUP_TEXT sql = TEXT_INIT;
        text_format(&sql, "COMMENT ON LARGE OBJECT %lu IS ", loader->blob_oid);
        text_literal(&sql, comment);
        rc = run(loader, &sql, err);
    }
    if (rc == ORCH_OK && strcmp(owner, loader->user) != 0) {
        struct text CLEANUP_TEXT sql = TEXT_INIT;
        text_format(&sql, "ALTER LARGE OBJECT %lu OWNER TO ", loader->blob_oid);
        text_identifier(&sql, owner);
        rc = run(loader, &sql, err);
    }
    if (rc == ORCH_OK) {
        char object[48];
        (void)snprintf(object, sizeof(object), "LARGE OBJECT %lu", loader->blob_oid);
        rc = access_apply(loader->link, object, owner, json_object_get(loader->meta, "acl"), err);
    }
    return rc;
}

int32_t load_blob_end(struct loader *loader, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (loader->piece.len > 0 || !loader->blob_made) {
        rc = write_piece(loader, err);
    }
    if (rc == ORCH_OK) {
        rc = dress(loader, err);
    }
    if (rc == ORCH_OK && ++loader->blobs_open == TRANSACTION_BLOBS) {
        rc = load_blob_commit(loader, err);
    }
    return rc;
}
