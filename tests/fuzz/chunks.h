/*
 * chunks.h: an input taken as a store of chunks, so that whole trees of blocks can be fuzzed.
 *
 * The input is a row of chunks: u16 length, bytes. The first byte of a chunk id, modulo the number
 * of chunks, says which one is meant; so trees may share nodes, and the number of fetches is
 * limited.
 */
#ifndef TESTS_FUZZ_CHUNKS_H
#define TESTS_FUZZ_CHUNKS_H

#include "engine/tree.h"

#define CHUNKS_MAX 12

struct chunks {
    struct {
        const uint8_t *data;
        size_t len;
    } list[CHUNKS_MAX];
    size_t count;
    unsigned fuel; /* fetches that are left */
};

/* What is behind the last whole chunk is left out. */
void chunks_split(struct chunks *chunks, const uint8_t *data, size_t size);
/* A tree_fetch; `ctx` is the struct chunks. */
int32_t chunks_fetch(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                     struct orch_error *err);

#endif
