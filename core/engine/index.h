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

/* ---- for the engine itself; everything is thread-safe ------------------------------------- */

struct pack_table;

/* An index of nothing. */
int32_t index_new(struct index **out, struct orch_error *err) ORCH_CHECKED;
/* A second one with the same content. */
int32_t index_copy(struct index *index, struct index **out, struct orch_error *err) ORCH_CHECKED;
/*
 * Takes a chunk on: *claimed becomes true when nobody has it, and then the caller has to store it;
 * false when it is in the repository or somebody else of this process is about to store it.
 */
int32_t index_claim(struct index *index, const uint8_t id[CHUNK_ID_BYTES], bool *claimed,
                    struct orch_error *err) ORCH_CHECKED;
/* Is it in the repository, or claimed? */
bool index_knows(struct index *index, const uint8_t id[CHUNK_ID_BYTES]);
/* Claims whose chunks were never added become free again: their writer failed. */
void index_release_claims(struct index *index);
/* Adds the chunks of a pack; one that has a place already keeps it. Copies what it needs. */
int32_t index_add_pack(struct index *index, const struct pack_table *table,
                       struct orch_error *err) ORCH_CHECKED;

/* The packs of an index, from 0, in the order in which they were added. A frame's `chunk_count` and
 * `first_chunk` are not kept. */
struct index_pack {
    uint8_t id[PACK_ID_BYTES];
    uint32_t kind;
    uint64_t size_bytes;
    uint64_t first_frame;
    uint64_t frame_count;
};
size_t index_pack_count(struct index *index);
/* false past the end. */
bool index_pack_at(struct index *index, size_t number, struct index_pack *out);
/* The number of the pack with this id, or SIZE_MAX. */
size_t index_pack_find(struct index *index, const uint8_t id[PACK_ID_BYTES]);
/* Where frame `number` of a pack lies; `offset` and `len` are those of the whole plain frame. */
bool index_frame_at(struct index *index, const struct index_pack *pack, uint64_t number,
                    struct chunk_location *out);

#endif
