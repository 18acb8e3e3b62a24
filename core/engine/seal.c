/* seal.c: AES-256-GCM through OpenSSL's EVP, and the checksum that stands in for it under "none".
 */
#include "engine/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

/* EVP takes lengths as int: longer runs go in steps of this many bytes. */
#define SEAL_STEP ((size_t)1 << 30)

struct seal {
    uint32_t algorithm;
    uint8_t key[SEAL_KEY_BYTES]; /* kept for SEAL_NONE only */
    EVP_CIPHER_CTX *encrypt;     /* keyed once; a call sets the nonce alone */
    EVP_CIPHER_CTX *decrypt;
    EVP_MD_CTX *digest; /* SEAL_NONE */
};

static bool seal_init_aes(struct seal *seal, const uint8_t key[SEAL_KEY_BYTES])
{
    const EVP_CIPHER *cipher = EVP_aes_256_gcm();

    seal->encrypt = EVP_CIPHER_CTX_new();
    seal->decrypt = EVP_CIPHER_CTX_new();
    return seal->encrypt != NULL && seal->decrypt != NULL &&
           EVP_EncryptInit_ex(seal->encrypt, cipher, NULL, key, NULL) == 1 &&
           EVP_DecryptInit_ex(seal->decrypt, cipher, NULL, key, NULL) == 1;
}

int32_t seal_new(uint32_t algorithm, const uint8_t key[SEAL_KEY_BYTES], struct seal **out,
                 struct orch_error *err)
{
    if (algorithm != SEAL_NONE && algorithm != SEAL_AES_256_GCM) {
        return orch_fail(err, ORCH_E_VERSION,
                         "sealing algorithm %u is not known to this program; use a newer version",
                         algorithm);
    }
    struct seal *seal = calloc(1, sizeof *seal);
    if (seal == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a sealing key");
    }
    seal->algorithm = algorithm;
    bool ready;
    if (algorithm == SEAL_AES_256_GCM) {
        ready = seal_init_aes(seal, key);
    } else {
        memcpy(seal->key, key, SEAL_KEY_BYTES);
        seal->digest = EVP_MD_CTX_new();
        ready = seal->digest != NULL;
    }
    if (!ready) {
        seal_free(seal);
        return orch_fail(err, ORCH_E_FAILED, "OpenSSL could not set up sealing algorithm %u",
                         algorithm);
    }
    *out = seal;
    return ORCH_OK;
}

void seal_free(struct seal *seal)
{
    if (seal == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(seal->encrypt); /* these wipe their key schedule */
    EVP_CIPHER_CTX_free(seal->decrypt);
    EVP_MD_CTX_free(seal->digest);
    OPENSSL_cleanse(seal, sizeof *seal);
    free(seal);
}

/* The tag of SEAL_NONE; see the header. */
static bool seal_checksum(struct seal *seal, const void *ad, size_t ad_len, const void *bytes,
                          size_t len, uint8_t tag[SEAL_TAG_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE] = {0};
    uint8_t ad_le[8];

    put_le64(ad_le, ad_len);
    if (EVP_DigestInit_ex(seal->digest, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(seal->digest, seal->key, sizeof seal->key) != 1 ||
        EVP_DigestUpdate(seal->digest, ad_le, sizeof ad_le) != 1 ||
        (ad_len > 0 && EVP_DigestUpdate(seal->digest, ad, ad_len) != 1) ||
        (len > 0 && EVP_DigestUpdate(seal->digest, bytes, len) != 1) ||
        EVP_DigestFinal_ex(seal->digest, digest, NULL) != 1) {
        return false;
    }
    memcpy(tag, digest, SEAL_TAG_BYTES);
    return true;
}

/* Runs `in` through the cipher in steps; `out` NULL feeds additional data. */
static bool seal_update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in, size_t len)
{
    for (size_t done = 0; done < len;) {
        size_t step = len - done < SEAL_STEP ? len - done : SEAL_STEP;
        int produced = 0;
        if (EVP_CipherUpdate(ctx, out == NULL ? NULL : out + done, &produced, in + done,
                             (int)step) != 1 ||
            (size_t)produced != step) {
            return false;
        }
        done += step;
    }
    return true;
}

int32_t seal_close(struct seal *seal, const uint8_t nonce[SEAL_NONCE_BYTES], const void *ad,
                   size_t ad_len, const void *plain, size_t len, uint8_t *out,
                   struct orch_error *err)
{
    if (len > SIZE_MAX - SEAL_TAG_BYTES) {
        return orch_fail(err, ORCH_E_INVALID, "a run of %zu bytes is too long to seal", len);
    }
    if (seal->algorithm == SEAL_NONE) {
        uint8_t tag[SEAL_TAG_BYTES];
        if (!seal_checksum(seal, ad, ad_len, plain, len, tag)) {
            return orch_fail(err, ORCH_E_FAILED, "OpenSSL failed to compute a checksum");
        }
        if (len > 0) {
            memmove(out, plain, len);
        }
        memcpy(out + len, tag, sizeof tag);
        return ORCH_OK;
    }
    uint8_t end[EVP_MAX_BLOCK_LENGTH];
    int end_len = 0;
    if (EVP_EncryptInit_ex(seal->encrypt, NULL, NULL, NULL, nonce) != 1 ||
        !seal_update(seal->encrypt, NULL, ad, ad_len) ||
        !seal_update(seal->encrypt, out, plain, len) ||
        EVP_EncryptFinal_ex(seal->encrypt, end, &end_len) != 1 || end_len != 0 ||
        EVP_CIPHER_CTX_ctrl(seal->encrypt, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, out + len) != 1) {
        return orch_fail(err, ORCH_E_FAILED, "OpenSSL failed to seal %zu bytes", len);
    }
    return ORCH_OK;
}

int32_t seal_open(struct seal *seal, const uint8_t nonce[SEAL_NONCE_BYTES], const void *ad,
                  size_t ad_len, const void *sealed, size_t len, uint8_t *out,
                  struct orch_error *err)
{
    if (len < SEAL_TAG_BYTES) {
        return orch_fail(err, ORCH_E_CORRUPT, "sealed bytes are cut short: %zu bytes hold no tag",
                         len);
    }
    size_t plain_len = len - SEAL_TAG_BYTES;
    uint8_t tag[SEAL_TAG_BYTES];
    memcpy(tag, (const uint8_t *)sealed + plain_len, sizeof tag);
    bool good;
    if (seal->algorithm == SEAL_NONE) {
        uint8_t expected[SEAL_TAG_BYTES] = {0};
        good = seal_checksum(seal, ad, ad_len, sealed, plain_len, expected) &&
               CRYPTO_memcmp(tag, expected, sizeof tag) == 0;
        if (good && plain_len > 0) {
            memmove(out, sealed, plain_len);
        }
    } else {
        uint8_t end[EVP_MAX_BLOCK_LENGTH];
        int end_len = 0;
        good =
            EVP_DecryptInit_ex(seal->decrypt, NULL, NULL, NULL, nonce) == 1 &&
            seal_update(seal->decrypt, NULL, ad, ad_len) &&
            seal_update(seal->decrypt, out, sealed, plain_len) &&
            EVP_CIPHER_CTX_ctrl(seal->decrypt, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, tag) == 1 &&
            EVP_DecryptFinal_ex(seal->decrypt, end, &end_len) == 1;
    }
    if (!good) {
        if (plain_len > 0) {
            OPENSSL_cleanse(out, plain_len); /* unauthenticated plain text must not be used */
        }
        return orch_fail(err, ORCH_E_CORRUPT,
                         "sealed bytes do not open: they are damaged, or were sealed elsewhere");
    }
    return ORCH_OK;
}
