/*
 * index.h: where each chunk lies. Files index/ID: immutable segments, named by their content, each
 * listing chunks of some packs and the segments that it supersedes.
 */
#ifndef CORE_ENGINE_INDEX_H
#define CORE_ENGINE_INDEX_H

#include "engine/part.h"

struct index;

#define PACK_ID_BYTES 16

/* Where a chunk lies: in a frame of a pack, at an offset of the frame's plain bytes. */
struct chunk_location {
    uint8_t pack[PACK_ID_BYTES];
    uint64_t frame_offset; /* of the sealed frame in the pack */
    uint32_t frame_len;    /* sealed */
    uint32_t plain_len;    /* of the whole frame */
    uint32_t frame_number; /* in the pack, from 0: it makes the nonce */
    uint32_t offset;       /* of the chunk in the plain frame */
    uint32_t len;          /* of the chunk */
    uint32_t codec;        /* CODEC_* */
};

/* Loads all segments. `damaged` as in set_list_load. */
int32_t index_open(struct repo *repo,
                   void (*damaged)(void *ctx, const char *name, const struct orch_error *why),
                   void *ctx, struct index **out, struct orch_error *err) ORCH_CHECKED;
void index_close(struct index *index);

/* Thread-safe. ORCH_E_NOT_FOUND (without a message) when the chunk is not in the repository. */
int32_t index_find(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                   struct chunk_location *out) ORCH_CHECKED;
uint64_t index_chunks(struct index *index);

#endif
