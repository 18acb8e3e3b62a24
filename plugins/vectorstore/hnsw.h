/*
 * hnsw.h: the graph of an HNSW index, checked as it stands in the file: every link and level that a
 * search will follow without looking.
 */
#ifndef VECTORSTORE_HNSW_H
#define VECTORSTORE_HNSW_H

#include "cursor.h"

/* Walks from the graph's first byte to behind its last. ORCH_E_CORRUPT when it contradicts itself.
 */
int32_t hnsw_walk(struct cursor *cursor, int64_t ntotal, struct orch_error *err) ORCH_CHECKED;

#endif
