/*
 * indexbuild.h: makes a whole cache from segments: every page is written once, in order.
 */
#ifndef CORE_ENGINE_INDEXBUILD_H
#define CORE_ENGINE_INDEXBUILD_H

#include "engine/indexcache.h"

struct indexbuild;

/* Into an empty cache, borrowed; temporary files go to `folder`. */
int32_t indexbuild_new(struct indexcache *cache, const char *folder, struct indexbuild **out,
                       struct orch_error *err) ORCH_CHECKED;
void indexbuild_free(struct indexbuild *build); /* NULL is fine */
/* A segment; add->segment is not NULL. Its chunks are found after the finish. */
int32_t indexbuild_add(struct indexbuild *build, const struct cache_add *add,
                       struct orch_error *err) ORCH_CHECKED;
int32_t indexbuild_finish(struct indexbuild *build, struct orch_error *err) ORCH_CHECKED;

#endif
