/* keyslot.c: see keyslot.h. */
#include "engine/keyslot.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "engine/field.h"

#define KEYSLOT_LOG_N_DEFAULT 15u
#define KEYSLOT_R_DEFAULT 8u
#define KEYSLOT_P_DEFAULT 1u
/* What scrypt needs beside its big table. */
#define KEYSLOT_MEMORY_EXTRA (UINT64_C(64) << 20)

static const char *const keyslot_types[] = {
    [KEYSLOT_SCRYPT] = "scrypt",
    [KEYSLOT_KEYFILE] = "keyfile",
    [KEYSLOT_CLEAR] = "clear",
};

static bool keyslot_bounded(const struct keyslot *slot)
{
    return slot->log_n >= 1 && slot->log_n <= KEYSLOT_LOG_N_MAX && slot->r >= 1 &&
           slot->r <= KEYSLOT_R_MAX && slot->p >= 1 && slot->p <= KEYSLOT_P_MAX &&
           (UINT64_C(128) << slot->log_n) * slot->r <= KEYSLOT_MEMORY_MAX;
}

/* The key that wraps the master key. */
static int32_t keyslot_wrapping_key(const struct keyslot *slot, const char *repository_id,
                                    const struct repo_unlock *unlock, uint8_t out[KEY_BYTES],
                                    struct orch_error *err)
{
    if (slot->type == KEYSLOT_SCRYPT) {
        if (EVP_PBE_scrypt(unlock->passphrase, strlen(unlock->passphrase), slot->salt,
                           sizeof slot->salt, UINT64_C(1) << slot->log_n, slot->r, slot->p,
                           KEYSLOT_MEMORY_MAX + KEYSLOT_MEMORY_EXTRA, out, KEY_BYTES) != 1) {
            return orch_fail(err, ORCH_E_NOMEM,
                             "scrypt failed; it needs about %llu MiB of memory for this passphrase",
                             (unsigned long long)((UINT64_C(128) << slot->log_n) * slot->r >> 20) +
                                 1);
        }
        return ORCH_OK;
    }
    struct keys *keys = NULL;
    int32_t rc = keys_new(unlock->key, repository_id, &keys, err);
    if (rc == ORCH_OK) {
        rc = keys_expand(keys, KEY_CONTROL, slot->salt, sizeof slot->salt, "key file slot", out,
                         err);
    }
    keys_free(keys);
    return rc;
}

/* What the wrapped key is bound to: type, parameters, repository. */
static void keyslot_ad(const struct keyslot *slot, const char *repository_id, struct buffer *out)
{
    buffer_printf(out, "orchestrate key slot 1 %s %u %u %u %s", keyslot_types[slot->type],
                  slot->log_n, slot->r, slot->p, repository_id);
}

/* Wraps, or unwraps, through the key that `unlock` gives. */
static int32_t keyslot_crypt(const struct keyslot *slot, const char *repository_id,
                             const struct repo_unlock *unlock, bool wrap, const uint8_t *in,
                             uint8_t *out, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer ad = BUFFER_INIT;
    uint8_t key[KEY_BYTES];
    struct seal *seal = NULL;

    keyslot_ad(slot, repository_id, &ad);
    if (ad.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a key slot");
    }
    int32_t rc = keyslot_wrapping_key(slot, repository_id, unlock, key, err);
    if (rc == ORCH_OK) {
        rc = seal_new(SEAL_AES_256_GCM, key, &seal, err);
    }
    OPENSSL_cleanse(key, sizeof key);
    if (rc == ORCH_OK && wrap) {
        rc = seal_close(seal, slot->nonce, ad.data, ad.len, in, KEY_BYTES, out, err);
    } else if (rc == ORCH_OK) {
        rc = seal_open(seal, slot->nonce, ad.data, ad.len, in, KEYSLOT_WRAPPED_BYTES, out, err);
    }
    seal_free(seal);
    return rc;
}

int32_t keyslot_make(const char *repository_id, const struct repo_unlock *unlock, uint32_t log_n,
                     const uint8_t master[KEY_BYTES], struct keyslot *out, struct orch_error *err)
{
    *out = (struct keyslot){.type = KEYSLOT_CLEAR};
    if (unlock->passphrase == NULL && unlock->key == NULL) {
        memcpy(out->wrapped, master, KEY_BYTES);
        return ORCH_OK;
    }
    if (unlock->passphrase != NULL) {
        out->type = KEYSLOT_SCRYPT;
        out->log_n = log_n == 0 ? KEYSLOT_LOG_N_DEFAULT : log_n;
        out->r = KEYSLOT_R_DEFAULT;
        out->p = KEYSLOT_P_DEFAULT;
        if (!keyslot_bounded(out)) {
            return orch_fail(err, ORCH_E_INVALID, "scrypt with N = 2^%u is out of bounds (1 to %u)",
                             log_n, KEYSLOT_LOG_N_MAX);
        }
    } else {
        out->type = KEYSLOT_KEYFILE;
    }
    int32_t rc = id_random(out->salt, sizeof out->salt, err);
    if (rc == ORCH_OK) {
        rc = id_random(out->nonce, sizeof out->nonce, err);
    }
    return rc != ORCH_OK
               ? rc
               : keyslot_crypt(out, repository_id, unlock, true, master, out->wrapped, err);
}

int32_t keyslot_open(const struct keyslot *slot, const char *repository_id,
                     const struct repo_unlock *unlock, uint8_t master[KEY_BYTES],
                     struct orch_error *err)
{
    bool fits = (slot->type == KEYSLOT_SCRYPT && unlock->passphrase != NULL) ||
                (slot->type == KEYSLOT_KEYFILE && unlock->key != NULL) ||
                slot->type == KEYSLOT_CLEAR;
    if (!fits) {
        return orch_fail(err, ORCH_E_ACCESS, "the key slot wants a %s",
                         slot->type == KEYSLOT_SCRYPT ? "passphrase" : "key file");
    }
    if (slot->type == KEYSLOT_CLEAR) {
        memcpy(master, slot->wrapped, KEY_BYTES);
        return ORCH_OK;
    }
    int32_t rc = keyslot_crypt(slot, repository_id, unlock, false, slot->wrapped, master, err);
    if (rc == ORCH_E_CORRUPT) {
        rc = orch_fail(err, ORCH_E_ACCESS, "wrong %s",
                       slot->type == KEYSLOT_SCRYPT ? "passphrase" : "key file");
    }
    return rc;
}

json_t *keyslot_to_json(const struct keyslot *slot)
{
    json_t *json = json_object();
    bool good = fields_put_text(json, "type", keyslot_types[slot->type]);
    if (slot->type == KEYSLOT_CLEAR) {
        good = good && fields_put_hex(json, "key", slot->wrapped, KEY_BYTES);
    } else {
        if (slot->type == KEYSLOT_SCRYPT) {
            good = good && fields_put_u64(json, "log_n", slot->log_n) &&
                   fields_put_u64(json, "r", slot->r) && fields_put_u64(json, "p", slot->p);
        }
        good = good && fields_put_hex(json, "salt", slot->salt, sizeof slot->salt) &&
               fields_put_hex(json, "nonce", slot->nonce, sizeof slot->nonce) &&
               fields_put_hex(json, "wrapped", slot->wrapped, sizeof slot->wrapped);
    }
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

int32_t keyslot_from_json(const json_t *json, struct keyslot *out, struct orch_error *err)
{
    struct fields f = fields_over(json, "a key slot in file config");
    char type[16];

    *out = (struct keyslot){.type = KEYSLOT_CLEAR};
    fields_text(&f, "type", type, sizeof type);
    if (strcmp(type, keyslot_types[KEYSLOT_CLEAR]) == 0) {
        fields_hex(&f, "key", out->wrapped, KEY_BYTES);
        return fields_end(&f, err);
    }
    if (strcmp(type, keyslot_types[KEYSLOT_SCRYPT]) == 0) {
        out->type = KEYSLOT_SCRYPT;
        out->log_n = fields_u32(&f, "log_n", KEYSLOT_LOG_N_MAX);
        out->r = fields_u32(&f, "r", KEYSLOT_R_MAX);
        out->p = fields_u32(&f, "p", KEYSLOT_P_MAX);
        if (!keyslot_bounded(out)) {
            fields_reject(&f, "log_n", "asks scrypt for more than this program allows, or nothing");
        }
    } else if (strcmp(type, keyslot_types[KEYSLOT_KEYFILE]) == 0) {
        out->type = KEYSLOT_KEYFILE;
    } else if (type[0] != '\0') {
        return orch_fail(err, ORCH_E_VERSION,
                         "file config has a key slot of type \"%s\", which this program does not "
                         "know; use a newer version",
                         type);
    } else {
        fields_reject(&f, "type", "says nothing");
    }
    fields_hex(&f, "salt", out->salt, sizeof out->salt);
    fields_hex(&f, "nonce", out->nonce, sizeof out->nonce);
    fields_hex(&f, "wrapped", out->wrapped, sizeof out->wrapped);
    return fields_end(&f, err);
}
