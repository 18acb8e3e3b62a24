/* keys.c: subkeys from the master key by HKDF-SHA-256, in a page that is locked and never dumped.
 */
#include "engine/keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>
#include <sys/mman.h>

/* Lies alone in a mapping of its own, so that locking and hiding it touches nothing else. */
struct keys {
    uint8_t subkeys[KEY_PURPOSES][KEY_BYTES];
};

/* What makes each subkey different. Part of the format: never change one. */
static const char *const keys_info[KEY_PURPOSES] = {
    [KEY_CHUNK_ID] = "orchestrate 1 chunk-id", [KEY_GEAR] = "orchestrate 1 gear",
    [KEY_INDEX] = "orchestrate 1 index",       [KEY_DATA] = "orchestrate 1 data",
    [KEY_MANIFEST] = "orchestrate 1 manifest", [KEY_CONTROL] = "orchestrate 1 control",
};

/* HKDF-SHA-256, extract and expand. */
static int32_t keys_derive(const uint8_t key[KEY_BYTES], const void *salt, size_t salt_len,
                           const char *info, uint8_t out[KEY_BYTES], struct orch_error *err)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    EVP_KDF_free(kdf);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info)),
        OSSL_PARAM_construct_end(),
    };
    int done = ctx == NULL ? 0 : EVP_KDF_derive(ctx, out, KEY_BYTES, params);
    EVP_KDF_CTX_free(ctx);
    if (done != 1) {
        OPENSSL_cleanse(out, KEY_BYTES);
        return orch_fail(err, ORCH_E_FAILED, "OpenSSL could not derive a key (HKDF-SHA-256)");
    }
    return ORCH_OK;
}

int32_t keys_new(const uint8_t master[KEY_BYTES], const char *repository_id, struct keys **out,
                 struct orch_error *err)
{
    void *memory =
        mmap(NULL, sizeof(struct keys), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the keys of a repository");
    }
    struct keys *keys = memory;
    /* Both are precautions: a limit on locked memory must not stop a backup. */
    (void)mlock(keys, sizeof *keys);
    (void)madvise(keys, sizeof *keys, MADV_DONTDUMP);
    for (int i = 0; i < KEY_PURPOSES; i++) {
        int32_t rc = keys_derive(master, repository_id, strlen(repository_id), keys_info[i],
                                 keys->subkeys[i], err);
        if (rc != ORCH_OK) {
            keys_free(keys);
            return rc;
        }
    }
    *out = keys;
    return ORCH_OK;
}

void keys_free(struct keys *keys)
{
    if (keys != NULL) {
        OPENSSL_cleanse(keys, sizeof *keys);
        (void)munmap(keys, sizeof *keys);
    }
}

const uint8_t *keys_get(const struct keys *keys, enum key_purpose purpose)
{
    return keys->subkeys[purpose];
}

int32_t keys_expand(const struct keys *keys, enum key_purpose purpose, const void *salt,
                    size_t salt_len, const char *label, uint8_t out[KEY_BYTES],
                    struct orch_error *err)
{
    if ((unsigned)purpose >= KEY_PURPOSES || label[0] == '\0') {
        return orch_fail(err, ORCH_E_INVALID, "a derived key needs a purpose and a label");
    }
    return keys_derive(keys->subkeys[purpose], salt, salt_len, label, out, err);
}
