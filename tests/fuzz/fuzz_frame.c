/*
 * fuzz_frame.c: compressed bytes of a frame, as they stand behind its seal, by every codec.
 *
 * The first byte is the codec, the next three are the length that shall come out.
 */
#include <string.h>

#include "engine/codec.h"
#include "engine/frame.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec *codec; /* reused, as a reader does: a damaged frame must leave no trace */
    struct orch_error err = ORCH_ERROR_INIT;
    if (size < 4) {
        return 0;
    }
    if (codec == NULL) {
        must(codec_new(CODEC_ZSTD, 0, &codec, &err) == ORCH_OK);
    }
    size_t plain_len = (data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) % FRAME_PLAIN_MAX;
    uint8_t *out = malloc(plain_len + 1);
    uint8_t *in = malloc(size - 4 + 1); /* exact: a read past the end shows */
    must(out != NULL && in != NULL);
    memcpy(in, data + 4, size - 4);
    int32_t rc = codec_decompress(codec, data[0] % 4, in, size - 4, out, plain_len, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    free(in);
    free(out);
    return 0;
}
