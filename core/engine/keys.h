/*
 * keys.h: the key hierarchy. A random 256-bit master key; subkeys by HKDF-SHA-256 (RFC 5869), one
 * per purpose; the master key itself wrapped in key slots (scrypt, RFC 7914) or a key file.
 */
#ifndef CORE_ENGINE_KEYS_H
#define CORE_ENGINE_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

#define KEY_BYTES 32

enum key_purpose {
    KEY_CHUNK_ID, /* HMAC-SHA-256 key of chunk ids */
    KEY_GEAR,     /* seeds the gear table of the chunker */
    KEY_INDEX,    /* index segments */
    KEY_DATA,     /* wraps each pack's data key */
    KEY_MANIFEST, /* parts, sets */
    KEY_CONTROL,  /* config copy, runs, leases, marks */
    KEY_PURPOSES
};

struct keys; /* an unlocked master key and its subkeys; locked in memory where allowed, wiped */

int32_t keys_new(const uint8_t master[KEY_BYTES], const char *repository_id, struct keys **out,
                 struct orch_error *err) ORCH_CHECKED;
void keys_free(struct keys *keys);
const uint8_t *keys_get(const struct keys *keys, enum key_purpose purpose); /* KEY_BYTES */

/* A key for one thing from a purpose's subkey: HKDF-Expand over `salt` and `label`. Used for the
 * data key of a pack (salt: random, in the pack) and for sealed documents. */
int32_t keys_expand(const struct keys *keys, enum key_purpose purpose, const void *salt,
                    size_t salt_len, const char *label, uint8_t out[KEY_BYTES],
                    struct orch_error *err) ORCH_CHECKED;

#endif
