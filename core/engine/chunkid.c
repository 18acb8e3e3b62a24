/*
 * chunkid.c: see chunkid.h.
 *
 * The low-level SHA-256 functions are marked deprecated in OpenSSL 3 in favour of EVP, which
 * allocates and looks up for every digest; a tree of small files feels that.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "engine/chunkid.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "engine/sha256lanes.h"

static void key_block(const uint8_t key[KEY_BYTES], uint8_t pad, uint32_t out[8])
{
    uint8_t block[SHA256_CBLOCK];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < KEY_BYTES; i++) {
        block[i] = (uint8_t)(block[i] ^ key[i]);
    }
    SHA256_CTX ctx;
    (void)SHA256_Init(&ctx);
    (void)SHA256_Update(&ctx, block, sizeof(block));
    memcpy(out, ctx.h, sizeof(ctx.h));
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(&ctx, sizeof(ctx));
}

/* A context that stands at state `h` behind `blocks` hashed blocks. */
static void resume(SHA256_CTX *ctx, const uint32_t h[8], uint64_t blocks)
{
    uint64_t bits = blocks * SHA256_CBLOCK * 8;
    (void)SHA256_Init(ctx);
    memcpy(ctx->h, h, sizeof(ctx->h));
    ctx->Nl = (uint32_t)bits;
    ctx->Nh = (uint32_t)(bits >> 32);
}

void chunkid_init_key(struct chunkid *state, const uint8_t key[KEY_BYTES])
{
    key_block(key, 0x36, state->inner);
    key_block(key, 0x5c, state->outer);
}

void chunkid_init(struct chunkid *state, const struct keys *keys)
{
    chunkid_init_key(state, keys_get(keys, KEY_CHUNK_ID));
}

/* Goes on with the inner digest from `h` behind `blocks` blocks (the key's counts), to the id. */
static void finish(const struct chunkid *state, const uint32_t h[8], uint64_t blocks,
                   const void *rest, size_t len, uint8_t id[CHUNKID_BYTES])
{
    SHA256_CTX ctx;
    uint8_t inner[SHA256_DIGEST_LENGTH];
    resume(&ctx, h, blocks);
    (void)SHA256_Update(&ctx, rest, len);
    (void)SHA256_Final(inner, &ctx);
    resume(&ctx, state->outer, 1);
    (void)SHA256_Update(&ctx, inner, sizeof(inner));
    (void)SHA256_Final(id, &ctx);
}

void chunkid_of(const struct chunkid *state, const void *data, size_t len,
                uint8_t id[CHUNKID_BYTES])
{
    finish(state, state->inner, 1, data, len, id);
}

/* Whole blocks side by side, what is left one after the other. */
static void many(const struct chunkid *state, const struct chunkid_job *jobs, size_t count)
{
    struct sha256lanes_run runs[SHA256LANES_MOST];
    for (size_t i = 0; i < count; i++) {
        runs[i] = (struct sha256lanes_run){.data = jobs[i].data,
                                           .blocks = jobs[i].len / SHA256LANES_BLOCK};
        memcpy(runs[i].state, state->inner, sizeof(runs[i].state));
    }
    sha256lanes_work(runs, count);
    for (size_t i = 0; i < count; i++) {
        size_t done = (size_t)(runs[i].data - (const uint8_t *)jobs[i].data);
        finish(state, runs[i].state, 1 + done / SHA256LANES_BLOCK, runs[i].data, jobs[i].len - done,
               jobs[i].id);
    }
}

void chunkid_of_many(const struct chunkid *state, const struct chunkid_job *jobs, size_t count)
{
    bool wide = count >= SHA256LANES_LEAST && sha256lanes_available();
    for (size_t at = 0; wide && at < count; at += SHA256LANES_MOST) {
        size_t left = count - at;
        many(state, jobs + at, left < SHA256LANES_MOST ? left : SHA256LANES_MOST);
    }
    for (size_t i = 0; !wide && i < count; i++) {
        chunkid_of(state, jobs[i].data, jobs[i].len, jobs[i].id);
    }
}
