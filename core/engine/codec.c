/* codec.c: see codec.h. */
#include "engine/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define ZSTD_DEFAULT 1
#define GZIP_DEFAULT 1

/* Four samples of this length tell whether a frame is worth compressing. */
#define SAMPLE_BYTES 4096u
#define SAMPLES 4u

struct codec {
    uint32_t kind;
    int level;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress; /* made when first needed */
    z_stream deflate;
    int deflate_ready;
    z_stream inflate;
    int inflate_ready;
    uint8_t sample[SAMPLE_BYTES * SAMPLES];
    uint8_t sample_out[SAMPLE_BYTES * SAMPLES + 1024];
};

static int32_t bad_codec(const char *text, struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CONFIG,
                     "compression \"%.40s\" is not known: use zstd, zstd:1 to zstd:19, gzip, "
                     "gzip:1 to gzip:9, or none",
                     text);
}

int32_t codec_parse(const char *text, uint32_t *codec, int *level, struct orch_error *err)
{
    const char *colon = strchr(text, ':');
    size_t len = colon == NULL ? strlen(text) : (size_t)(colon - text);
    long most = 0;
    if (len == 4 && memcmp(text, "zstd", 4) == 0) {
        *codec = CODEC_ZSTD;
        most = 19;
    } else if (len == 4 && memcmp(text, "gzip", 4) == 0) {
        *codec = CODEC_GZIP;
        most = 9;
    } else if (strcmp(text, "none") == 0) {
        *codec = CODEC_NONE;
    } else {
        return bad_codec(text, err);
    }
    *level = 0;
    if (colon != NULL) {
        char *end = NULL;
        if (colon[1] < '0' || colon[1] > '9') {
            return bad_codec(text, err);
        }
        long value = strtol(colon + 1, &end, 10);
        if (*end != 0 || value < 1 || value > most) {
            return bad_codec(text, err);
        }
        *level = (int)value;
    }
    return ORCH_OK;
}

const char *codec_name(uint32_t codec)
{
    static const char *const names[] = {"none", "zstd", "gzip"};
    return codec < 3 ? names[codec] : "unknown";
}

int32_t codec_new(uint32_t kind, int level, struct codec **out, struct orch_error *err)
{
    if (kind > CODEC_GZIP) {
        return orch_fail(err, ORCH_E_VERSION, "codec %u is not known to this version", kind);
    }
    struct codec *codec = calloc(1, sizeof(*codec));
    if (codec == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a codec");
    }
    codec->kind = kind;
    codec->level = level != 0 ? level : kind == CODEC_GZIP ? GZIP_DEFAULT : ZSTD_DEFAULT;
    *out = codec;
    return ORCH_OK;
}

void codec_free(struct codec *codec)
{
    if (codec == NULL) {
        return;
    }
    (void)ZSTD_freeCCtx(codec->compress);
    (void)ZSTD_freeDCtx(codec->decompress);
    if (codec->deflate_ready) {
        (void)deflateEnd(&codec->deflate);
    }
    if (codec->inflate_ready) {
        (void)inflateEnd(&codec->inflate);
    }
    free(codec);
}

size_t codec_bound(uint32_t codec, size_t len)
{
    if (codec == CODEC_ZSTD) {
        return ZSTD_compressBound(len);
    }
    if (codec == CODEC_GZIP) {
        return len + len / 1000 + 64 + 5 * (len / 16384);
    }
    return len;
}

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for compression");
}

static int32_t zstd_ready(struct codec *codec, struct orch_error *err)
{
    if (codec->compress != NULL) {
        return ORCH_OK;
    }
    codec->compress = ZSTD_createCCtx();
    if (codec->compress == NULL || ZSTD_isError(ZSTD_CCtx_setParameter(
                                       codec->compress, ZSTD_c_compressionLevel, codec->level))) {
        return no_memory(err);
    }
    return ORCH_OK;
}

/* 1 when samples of the bytes shrink, 0 when they do not: then the whole is not tried. */
static int sample_shrinks(struct codec *codec, const uint8_t *in, size_t len)
{
    if (len < 4 * sizeof(codec->sample)) {
        return 1;
    }
    size_t stride = (len - SAMPLE_BYTES) / (SAMPLES - 1);
    for (size_t i = 0; i < SAMPLES; i++) {
        memcpy(codec->sample + i * SAMPLE_BYTES, in + i * stride, SAMPLE_BYTES);
    }
    size_t got = ZSTD_compress2(codec->compress, codec->sample_out, sizeof(codec->sample_out),
                                codec->sample, sizeof(codec->sample));
    return ZSTD_isError(got) || got < sizeof(codec->sample) - sizeof(codec->sample) / 50;
}

static size_t gzip_compress(struct codec *codec, const void *in, size_t len, uint8_t *out,
                            size_t capacity)
{
    z_stream *z = &codec->deflate;
    if (!codec->deflate_ready) {
        if (deflateInit2(z, codec->level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
            return 0;
        }
        codec->deflate_ready = 1;
    }
    (void)deflateReset(z);
    z->next_in = (Bytef *)(uintptr_t)in;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)capacity;
    return deflate(z, Z_FINISH) == Z_STREAM_END ? capacity - z->avail_out : 0;
}

int32_t codec_compress(struct codec *codec, const void *in, size_t len, uint8_t *out,
                       size_t capacity, size_t *out_len, uint32_t *used, struct orch_error *err)
{
    if (capacity < len || len > (UINT32_MAX >> 1) || capacity > UINT32_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "%zu bytes do not fit a frame of %zu", len, capacity);
    }
    size_t got = 0; /* 0: not made smaller */
    if (codec->kind != CODEC_NONE) {
        int32_t rc = zstd_ready(codec, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (sample_shrinks(codec, in, len)) {
            got = codec->kind == CODEC_GZIP
                      ? gzip_compress(codec, in, len, out, capacity)
                      : ZSTD_compress2(codec->compress, out, capacity, in, len);
            got = codec->kind == CODEC_ZSTD && ZSTD_isError(got) ? 0 : got;
        }
    }
    if (got == 0 || got >= len) {
        memcpy(out, in, len);
        *out_len = len;
        *used = CODEC_NONE;
        return ORCH_OK;
    }
    *out_len = got;
    *used = codec->kind;
    return ORCH_OK;
}

static int32_t damaged(const char *codec, struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "the %s data is damaged", codec);
}

static int32_t gzip_decompress(struct codec *codec, const void *in, size_t len, uint8_t *out,
                               size_t plain_len, struct orch_error *err)
{
    z_stream *z = &codec->inflate;
    if (!codec->inflate_ready) {
        if (inflateInit2(z, 15 + 16) != Z_OK) {
            return no_memory(err);
        }
        codec->inflate_ready = 1;
    }
    (void)inflateReset(z);
    z->next_in = (Bytef *)(uintptr_t)in;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)plain_len;
    if (inflate(z, Z_FINISH) != Z_STREAM_END || z->avail_in != 0 || z->avail_out != 0) {
        return damaged("gzip", err);
    }
    return ORCH_OK;
}

int32_t codec_decompress(struct codec *codec, uint32_t used, const void *in, size_t len,
                         uint8_t *out, size_t plain_len, struct orch_error *err)
{
    if (used == CODEC_NONE) {
        if (len != plain_len) {
            return damaged("raw", err);
        }
        memmove(out, in, len);
        return ORCH_OK;
    }
    if (used == CODEC_GZIP && len <= UINT32_MAX && plain_len <= UINT32_MAX) {
        return gzip_decompress(codec, in, len, out, plain_len, err);
    }
    if (used != CODEC_ZSTD) {
        return orch_fail(err, ORCH_E_VERSION, "codec %u is not known to this version", used);
    }
    if (codec->decompress == NULL && (codec->decompress = ZSTD_createDCtx()) == NULL) {
        return no_memory(err);
    }
    size_t got = ZSTD_decompressDCtx(codec->decompress, out, plain_len, in, len);
    return ZSTD_isError(got) || got != plain_len ? damaged("zstd", err) : ORCH_OK;
}
