/* fuzz_index.c: the plain bytes of an index segment. What is right must encode to the same. */
#include <string.h>

#include "engine/segment.h"
#include "fuzz.h"

static void check_table(const struct pack_table *table)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct pack_table again = {.kind = table->kind, .size_bytes = table->size_bytes};
    struct orch_error err = ORCH_ERROR_INIT;
    size_t chunks = 0;
    for (size_t i = 0; i < table->frame_count; i++) {
        must(table->frames[i].first_chunk == chunks);
        chunks += table->frames[i].chunk_count;
    }
    must(chunks == table->chunk_count && pack_table_end(table) <= table->size_bytes);
    pack_table_encode(table, &text);
    struct reader in = reader_over(text.data, text.len);
    must(pack_table_decode(&again, &in, &err) == ORCH_OK && reader_left(&in) == 0);
    must(again.chunk_count == chunks && pack_table_end(&again) == pack_table_end(table));
    pack_table_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment segment;
    struct orch_error err = ORCH_ERROR_INIT;
    if (segment_decode(data, size, &segment, &err) != ORCH_OK) {
        must(segment.tables == NULL && segment.supersedes == NULL && err.message[0] != 0);
        return 0;
    }
    for (size_t i = 0; i < segment.count; i++) {
        check_table(&segment.tables[i]);
    }
    segment_clear(&segment);
    return 0;
}
