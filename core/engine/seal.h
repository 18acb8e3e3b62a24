/*
 * seal.h: authenticated encryption of one run of bytes.
 *
 * AES-256-GCM (NIST SP 800-38D) with a 96-bit nonce and a 128-bit tag behind the ciphertext. For a
 * repository without encryption the algorithm is SEAL_NONE: the bytes stay as they are and the tag
 * is the first 16 bytes of SHA-256(key || le64(ad length) || ad || bytes), which finds damage but
 * keeps nothing secret. A nonce must never be used twice under one key.
 */
#ifndef CORE_ENGINE_SEAL_H
#define CORE_ENGINE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

#define SEAL_KEY_BYTES 32
#define SEAL_NONCE_BYTES 12
#define SEAL_TAG_BYTES 16

#define SEAL_NONE 0u
#define SEAL_AES_256_GCM 1u

struct seal; /* one key, used by one thread at a time */

int32_t seal_new(uint32_t algorithm, const uint8_t key[SEAL_KEY_BYTES], struct seal **out,
                 struct orch_error *err) ORCH_CHECKED;
void seal_free(struct seal *seal); /* wipes the key; NULL is fine */

/* `out` takes len + SEAL_TAG_BYTES; it may be `plain` itself. */
int32_t seal_close(struct seal *seal, const uint8_t nonce[SEAL_NONCE_BYTES], const void *ad,
                   size_t ad_len, const void *plain, size_t len, uint8_t *out,
                   struct orch_error *err) ORCH_CHECKED;

/* `len` counts the tag; `out` takes len - SEAL_TAG_BYTES. A wrong tag is ORCH_E_CORRUPT and
 * leaves nothing usable in `out`. */
int32_t seal_open(struct seal *seal, const uint8_t nonce[SEAL_NONCE_BYTES], const void *ad,
                  size_t ad_len, const void *sealed, size_t len, uint8_t *out,
                  struct orch_error *err) ORCH_CHECKED;

#endif
