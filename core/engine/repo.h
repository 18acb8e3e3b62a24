/*
 * repo.h: an open repository: its storage, its keys, and its sealed documents.
 *
 * File `config` is the only one in the clear. docs/repository-format.md has every byte.
 */
#ifndef CORE_ENGINE_REPO_H
#define CORE_ENGINE_REPO_H

#include <jansson.h>
#include <stdbool.h>

#include "base/id.h"
#include "engine/keys.h"
#include "engine/seal.h"
#include "storage/storage.h"

#define REPO_FORMAT 1u

struct repo;

/* What unlocks a repository. Exactly one is set; both NULL for encryption = "none". */
struct repo_unlock {
    const char *passphrase; /* zero-terminated */
    const uint8_t *key;     /* KEY_BYTES from a key file */
};

struct repo_create_options {
    bool encrypted;
    struct repo_unlock unlock;
    uint32_t scrypt_log_n; /* 0: the default, 15 */
};

/* Makes a repository in an empty store. ORCH_E_EXISTS when there is one already. */
int32_t repo_create(struct storage *storage, const struct repo_create_options *options,
                    struct orch_error *err) ORCH_CHECKED;

/* What a client remembers of a repository from the time before; NULL for the first time. */
struct repo_known {
    char id[ID_TEXT];
    bool encrypted;
};

/*
 * Opens and checks it. Borrows `storage`, which must outlive it. ORCH_E_ACCESS: wrong passphrase or
 * key; ORCH_E_CORRUPT: damaged config; ORCH_E_VERSION: a format or required feature that is not
 * known; ORCH_E_REFUSED: not the repository that `known` tells of, or weaker than it was.
 */
int32_t repo_open(struct storage *storage, const struct repo_unlock *unlock,
                  const struct repo_known *known, struct repo **out, struct orch_error *err)
    ORCH_CHECKED;
void repo_close(struct repo *repo);
void repo_cleanup(struct repo **slot);

/* Checks the bytes of `config` against the sealed copy, though another slot may have opened it. */
int32_t repo_verify_config(struct repo *repo, struct orch_error *err) ORCH_CHECKED;

const char *repo_id(const struct repo *repo);
bool repo_encrypted(const struct repo *repo);
uint32_t repo_algorithm(const struct repo *repo); /* SEAL_* */
struct storage *repo_storage(struct repo *repo);
const struct keys *repo_keys(const struct repo *repo);

/*
 * Sealed documents: JSON, compressed with zstd and sealed as one, bound to their own name, so that
 * one file cannot stand in for another. `purpose` is KEY_MANIFEST or KEY_CONTROL.
 */
int32_t repo_put_document(struct repo *repo, const char *name, enum key_purpose purpose,
                          const json_t *document, uint32_t put_flags, struct orch_error *err)
    ORCH_CHECKED;
/* A new reference in *out. Damage is ORCH_E_CORRUPT and names the file. */
int32_t repo_get_document(struct repo *repo, const char *name, enum key_purpose purpose,
                          json_t **out, struct orch_error *err) ORCH_CHECKED;

#endif
