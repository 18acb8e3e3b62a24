/*
 * fuzz_pack_table.c: the table of a pack's frames and chunks, as it stands behind the seal of a
 * footer and in index segments. What is right must encode to the same bytes.
 */
#include <string.h>

#include "engine/frame.h"
#include "engine/pack.h"
#include "exact.h"

static void check_limits(const struct pack_table *table)
{
    uint64_t at = PACK_HEADER_BYTES;
    uint64_t chunk = 0;
    for (size_t i = 0; i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        uint64_t sum = 0;
        must(frame->offset == at && frame->first_chunk == chunk && frame->chunk_count > 0 &&
             frame->chunk_count <= FRAME_CHUNKS_MAX && frame->plain_len <= FRAME_PLAIN_MAX &&
             frame->sealed_len > SEAL_TAG_BYTES && frame->sealed_len <= FRAME_SEALED_MAX);
        for (uint64_t j = chunk; j < chunk + frame->chunk_count; j++) {
            must(table->chunks[j].len > 0 && table->chunks[j].len <= FRAME_CHUNK_MAX);
            sum += table->chunks[j].len;
        }
        must(sum == frame->plain_len);
        at += frame->sealed_len;
        chunk += frame->chunk_count;
    }
    must(chunk == table->chunk_count && at == pack_table_end(table));
}

/* The same table, built up again frame by frame, and through a pack's footer. */
static void rebuild(struct pack_key *key, const struct pack_table *table)
{
    CLEANUP_BUFFER struct buffer out = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table copy = {.kind = PACK_DATA};
    struct pack_table again = {0};
    uint64_t offset = 0;
    uint32_t len = 0;
    for (size_t i = 0; i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        must(pack_table_add(&copy, frame->sealed_len, frame->plain_len, frame->codec,
                            table->chunks + frame->first_chunk, frame->chunk_count,
                            &err) == ORCH_OK);
    }
    must(pack_footer_encode(key, &copy, &out, &err) == ORCH_OK);
    uint64_t file_bytes = pack_table_end(&copy) + out.len;
    must(pack_trailer_open(key, out.data + out.len - PACK_TRAILER_BYTES, file_bytes, &offset, &len,
                           &err) == ORCH_OK);
    must(pack_footer_open(key, out.data, len, offset, file_bytes, &again, &err) == ORCH_OK);
    must(again.frame_count == table->frame_count && again.chunk_count == table->chunk_count &&
         again.size_bytes == file_bytes && memcmp(again.id, key->id, PACK_ID_BYTES) == 0);
    must(again.chunk_count == 0 ||
         memcmp(again.chunks, table->chunks, again.chunk_count * sizeof(*again.chunks)) == 0);
    pack_table_clear(&copy);
    pack_table_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pack_key key;
    static const uint8_t master[KEY_BYTES] = {1, 2, 3};
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table = {.kind = PACK_DATA, .size_bytes = UINT64_C(64) << 20};
    if (key.seal == NULL) {
        struct keys *keys = NULL;
        uint8_t header[PACK_HEADER_BYTES];
        must(keys_new(master, "00112233445566778899aabbccddeeff", &keys, &err) == ORCH_OK);
        must(pack_key_new(keys, SEAL_NONE, PACK_DATA, &key, header, &err) == ORCH_OK);
        keys_free(keys);
    }
    uint8_t *exact = exact_bytes(data, size);
    struct reader in = reader_over(exact, size);
    int32_t rc = pack_table_decode(&table, &in, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT);
    if (rc == ORCH_OK) {
        pack_table_encode(&table, &text);
        must(!text.failed && text.len == in.pos && memcmp(text.data, data, text.len) == 0);
        check_limits(&table);
        rebuild(&key, &table);
    }
    pack_table_clear(&table);
    free(exact);
    return 0;
}
