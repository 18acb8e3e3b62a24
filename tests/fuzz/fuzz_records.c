/*
 * fuzz_records.c: blocks of records, the lists of chunks of huge keys and values, and the way back:
 * what was read is written again and must read the same.
 *
 * The input is a store of chunks (chunks.h); each chunk is read as a block of records.
 */
#include <string.h>

#include "chunks.h"
#include "engine/catalogue.h"
#include "engine/records.h"
#include "exact.h"

/* What blocks hold. */
struct sum {
    uint64_t hash, records;
};

static void mix_bytes(struct sum *sum, const void *bytes, size_t len)
{
    sum->hash = len == 0 ? sum->hash : catalogue_hash(sum->hash, bytes, len);
}

static void mix_list(struct sum *sum, const struct reflist *list)
{
    mix_bytes(sum, &list->count, sizeof(list->count));
    mix_bytes(sum, list->tree ? list->root : list->bytes,
              list->tree ? CHUNK_ID_BYTES : list->bytes_len);
}

/* Takes in every field, and every byte that the entry points to. */
static void mix(struct sum *sum, const struct record_entry *entry)
{
    const struct orch_record *record = &entry->record;
    sum->records++;
    mix_bytes(sum, &record->type, sizeof(record->type));
    mix_bytes(sum, &record->space, sizeof(record->space));
    mix_bytes(sum, &record->expires_ms, sizeof(record->expires_ms));
    mix_bytes(sum, &record->key_len, sizeof(record->key_len));
    mix_bytes(sum, &record->value_len, sizeof(record->value_len));
    mix_bytes(sum, record->extra, record->extra_len);
    if (entry->key_by_refs) {
        mix_list(sum, &entry->key_refs);
    } else {
        mix_bytes(sum, record->key, record->key_len);
    }
    if (entry->value_by_refs) {
        mix_list(sum, &entry->value_refs);
    } else {
        mix_bytes(sum, entry->value, (size_t)record->value_len);
    }
}

static void use(struct chunks *chunks, const struct record_entry *entry)
{
    must(entry->key_by_refs || entry->record.key != NULL);
    must(entry->record.key_len <= RECORDS_KEY_MAX && entry->record.extra_len <= RECORDS_EXTRA_MAX);
    if (entry->key_by_refs) {
        (void)chunks_walk(chunks_fetch, chunks, &entry->key_refs, NULL);
    }
    if (entry->value_by_refs) {
        (void)chunks_walk(chunks_fetch, chunks, &entry->value_refs, NULL);
    }
}

/* Reads a block; `writer` (NULL allowed) gets its records. */
static int32_t read_block(const void *data, size_t len, struct chunks *chunks,
                          struct records_writer *writer, struct sum *sum)
{
    struct records_block block;
    struct record_entry entry;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    int32_t rc = records_block_open(&block, data, len, &err);
    while (rc == ORCH_OK) {
        rc = records_block_next(&block, &entry, &more, &err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        mix(sum, &entry);
        if (chunks != NULL) {
            use(chunks, &entry);
        }
        if (writer != NULL) {
            must(records_writer_add(writer, &entry, &err) == ORCH_OK);
        }
    }
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    return rc;
}

/* Reads a layer that was written. */
static void read_layer(struct written *written, const struct part_layer *layer, struct sum *sum)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    struct tree_cursor *cursor = NULL;
    struct tree_child block;
    struct orch_error err = ORCH_ERROR_INIT;
    bool more = true;
    must(tree_cursor_new(layer->root, written_fetch, written, &cursor, &err) == ORCH_OK);
    for (;;) {
        must(tree_cursor_next(cursor, &block, &more, &err) == ORCH_OK);
        if (!more) {
            break;
        }
        must(written_fetch(written, block.id, &bytes, &err) == ORCH_OK && bytes.len == block.len);
        must(read_block(bytes.data, bytes.len, NULL, NULL, sum) == ORCH_OK);
    }
    must(sum->records == layer->records);
    tree_cursor_free(cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks;
    struct records_writer *writer = NULL;
    struct written written = {0};
    struct part_layer layer = {.records = 0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct sum before = {0}, after = {0};
    chunks_split(&chunks, data, size);
    must(records_writer_new(written_store, written_store, &written, &writer, &err) == ORCH_OK);
    for (size_t i = 0; i < chunks.count; i++) {
        CLEANUP_BUFFER struct buffer exact = exact_buffer(chunks.list[i].data, chunks.list[i].len);
        struct sum sum = {0};
        if (read_block(exact.data, exact.len, &chunks, NULL, &sum) == ORCH_OK) {
            must(read_block(exact.data, exact.len, NULL, writer, &before) == ORCH_OK);
        }
    }
    must(records_writer_finish(writer, &layer, &err) == ORCH_OK);
    read_layer(&written, &layer, &after);
    must(before.hash == after.hash && before.records == after.records);
    records_writer_free(writer);
    written_clear(&written);
    return 0;
}
