/*
 * shape.h: what stands in an index file, read without FAISS.
 *
 * FAISS believes the sizes that a file states: a damaged one makes it ask for terabytes, or read
 * past a mapping. So every index is walked here first. For the common types (flat, scalar and
 * product quantised, IVF, HNSW, ID maps, and on-disk lists) the walk covers the whole structure:
 * each stated size against the bytes that are there, each graph link against the number of vectors.
 * Of other types only the header is read.
 */
#ifndef VECTORSTORE_SHAPE_H
#define VECTORSTORE_SHAPE_H

#include <orchestrate/error.h>

#define SHAPE_TYPE_MAX 64
#define SHAPE_ONDISK_MAX 4096
#define SHAPE_DIMENSION_MAX (1 << 20)

#define SHAPE_METRIC_IP 0
#define SHAPE_METRIC_L2 1

struct shape {
    char fourcc[5];
    char type[SHAPE_TYPE_MAX]; /* "HNSW,Flat"; for types not walked, the four characters */
    int32_t dimension;
    int64_t ntotal;
    int32_t metric; /* SHAPE_METRIC_* or another number of FaissMetricType */
    int32_t is_trained;
    int32_t walked;      /* 1: the whole structure was checked */
    int32_t lossless;    /* 1: vectors are stored as they were given */
    int32_t has_lists;   /* 1: an IVF type, whose lists can be mapped */
    uint64_t row_offset; /* where rows of `row_bytes` begin, for flat vectors; else 0 and 0 */
    uint32_t row_bytes;
    char ondisk[SHAPE_ONDISK_MAX]; /* file that holds the lists, as the index names it, or "" */
    uint64_t ondisk_bytes;         /* how long that file must be at least */
};

/*
 * Reads the index in `fd` (from its start; the position is not moved) of `size` bytes.
 * ORCH_E_CORRUPT when it cannot be an index or contradicts itself, ORCH_E_UNSUPPORTED when it is one
 * of a kind that is not known here (err->message names it), ORCH_E_IO when it cannot be read.
 */
int32_t shape_read(int fd, uint64_t size, struct shape *shape, struct orch_error *err) ORCH_CHECKED;

/* "inner_product", "l2", "l1", … ; never NULL. */
const char *shape_metric_name(int32_t metric);

#endif
