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
    uint64_t number; /* of this place among all of the index: below index_places(). For bitmaps. */
    size_t pack_number; /* as of index_pack_at() */
};

struct index_options {
    /* Below it, in index/, lie memory-mapped caches, one for each repository (made when missing).
     * NULL, or one that cannot be used (a warning says so): a cache of its own, gone with the
     * index. */
    const char *cache_dir;
    /* Lists packs/ too: a pack that is missing or has another length than the segments say is as
     * good as shunned. For writers: what was lost is stored again. */
    bool check_packs;
    /* Reads every segment again, also those that the cache has: for a check. What is damaged is
     * left out and told of, so that the index is what somebody without the cache would see. */
    bool check_segments;
    /* As in set_list_load. May be NULL: then a damaged segment fails the call. */
    void (*damaged)(void *ctx, const char *name, const struct orch_error *why);
    void *ctx;
};

/*
 * Brings the cache in step with the segments that the repository has now, and opens it. What other
 * processes add to the cache later is not seen before index_refresh(). Several processes may have
 * the same cache open. `options` NULL: none of them. Read the marks *before*
 * (docs/prune-protocol.md).
 */
int32_t index_open(struct repo *repo, const struct index_options *options, struct index **out,
                   struct orch_error *err) ORCH_CHECKED;
void index_close(struct index *index);
/* In step with the repository again. Numbers of packs and places stay what they were. */
int32_t index_refresh(struct index *index, struct orch_error *err) ORCH_CHECKED;

/* About so many chunks will be looked up: what makes that faster is begun now, if it pays. One
 * thread calls this, and it or a later one index_close(). */
void index_expect(struct index *index, uint64_t lookups);

/* Thread-safe. ORCH_E_NOT_FOUND (without a message) when the chunk is not in the repository. Of
 * several places of a chunk: the first in a pack that is not shunned, else one in a shunned pack.
 */
int32_t index_find(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                   struct chunk_location *out) ORCH_CHECKED;
/* Places of all packs; a chunk that lies in two counts twice. */
uint64_t index_chunks(struct index *index);

/* ---- for the engine itself; everything is thread-safe ------------------------------------- */

struct pack_table;

/* An index of nothing. */
int32_t index_new(struct index **out, struct orch_error *err) ORCH_CHECKED;
/* A second one over the same cache: what is added to one is not seen in the other. What the first
 * still has in memory (index_add_pack) is not in the second. */
int32_t index_copy(struct index *index, struct index **out, struct orch_error *err) ORCH_CHECKED;
/*
 * Takes a chunk on: *claimed becomes true when nobody has it, and then the caller has to store it;
 * false when it is in the repository or somebody else of this process is about to store it.
 */
int32_t index_claim(struct index *index, const uint8_t id[CHUNK_ID_BYTES], bool *claimed,
                    struct orch_error *err) ORCH_CHECKED;
/* Shunned packs do not count here and for index_claim(): what only they hold is stored again. A
 * pack that the index does not know is remembered too. */
int32_t index_shun(struct index *index, const uint8_t (*packs)[PACK_ID_BYTES], size_t count,
                   struct orch_error *err) ORCH_CHECKED;
/* Shunned, or lost as check_packs tells. */
bool index_shunned(struct index *index, size_t pack_number);
/* Is it in the repository (not only in shunned packs), or claimed? */
bool index_knows(struct index *index, const uint8_t id[CHUNK_ID_BYTES]);
/* Claims whose chunks were never added become free again: their writer failed. */
void index_release_claims(struct index *index);
/* Adds the chunks of a pack that this process has stored. Copies what it needs. */
int32_t index_add_pack(struct index *index, const struct pack_table *table,
                       struct orch_error *err) ORCH_CHECKED;
/* A segment that this process has stored names these packs, all added before: they move from memory
 * to the cache. NULL as the name: no segment does; they move all the same, and are seen by this
 * index alone. When the cache cannot be written, they stay in memory, and a warning tells. */
int32_t index_add_segment(struct index *index, const char *name, const struct pack_table *tables,
                          size_t count, struct orch_error *err) ORCH_CHECKED;

/* The packs of an index, from 0, in the order in which they came to the cache. A frame's
 * `chunk_count` and `first_chunk` are not kept. */
struct index_pack {
    uint8_t id[PACK_ID_BYTES];
    uint32_t kind;
    uint64_t size_bytes;
    uint64_t first_frame; /* for index_frame_at() */
    uint64_t frame_count;
    uint64_t first_place; /* the number of its first chunk's place; the others follow */
    uint64_t chunk_count;
    uint64_t plain_bytes; /* of all its frames */
    bool gone;            /* no segment names it any more: the number stays and means nothing */
};
size_t index_pack_count(struct index *index);
/* All place numbers are below this. */
uint64_t index_places(struct index *index);
/* false past the end. Numbers that mean nothing, of packs that are gone or never came to be, are
 * `gone` and otherwise zero. */
bool index_pack_at(struct index *index, size_t number, struct index_pack *out);
/* The number of the pack with this id, or SIZE_MAX. */
size_t index_pack_find(struct index *index, const uint8_t id[PACK_ID_BYTES]);
/* Where frame `number` of a pack lies; `offset` and `len` are those of the whole plain frame. */
bool index_frame_at(struct index *index, const struct index_pack *pack, uint64_t number,
                    struct chunk_location *out);

#endif
