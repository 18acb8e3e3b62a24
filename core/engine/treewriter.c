/* treewriter.c: builds a block index; see tree.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/tree.h"

#define NODE_HEADER_BYTES 8
/* A node ends behind a child whose id begins with a small number, between these sizes. */
#define NODE_MIN (16u << 10)
#define NODE_MAX (64u << 10)
#define NODE_CUT 4u /* of 256 */

struct level {
    struct buffer node; /* header and children so far; empty: none */
    struct buffer first_key;
    struct buffer last_key;
    uint32_t count;
    uint64_t items, bytes;
};

struct tree_writer {
    bool keyed;
    tree_store store;
    void *ctx;
    struct level levels[TREE_LEVELS_MAX];
    size_t level_count;
};

int tree_key_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t common = a_len < b_len ? a_len : b_len;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

int32_t tree_writer_new(bool keyed, tree_store store, void *ctx, struct tree_writer **out,
                        struct orch_error *err)
{
    struct tree_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a block index");
    }
    writer->keyed = keyed;
    writer->store = store;
    writer->ctx = ctx;
    *out = writer;
    return ORCH_OK;
}

void tree_writer_free(struct tree_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; i < TREE_LEVELS_MAX; i++) {
        buffer_free(&writer->levels[i].node);
        buffer_free(&writer->levels[i].first_key);
        buffer_free(&writer->levels[i].last_key);
    }
    free(writer);
}

static void append_child(struct tree_writer *writer, struct level *level, size_t number,
                         const struct tree_child *child)
{
    struct buffer *node = &level->node;
    if (level->count == 0) {
        const uint8_t header[NODE_HEADER_BYTES] = {'T', 1, (uint8_t)(number + 1), writer->keyed};
        buffer_clear(node);
        buffer_append(node, header, sizeof(header));
        buffer_clear(&level->first_key);
        buffer_append(&level->first_key, child->key, writer->keyed ? child->key_len : 0);
        buffer_clear(&level->last_key);
        level->items = 0;
        level->bytes = 0;
    }
    if (writer->keyed) {
        size_t shared = 0;
        const uint8_t *last = level->last_key.data;
        while (shared < level->last_key.len && shared < child->key_len &&
               last[shared] == child->key[shared]) {
            shared++;
        }
        buffer_varint(node, shared);
        buffer_bytes(node, child->key + shared, child->key_len - shared);
        buffer_clear(&level->last_key);
        buffer_append(&level->last_key, child->key, child->key_len);
    }
    buffer_append(node, child->id, CHUNK_ID_BYTES);
    buffer_varint(node, child->len);
    buffer_varint(node, child->items);
    buffer_varint(node, child->bytes);
    level->count++;
    level->items += child->items;
    level->bytes += child->bytes;
}

/* Stores the open node of a level and tells of it in *child, whose key lies in the level. */
static int32_t close_node(struct tree_writer *writer, struct level *level, struct tree_child *child,
                          struct orch_error *err)
{
    if (level->node.failed || level->first_key.failed || level->last_key.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a block index");
    }
    put_le32(level->node.data + 4, level->count);
    int32_t rc = writer->store(writer->ctx, level->node.data, level->node.len, child->id, err);
    child->len = (uint32_t)level->node.len;
    child->items = level->items;
    child->bytes = level->bytes;
    child->key = level->first_key.data;
    child->key_len = level->first_key.len;
    level->count = 0;
    return rc;
}

static int32_t add(struct tree_writer *writer, size_t number, const struct tree_child *child,
                   struct orch_error *err)
{
    struct tree_child node = *child;
    for (; number < TREE_LEVELS_MAX; number++) {
        struct level *level = &writer->levels[number];
        if (number >= writer->level_count) {
            writer->level_count = number + 1;
        }
        append_child(writer, level, number, &node);
        bool cut =
            level->node.len >= NODE_MAX || (level->node.len >= NODE_MIN && node.id[0] < NODE_CUT);
        /* A node of one child would not make the tree smaller. */
        if (!cut || level->count < 2) {
            return level->node.failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for a block index")
                                      : ORCH_OK;
        }
        int32_t rc = close_node(writer, level, &node, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return orch_fail(err, ORCH_E_INVALID, "a block index would need more than %d levels",
                     TREE_LEVELS_MAX);
}

int32_t tree_writer_add(struct tree_writer *writer, const struct tree_child *block,
                        struct orch_error *err)
{
    return add(writer, 0, block, err);
}

int32_t tree_writer_finish(struct tree_writer *writer, uint8_t root[CHUNK_ID_BYTES],
                           struct orch_error *err)
{
    struct tree_child node = {.key = NULL};
    if (writer->level_count == 0) {
        const uint8_t empty[NODE_HEADER_BYTES] = {'T', 1, 1, writer->keyed};
        return writer->store(writer->ctx, empty, sizeof(empty), root, err);
    }
    for (size_t i = 0; i < writer->level_count; i++) {
        struct level *level = &writer->levels[i];
        bool top = i + 1 == writer->level_count;
        if (level->count == 0 && !top) {
            continue; /* just closed; its node went up */
        }
        int32_t rc = close_node(writer, level, &node, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!top && (rc = add(writer, i + 1, &node, err)) != ORCH_OK) {
            return rc;
        }
    }
    memcpy(root, node.id, CHUNK_ID_BYTES);
    return ORCH_OK;
}
