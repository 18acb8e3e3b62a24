/*
 * fuzz_tree.c: block indexes: their nodes, walks and searches through trees of them, and the way
 * back: what was read is written again and must read the same.
 *
 * The input is a store of chunks (chunks.h). The bytes of the last are also the key searched for.
 */
#include <string.h>

#include "chunks.h"
#include "engine/catalogue.h"
#include "exact.h"

/* What a walk came upon. */
struct sum {
    uint64_t hash, blocks;
};

static void mix(struct sum *sum, const struct tree_child *child, bool keyed)
{
    sum->blocks++;
    sum->hash = catalogue_hash(sum->hash, child->id, CHUNK_ID_BYTES);
    sum->hash = catalogue_hash(sum->hash, &child->len, sizeof(child->len));
    sum->hash = catalogue_hash(sum->hash, &child->items, sizeof(child->items));
    sum->hash = catalogue_hash(sum->hash, &child->bytes, sizeof(child->bytes));
    if (keyed && child->key_len > 0) {
        sum->hash = catalogue_hash(sum->hash, child->key, child->key_len);
    }
}

static int32_t walk(const uint8_t root[CHUNK_ID_BYTES], tree_fetch fetch, void *ctx,
                    const uint8_t *key, size_t key_len, struct tree_writer *writer, bool keyed,
                    struct sum *sum)
{
    struct tree_cursor *cursor = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct tree_child block;
    bool more = true;
    must(tree_cursor_new(root, fetch, ctx, &cursor, &err) == ORCH_OK);
    int32_t rc = key == NULL ? ORCH_OK : tree_cursor_seek(cursor, key, key_len, &err);
    while (rc == ORCH_OK) {
        rc = tree_cursor_next(cursor, &block, &more, &err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        must(block.len > 0);
        mix(sum, &block, keyed && key == NULL);
        if (writer != NULL) {
            must(tree_writer_add(writer, &block, &err) == ORCH_OK);
        }
    }
    must(rc == ORCH_OK || err.message[0] != 0);
    tree_cursor_free(cursor);
    return rc;
}

static void read_node(const uint8_t *data, size_t len)
{
    static struct tree_node node;
    struct tree_child child;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    int32_t rc = tree_node_open(&node, data, len, &err);
    must(rc != ORCH_OK || (node.level > 0 && node.level <= TREE_LEVELS_MAX));
    while (rc == ORCH_OK && more) {
        rc = tree_node_next(&node, &child, &more, &err);
        must(rc != ORCH_OK || !more ||
             (child.len > 0 && child.key_len <= TREE_KEY_MAX && (child.key != NULL) == node.keyed));
    }
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
}

/* Reads the tree under chunk `i`; if all of it could be read, writes it and reads that. */
static void rewrite(struct chunks *chunks, size_t i)
{
    uint8_t root[CHUNK_ID_BYTES] = {(uint8_t)i};
    struct tree_writer *writer = NULL;
    struct written written = {0};
    struct sum before = {0}, after = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    bool keyed = chunks->list[i].len > 3 && chunks->list[i].data[3] == 1;
    must(tree_writer_new(keyed, written_store, &written, &writer, &err) == ORCH_OK);
    /* Nodes below may have no keys where the root has: those trees are only read. */
    int32_t rc = walk(root, chunks_fetch, chunks, NULL, 0, keyed ? NULL : writer, keyed, &before);
    if (rc == ORCH_OK && !keyed) {
        must(tree_writer_finish(writer, root, &err) == ORCH_OK);
        must(walk(root, written_fetch, &written, NULL, 0, NULL, false, &after) == ORCH_OK);
        must(after.hash == before.hash && after.blocks == before.blocks);
    }
    tree_writer_free(writer);
    written_clear(&written);
}

/* Writes a large keyed tree whose keys come from the input, and finds some of them. */
static void build(const uint8_t *data, size_t size)
{
    struct tree_writer *writer = NULL;
    struct written written = {0};
    struct sum sum = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t root[CHUNK_ID_BYTES];
    uint8_t key[128 + 4] = {0};
    size_t len = size > 128 ? 128 : size;
    unsigned blocks = 1 + data[0] * 2u;
    must(tree_writer_new(true, written_store, &written, &writer, &err) == ORCH_OK);
    memcpy(key, data, len);
    for (unsigned i = 0; i < blocks; i++) {
        struct tree_child child = {
            .id = {data[i % size], 1}, .len = 1 + i, .items = 1, .bytes = i, .key = key};
        child.key_len = len + 2;
        key[len] = (uint8_t)(i >> 8);
        key[len + 1] = (uint8_t)i;
        must(tree_writer_add(writer, &child, &err) == ORCH_OK);
    }
    must(tree_writer_finish(writer, root, &err) == ORCH_OK);
    must(walk(root, written_fetch, &written, NULL, 0, NULL, true, &sum) == ORCH_OK);
    must(sum.blocks == blocks);
    for (unsigned i = data[len - 1]; i < blocks; i += 211) {
        struct sum rest = {0};
        key[len] = (uint8_t)(i >> 8);
        key[len + 1] = (uint8_t)i;
        must(walk(root, written_fetch, &written, key, len + 2 + (i & 1), NULL, true, &rest) ==
             ORCH_OK);
        must(rest.blocks == blocks - i);
    }
    tree_writer_free(writer);
    written_clear(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks;
    chunks_split(&chunks, data, size);
    for (size_t i = 0; i < chunks.count; i++) {
        CLEANUP_BUFFER struct buffer exact = exact_buffer(chunks.list[i].data, chunks.list[i].len);
        read_node(exact.data, exact.len);
        if (chunks_begins(&chunks, i, 'T')) {
            uint8_t root[CHUNK_ID_BYTES] = {(uint8_t)i};
            struct sum sum = {0};
            size_t last = chunks.count - 1;
            (void)walk(root, chunks_fetch, &chunks, chunks.list[last].data, chunks.list[last].len,
                       NULL, true, &sum);
            rewrite(&chunks, i);
        }
    }
    if (size > 3 && chunks.count == 0) {
        build(data, size);
    }
    return 0;
}
