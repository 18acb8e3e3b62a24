/*
 * tree.h: a block index: a tree of nodes over a sequence of blocks.
 *
 * Blocks and nodes are chunks. A node of level 1 lists blocks, one of level n nodes of level n - 1.
 * Where a node ends depends on the ids it lists, so that unchanged stretches give equal nodes.
 * Keyed trees carry each child's first key (the catalogue: the first name), so that a name is found
 * by reading one node a level. There is always a root node, also over no block at all.
 */
#ifndef CORE_ENGINE_TREE_H
#define CORE_ENGINE_TREE_H

#include "base/buffer.h"
#include "engine/part.h"

#define TREE_LEVELS_MAX 12
#define TREE_KEY_MAX 65535u

struct tree_child {
    uint8_t id[CHUNK_ID_BYTES];
    uint32_t len;       /* of the chunk */
    uint64_t items;     /* in all blocks below */
    uint64_t bytes;     /* what these items count for */
    const uint8_t *key; /* the first key below; NULL in trees without keys */
    size_t key_len;
};

/* Stores `data` as a chunk and gives its id. */
typedef int32_t (*tree_store)(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                              struct orch_error *err);
/* Replaces the content of `out` by the chunk's bytes, whose id was checked. */
typedef int32_t (*tree_fetch)(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                              struct orch_error *err);

/* ---- writing: blocks in order ------------------------------------------------------------- */

struct tree_writer;

int32_t tree_writer_new(bool keyed, tree_store store, void *ctx, struct tree_writer **out,
                        struct orch_error *err) ORCH_CHECKED;
int32_t tree_writer_add(struct tree_writer *writer, const struct tree_child *block,
                        struct orch_error *err) ORCH_CHECKED;
/* Writes what is open and gives the id of the root. */
int32_t tree_writer_finish(struct tree_writer *writer, uint8_t root[CHUNK_ID_BYTES],
                           struct orch_error *err) ORCH_CHECKED;
void tree_writer_free(struct tree_writer *writer); /* NULL is fine */

/* ---- one node ------------------------------------------------------------------------------ */

struct tree_node {
    struct reader in;
    bool keyed;
    uint32_t level; /* 1: the children are blocks */
    uint32_t left;  /* children not yet read */
    uint8_t key[TREE_KEY_MAX];
    size_t key_len;
};

/* `data` stays the caller's and must outlive the node. */
int32_t tree_node_open(struct tree_node *node, const void *data, size_t len,
                       struct orch_error *err) ORCH_CHECKED;
/* The next child; *more is false past the last. child->key points into the node. */
int32_t tree_node_next(struct tree_node *node, struct tree_child *child, bool *more,
                       struct orch_error *err) ORCH_CHECKED;

/* ---- reading: the blocks in order ---------------------------------------------------------- */

struct tree_cursor;

int32_t tree_cursor_new(const uint8_t root[CHUNK_ID_BYTES], tree_fetch fetch, void *ctx,
                        struct tree_cursor **out, struct orch_error *err) ORCH_CHECKED;
/* The next block; *more is false past the last. The key is valid until the next call. */
int32_t tree_cursor_next(struct tree_cursor *cursor, struct tree_child *block, bool *more,
                         struct orch_error *err) ORCH_CHECKED;
/* Goes to the last block whose first key is not behind `key`; before the first call of next. */
int32_t tree_cursor_seek(struct tree_cursor *cursor, const void *key, size_t key_len,
                         struct orch_error *err) ORCH_CHECKED;
void tree_cursor_free(struct tree_cursor *cursor); /* NULL is fine */

/* Bytewise order, the shorter first where one begins the other. */
int tree_key_compare(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
