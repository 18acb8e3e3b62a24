/*
 * codec.h: compression of a frame: zstd (RFC 8878), gzip (RFC 1952, by zlib) or none.
 */
#ifndef CORE_ENGINE_CODEC_H
#define CORE_ENGINE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

#define CODEC_NONE 0u
#define CODEC_ZSTD 1u
#define CODEC_GZIP 2u

struct codec; /* contexts that are costly to make; one thread at a time */

/* "zstd", "gzip", "none", with an optional level: "zstd:3". ORCH_E_CONFIG otherwise. */
int32_t codec_parse(const char *text, uint32_t *codec, int *level, struct orch_error *err)
    ORCH_CHECKED;
const char *codec_name(uint32_t codec);

int32_t codec_new(uint32_t codec, int level, struct codec **out, struct orch_error *err)
    ORCH_CHECKED;
void codec_free(struct codec *codec);

/* Largest compressed size of `len` bytes. */
size_t codec_bound(uint32_t codec, size_t len);

/* Compresses into `out`; *used is CODEC_NONE when that would not make it smaller (the bytes are
 * then copied), else the codec. */
int32_t codec_compress(struct codec *codec, const void *in, size_t len, uint8_t *out,
                       size_t capacity, size_t *out_len, uint32_t *used, struct orch_error *err)
    ORCH_CHECKED;
/* Exactly `plain_len` bytes come out, or ORCH_E_CORRUPT. Any codec can be decompressed. */
int32_t codec_decompress(struct codec *codec, uint32_t used, const void *in, size_t len,
                         uint8_t *out, size_t plain_len, struct orch_error *err) ORCH_CHECKED;

#endif
