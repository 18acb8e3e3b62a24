/*
 * fuzz_pack.c: a pack: its header, its trailer, and whole files as a reader meets them.
 *
 * The first byte chooses. Raw bytes never get past a seal, so what shall stand behind one is sealed
 * here. The table in a footer by itself: fuzz_pack_table.c.
 */
#include <string.h>

#include "engine/packreader.h"
#include "fuzz.h"
#include "memstore.h"

#define TRAILER_SIGNED (PACK_TRAILER_BYTES - SEAL_TAG_BYTES)
#define FRAMES_MAX 8u

struct fixture {
    struct pack_key key;
    uint8_t header[PACK_HEADER_BYTES];
    char name[PACK_NAME_BYTES];
};

static void make(struct memstore *store, struct fixture *fixture)
{
    struct orch_error err = ORCH_ERROR_INIT;
    must(pack_key_new(repo_keys(store->repo), SEAL_NONE, PACK_DATA, &fixture->key, fixture->header,
                      &err) == ORCH_OK);
    pack_name(fixture->key.id, fixture->name);
    uint8_t id[PACK_ID_BYTES];
    must(pack_name_id(fixture->name, id) == ORCH_OK && memcmp(id, fixture->key.id, 16) == 0);
}

/* A header with the input laid over it; nothing but itself may open. */
static void try_header(struct memstore *store, const struct fixture *fixture, const uint8_t *data,
                       size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t header[PACK_HEADER_BYTES];
    size_t at = size > 0 ? data[0] % PACK_HEADER_BYTES : 0;
    memcpy(header, fixture->header, sizeof(header));
    bool changed = size > 1 && overlay(header + at, sizeof(header) - at, data + 1, size - 1);
    for (uint32_t algorithm = SEAL_NONE; algorithm <= SEAL_AES_256_GCM; algorithm++) {
        struct pack_key key = {0};
        int32_t rc =
            pack_key_open(repo_keys(store->repo), algorithm, header, fixture->key.id, &key, &err);
        must((rc == ORCH_OK) == (!changed && algorithm == SEAL_NONE));
        must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
        pack_key_clear(&key);
    }
}

/* Seals the part of a trailer before its tag. */
static void seal_trailer(struct fixture *fixture, uint8_t trailer[PACK_TRAILER_BYTES])
{
    static const uint8_t nonce[SEAL_NONCE_BYTES] = {2};
    struct orch_error err = ORCH_ERROR_INIT;
    must(seal_close(fixture->key.seal, nonce, trailer, TRAILER_SIGNED, "", 0,
                    trailer + TRAILER_SIGNED, &err) == ORCH_OK);
}

static void try_trailer(struct fixture *fixture, const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t trailer[PACK_TRAILER_BYTES] = {0};
    uint64_t footer_offset = 0, file_bytes = 0;
    uint32_t footer_len = 0;
    if (size >= 8) {
        file_bytes = get_le64(data);
        size_t len = size - 8 > TRAILER_SIGNED ? TRAILER_SIGNED : size - 8;
        memcpy(trailer, data + 8, len);
    }
    seal_trailer(fixture, trailer);
    if (pack_trailer_open(&fixture->key, trailer, file_bytes, &footer_offset, &footer_len, &err) ==
        ORCH_OK) {
        must(footer_offset >= PACK_HEADER_BYTES && footer_len <= PACK_FOOTER_MAX &&
             footer_offset + footer_len + PACK_TRAILER_BYTES == file_bytes);
        trailer[size % TRAILER_SIGNED] ^= 1;
        must(pack_trailer_open(&fixture->key, trailer, file_bytes, &footer_offset, &footer_len,
                               &err) == ORCH_E_CORRUPT);
    }
}

/* Appends a sealed frame of the next bytes: u8 codec, u16 plain length, u16 stored length, bytes.
 */
static bool add_frame(struct fixture *fixture, struct reader *in, struct pack_table *table,
                      struct buffer *file)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct frame_place place = {.pack = fixture->key.id,
                                .kind = PACK_DATA,
                                .algorithm = SEAL_NONE,
                                .number = (uint32_t)table->frame_count,
                                .offset = file->len};
    place.codec = reader_u8(in);
    place.plain_len = reader_u16(in);
    uint16_t stored = reader_u16(in);
    const uint8_t *bytes = reader_take(in, stored);
    if (in->failed || stored == 0 || place.plain_len == 0) {
        return false;
    }
    place.sealed_len = stored + SEAL_TAG_BYTES;
    struct pack_chunk chunk = {.id = {place.codec & 0xff, 1}, .len = place.plain_len};
    uint8_t *room = buffer_reserve(file, place.sealed_len);
    must(room != NULL);
    memcpy(room, bytes, stored);
    must(frame_close(fixture->key.seal, &place, room, &err) == ORCH_OK);
    file->len += place.sealed_len;
    must(pack_table_add(table, place.sealed_len, place.plain_len, place.codec, &chunk, 1, &err) ==
         ORCH_OK);
    return true;
}

/* Reads all frames that the file's footer tells of. */
static void read_frames(struct memstore *store, struct fixture *fixture, struct packreader *reader,
                        const struct pack_table *table)
{
    const struct buffer *file = memstore_get(store, fixture->name);
    for (size_t i = 0; i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        struct orch_error err = ORCH_ERROR_INIT;
        struct chunk_location place = {.frame_offset = frame->offset,
                                       .frame_len = frame->sealed_len,
                                       .plain_len = frame->plain_len,
                                       .frame_number = (uint32_t)i,
                                       .len = frame->plain_len,
                                       .codec = frame->codec};
        memcpy(place.pack, table->id, PACK_ID_BYTES);
        must(packreader_check_place(&place, &err) == ORCH_OK);
        must(frame->offset + frame->sealed_len <= file->len);
        uint8_t *sealed = malloc(frame->sealed_len);
        uint8_t *plain = malloc(frame->plain_len);
        must(sealed != NULL && plain != NULL);
        memcpy(sealed, file->data + frame->offset, frame->sealed_len);
        int32_t rc = packreader_open(reader, &place, sealed, plain, &err);
        must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
        free(sealed);
        free(plain);
    }
}

/* Reads the file in the store. True: it is sound as far as its table goes. */
static bool read_file(struct memstore *store, struct fixture *fixture, uint64_t file_bytes)
{
    struct packreader *reader = NULL;
    struct pack_table table = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    must(packreader_new(store->repo, &reader, &err) == ORCH_OK);
    int32_t rc = packreader_table(reader, fixture->key.id, file_bytes, &table, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    if (rc == ORCH_OK) {
        read_frames(store, fixture, reader, &table);
    }
    pack_table_clear(&table);
    packreader_free(reader);
    return rc == ORCH_OK;
}

/* A file of frames that need not decompress, which is then changed: u8 number of frames, the
 * frames, u16 where and the bytes that are laid over it. */
static void try_file(struct memstore *store, struct fixture *fixture, const uint8_t *data,
                     size_t size)
{
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    struct pack_table table = {.kind = PACK_DATA};
    struct orch_error err = ORCH_ERROR_INIT;
    struct reader in = reader_over(data, size);
    buffer_append(&file, fixture->header, sizeof(fixture->header));
    for (unsigned frames = reader_u8(&in) % FRAMES_MAX; frames > 0; frames--) {
        if (!add_frame(fixture, &in, &table, &file)) {
            break;
        }
    }
    must(pack_footer_encode(&fixture->key, &table, &file, &err) == ORCH_OK && !file.failed);
    memstore_set(store, fixture->name, file.data, file.len);
    must(read_file(store, fixture, file.len));
    size_t at = reader_u16(&in) % file.len;
    size_t left = in.failed ? 0 : reader_left(&in);
    size_t frames_end = (size_t)pack_table_end(&table);
    bool changed = overlay(file.data + at, file.len - at, data + size - left, left);
    bool in_table =
        changed && (at >= frames_end || at + left > frames_end || at < PACK_HEADER_BYTES);
    memstore_set(store, fixture->name, file.data, file.len);
    bool good = read_file(store, fixture, file.len);
    must(good || in_table);
    pack_table_clear(&table);
}

/* A file whose footer and trailer are the input's, under seals that fit: u32 offset of the footer,
 * u16 bytes of plain footer, the bytes; what is left is laid over the trailer. */
static void try_footer(struct memstore *store, struct fixture *fixture, const uint8_t *data,
                       size_t size)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES] = {1};
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t ad[40] = "ORCHFTR1";
    uint8_t trailer[PACK_TRAILER_BYTES] = "ORCHTAIL\x01";
    struct reader in = reader_over(data, size);
    size_t offset = PACK_HEADER_BYTES + reader_u32(&in) % 4096;
    size_t len = reader_u16(&in);
    len = len > reader_left(&in) ? reader_left(&in) : len;
    const uint8_t *plain = reader_take(&in, len);
    if (in.failed) {
        return;
    }
    buffer_append(&file, fixture->header, sizeof(fixture->header));
    uint8_t *room = buffer_reserve(&file, 4096 + len + SEAL_TAG_BYTES);
    must(room != NULL);
    memset(room, 0, offset - file.len);
    file.len = offset;
    memcpy(ad + 8, fixture->key.id, PACK_ID_BYTES);
    ad[24] = fixture->key.kind;
    ad[25] = fixture->key.algorithm;
    put_le64(ad + 28, offset);
    put_le32(ad + 36, (uint32_t)(len + SEAL_TAG_BYTES));
    must(seal_close(fixture->key.seal, nonce, ad, sizeof(ad), plain, len, file.data + file.len,
                    &err) == ORCH_OK);
    file.len += len + SEAL_TAG_BYTES;
    trailer[12] = fixture->key.kind;
    put_le64(trailer + 16, offset);
    put_le32(trailer + 24, (uint32_t)(len + SEAL_TAG_BYTES));
    (void)overlay(trailer, TRAILER_SIGNED, data + in.pos, reader_left(&in));
    seal_trailer(fixture, trailer);
    buffer_append(&file, trailer, sizeof(trailer));
    must(!file.failed);
    memstore_set(store, fixture->name, file.data, file.len);
    (void)read_file(store, fixture, file.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture fixture;
    struct memstore *store = memstore_fresh();
    if (fixture.key.seal == NULL) {
        make(store, &fixture);
    }
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        try_header(store, &fixture, data + 1, size - 1);
        break;
    case 1:
        try_trailer(&fixture, data + 1, size - 1);
        break;
    case 2:
        try_file(store, &fixture, data + 1, size - 1);
        break;
    default:
        try_footer(store, &fixture, data + 1, size - 1);
        break;
    }
    return 0;
}
