/*
 * indexsort.h: sorts any number of rows in bounded memory: buckets by the first byte of the key,
 * whose blocks go to one temporary file (deleted from the start) and are sorted bucket by bucket.
 * Keys begin with a chunk id, so that buckets are of a size: a 256th of all rows is in memory.
 */
#ifndef CORE_ENGINE_INDEXSORT_H
#define CORE_ENGINE_INDEXSORT_H

#include "engine/indexcacheimpl.h"

#define SORT_BUCKETS 256u

struct indexsort;

/* The file, if one is needed, is made in `folder`, which must stay. */
int32_t indexsort_new(const char *folder, struct indexsort **out,
                      struct orch_error *err) ORCH_CHECKED;
void indexsort_free(struct indexsort *sort); /* NULL is fine */
int32_t indexsort_add(struct indexsort *sort, const struct cache_row *row,
                      struct orch_error *err) ORCH_CHECKED;
/* The rows of one bucket, in order; valid until the next call. Buckets are in order too. */
int32_t indexsort_bucket(struct indexsort *sort, size_t bucket, struct cache_row **rows,
                         size_t *count, struct orch_error *err) ORCH_CHECKED;

#endif
