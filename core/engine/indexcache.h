/*
 * indexcache.h: one generation of an index's cache: an LMDB environment in a folder. It holds what
 * the segments say that were added, and nothing that is not in them or soon will be.
 *
 * chunks    chunk id and pack number -> place in the pack
 * packs     pack number -> id, length, number of segments that name it …
 * frames    pack number -> where its frames lie
 * ids       pack id -> its number, for packs that are stored and those that are about to be
 * segments  segment id -> its packs, and the segments that it supersedes
 *
 * A pack exists exactly as long as `packs` has it. Rows of `chunks` that point to others are
 * garbage of packs that are gone or of adds that were cut short, and are not seen. Numbers of packs
 * and of places only grow.
 *
 * Within a process an environment is opened once and shared. Reading is thread-safe. Who writes
 * holds the folder's lock (indexfolder.h) from before it looks until it is done.
 */
#ifndef CORE_ENGINE_INDEXCACHE_H
#define CORE_ENGINE_INDEXCACHE_H

#include "engine/pack.h"

#define SEGMENT_KEY_BYTES 32
/* Rows for a full segment at once: 52 bytes each, twice while they are sorted. */
#define CACHE_ROWS_MAX (256u << 10)

struct indexcache;

struct cache_pack {
    uint8_t id[PACK_ID_BYTES];
    uint32_t kind;
    uint32_t frame_count;
    uint64_t size_bytes;
    uint64_t first_place;
    uint64_t chunk_count;
    uint64_t plain_bytes;
    uint32_t refs; /* segments that name it */
};

struct cache_frame {
    uint64_t offset;
    uint32_t sealed_len;
    uint32_t plain_len;
    uint32_t codec;
};

struct cache_place {
    uint32_t pack;
    uint32_t number; /* in the pack */
    uint32_t frame;
    uint32_t offset;
    uint32_t len;
};

/* A new one in an empty folder. `path` is copied. */
int32_t indexcache_create(const char *path, const char *repo_id, struct indexcache **out,
                          struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_CORRUPT when it has to be thrown away. */
int32_t indexcache_open(const char *path, const char *repo_id, struct indexcache **out,
                        struct orch_error *err) ORCH_CHECKED;
struct indexcache *indexcache_share(struct indexcache *cache); /* counts one more */
void indexcache_close(struct indexcache *cache);               /* NULL is fine */
/* Its files are to be deleted already, so that nothing is left of it once it is closed. */
bool indexcache_is_private(const struct indexcache *cache);
void indexcache_make_private(struct indexcache *cache);
const char *indexcache_path(const struct indexcache *cache);
/* Its folder has another name now. */
int32_t indexcache_moved(struct indexcache *cache, const char *path,
                         struct orch_error *err) ORCH_CHECKED;

/* ---- reading ------------------------------------------------------------------------------- */

enum cache_verdict { CACHE_IGNORE, CACHE_POOR, CACHE_GOOD };

/*
 * The first place, by pack number, whose pack `judge` calls good; else the first that it calls
 * poor; else ORCH_E_NOT_FOUND (no message). Packs that are gone are passed over. `frame` is that of
 * the place.
 */
int32_t indexcache_find(struct indexcache *cache, const uint8_t id[CHUNK_ID_BYTES],
                        enum cache_verdict (*judge)(const void *ctx, uint32_t pack),
                        const void *ctx, struct cache_place *place, struct cache_frame *frame,
                        bool *good) ORCH_CHECKED;
/* Somebody met what cannot be: nobody is to open it again. */
void indexcache_damaged(struct indexcache *cache);
bool indexcache_frame(struct indexcache *cache, uint32_t pack, uint64_t number,
                      struct cache_frame *out);

/* All frames of a pack in new memory; NULL when it is gone, or memory ran out. */
struct cache_frame *indexcache_frames(struct indexcache *cache, uint32_t pack, size_t *count);

int32_t indexcache_each_pack(struct indexcache *cache,
                             int32_t (*each)(void *ctx, uint32_t number,
                                             const struct cache_pack *pack, struct orch_error *err),
                             void *ctx, struct orch_error *err) ORCH_CHECKED;

struct cache_segment {
    uint8_t id[SEGMENT_KEY_BYTES];
    bool superseded; /* not counted; kept for what it supersedes itself */
    size_t pack_count;
    size_t supersedes_count;
    const uint8_t *packs;                           /* numbers, 4 bytes each; in place */
    const uint8_t (*supersedes)[SEGMENT_KEY_BYTES]; /* in place */
};
/* In the order of their ids. Pointers are valid within the call. */
int32_t indexcache_each_segment(struct indexcache *cache,
                                int32_t (*each)(void *ctx, const struct cache_segment *segment,
                                                struct orch_error *err),
                                void *ctx, struct orch_error *err) ORCH_CHECKED;

/* Every row, by chunk and then by pack. Packs that are gone are not left out. */
int32_t indexcache_each_row(struct indexcache *cache,
                            int32_t (*each)(void *ctx, const uint8_t id[CHUNK_ID_BYTES],
                                            const struct cache_place *place,
                                            struct orch_error *err),
                            void *ctx, struct orch_error *err) ORCH_CHECKED;

/* Tells whether packs were dropped since. Thread-safe; costs next to nothing while nobody writes.
 */
struct cache_epoch {
    _Atomic uint64_t transaction;
    uint64_t drops;
};
int32_t indexcache_epoch(struct indexcache *cache, struct cache_epoch *out,
                         struct orch_error *err) ORCH_CHECKED;
bool indexcache_dropped_since(struct indexcache *cache, struct cache_epoch *epoch);

struct cache_totals {
    uint64_t rows;      /* of `chunks` */
    uint64_t live_rows; /* of packs that exist */
    uint64_t gone_base; /* rows without a pack when the generation was made */
};
int32_t indexcache_totals(struct indexcache *cache, struct cache_totals *out,
                          struct orch_error *err) ORCH_CHECKED;

/* ---- writing: under the folder's lock -------------------------------------------------------- */

/* Numbers for a pack that is about to be indexed, or those that it has. */
int32_t indexcache_reserve(struct indexcache *cache, const struct pack_table *table,
                           uint32_t *number, uint64_t *first_place,
                           struct orch_error *err) ORCH_CHECKED;
struct cache_add {
    const uint8_t *segment; /* SEGMENT_KEY_BYTES; NULL: no segment names the packs. Then nobody else
                               sees them; they have numbers and frames. */
    const struct pack_table *tables;
    size_t count;
    const uint8_t (*supersedes)[SEGMENT_KEY_BYTES];
    size_t supersedes_count;
    uint32_t *numbers; /* NULL, or gets the number of each pack */
};
/* A segment that is there already is fine. Memory and open transactions are bounded. */
int32_t indexcache_add(struct indexcache *cache, const struct cache_add *add,
                       struct orch_error *err) ORCH_CHECKED;
/* The segment counts no more; packs that no other names are gone. `superseded`: it is remembered
 * as such. One that is not there is fine. */
int32_t indexcache_drop(struct indexcache *cache, const uint8_t segment[SEGMENT_KEY_BYTES],
                        bool superseded, struct orch_error *err) ORCH_CHECKED;

/* From now on only what goes later counts as gone: the cache is as small as it can be. */
int32_t indexcache_rest(struct indexcache *cache, struct orch_error *err) ORCH_CHECKED;

#endif
