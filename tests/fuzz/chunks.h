/*
 * chunks.h: an input taken as a store of chunks, so that whole trees of blocks can be fuzzed; and a
 * store that writers fill, to read back what was decoded.
 *
 * The input is a row of chunks: u16 length, bytes. The first byte of a chunk id, modulo the number
 * of chunks, says which one is meant; so trees may share nodes, and the number of fetches is
 * limited. chunksmut.c changes such inputs chunk by chunk.
 */
#ifndef TESTS_FUZZ_CHUNKS_H
#define TESTS_FUZZ_CHUNKS_H

#include "engine/reflist.h"

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
/* Whether chunk `i` begins as one of this kind does ('T', 'C', 'R', 'L'). */
bool chunks_begins(const struct chunks *chunks, size_t i, char kind);

/* Walks the list through `fetch`. ORCH_OK: all of it could be read. Checks what holds for any list;
 * `hash` (NULL allowed) takes in what it refers to, holes that follow each other as one. */
int32_t chunks_walk(tree_fetch fetch, void *ctx, const struct reflist *list, uint64_t *hash);

/* Chunks that a writer stored, numbered from 0. */
struct written {
    struct buffer *list;
    size_t count, capacity;
};

/* A tree_store and a tree_fetch over them; `ctx` is the struct written. */
int32_t written_store(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                      struct orch_error *err);
int32_t written_fetch(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                      struct orch_error *err);
void written_clear(struct written *written);

#endif
