/*
 * fuzz_segment.c: index segments: the plain bytes of one, and a file under a seal that fits it.
 *
 * The first byte chooses. What is right must encode to the same bytes.
 */
#include <openssl/evp.h>
#include <string.h>

#include "engine/segment.h"
#include "exact.h"
#include "memstore.h"

#define HEADER 48u
#define AT_SALT 16u

static void check_table(const struct pack_table *table)
{
    uint64_t chunks = 0;
    for (size_t i = 0; i < table->frame_count; i++) {
        must(table->frames[i].first_chunk == chunks);
        chunks += table->frames[i].chunk_count;
    }
    must(chunks == table->chunk_count && pack_table_end(table) <= table->size_bytes);
}

static void check_same(const struct segment *a, const struct segment *b)
{
    must(a->count == b->count && a->supersedes_count == b->supersedes_count);
    for (size_t i = 0; i < a->count; i++) {
        const struct pack_table *one = &a->tables[i], *other = &b->tables[i];
        must(memcmp(one->id, other->id, PACK_ID_BYTES) == 0 && one->kind == other->kind &&
             one->size_bytes == other->size_bytes && one->frame_count == other->frame_count &&
             one->chunk_count == other->chunk_count);
    }
}

/* Decodes, stores, and finds the same bytes in the store. */
static void try_body(struct memstore *store, const uint8_t *data, size_t size)
{
    struct segment segment, again;
    struct orch_error err = ORCH_ERROR_INIT;
    char name[SEGMENT_NAME_BYTES];
    uint8_t *exact = exact_bytes(data, size);
    int32_t rc = segment_decode(exact, size, &segment, &err);
    free(exact);
    if (rc != ORCH_OK) {
        must(rc == ORCH_E_CORRUPT && segment.tables == NULL && segment.supersedes == NULL &&
             err.message[0] != 0);
        return;
    }
    for (size_t i = 0; i < segment.count; i++) {
        check_table(&segment.tables[i]);
    }
    must(segment_store(store->repo, segment.tables, segment.count,
                       (const uint8_t(*)[SEGMENT_ID_BYTES])segment.supersedes,
                       segment.supersedes_count, name, &err) == ORCH_OK);
    const struct buffer *file = memstore_get(store, name);
    must(file->len == HEADER + size + SEAL_TAG_BYTES &&
         memcmp(file->data + HEADER, data, size) == 0);
    must(segment_load(store->repo, name, &again, &err) == ORCH_OK);
    check_same(&segment, &again);
    segment_clear(&again);
    segment_clear(&segment);
}

static void file_name(const void *data, size_t len, char name[SEGMENT_NAME_BYTES])
{
    uint8_t id[SEGMENT_ID_BYTES];
    must(EVP_Digest(data, len, id, NULL, EVP_sha256(), NULL) == 1);
    memcpy(name, "index/", 6);
    hex_encode(id, sizeof(id), name + 6);
}

/* A file as docs/repository-format.md has it: the header with the input laid over it, the body;
 * sealed; named. */
static void try_file(struct memstore *store, const uint8_t *data, size_t size)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES];
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    uint8_t key[KEY_BYTES];
    uint8_t header[HEADER] = "ORCHINDX\x01";
    struct seal *seal = NULL;
    struct segment segment;
    struct orch_error err = ORCH_ERROR_INIT;
    char name[SEGMENT_NAME_BYTES];
    size_t fixed = size < AT_SALT ? size : AT_SALT;
    (void)overlay(header, AT_SALT, data, fixed);
    buffer_append(&file, header, HEADER);
    uint8_t *room = buffer_reserve(&file, size - fixed + SEAL_TAG_BYTES);
    must(room != NULL);
    must(keys_expand(repo_keys(store->repo), KEY_INDEX, header + AT_SALT, HEADER - AT_SALT,
                     "index segment", key, &err) == ORCH_OK);
    must(seal_new(SEAL_NONE, key, &seal, &err) == ORCH_OK);
    must(seal_close(seal, nonce, header, HEADER, data + fixed, size - fixed, room, &err) ==
         ORCH_OK);
    seal_free(seal);
    file.len += size - fixed + SEAL_TAG_BYTES;
    file_name(file.data, file.len, name);
    memstore_set(store, name, file.data, file.len);
    int32_t rc = segment_load(store->repo, name, &segment, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    bool sound = memcmp(header, "ORCHINDX\x01\0\0", 11) == 0;
    must(rc != ORCH_OK || sound);
    if (rc == ORCH_OK) {
        segment_clear(&segment);
        file.data[size % file.len] ^= 1; /* its name is another's now */
        memstore_set(store, name, file.data, file.len);
        must(segment_load(store->repo, name, &segment, &err) == ORCH_E_CORRUPT);
        file_name(file.data, file.len, name); /* and now its own: the seal tells */
        memstore_set(store, name, file.data, file.len);
        must(segment_load(store->repo, name, &segment, &err) != ORCH_OK);
    }
}

/* Any bytes at all under the right name. */
static void try_raw(struct memstore *store, const uint8_t *data, size_t size)
{
    struct segment segment;
    struct orch_error err = ORCH_ERROR_INIT;
    char name[SEGMENT_NAME_BYTES];
    file_name(data, size, name);
    memstore_set(store, name, data, size);
    must(segment_load(store->repo, name, &segment, &err) != ORCH_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memstore *store = memstore_fresh();
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        try_file(store, data + 1, size - 1);
        break;
    case 1:
        try_raw(store, data + 1, size - 1);
        break;
    default:
        try_body(store, data + 1, size - 1);
        break;
    }
    return 0;
}
