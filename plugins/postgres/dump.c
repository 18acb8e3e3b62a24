/* dump.c: see dump.h. */
#include "dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "postgres.h"

int32_t dump_begin(const struct orch_host *host, const char *name, char kind, const json_t *meta,
                   struct orch_error *err)
{
    CLEANUP_FREE char *text = meta == NULL ? NULL : json_dumps(meta, JSON_COMPACT);
    if (meta != NULL && text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the metadata of %s", name);
    }
    struct orch_object object = {
        .struct_size = (uint32_t)sizeof(object),
        .name = (const uint8_t *)name,
        .name_len = (uint32_t)strlen(name),
        .kind = (uint32_t)kind,
        .meta = (const uint8_t *)text,
        .meta_len = text == NULL ? 0 : (uint32_t)strlen(text),
        .profile = ORCH_PROFILE_CONTENT,
        .size_bytes = ORCH_SIZE_UNKNOWN,
    };
    return host->object(host->ctx, &object, NULL, err);
}

/* ---- tables ----------------------------------------------------------------------------- */

/* Rows are gathered in the host's block, so that a row costs one copy and no call. */
struct filler {
    const struct orch_host *host;
    char *space;
    size_t len;
    size_t used;
};

static int32_t filler_flush(struct filler *filler, struct orch_error *err)
{
    if (filler->space == NULL) {
        return ORCH_OK;
    }
    filler->space = NULL;
    return filler->host->commit(filler->host->ctx, filler->used, err);
}

static int32_t filler_reserve(struct filler *filler, struct orch_error *err)
{
    if (filler->host->cancelled(filler->host->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    void *space = NULL;
    uint64_t room = 0;
    int32_t rc = filler->host->reserve(filler->host->ctx, 0, &space, &room, err);
    filler->space = rc == ORCH_OK ? space : NULL;
    filler->len = (size_t)room;
    filler->used = 0;
    return rc;
}

static int32_t filler_add(struct filler *filler, const char *data, size_t len,
                          struct orch_error *err)
{
    while (len > 0) {
        int32_t rc = ORCH_OK;
        if (filler->space != NULL && filler->used == filler->len) {
            rc = filler_flush(filler, err);
        }
        if (rc == ORCH_OK && filler->space == NULL) {
            rc = filler_reserve(filler, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        size_t room = filler->len - filler->used;
        size_t take = len < room ? len : room;
        memcpy(filler->space + filler->used, data, take);
        filler->used += take;
        data += take;
        len -= take;
    }
    return ORCH_OK;
}

static int32_t copy_rows(struct filler *filler, struct link *link, struct orch_error *err)
{
    PGconn *conn = link_pg(link);
    for (;;) {
        char *row = NULL;
        int n = PQgetCopyData(conn, &row, 1);
        int32_t rc = ORCH_OK;
        if (n > 0) {
            rc = filler_add(filler, row, (size_t)n, err);
            PQfreemem(row);
        } else if (n == 0) {
            rc = link_wait(link, 0, err);
        } else if (n == -1) {
            return filler_flush(filler, err);
        } else {
            return link_fail(link, NULL, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

static json_t *table_meta(const struct catalog_table *table, const char *encoding)
{
    return json_pack("{s: s, s: s, s: O, s: s, s: b}", "schema", table->schema, "table",
                     table->name, "columns", table->columns, "encoding", encoding, "extension",
                     table->extension);
}

int32_t dump_table(const struct orch_host *host, struct link *link,
                   const struct catalog_table *table, const char *encoding, uint64_t *rows,
                   struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    CLEANUP_JSON json_t *meta = table_meta(table, encoding);
    CLEANUP_RESULT PGresult *result = NULL;
    catalog_copy_sql(table, encoding, &sql);
    int32_t rc = text_check(&sql, err);
    if (rc == ORCH_OK && meta == NULL) {
        rc = orch_fail(err, ORCH_E_UNSUPPORTED, "the table's name is not valid UTF-8: rename it");
    }
    if (rc == ORCH_OK) {
        rc = link_query(link, sql.data, 0, NULL, &result, err);
    }
    if (rc == ORCH_OK && PQresultStatus(result) != PGRES_COPY_OUT) {
        rc = orch_fail(err, ORCH_E_PROTOCOL, "the server did not begin to copy");
    }
    if (rc == ORCH_OK) {
        rc = dump_begin(host, table->object, 't', meta, err);
    }
    struct filler filler = {.host = host};
    if (rc == ORCH_OK) {
        rc = copy_rows(&filler, link, err);
    }
    PGresult *done = NULL;
    if (rc == ORCH_OK) {
        rc = link_finish(link, &done, err);
    }
    if (rc == ORCH_OK) {
        *rows = strtoull(PQcmdTuples(done), NULL, 10);
        rc = host->end_item(host->ctx, err);
    }
    PQclear(done);
    return rc;
}

/* ---- large objects ---------------------------------------------------------------------- */

#define BLOB_PIECE (1 << 20)

/* The next piece of one large object, in binary. */
static int32_t blob_piece(struct link *link, const char *oid, uint64_t offset, PGresult **out,
                          struct orch_error *err)
{
    char at[24];
    char size[24];
    (void)snprintf(at, sizeof(at), "%" PRIu64, offset);
    (void)snprintf(size, sizeof(size), "%d", BLOB_PIECE);
    const char *params[] = {oid, at, size};
    if (PQsendQueryParams(link_pg(link), "SELECT lo_get($1::oid, $2::int8, $3::int4)", 3, NULL,
                          params, NULL, NULL, 1) == 0) {
        return link_fail(link, NULL, err);
    }
    return link_finish(link, out, err);
}

static int32_t send_blob(const struct orch_host *host, struct link *link, const char *oid,
                         const json_t *meta, struct orch_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof(name), POSTGRES_BLOB_PREFIX "%010lu", strtoul(oid, NULL, 10));
    int32_t rc = dump_begin(host, name, 'b', meta, err);
    uint64_t offset = 0;
    int got = BLOB_PIECE;
    while (rc == ORCH_OK && got == BLOB_PIECE) {
        CLEANUP_RESULT PGresult *piece = NULL;
        rc = blob_piece(link, oid, offset, &piece, err);
        if (rc == ORCH_OK) {
            got = PQgetlength(piece, 0, 0);
            offset += (uint64_t)got;
        }
        if (rc == ORCH_OK && got > 0) {
            rc = host->write(host->ctx, PQgetvalue(piece, 0, 0), (uint64_t)got, err);
        }
    }
    if (rc == ORCH_OK) {
        rc = host->end_item(host->ctx, err);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot copy large object %s", oid);
}

int32_t dump_blobs(const struct orch_host *host, struct link *link, uint64_t *count,
                   struct orch_error *err)
{
    CLEANUP_RESULT PGresult *page = NULL;
    char after[16] = "0";
    *count = 0;
    do {
        const char *params[] = {after};
        PQclear(page);
        page = NULL;
        int32_t rc = link_query(
            link,
            "SELECT oid, json_build_object('owner', pg_get_userbyid(m.lomowner), 'comment',"
            " obj_description(m.oid, 'pg_largeobject'), 'acl', " CATALOG_ACL_JSON(
                "m.lomacl") ")"
                            " FROM pg_largeobject_metadata m WHERE oid > $1::oid ORDER BY oid "
                            "LIMIT 1000",
            1, params, &page, err);
        if (rc != ORCH_OK) {
            return orch_wrap(err, "cannot list the large objects");
        }
        for (int i = 0; i < PQntuples(page); i++) {
            CLEANUP_JSON json_t *meta = json_loads(PQgetvalue(page, i, 1), 0, NULL);
            (void)snprintf(after, sizeof(after), "%s", PQgetvalue(page, i, 0));
            if (meta == NULL) {
                return orch_fail(err, ORCH_E_UNSUPPORTED,
                                 "large object %s has a comment that is not valid UTF-8", after);
            }
            rc = send_blob(host, link, after, meta, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            (*count)++;
        }
    } while (PQntuples(page) > 0);
    return ORCH_OK;
}

/* ---- sequences -------------------------------------------------------------------------- */

int32_t dump_sequences(const struct orch_host *host, struct link *link, json_t *facts,
                       struct orch_error *err)
{
    CLEANUP_JSON json_t *list = NULL;
    int32_t rc = catalog_sequences(link, &list, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        CLEANUP_FREE char *key = catalog_key(json_string_value(json_array_get(entry, 0)),
                                             json_string_value(json_array_get(entry, 1)));
        json_t *value = json_pack("{s: O, s: O}", "last", json_array_get(entry, 2), "called",
                                  json_array_get(entry, 3));
        if (key == NULL || json_object_set_new(facts, key, value) != 0) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of sequences");
        }
    }
    CLEANUP_FREE char *text = json_dumps(list, JSON_COMPACT);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of sequences");
    }
    rc = dump_begin(host, POSTGRES_SEQUENCES, 'q', NULL, err);
    if (rc == ORCH_OK) {
        rc = host->write(host->ctx, text, strlen(text), err);
    }
    return rc == ORCH_OK ? host->end_item(host->ctx, err) : rc;
}
