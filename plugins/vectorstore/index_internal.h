/*
 * index_internal.h: what index.c and sample.c share.
 */
#ifndef VECTORSTORE_INDEX_INTERNAL_H
#define VECTORSTORE_INDEX_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include <faiss/c_api/Index_c.h>

#define DIRECT_MAP_MAX (INT64_C(1) << 25) /* vectors; such a map takes 8 bytes for each */

struct index {
    FaissIndex *whole;   /* owned; searched */
    FaissIndex *vectors; /* gives vectors back by position; the same, or inside it */
    const idx_t *ids;    /* of positions, when an ID map is around them; else NULL */
    size_t id_count;
    int32_t dimension;
    int64_t ntotal;
    int32_t lossless;
    int can_reconstruct;
};

#endif
