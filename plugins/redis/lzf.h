/* lzf.h: the decoder of LZF, which Redis compresses strings with. */
#ifndef REDIS_LZF_H
#define REDIS_LZF_H

#include <stddef.h>
#include <stdint.h>

/* Decodes `in_len` bytes to exactly `out_len` bytes. 0, or -1 when the input does not give that. */
int lzf_decode(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len);

#endif
