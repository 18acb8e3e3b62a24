/* packreader.c: see packreader.h. */
#include "engine/packreader.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_KEPT 32

struct kept {
    struct pack_key key; /* seal NULL: free */
    uint64_t used;
};

struct packreader {
    struct repo *repo;
    struct codec *codec;
    struct kept kept[KEYS_KEPT];
    uint64_t clock;
};

int32_t packreader_new(struct repo *repo, struct packreader **out, struct orch_error *err)
{
    struct packreader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading packs");
    }
    reader->repo = repo;
    int32_t rc = codec_new(CODEC_NONE, 0, &reader->codec, err);
    if (rc != ORCH_OK) {
        free(reader);
        return rc;
    }
    *out = reader;
    return ORCH_OK;
}

void packreader_free(struct packreader *reader)
{
    if (reader == NULL) {
        return;
    }
    for (size_t i = 0; i < KEYS_KEPT; i++) {
        pack_key_clear(&reader->kept[i].key);
    }
    codec_free(reader->codec);
    free(reader);
}

int32_t packreader_key(struct packreader *reader, const uint8_t id[PACK_ID_BYTES],
                       struct pack_key **out, struct orch_error *err)
{
    struct kept *oldest = &reader->kept[0];
    for (size_t i = 0; i < KEYS_KEPT; i++) {
        struct kept *kept = &reader->kept[i];
        if (kept->key.seal != NULL && memcmp(kept->key.id, id, PACK_ID_BYTES) == 0) {
            kept->used = ++reader->clock;
            *out = &kept->key;
            return ORCH_OK;
        }
        oldest = kept->used < oldest->used ? kept : oldest;
    }
    char name[PACK_NAME_BYTES];
    uint8_t header[PACK_HEADER_BYTES];
    struct pack_key key = {0};
    pack_name(id, name);
    int32_t rc = storage_get(repo_storage(reader->repo), name, 0, header, sizeof(header), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc =
        pack_key_open(repo_keys(reader->repo), repo_algorithm(reader->repo), header, id, &key, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "%s", name);
    }
    pack_key_clear(&oldest->key);
    oldest->key = key;
    oldest->used = ++reader->clock;
    *out = &oldest->key;
    return ORCH_OK;
}

int32_t packreader_check_place(const struct chunk_location *place, struct orch_error *err)
{
    if (place->plain_len == 0 || place->plain_len > FRAME_PLAIN_MAX ||
        place->frame_len <= SEAL_TAG_BYTES || place->frame_len > FRAME_SEALED_MAX ||
        place->offset > place->plain_len || place->len > place->plain_len - place->offset) {
        return orch_fail(err, ORCH_E_CORRUPT, "the index tells of a frame that cannot be");
    }
    return ORCH_OK;
}

int32_t packreader_open(struct packreader *reader, const struct chunk_location *place,
                        uint8_t *sealed, uint8_t *plain, struct orch_error *err)
{
    struct pack_key *key = NULL;
    int32_t rc = packreader_key(reader, place->pack, &key, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct frame_place frame = {.pack = key->id,
                                .kind = key->kind,
                                .algorithm = key->algorithm,
                                .number = place->frame_number,
                                .offset = place->frame_offset,
                                .sealed_len = place->frame_len,
                                .plain_len = place->plain_len,
                                .codec = place->codec};
    rc = frame_open(key->seal, reader->codec, &frame, sealed, plain, err);
    if (rc != ORCH_OK) {
        char name[PACK_NAME_BYTES];
        pack_name(place->pack, name);
        return orch_wrap(err, "%s, frame %u", name, place->frame_number);
    }
    return ORCH_OK;
}

int32_t packreader_table(struct packreader *reader, const uint8_t id[PACK_ID_BYTES],
                         uint64_t file_bytes, struct pack_table *out, struct orch_error *err)
{
    char name[PACK_NAME_BYTES];
    uint8_t trailer[PACK_TRAILER_BYTES];
    struct pack_key *key = NULL;
    uint64_t offset = 0;
    uint32_t len = 0;
    memset(out, 0, sizeof(*out));
    pack_name(id, name);
    if (file_bytes < PACK_HEADER_BYTES + PACK_TRAILER_BYTES) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s is cut short", name);
    }
    int32_t rc = packreader_key(reader, id, &key, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct storage *storage = repo_storage(reader->repo);
    rc = storage_get(storage, name, file_bytes - PACK_TRAILER_BYTES, trailer, sizeof(trailer), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = pack_trailer_open(key, trailer, file_bytes, &offset, &len, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "%s", name);
    }
    CLEANUP_FREE uint8_t *footer = malloc(len);
    if (footer == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the footer of %s", name);
    }
    rc = storage_get(storage, name, offset, footer, len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = pack_footer_open(key, footer, len, offset, file_bytes, out, err);
    return rc == ORCH_OK ? rc : orch_wrap(err, "%s", name);
}
