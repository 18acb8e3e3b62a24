/*
 * fuzz_catalogue.c: catalogue blocks, nodes of block indexes and lists of chunks.
 *
 * The input is a store of chunks (chunks.h). Chunk 0 is read as a catalogue block by itself; then
 * every chunk is the root of a catalogue that is walked, and searched for the bytes of the last.
 */
#include <string.h>

#include "chunks.h"
#include "engine/catalogue.h"
#include "fuzz.h"

static void walk_refs(struct chunks *chunks, const struct reflist *list)
{
    struct reflist_cursor cursor;
    struct orch_error err = ORCH_ERROR_INIT;
    struct ref ref;
    uint64_t count = 0;
    bool more = true;
    int32_t rc = reflist_cursor_init(&cursor, list, chunks_fetch, chunks, &err);
    while (rc == ORCH_OK && more) {
        rc = reflist_cursor_next(&cursor, &ref, &more, &err);
        count += rc == ORCH_OK && more ? 1 : 0;
    }
    /* A short list was checked when it was decoded. */
    must(list->tree || (rc == ORCH_OK && count == list->count));
    must(rc != ORCH_OK || count == list->count);
    reflist_cursor_clear(&cursor);
}

/* Touches every byte that an entry points to. */
static uint64_t touch(const struct orch_object *object)
{
    uint64_t sum = catalogue_hash(CATALOGUE_HASH_START, object->name, object->name_len);
    return catalogue_hash(sum, object->meta, object->meta_len);
}

static void read_block(struct chunks *chunks, const uint8_t *data, size_t len)
{
    static struct catalogue_block block;
    struct catalogue_entry entry;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    int32_t rc = catalogue_block_open(&block, data, len, &err);
    while (rc == ORCH_OK && more) {
        rc = catalogue_block_next(&block, &entry, &more, &err);
        if (rc == ORCH_OK && more) {
            must(entry.object.name_len > 0);
            must(touch(&entry.object) != 0);
            walk_refs(chunks, &entry.refs);
        }
    }
}

static void read_node(const uint8_t *data, size_t len)
{
    static struct tree_node node;
    struct tree_child child;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    int32_t rc = tree_node_open(&node, data, len, &err);
    while (rc == ORCH_OK && more) {
        rc = tree_node_next(&node, &child, &more, &err);
        must(rc != ORCH_OK || !more || child.len > 0);
    }
}

static void walk(struct chunks *chunks, uint8_t root_number, const uint8_t *name, size_t name_len)
{
    uint8_t root[CHUNK_ID_BYTES] = {root_number};
    struct catalogue_cursor *cursor = NULL;
    struct catalogue_entry entry;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    CLEANUP_BUFFER struct buffer last = BUFFER_INIT;
    int32_t rc = catalogue_cursor_new(root, chunks_fetch, chunks, &cursor, &err);
    if (rc == ORCH_OK && name != NULL) {
        rc = catalogue_cursor_seek(cursor, name, name_len, &err);
    }
    while (rc == ORCH_OK && more) {
        rc = catalogue_cursor_next(cursor, &entry, &more, &err);
        if (rc == ORCH_OK && more) {
            must(last.len == 0 || tree_key_compare(last.data, last.len, entry.object.name,
                                                   entry.object.name_len) < 0);
            buffer_clear(&last);
            buffer_append(&last, entry.object.name, entry.object.name_len);
            must(!last.failed && touch(&entry.object) != 0);
        }
    }
    catalogue_cursor_free(cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks;
    chunks_split(&chunks, data, size);
    if (chunks.count == 0) {
        return 0;
    }
    read_block(&chunks, chunks.list[0].data, chunks.list[0].len);
    for (size_t i = 0; i < chunks.count; i++) {
        read_node(chunks.list[i].data, chunks.list[i].len);
        walk(&chunks, (uint8_t)i, NULL, 0);
    }
    for (size_t i = 0; i < chunks.count; i++) {
        size_t last = chunks.count - 1;
        walk(&chunks, (uint8_t)i, chunks.list[last].data, chunks.list[last].len);
    }
    return 0;
}
