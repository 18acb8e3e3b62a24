/*
 * fuzz_catalogue.c: catalogue blocks, catalogues of them, and the way back: what was read is
 * written again and must read the same, and be found.
 *
 * The input is a store of chunks (chunks.h). Chunk 0 is read as a catalogue block by itself; then
 * every node is the root of a catalogue that is walked, and searched for the bytes of the last.
 */
#include <string.h>

#include "chunks.h"
#include "engine/catalogue.h"
#include "exact.h"

/* What a walk came upon. */
struct sum {
    uint64_t hash, entries;
};

static void mix_number(struct sum *sum, uint64_t number)
{
    sum->hash = catalogue_hash(sum->hash, &number, sizeof(number));
}

/* Takes in every field, and every byte that the entry points to. */
static void mix(struct sum *sum, const struct catalogue_entry *entry)
{
    const struct orch_object *object = &entry->object;
    sum->entries++;
    sum->hash = catalogue_hash(sum->hash, object->name, object->name_len);
    sum->hash = catalogue_hash(sum->hash, object->meta, object->meta_len);
    mix_number(sum, object->kind);
    mix_number(sum, object->flags);
    mix_number(sum, object->size_bytes);
    mix_number(sum, (uint64_t)object->mtime_ns);
    mix_number(sum, object->profile);
    mix_number(sum, object->row_bytes);
    mix_number(sum, object->row_offset);
    mix_number(sum, object->token.size_bytes);
    mix_number(sum, (uint64_t)object->token.mtime_ns);
    mix_number(sum, (uint64_t)object->token.ctime_ns);
    mix_number(sum, object->token.inode);
    mix_number(sum, entry->refs.count);
    if (entry->refs.tree) {
        sum->hash = catalogue_hash(sum->hash, entry->refs.root, CHUNK_ID_BYTES);
    } else if (entry->refs.bytes_len > 0) {
        sum->hash = catalogue_hash(sum->hash, entry->refs.bytes, entry->refs.bytes_len);
    }
}

static void check_limits(const struct catalogue_entry *entry)
{
    const struct orch_object *object = &entry->object;
    must(object->name_len > 0 && object->name_len <= TREE_KEY_MAX);
    must(object->meta_len <= CATALOGUE_META_MAX && object->profile <= ORCH_PROFILE_PAGES);
}

static void read_block(struct chunks *chunks, const uint8_t *data, size_t len)
{
    static struct catalogue_block block;
    struct catalogue_entry entry;
    struct orch_error err = ORCH_ERROR_INIT;
    struct sum sum = {0};
    bool more = true;
    int32_t rc = catalogue_block_open(&block, data, len, &err);
    while (rc == ORCH_OK && more) {
        rc = catalogue_block_next(&block, &entry, &more, &err);
        if (rc == ORCH_OK && more) {
            check_limits(&entry);
            mix(&sum, &entry);
            (void)chunks_walk(chunks_fetch, chunks, &entry.refs, NULL);
        }
    }
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
}

/* Walks a catalogue, from `name` on where one is given; `last` (NULL allowed) gets the last name,
 * `writer` (NULL allowed) all entries. */
static int32_t walk(const uint8_t root[CHUNK_ID_BYTES], tree_fetch fetch, void *ctx,
                    const struct buffer *name, struct buffer *last, struct catalogue_writer *writer,
                    struct sum *sum)
{
    struct catalogue_cursor *cursor = NULL;
    struct catalogue_entry entry;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    CLEANUP_BUFFER struct buffer before = BUFFER_INIT;
    int32_t rc = catalogue_cursor_new(root, fetch, ctx, &cursor, &err);
    if (rc == ORCH_OK && name != NULL) {
        rc = catalogue_cursor_seek(cursor, name->data, name->len, &err);
    }
    while (rc == ORCH_OK) {
        rc = catalogue_cursor_next(cursor, &entry, &more, &err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        check_limits(&entry);
        must(before.len == 0 || tree_key_compare(before.data, before.len, entry.object.name,
                                                 entry.object.name_len) < 0);
        buffer_clear(&before);
        buffer_append(&before, entry.object.name, entry.object.name_len);
        must(!before.failed);
        mix(sum, &entry);
        if (writer != NULL) {
            must(catalogue_writer_add(writer, &entry, &err) == ORCH_OK);
        }
    }
    must(rc == ORCH_OK || err.message[0] != 0);
    catalogue_cursor_free(cursor);
    if (last != NULL) {
        buffer_append(last, before.data, before.len);
    }
    return rc;
}

/* Reads the catalogue under chunk `i`; if all of it could be read, writes it and reads that. */
static void rewrite(struct chunks *chunks, size_t i)
{
    uint8_t root[CHUNK_ID_BYTES] = {(uint8_t)i};
    struct catalogue_writer *writer = NULL;
    struct written written = {0};
    struct sum before = {0}, after = {0}, found = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_BUFFER struct buffer last = BUFFER_INIT;
    must(catalogue_writer_new(written_store, &written, &writer, &err) == ORCH_OK);
    if (walk(root, chunks_fetch, chunks, NULL, &last, writer, &before) == ORCH_OK) {
        must(catalogue_writer_finish(writer, root, &err) == ORCH_OK);
        must(walk(root, written_fetch, &written, NULL, NULL, NULL, &after) == ORCH_OK);
        must(after.hash == before.hash && after.entries == before.entries);
        if (before.entries > 0) {
            CLEANUP_BUFFER struct buffer end = BUFFER_INIT;
            must(walk(root, written_fetch, &written, &last, &end, NULL, &found) == ORCH_OK);
            must(found.entries > 0 && end.len == last.len &&
                 memcmp(end.data, last.data, last.len) == 0);
        }
    }
    catalogue_writer_free(writer);
    written_clear(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks;
    chunks_split(&chunks, data, size);
    if (chunks.count == 0) {
        return 0;
    }
    size_t last = chunks.count - 1;
    CLEANUP_BUFFER struct buffer name = exact_buffer(chunks.list[last].data, chunks.list[last].len);
    CLEANUP_BUFFER struct buffer first = exact_buffer(chunks.list[0].data, chunks.list[0].len);
    read_block(&chunks, first.data, first.len);
    for (size_t i = 0; i < chunks.count; i++) {
        if (chunks_begins(&chunks, i, 'T')) {
            uint8_t root[CHUNK_ID_BYTES] = {(uint8_t)i};
            struct sum sum = {0};
            rewrite(&chunks, i);
            (void)walk(root, chunks_fetch, &chunks, &name, NULL, NULL, &sum);
        }
    }
    return 0;
}
