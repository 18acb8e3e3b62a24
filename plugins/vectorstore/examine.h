/*
 * examine.h: one store of a backup's source: its index walked, loaded, sampled.
 */
#ifndef VECTORSTORE_EXAMINE_H
#define VECTORSTORE_EXAMINE_H

#include <jansson.h>

#include "instance.h"

/*
 * The store's facts, but for digests and side files: index, type, fourcc, dimension, metric,
 * ntotal, is_trained, loaded, samples, norm_deviation, row_offset, row_bytes, ondisk. When the
 * index cannot be loaded and that is allowed, type is "opaque" and `reason` says why. The value is
 * the caller's.
 */
int32_t examine_store(struct vectorstore *self, const struct source *source,
                      const struct store *store, json_t **facts,
                      struct orch_error *err) ORCH_CHECKED;

/*
 * Loads an index for examination or verification: walks it in `fd`, with `open_side` to open the
 * file of on-disk lists beside it (given its bare name and the name in the index; -1 and `err` when
 * there is none). *out is NULL when it is too large to load.
 */
struct index;
struct shape;
int32_t examine_load(struct vectorstore *self, int fd,
                     int32_t (*open_lists)(void *ctx, const char *named, int *lists,
                                           struct orch_error *err),
                     void *ctx, struct shape *shape, struct index **out,
                     struct orch_error *err) ORCH_CHECKED;

#endif
