/*
 * indeximpl.h: what the files of an index share. An index shows the packs of a view; chunks lie in
 * the cache, and in memory while no segment that the cache has names their pack.
 *
 *   index.c          made, opened, in step with the repository, closed
 *   indexlookup.c    lookups and claims; packs by number
 *   indexadd.c       additions
 *   indexview.c      the packs that are shown
 *   indexoverlay.c   chunks in memory
 *   indexcache.c …   chunks in LMDB
 *   indexhot.c       the same in memory, of a small cache
 *   indexsync.c      the cache in step with the repository; indexbuild.c: a whole new one
 *   indexfolder.c    where caches lie
 *
 * A lookup holds `lock` for reading over cache and memory, and a chunk is taken out of memory, with
 * `lock` for writing, after the cache has it: so it is always in one of them.
 */
#ifndef CORE_ENGINE_INDEXIMPL_H
#define CORE_ENGINE_INDEXIMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/byteset.h"
#include "engine/index.h"
#include "engine/indexfolder.h"
#include "engine/indexhot.h"
#include "engine/indexoverlay.h"
#include "engine/indexview.h"

struct index {
    pthread_rwlock_t lock; /* over view, overlay, hot, shunned, moves */
    struct indexview view;
    struct indexoverlay *overlay;
    struct byteset *shunned; /* pack ids */
    struct indexhot *hot;    /* NULL: not yet, or too large */
    atomic_uint cached;      /* lookups that found something in the cache, or were foretold */
    atomic_bool warmed;      /* `hot` is made or being made */
    pthread_t warmer;        /* makes it ahead of the lookups */
    bool has_warmer;         /* to be joined */
    uint64_t moves;          /* how often chunks went from memory to the cache */

    pthread_mutex_t writing; /* over what follows, and all that changes the cache */
    struct repo *repo;
    struct index_options options;
    struct indexfolder *folder; /* NULL: everything is in memory */
    struct indexcache *cache;
    bool full; /* the cache could not be written: what is new stays in memory */
};

/* Shows a pack; the caller holds `lock` for writing. Takes over `frames` when it succeeds. */
int32_t index_show(struct index *index, uint32_t number, const struct cache_pack *pack,
                   struct cache_frame *frames, struct orch_error *err) ORCH_CHECKED;

/* NULL: a hole. */
static inline enum cache_verdict index_judge_pack(const struct view_pack *pack)
{
    return pack == NULL                                      ? CACHE_IGNORE
           : (pack->flags & (VIEW_SHUNNED | VIEW_LOST)) != 0 ? CACHE_POOR
                                                             : CACHE_GOOD;
}

#endif
