/*
 * generate.h: makes and searches FAISS indexes for tests and the demo. Not installed.
 *
 * Vectors follow from seed and row number alone (unit length, the same on every machine), so that
 * what was made can be made again and compared.
 */
#ifndef INTEGRATION_VECTORTOOL_GENERATE_H
#define INTEGRATION_VECTORTOOL_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GENERATE_IP 0
#define GENERATE_L2 1

/* Vector `row` of `seed`: `dimension` floats, length 1. */
void generate_vector(uint64_t seed, uint64_t row, int dimension, float *out);

/*
 * Writes an index of `count` vectors to `path` (by a temporary name and a rename). `type`: Flat,
 * HNSW, IVF, IVFDisk (lists in PATH.ivfdata), IDMap, IDMap2 (ids: 1000 + 7 * row), SQ, PQ, IVFSQ,
 * IVFPQ, LSH. `scale` is the vectors' length. 0, or -1 with a message in `why`.
 */
int generate_index(const char *path, const char *type, uint64_t count, int dimension, int metric,
                   uint64_t seed, float scale, char *why, size_t why_size);

/* The `k` nearest of `vector` in the index at `path`. 0, or -1 with a message. */
int generate_search(const char *path, const float *vector, int dimension, int k, int64_t *ids,
                    float *distances, char *why, size_t why_size);

/* Dimension and count. 0, or -1 with a message. */
int generate_measure(const char *path, int *dimension, int64_t *count, char *why, size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
