/*
 * fuzz_pack.c: the header, trailer and footer of a pack, and the table in its footer.
 *
 * The first byte chooses. Raw bytes never get past a seal, so the trailer is also sealed here, and
 * the table is given to its decoder as it stands behind the seal.
 */
#include <string.h>

#include "engine/pack.h"
#include "fuzz.h"

#define TRAILER_SIGNED (PACK_TRAILER_BYTES - SEAL_TAG_BYTES)

struct fixture {
    struct keys *keys;
    struct pack_key key;
    uint8_t header[PACK_HEADER_BYTES];
};

static void make(struct fixture *fixture)
{
    static const uint8_t master[KEY_BYTES] = {1, 2, 3};
    struct orch_error err = ORCH_ERROR_INIT;
    must(keys_new(master, "00112233445566778899aabbccddeeff", &fixture->keys, &err) == ORCH_OK);
    must(pack_key_new(fixture->keys, SEAL_NONE, PACK_DATA, &fixture->key, fixture->header, &err) ==
         ORCH_OK);
}

/* A header that is right up to where the input is laid over it. */
static void try_header(const struct fixture *fixture, const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t header[PACK_HEADER_BYTES];
    size_t at = size > 0 ? data[0] % PACK_HEADER_BYTES : 0;
    size_t len = size > 0 ? size - 1 : 0;
    len = len > PACK_HEADER_BYTES - at ? PACK_HEADER_BYTES - at : len;
    memcpy(header, fixture->header, sizeof(header));
    if (len > 0) {
        memcpy(header + at, data + 1, len);
    }
    bool same = memcmp(header, fixture->header, sizeof(header)) == 0;
    for (uint32_t algorithm = SEAL_NONE; algorithm <= SEAL_AES_256_GCM; algorithm++) {
        struct pack_key key = {0};
        int32_t rc = pack_key_open(fixture->keys, algorithm, header, fixture->key.id, &key, &err);
        must((rc == ORCH_OK) == (same && algorithm == SEAL_NONE));
        pack_key_clear(&key);
    }
}

static void try_trailer(struct fixture *fixture, const uint8_t *data, size_t size)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES] = {2};
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t trailer[PACK_TRAILER_BYTES] = {0};
    uint64_t footer_offset = 0, file_bytes = 0;
    uint32_t footer_len = 0;
    if (size >= 8) {
        file_bytes = get_le64(data);
        size_t len = size - 8 > TRAILER_SIGNED ? TRAILER_SIGNED : size - 8;
        memcpy(trailer, data + 8, len);
    }
    must(seal_close(fixture->key.seal, nonce, trailer, TRAILER_SIGNED, "", 0,
                    trailer + TRAILER_SIGNED, &err) == ORCH_OK);
    if (pack_trailer_open(&fixture->key, trailer, file_bytes, &footer_offset, &footer_len, &err) ==
        ORCH_OK) {
        must(footer_offset >= PACK_HEADER_BYTES && footer_len <= PACK_FOOTER_MAX &&
             footer_offset + footer_len + PACK_TRAILER_BYTES == file_bytes);
    }
}

static void try_table(const uint8_t *data, size_t size)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table = {.kind = PACK_DATA, .size_bytes = UINT64_C(64) << 20};
    struct reader in = reader_over(data, size);
    if (pack_table_decode(&table, &in, &err) == ORCH_OK) {
        pack_table_encode(&table, &text);
        must(!text.failed && text.len == in.pos && memcmp(text.data, data, text.len) == 0);
    }
    pack_table_clear(&table);
}

/* A footer that its seal covers: the table, in and out by the pack's own functions. */
static void try_footer(struct fixture *fixture, const uint8_t *data, size_t size)
{
    CLEANUP_BUFFER struct buffer out = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table = {.kind = PACK_DATA};
    struct pack_table again = {0};
    uint64_t offset = 0;
    uint32_t len = 0;
    struct reader in = reader_over(data, size);
    if (pack_table_decode(&table, &in, &err) == ORCH_OK) {
        must(pack_footer_encode(&fixture->key, &table, &out, &err) == ORCH_OK);
        uint64_t file_bytes = pack_table_end(&table) + out.len;
        must(pack_trailer_open(&fixture->key, out.data + out.len - PACK_TRAILER_BYTES, file_bytes,
                               &offset, &len, &err) == ORCH_OK);
        must(pack_footer_open(&fixture->key, out.data, len, offset, file_bytes, &again, &err) ==
             ORCH_OK);
        must(again.frame_count == table.frame_count && again.chunk_count == table.chunk_count);
    }
    pack_table_clear(&table);
    pack_table_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture fixture;
    if (fixture.keys == NULL) {
        make(&fixture);
    }
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        try_header(&fixture, data + 1, size - 1);
        break;
    case 1:
        try_trailer(&fixture, data + 1, size - 1);
        break;
    case 2:
        try_table(data + 1, size - 1);
        break;
    default:
        try_footer(&fixture, data + 1, size - 1);
        break;
    }
    return 0;
}
