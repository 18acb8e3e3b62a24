/*
 * keyslot.h: the repository's master key, wrapped so that a passphrase or a key file opens it.
 */
#ifndef CORE_ENGINE_KEYSLOT_H
#define CORE_ENGINE_KEYSLOT_H

#include "engine/repo.h"

#define KEYSLOT_SALT_BYTES 32
#define KEYSLOT_WRAPPED_BYTES (KEY_BYTES + SEAL_TAG_BYTES)

/* Bounds on what a config may ask of this machine. */
#define KEYSLOT_LOG_N_MAX 20u
#define KEYSLOT_R_MAX 32u
#define KEYSLOT_P_MAX 16u
#define KEYSLOT_MEMORY_MAX (UINT64_C(1) << 30)

enum keyslot_type {
    KEYSLOT_SCRYPT,  /* a passphrase */
    KEYSLOT_KEYFILE, /* KEY_BYTES of random */
    KEYSLOT_CLEAR    /* encryption = "none": the master key itself */
};

struct keyslot {
    enum keyslot_type type;
    uint32_t log_n, r, p; /* scrypt: N = 2^log_n */
    uint8_t salt[KEYSLOT_SALT_BYTES];
    uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t wrapped[KEYSLOT_WRAPPED_BYTES]; /* KEYSLOT_CLEAR: KEY_BYTES of it */
};

/* Wraps `master` for the one secret in `unlock`; none: KEYSLOT_CLEAR. log_n 0: the default. */
int32_t keyslot_make(const char *repository_id, const struct repo_unlock *unlock, uint32_t log_n,
                     const uint8_t master[KEY_BYTES], struct keyslot *out,
                     struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_ACCESS: this secret does not open this slot (also: the slot is of the other type). */
int32_t keyslot_open(const struct keyslot *slot, const char *repository_id,
                     const struct repo_unlock *unlock, uint8_t master[KEY_BYTES],
                     struct orch_error *err) ORCH_CHECKED;

/* A new reference; NULL when memory ran out. */
json_t *keyslot_to_json(const struct keyslot *slot);
/* ORCH_E_VERSION: a type of slot that is not known, which another slot may make up for. */
int32_t keyslot_from_json(const json_t *json, struct keyslot *out,
                          struct orch_error *err) ORCH_CHECKED;

#endif
