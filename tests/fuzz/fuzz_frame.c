/*
 * fuzz_frame.c: a frame: the compressed bytes behind its seal, the seal, and the way there.
 *
 * The first byte is the codec and what is done, the next three are the length that shall come out.
 */
#include <string.h>

#include "engine/codec.h"
#include "engine/frame.h"
#include "engine/pack.h"
#include "exact.h"

#define CODECS 4u /* one more than there are */
#define PLAIN_MAX_HERE 65536u

static const uint8_t pack_id[PACK_ID_BYTES] = {1, 2, 3};

/* Whatever the bytes are, exactly `plain_len` come out, or an error. */
static void try_codec(struct codec *codec, uint32_t used, size_t plain_len, const uint8_t *data,
                      size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t *out = malloc(plain_len + (plain_len == 0));
    uint8_t *in = exact_bytes(data, size);
    must(out != NULL);
    int32_t rc = codec_decompress(codec, used, in, size, out, plain_len, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    must(used < CODECS - 1 || rc == ORCH_E_VERSION);
    free(in);
    free(out);
}

/* The bytes stand behind a sound seal. */
static void try_frame(struct seal *seal, struct codec *codec, struct frame_place place,
                      const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    place.sealed_len = (uint32_t)(size + SEAL_TAG_BYTES);
    uint8_t *sealed = malloc(place.sealed_len);
    uint8_t *again = malloc(place.sealed_len);
    uint8_t *plain = malloc(place.plain_len + (place.plain_len == 0));
    must(sealed != NULL && again != NULL && plain != NULL);
    memcpy(sealed, data, size);
    must(frame_close(seal, &place, sealed, &err) == ORCH_OK);
    memcpy(again, sealed, place.sealed_len);
    int32_t rc = frame_open(seal, codec, &place, sealed, plain, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    must(rc == ORCH_OK || place.codec != CODEC_NONE || place.plain_len != size);
    place.number++; /* it is no other frame */
    must(frame_open(seal, codec, &place, again, plain, &err) == ORCH_E_CORRUPT);
    free(sealed);
    free(again);
    free(plain);
}

/* What is compressed comes out the same. */
static void try_round(struct codec *codec, uint32_t kind, const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct codec *writer = NULL;
    size_t room = codec_bound(kind, size), len = 0;
    uint32_t used = 0;
    uint8_t *out = malloc(room + (room == 0));
    uint8_t *plain = malloc(size + (size == 0));
    must(out != NULL && plain != NULL && codec_new(kind, 1, &writer, &err) == ORCH_OK);
    must(codec_compress(writer, data, size, out, room, &len, &used, &err) == ORCH_OK);
    must(len <= room && len <= size && (used == kind || used == CODEC_NONE));
    must(codec_decompress(codec, used, out, len, plain, size, &err) == ORCH_OK);
    must(size == 0 || memcmp(plain, data, size) == 0);
    codec_free(writer);
    free(out);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec *codec; /* reused, as a reader does: a damaged frame must leave no trace */
    static struct seal *seal;
    static const uint8_t key[SEAL_KEY_BYTES] = {5};
    struct orch_error err = ORCH_ERROR_INIT;
    if (size < 4 || size > PLAIN_MAX_HERE) {
        return 0;
    }
    if (codec == NULL) {
        must(codec_new(CODEC_ZSTD, 0, &codec, &err) == ORCH_OK);
        must(seal_new(SEAL_NONE, key, &seal, &err) == ORCH_OK);
    }
    uint32_t used = data[0] % CODECS;
    size_t plain_len = (data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) % FRAME_PLAIN_MAX;
    struct frame_place place = {.pack = pack_id,
                                .kind = PACK_DATA,
                                .algorithm = SEAL_NONE,
                                .number = data[1],
                                .offset = PACK_HEADER_BYTES,
                                .plain_len = (uint32_t)plain_len,
                                .codec = used};
    switch (data[0] / CODECS % 8) {
    case 1:
        try_frame(seal, codec, place, data + 4, size - 4);
        break;
    case 2:
        try_round(codec, used % (CODECS - 1), data + 4, size - 4);
        break;
    default:
        try_codec(codec, used, plain_len, data + 4, size - 4);
        break;
    }
    return 0;
}
