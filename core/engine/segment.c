/* segment.c: see segment.h. */
#include "engine/segment.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Header: magic 8, version 2, algorithm 1, zero 5, salt 32; then the sealed body. */
#define HEADER_BYTES 48
#define AT_ALGORITHM 10
#define AT_SALT 16
#define SALT_BYTES 32
#define SEGMENT_VERSION 1u

static const char magic[9] = "ORCHINDX";

static int32_t body_seal(struct repo *repo, const uint8_t *header, struct seal **out,
                         struct orch_error *err)
{
    uint8_t key[KEY_BYTES];
    int32_t rc = keys_expand(repo_keys(repo), KEY_INDEX, header + AT_SALT, SALT_BYTES,
                             "index segment", key, err);
    if (rc == ORCH_OK) {
        rc = seal_new(repo_algorithm(repo), key, out, err);
    }
    OPENSSL_cleanse(key, sizeof(key));
    return rc;
}

static int32_t content_id(const void *data, size_t len, uint8_t id[SEGMENT_ID_BYTES],
                          struct orch_error *err)
{
    return EVP_Digest(data, len, id, NULL, EVP_sha256(), NULL) == 1
               ? ORCH_OK
               : orch_fail(err, ORCH_E_FAILED, "the crypto library cannot compute SHA-256");
}

static void encode_body(const struct pack_table *tables, size_t count,
                        const uint8_t (*supersedes)[SEGMENT_ID_BYTES], size_t supersedes_count,
                        struct buffer *out)
{
    buffer_varint(out, supersedes_count);
    for (size_t i = 0; i < supersedes_count; i++) {
        buffer_append(out, supersedes[i], SEGMENT_ID_BYTES);
    }
    buffer_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, tables[i].id, PACK_ID_BYTES);
        buffer_u8(out, (uint8_t)tables[i].kind);
        buffer_varint(out, tables[i].size_bytes);
        pack_table_encode(&tables[i], out);
    }
}

int32_t segment_store(struct repo *repo, const struct pack_table *tables, size_t count,
                      const uint8_t (*supersedes)[SEGMENT_ID_BYTES], size_t supersedes_count,
                      char name[SEGMENT_NAME_BYTES], struct orch_error *err)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES]; /* the key is this segment's own */
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    uint8_t header[HEADER_BYTES] = {0};
    memcpy(header, magic, 8);
    header[8] = SEGMENT_VERSION;
    header[AT_ALGORITHM] = (uint8_t)repo_algorithm(repo);
    int32_t rc = id_random(header + AT_SALT, SALT_BYTES, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    buffer_append(&file, header, sizeof(header));
    encode_body(tables, count, supersedes, supersedes_count, &file);
    if (buffer_reserve(&file, SEAL_TAG_BYTES) == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an index segment");
    }
    struct seal *seal = NULL;
    uint8_t id[SEGMENT_ID_BYTES];
    rc = body_seal(repo, header, &seal, err);
    if (rc == ORCH_OK) {
        uint8_t *body = file.data + HEADER_BYTES;
        rc = seal_close(seal, nonce, header, sizeof(header), body, file.len - HEADER_BYTES, body,
                        err);
        file.len += SEAL_TAG_BYTES;
    }
    seal_free(seal);
    if (rc != ORCH_OK || (rc = content_id(file.data, file.len, id, err)) != ORCH_OK) {
        return rc;
    }
    char own[SEGMENT_NAME_BYTES] = "index/";
    hex_encode(id, sizeof(id), own + 6);
    rc = storage_put(repo_storage(repo), own, file.data, file.len, STORAGE_DURABLE, err);
    if (rc == ORCH_OK && name != NULL) {
        memcpy(name, own, sizeof(own));
    }
    return rc;
}

void segment_clear(struct segment *segment)
{
    for (size_t i = 0; i < segment->count; i++) {
        pack_table_clear(&segment->tables[i]);
    }
    free(segment->tables);
    free(segment->supersedes);
    memset(segment, 0, sizeof(*segment));
}

static int32_t malformed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "it is malformed");
}

static int32_t decode_supersedes(struct reader *in, struct segment *out, struct orch_error *err)
{
    uint64_t count = reader_varint(in);
    if (in->failed || count > reader_left(in) / SEGMENT_ID_BYTES) {
        return malformed(err);
    }
    const uint8_t *ids = reader_take(in, (size_t)count * SEGMENT_ID_BYTES);
    if (count == 0) {
        return ORCH_OK;
    }
    out->supersedes = calloc((size_t)count, SEGMENT_ID_BYTES);
    if (out->supersedes == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an index segment");
    }
    memcpy(out->supersedes, ids, (size_t)count * SEGMENT_ID_BYTES);
    out->supersedes_count = (size_t)count;
    return ORCH_OK;
}

int32_t segment_decode(const void *data, size_t len, struct segment *out, struct orch_error *err)
{
    struct reader in = reader_over(data, len);
    memset(out, 0, sizeof(*out));
    int32_t rc = decode_supersedes(&in, out, err);
    uint64_t packs = rc == ORCH_OK ? reader_varint(&in) : 0;
    if (rc == ORCH_OK && (in.failed || packs > reader_left(&in) / PACK_ID_BYTES)) {
        rc = malformed(err);
    }
    if (rc == ORCH_OK && packs > 0) {
        out->tables = calloc((size_t)packs, sizeof(*out->tables));
        rc = out->tables == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for an index segment")
                                 : ORCH_OK;
    }
    for (uint64_t i = 0; rc == ORCH_OK && i < packs; i++) {
        struct pack_table *table = &out->tables[out->count++];
        const uint8_t *id = reader_take(&in, PACK_ID_BYTES);
        table->kind = reader_u8(&in);
        table->size_bytes = reader_varint(&in);
        if (in.failed) {
            rc = malformed(err);
            break;
        }
        memcpy(table->id, id, PACK_ID_BYTES);
        rc = pack_table_decode(table, &in, err);
        if (rc == ORCH_OK && pack_table_end(table) > table->size_bytes) {
            rc = malformed(err);
        }
    }
    if (rc == ORCH_OK && reader_left(&in) != 0) {
        rc = malformed(err);
    }
    if (rc != ORCH_OK) {
        segment_clear(out);
    }
    return rc;
}

/* Opens the bytes of a segment in place. */
static int32_t open_file(struct repo *repo, const char *name, struct buffer *file,
                         struct segment *out, struct orch_error *err)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t id[SEGMENT_ID_BYTES];
    char text[2 * SEGMENT_ID_BYTES + 1];
    int32_t rc = content_id(file->data, file->len, id, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    hex_encode(id, sizeof(id), text);
    if (file->len < HEADER_BYTES + SEAL_TAG_BYTES || strcmp(name + 6, text) != 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "its bytes do not fit its name: it is damaged");
    }
    const uint8_t *header = file->data;
    if (memcmp(header, magic, 8) != 0 || header[8] != SEGMENT_VERSION || header[9] != 0 ||
        header[AT_ALGORITHM] != repo_algorithm(repo)) {
        return orch_fail(err, ORCH_E_VERSION, "it is of a format not known to this version");
    }
    struct seal *seal = NULL;
    rc = body_seal(repo, header, &seal, err);
    uint8_t *body = file->data + HEADER_BYTES;
    size_t len = file->len - HEADER_BYTES;
    if (rc == ORCH_OK) {
        rc = seal_open(seal, nonce, header, HEADER_BYTES, body, len, body, err);
    }
    seal_free(seal);
    return rc == ORCH_OK ? segment_decode(body, len - SEAL_TAG_BYTES, out, err) : rc;
}

int32_t segment_load(struct repo *repo, const char *name, struct segment *out,
                     struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    memset(out, 0, sizeof(*out));
    if (buffer_reserve(&file, HEADER_BYTES) == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for index segment %s", name);
    }
    int32_t rc = storage_read(repo_storage(repo), name, SEGMENT_MAX, &file, err);
    if (rc == ORCH_OK && (strlen(name) != 6 + 2 * SEGMENT_ID_BYTES || file.len == 0)) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "it is empty, or has a name that no segment has");
    } else if (rc == ORCH_OK) {
        rc = open_file(repo, name, &file, out, err);
    } else {
        return rc; /* the storage has named it */
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "index segment %s", name);
}
