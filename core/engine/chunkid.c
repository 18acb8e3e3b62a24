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

/* A context that stands at state `h` behind the key's block. */
static void resume(SHA256_CTX *ctx, const uint32_t h[8])
{
    (void)SHA256_Init(ctx);
    memcpy(ctx->h, h, sizeof(ctx->h));
    ctx->Nl = SHA256_CBLOCK * 8;
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

void chunkid_of(const struct chunkid *state, const void *data, size_t len,
                uint8_t id[CHUNKID_BYTES])
{
    SHA256_CTX ctx;
    uint8_t inner[SHA256_DIGEST_LENGTH];
    resume(&ctx, state->inner);
    (void)SHA256_Update(&ctx, data, len);
    (void)SHA256_Final(inner, &ctx);
    resume(&ctx, state->outer);
    (void)SHA256_Update(&ctx, inner, sizeof(inner));
    (void)SHA256_Final(id, &ctx);
}
