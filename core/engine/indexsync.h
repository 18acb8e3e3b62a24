/*
 * indexsync.h: brings the cache of an index in step with the segments of the repository.
 */
#ifndef CORE_ENGINE_INDEXSYNC_H
#define CORE_ENGINE_INDEXSYNC_H

#include "engine/index.h"
#include "engine/indexfolder.h"

struct indexsync {
    struct repo *repo;
    const struct index_options *options;
    struct indexfolder *folder; /* locked by the caller */
    struct indexcache *cache;   /* NULL: one is made. Replaced when another is made. */
    bool keep;                  /* its numbers must stay: no other is made */
    bool cache_trouble;         /* after a failure: it is the cache's, and another one might do */
};

int32_t indexsync_run(struct indexsync *sync, struct orch_error *err) ORCH_CHECKED;

#endif
