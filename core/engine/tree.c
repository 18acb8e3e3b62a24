/* tree.c: reads a block index; see tree.h. */
#include "engine/tree.h"

#include <stdlib.h>
#include <string.h>

struct tree_cursor {
    tree_fetch fetch;
    void *ctx;
    uint8_t root[CHUNK_ID_BYTES];
    size_t depth; /* nodes that are open */
    bool started;
    bool peeked; /* seek has read `block` already */
    struct tree_child block;
    struct {
        struct buffer bytes;
        struct tree_node node;
    } stack[TREE_LEVELS_MAX];
};

static int32_t malformed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "a node of a block index is malformed");
}

int32_t tree_node_open(struct tree_node *node, const void *data, size_t len, struct orch_error *err)
{
    node->in = reader_over(data, len);
    uint8_t kind = reader_u8(&node->in);
    uint8_t version = reader_u8(&node->in);
    node->level = reader_u8(&node->in);
    uint8_t keyed = reader_u8(&node->in);
    node->left = reader_u32(&node->in);
    node->keyed = keyed != 0;
    node->key_len = 0;
    if (node->in.failed || kind != 'T' || keyed > 1 || node->level == 0 ||
        node->level > TREE_LEVELS_MAX) {
        return malformed(err);
    }
    if (version != 1) {
        return orch_fail(err, ORCH_E_VERSION, "a block index has format %u, not known here",
                         version);
    }
    return ORCH_OK;
}

int32_t tree_node_next(struct tree_node *node, struct tree_child *child, bool *more,
                       struct orch_error *err)
{
    *more = node->left > 0;
    if (node->left == 0) {
        return reader_left(&node->in) == 0 ? ORCH_OK : malformed(err);
    }
    if (node->keyed) {
        uint64_t shared = reader_varint(&node->in);
        size_t suffix_len = 0;
        const uint8_t *suffix = reader_bytes(&node->in, TREE_KEY_MAX, &suffix_len);
        if (node->in.failed || shared > node->key_len || shared + suffix_len > TREE_KEY_MAX) {
            return malformed(err);
        }
        memcpy(node->key + shared, suffix, suffix_len);
        node->key_len = (size_t)shared + suffix_len;
    }
    const uint8_t *id = reader_take(&node->in, CHUNK_ID_BYTES);
    uint64_t len = reader_varint(&node->in);
    child->items = reader_varint(&node->in);
    child->bytes = reader_varint(&node->in);
    if (node->in.failed || len == 0 || len > UINT32_MAX) {
        return malformed(err);
    }
    memcpy(child->id, id, CHUNK_ID_BYTES);
    child->len = (uint32_t)len;
    child->key = node->keyed ? node->key : NULL;
    child->key_len = node->key_len;
    node->left--;
    return ORCH_OK;
}

int32_t tree_cursor_new(const uint8_t root[CHUNK_ID_BYTES], tree_fetch fetch, void *ctx,
                        struct tree_cursor **out, struct orch_error *err)
{
    struct tree_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading a block index");
    }
    cursor->fetch = fetch;
    cursor->ctx = ctx;
    memcpy(cursor->root, root, CHUNK_ID_BYTES);
    *out = cursor;
    return ORCH_OK;
}

void tree_cursor_free(struct tree_cursor *cursor)
{
    if (cursor == NULL) {
        return;
    }
    for (size_t i = 0; i < TREE_LEVELS_MAX; i++) {
        buffer_free(&cursor->stack[i].bytes);
    }
    free(cursor);
}

/* Opens a node on top of the stack. Its level must be one below the node above it. */
static int32_t push(struct tree_cursor *cursor, const uint8_t id[CHUNK_ID_BYTES],
                    struct orch_error *err)
{
    if (cursor->depth == TREE_LEVELS_MAX) {
        return malformed(err);
    }
    struct buffer *bytes = &cursor->stack[cursor->depth].bytes;
    struct tree_node *node = &cursor->stack[cursor->depth].node;
    int32_t rc = cursor->fetch(cursor->ctx, id, bytes, err);
    if (rc == ORCH_OK) {
        rc = tree_node_open(node, bytes->data, bytes->len, err);
    }
    if (rc == ORCH_OK && cursor->depth > 0 &&
        node->level + 1 != cursor->stack[cursor->depth - 1].node.level) {
        rc = malformed(err);
    }
    if (rc == ORCH_OK) {
        cursor->depth++;
    }
    return rc;
}

int32_t tree_cursor_next(struct tree_cursor *cursor, struct tree_child *block, bool *more,
                         struct orch_error *err)
{
    if (cursor->peeked) {
        cursor->peeked = false;
        *block = cursor->block;
        *more = true;
        return ORCH_OK;
    }
    if (!cursor->started) {
        cursor->started = true;
        int32_t rc = push(cursor, cursor->root, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    while (cursor->depth > 0) {
        struct tree_node *top = &cursor->stack[cursor->depth - 1].node;
        bool child = false;
        int32_t rc = tree_node_next(top, block, &child, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!child) {
            cursor->depth--;
        } else if (top->level == 1) {
            *more = true;
            return ORCH_OK;
        } else if ((rc = push(cursor, block->id, err)) != ORCH_OK) {
            return rc;
        }
    }
    *more = false;
    return ORCH_OK;
}

/* Reads the top node up to the last child whose key is not behind `key`, into *found. */
static int32_t last_before(struct tree_cursor *cursor, const void *key, size_t key_len,
                           struct tree_child *found, bool *any, struct orch_error *err)
{
    struct tree_node *top = &cursor->stack[cursor->depth - 1].node;
    *any = false;
    for (;;) {
        size_t pos = top->in.pos;
        uint32_t left = top->left;
        struct tree_child child;
        bool more = false;
        int32_t rc = tree_node_next(top, &child, &more, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!more) {
            return ORCH_OK;
        }
        if (*any && tree_key_compare(child.key, child.key_len, key, key_len) > 0) {
            /* Goes back before this child. The key buffer holds its key already, whose shared
             * prefix is the one that decoding it again needs. */
            top->in.pos = pos;
            top->left = left;
            return ORCH_OK;
        }
        *found = child;
        *any = true;
    }
}

int32_t tree_cursor_seek(struct tree_cursor *cursor, const void *key, size_t key_len,
                         struct orch_error *err)
{
    cursor->started = true;
    int32_t rc = push(cursor, cursor->root, err);
    while (rc == ORCH_OK) {
        struct tree_child child;
        bool any = false;
        struct tree_node *top = &cursor->stack[cursor->depth - 1].node;
        if (!top->keyed) {
            return orch_fail(err, ORCH_E_INVALID, "a block index without keys cannot be searched");
        }
        rc = last_before(cursor, key, key_len, &child, &any, err);
        if (rc != ORCH_OK || !any) {
            return rc;
        }
        if (top->level == 1) {
            cursor->block = child;
            cursor->block.key = NULL;
            cursor->block.key_len = 0;
            cursor->peeked = true;
            return ORCH_OK;
        }
        rc = push(cursor, child.id, err);
    }
    return rc;
}
