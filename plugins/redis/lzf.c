/* lzf.c: the decoder of LZF; every read and write is checked against both ends. */
#include "lzf.h"

#include <string.h>

/* Copies a back reference byte by byte, since it may overlap what it makes. */
static void repeat(uint8_t *out, size_t at, size_t distance, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[at + i] = out[at + i - distance];
    }
}

int lzf_decode(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    size_t at = 0;
    size_t made = 0;
    while (at < in_len) {
        size_t control = in[at++];
        if (control < 32) { /* control + 1 literal bytes */
            size_t len = control + 1;
            if (len > in_len - at || len > out_len - made) {
                return -1;
            }
            memcpy(out + made, in + at, len);
            at += len;
            made += len;
            continue;
        }
        size_t len = control >> 5;
        if (len == 7) {
            if (at == in_len) {
                return -1;
            }
            len += in[at++];
        }
        if (at == in_len) {
            return -1;
        }
        size_t distance = ((control & 0x1f) << 8 | in[at++]) + 1;
        len += 2;
        if (distance > made || len > out_len - made) {
            return -1;
        }
        repeat(out, made, distance, len);
        made += len;
    }
    return made == out_len ? 0 : -1;
}
