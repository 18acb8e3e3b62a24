/*
 * index.h: an index in FAISS: loaded, sampled, and searched again to compare.
 */
#ifndef VECTORSTORE_INDEX_H
#define VECTORSTORE_INDEX_H

#include <jansson.h>

#include <orchestrate/plugin.h>

#include "shape.h"

struct index;

/*
 * Loads the index file in `fd`, whose position moves and which stays the caller's. `lists` is the
 * file of on-disk lists, or -1 when the shape names none. `work_dir` is where links to both may
 * be put for a moment (NULL: /tmp). `limit` is the most that may be loaded (bytes; 0: what the
 * machine has to spare): above it, ORCH_OK with *out = NULL. ORCH_E_CORRUPT when FAISS cannot load
 * it, or finds something else in it than the shape.
 */
int32_t index_load(int fd, int lists, const struct shape *shape, uint64_t size, uint64_t limit,
                   const char *work_dir, struct index **out, struct orch_error *err) ORCH_CHECKED;
void index_free(struct index *index); /* NULL is allowed */

/*
 * Searches for up to `count` vectors, spread over the index (or, when it does not give its vectors
 * back, for as many made-up ones), and gives the nearest neighbours as JSON. *worst_norm is how
 * far the length of a sampled vector is from 1 at most, or -1 when none could be had. NULL: `err`.
 */
json_t *index_sample(struct index *index, int count, double *worst_norm, struct orch_error *err);

/*
 * Repeats the searches of `samples` (from index_sample). ORCH_E_INCOMPATIBLE, with what differs,
 * when other neighbours come; ORCH_E_CORRUPT when `samples` makes no sense.
 */
int32_t index_compare(struct index *index, const json_t *samples,
                      struct orch_error *err) ORCH_CHECKED;

/* The version of FAISS that this was built with: "1.7.3", or "unknown". */
const char *index_faiss_version(void);

#endif
