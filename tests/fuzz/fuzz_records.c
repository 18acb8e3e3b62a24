/*
 * fuzz_records.c: blocks of records, and the lists of chunks of huge keys and values.
 *
 * The input is a store of chunks (chunks.h); each chunk is read as a block of records.
 */
#include <string.h>

#include "chunks.h"
#include "engine/records.h"
#include "fuzz.h"

static void walk_refs(struct chunks *chunks, const struct reflist *list)
{
    struct reflist_cursor cursor;
    struct orch_error err = ORCH_ERROR_INIT;
    struct ref ref;
    bool more = true;
    int32_t rc = reflist_cursor_init(&cursor, list, chunks_fetch, chunks, &err);
    while (rc == ORCH_OK && more) {
        rc = reflist_cursor_next(&cursor, &ref, &more, &err);
        must(rc != ORCH_OK || !more || ref.len > 0);
    }
    must(rc == ORCH_OK || list->tree);
    reflist_cursor_clear(&cursor);
}

static uint8_t touch(const uint8_t *bytes, uint64_t len)
{
    uint8_t sum = 0;
    for (uint64_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return sum;
}

static void use(struct chunks *chunks, const struct record_entry *entry)
{
    volatile uint8_t sum = 0;
    must(entry->key_by_refs || entry->record.key != NULL);
    if (entry->key_by_refs) {
        walk_refs(chunks, &entry->key_refs);
    } else {
        sum = touch(entry->record.key, entry->record.key_len);
    }
    if (entry->value_by_refs) {
        walk_refs(chunks, &entry->value_refs);
    } else {
        sum = touch(entry->value, entry->record.value_len);
    }
    sum = touch(entry->record.extra, entry->record.extra_len);
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunks chunks;
    chunks_split(&chunks, data, size);
    for (size_t i = 0; i < chunks.count; i++) {
        struct records_block block;
        struct record_entry entry;
        struct orch_error err = ORCH_ERROR_INIT;
        bool more = true;
        int32_t rc = records_block_open(&block, chunks.list[i].data, chunks.list[i].len, &err);
        while (rc == ORCH_OK && more) {
            rc = records_block_next(&block, &entry, &more, &err);
            if (rc == ORCH_OK && more) {
                use(&chunks, &entry);
            }
        }
    }
    return 0;
}
