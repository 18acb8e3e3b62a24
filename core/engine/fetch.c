/* fetch.c: see fetch.h. */
#include "engine/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "engine/packreader.h"

#define FRAMES_KEPT 12

struct kept {
    uint8_t pack[PACK_ID_BYTES];
    uint32_t number;
    uint32_t plain_len; /* 0: nothing in it */
    uint64_t used;
    struct buffer plain;
};

struct fetch {
    struct repo *repo;
    struct index *index;
    struct packreader *reader;
    struct chunkid hash;
    struct kept kept[FRAMES_KEPT];
    struct buffer sealed;
    uint64_t clock;
};

int32_t fetch_new(struct repo *repo, struct index *index, struct fetch **out,
                  struct orch_error *err)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading chunks");
    }
    fetch->repo = repo;
    fetch->index = index;
    chunkid_init(&fetch->hash, repo_keys(repo));
    int32_t rc = packreader_new(repo, &fetch->reader, err);
    if (rc != ORCH_OK) {
        free(fetch);
        return rc;
    }
    *out = fetch;
    return ORCH_OK;
}

void fetch_free(struct fetch *fetch)
{
    if (fetch == NULL) {
        return;
    }
    for (size_t i = 0; i < FRAMES_KEPT; i++) {
        buffer_free(&fetch->kept[i].plain);
    }
    buffer_free(&fetch->sealed);
    packreader_free(fetch->reader);
    free(fetch);
}

static int32_t load(struct fetch *fetch, const struct chunk_location *place, struct kept *kept,
                    struct orch_error *err)
{
    char name[PACK_NAME_BYTES];
    int32_t rc = packreader_check_place(place, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    kept->plain_len = 0;
    buffer_clear(&kept->plain);
    buffer_clear(&fetch->sealed);
    uint8_t *plain = buffer_reserve(&kept->plain, place->plain_len);
    uint8_t *sealed = buffer_reserve(&fetch->sealed, place->frame_len);
    if (plain == NULL || sealed == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading chunks");
    }
    pack_name(place->pack, name);
    rc = storage_get(repo_storage(fetch->repo), name, place->frame_offset, sealed, place->frame_len,
                     err);
    if (rc == ORCH_OK) {
        rc = packreader_open(fetch->reader, place, sealed, plain, err);
    }
    if (rc == ORCH_E_NOT_FOUND) { /* the pack: for callers, NOT_FOUND is a chunk in no index */
        rc = orch_fail(err, ORCH_E_CORRUPT, "%s is missing from the repository", name);
    }
    if (rc == ORCH_OK) {
        memcpy(kept->pack, place->pack, PACK_ID_BYTES);
        kept->number = place->frame_number;
        kept->plain_len = place->plain_len;
    }
    return rc;
}

static int32_t frame_of(struct fetch *fetch, const struct chunk_location *place, struct kept **out,
                        struct orch_error *err)
{
    struct kept *oldest = &fetch->kept[0];
    for (size_t i = 0; i < FRAMES_KEPT; i++) {
        struct kept *kept = &fetch->kept[i];
        if (kept->plain_len != 0 && kept->number == place->frame_number &&
            memcmp(kept->pack, place->pack, PACK_ID_BYTES) == 0) {
            kept->used = ++fetch->clock;
            *out = kept;
            return ORCH_OK;
        }
        oldest = kept->used < oldest->used ? kept : oldest;
    }
    int32_t rc = load(fetch, place, oldest, err);
    oldest->used = ++fetch->clock;
    *out = oldest;
    return rc;
}

int32_t fetch_chunk(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                    struct orch_error *err)
{
    struct fetch *fetch = ctx;
    struct chunk_location place;
    struct kept *kept = NULL;
    char text[2 * CHUNK_ID_BYTES + 1];
    hex_encode(id, CHUNK_ID_BYTES, text);
    if (index_find(fetch->index, id, &place) != ORCH_OK) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "chunk %.16s… is named by no index segment: one is missing or damaged; "
                         "`orchestrate verify` tells which",
                         text);
    }
    int32_t rc = frame_of(fetch, &place, &kept, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    uint8_t real[CHUNK_ID_BYTES];
    if (place.len > kept->plain_len || place.offset > kept->plain_len - place.len) {
        return orch_fail(err, ORCH_E_CORRUPT, "the index tells of a frame that cannot be");
    }
    chunkid_of(&fetch->hash, kept->plain.data + place.offset, place.len, real);
    if (memcmp(real, id, CHUNK_ID_BYTES) != 0) {
        char name[PACK_NAME_BYTES];
        pack_name(place.pack, name);
        return orch_fail(err, ORCH_E_CORRUPT, "%s, frame %u: chunk %.16s… has other content", name,
                         place.frame_number, text);
    }
    buffer_clear(out);
    buffer_append(out, kept->plain.data + place.offset, place.len);
    return out->failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for reading chunks") : ORCH_OK;
}
