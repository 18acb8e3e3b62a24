/* packwriter.c: see packwriter.h. */
#include "engine/packwriter.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"

/* One chunk in a footer: its id and up to three bytes of length. */
#define FOOTER_CHUNK_BYTES (CHUNK_ID_BYTES + 3)
#define FOOTER_FRAME_BYTES 12

struct packwriter {
    struct pack_key key;
    struct pack_table table;
    struct storage_put *put;
    char name[PACK_NAME_BYTES];
};

int32_t packwriter_begin(struct repo *repo, uint32_t kind, struct packwriter **out,
                         struct orch_error *err)
{
    uint8_t header[PACK_HEADER_BYTES];
    struct packwriter *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a pack");
    }
    int32_t rc =
        pack_key_new(repo_keys(repo), repo_algorithm(repo), kind, &writer->key, header, err);
    if (rc == ORCH_OK) {
        pack_name(writer->key.id, writer->name);
        memcpy(writer->table.id, writer->key.id, PACK_ID_BYTES);
        writer->table.kind = kind;
        rc = storage_put_begin(repo_storage(repo), writer->name, &writer->put, err);
    }
    if (rc == ORCH_OK) {
        crash_point(CRASH_PACK_STARTED);
        rc = storage_put_data(writer->put, header, sizeof(header), err);
    }
    if (rc != ORCH_OK) {
        packwriter_abort(writer);
        return rc;
    }
    *out = writer;
    return ORCH_OK;
}

int32_t packwriter_add(struct packwriter *writer, uint8_t *bytes, size_t stored_len,
                       size_t plain_len, uint32_t codec, const struct pack_chunk *chunks,
                       size_t count, struct orch_error *err)
{
    struct frame_place place = {.pack = writer->key.id,
                                .kind = writer->key.kind,
                                .algorithm = writer->key.algorithm,
                                .number = (uint32_t)writer->table.frame_count,
                                .offset = pack_table_end(&writer->table),
                                .sealed_len = (uint32_t)(stored_len + SEAL_TAG_BYTES),
                                .plain_len = (uint32_t)plain_len,
                                .codec = codec};
    int32_t rc = frame_close(writer->key.seal, &place, bytes, err);
    if (rc == ORCH_OK) {
        rc = storage_put_data(writer->put, bytes, place.sealed_len, err);
    }
    if (rc == ORCH_OK) {
        rc = pack_table_add(&writer->table, place.sealed_len, place.plain_len, codec, chunks, count,
                            err);
    }
    return rc;
}

static uint64_t footer_bytes(const struct packwriter *writer)
{
    return writer->table.chunk_count * FOOTER_CHUNK_BYTES +
           writer->table.frame_count * FOOTER_FRAME_BYTES;
}

uint64_t packwriter_bytes(const struct packwriter *writer)
{
    return pack_table_end(&writer->table) + footer_bytes(writer) + PACK_TRAILER_BYTES;
}

bool packwriter_table_full(const struct packwriter *writer)
{
    return footer_bytes(writer) >= PACK_FOOTER_TARGET;
}

int32_t packwriter_commit(struct packwriter *writer, struct pack_table *table,
                          struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer end = BUFFER_INIT;
    int32_t rc = pack_footer_encode(&writer->key, &writer->table, &end, err);
    if (rc == ORCH_OK) {
        rc = storage_put_data(writer->put, end.data, end.len, err);
    }
    if (rc == ORCH_OK) {
        struct storage_put *put = writer->put;
        writer->put = NULL;
        rc = storage_put_commit(put, 0, err);
    }
    if (rc == ORCH_OK) {
        crash_point(CRASH_PACK_STORED);
        writer->table.size_bytes = pack_table_end(&writer->table) + end.len;
        *table = writer->table;
        memset(&writer->table, 0, sizeof(writer->table));
    }
    packwriter_abort(writer);
    return rc;
}

void packwriter_abort(struct packwriter *writer)
{
    if (writer != NULL) {
        storage_put_abort(writer->put);
        pack_table_clear(&writer->table);
        pack_key_clear(&writer->key);
        free(writer);
    }
}
