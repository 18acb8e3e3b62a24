/* repo.c: creates and opens repositories; see repo.h. */
#include "engine/repo.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/log.h"
#include "engine/document.h"
#include "engine/repo_config.h"

struct repo {
    struct storage *storage; /* borrowed */
    struct keys *keys;
    uint32_t algorithm;
    char id[ID_TEXT];
};

/* Stops a listing at the first file: the store is not empty. */
static int32_t found_file(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *err)
{
    (void)stat;
    const char *url = storage_url(ctx);
    if (strcmp(name, REPO_CONFIG_NAME) == 0) {
        return orch_fail(err, ORCH_E_EXISTS, "there is a repository at %s already", url);
    }
    return orch_fail(
        err, ORCH_E_EXISTS,
        "%s is not empty (it holds %s): a new repository needs an empty place; if this "
        "is a repository that lost its file config, restore that file from a copy",
        url, name);
}

/* Seals and puts the config of a new repository. */
static int32_t repo_create_config(struct storage *storage, struct repo_config *config,
                                  const uint8_t master[KEY_BYTES], struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    struct keys *keys = NULL;
    int32_t rc = keys_new(master, config->id, &keys, err);
    if (rc == ORCH_OK) {
        rc = repo_config_format(config, keys, &text, err);
    }
    keys_free(keys);
    if (rc == ORCH_OK) {
        rc = storage_put(storage, REPO_CONFIG_NAME, text.data, text.len,
                         STORAGE_IF_ABSENT | STORAGE_DURABLE, err);
    }
    if (rc == ORCH_E_EXISTS) {
        rc = orch_fail(err, ORCH_E_EXISTS, "there is a repository at %s already",
                       storage_url(storage));
    }
    return rc;
}

int32_t repo_create(struct storage *storage, const struct repo_create_options *options,
                    struct orch_error *err)
{
    const struct repo_unlock *unlock = &options->unlock;
    bool secret = unlock->passphrase != NULL || unlock->key != NULL;
    if (options->encrypted != secret || (unlock->passphrase != NULL && unlock->key != NULL)) {
        return orch_fail(err, ORCH_E_INVALID,
                         options->encrypted ? "a new repository needs a passphrase or a key file, "
                                              "and only one of them"
                                            : "a repository without encryption takes no passphrase "
                                              "and no key file");
    }
    if (unlock->passphrase != NULL && unlock->passphrase[0] == '\0') {
        return orch_fail(err, ORCH_E_INVALID, "the passphrase for the new repository is empty");
    }
    int32_t rc = storage_list(storage, "", found_file, storage, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_REPO_CONFIG struct repo_config config = {
        .algorithm = options->encrypted ? SEAL_AES_256_GCM : SEAL_NONE,
        .slot_count = 1,
    };
    uint8_t master[KEY_BYTES];
    rc = id_new(config.id, err);
    if (rc == ORCH_OK) {
        rc = id_random(master, sizeof master, err);
    }
    if (rc == ORCH_OK) {
        rc = keyslot_make(config.id, unlock, options->scrypt_log_n, master, &config.slots[0], err);
    }
    if (rc == ORCH_OK) {
        rc = repo_create_config(storage, &config, master, err);
    }
    OPENSSL_cleanse(master, sizeof master);
    if (rc == ORCH_OK && !options->encrypted) {
        log_warning("repository",
                    "%s is NOT ENCRYPTED: whoever reads its files reads every backup in it",
                    storage_url(storage));
    }
    return rc;
}

/* Is it the repository that we knew, and no weaker? */
static int32_t repo_check_known(const struct storage *storage, const struct repo_config *config,
                                const struct repo_unlock *unlock, const struct repo_known *known,
                                struct orch_error *err)
{
    if (known != NULL && strcmp(known->id, config->id) != 0) {
        return orch_fail(err, ORCH_E_REFUSED,
                         "the repository at %s is not the one used before: its id is %s and was "
                         "%s; if that is intended, make this program forget the old one",
                         storage_url(storage), config->id, known->id);
    }
    if (config->algorithm != SEAL_NONE) {
        return ORCH_OK;
    }
    if (known != NULL && known->encrypted) {
        return orch_fail(err, ORCH_E_REFUSED,
                         "the repository at %s was encrypted and now says that it is not: somebody "
                         "replaced its file config; nothing is written to it",
                         storage_url(storage));
    }
    if (unlock->passphrase != NULL || unlock->key != NULL) {
        return orch_fail(err, ORCH_E_REFUSED,
                         "a passphrase or key is configured for %s, but that repository is not "
                         "encrypted; set encryption = \"none\" if that is intended",
                         storage_url(storage));
    }
    return ORCH_OK;
}

/* Tries the slots in turn. */
static int32_t repo_unlock_master(const struct storage *storage, const struct repo_config *config,
                                  const struct repo_unlock *unlock, uint8_t master[KEY_BYTES],
                                  struct orch_error *err)
{
    bool secret = unlock->passphrase != NULL || unlock->key != NULL;
    for (size_t i = 0; i < config->slot_count; i++) {
        int32_t rc = keyslot_open(&config->slots[i], config->id, unlock, master, err);
        if (rc != ORCH_E_ACCESS) {
            return rc;
        }
    }
    if (!secret) {
        return orch_fail(err, ORCH_E_ACCESS,
                         "the repository at %s is encrypted: configure passphrase_file (or "
                         "key_file)",
                         storage_url(storage));
    }
    return orch_fail(err, ORCH_E_ACCESS,
                     "wrong %s for the repository at %s: it opens none of the %zu key slots",
                     unlock->passphrase != NULL ? "passphrase" : "key file", storage_url(storage),
                     config->slot_count);
}

static int32_t repo_read_config(struct storage *storage, struct repo_config *config,
                                struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    int32_t rc = storage_read(storage, REPO_CONFIG_NAME, REPO_CONFIG_MAX, &text, err);
    if (rc == ORCH_E_NOT_FOUND) {
        return orch_fail(err, ORCH_E_NOT_FOUND,
                         "there is no repository at %s (no file config); make one with "
                         "'orchestrate init'",
                         storage_url(storage));
    }
    return rc != ORCH_OK ? rc : repo_config_parse(text.data, text.len, config, err);
}

int32_t repo_open(struct storage *storage, const struct repo_unlock *unlock,
                  const struct repo_known *known, struct repo **out, struct orch_error *err)
{
    CLEANUP_REPO_CONFIG struct repo_config config = {.head = NULL};
    uint8_t master[KEY_BYTES];
    int32_t rc = repo_read_config(storage, &config, err);
    if (rc == ORCH_OK) {
        rc = repo_check_known(storage, &config, unlock, known, err);
    }
    if (rc == ORCH_OK) {
        rc = repo_unlock_master(storage, &config, unlock, master, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct repo *repo = calloc(1, sizeof *repo);
    rc = repo == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory to open a repository")
                      : keys_new(master, config.id, &repo->keys, err);
    OPENSSL_cleanse(master, sizeof master);
    if (rc == ORCH_OK) {
        rc = repo_config_verify(&config, repo->keys, err);
    }
    if (rc != ORCH_OK) {
        repo_close(repo);
        return rc;
    }
    repo->storage = storage;
    repo->algorithm = config.algorithm;
    memcpy(repo->id, config.id, sizeof repo->id);
    *out = repo;
    return ORCH_OK;
}

void repo_close(struct repo *repo)
{
    if (repo != NULL) {
        keys_free(repo->keys);
        free(repo);
    }
}

void repo_cleanup(struct repo **slot)
{
    repo_close(*slot);
}

int32_t repo_verify_config(struct repo *repo, struct orch_error *err)
{
    CLEANUP_REPO_CONFIG struct repo_config config = {.head = NULL};
    int32_t rc = repo_read_config(repo->storage, &config, err);
    if (rc == ORCH_OK &&
        (strcmp(config.id, repo->id) != 0 || config.algorithm != repo->algorithm)) {
        rc = orch_fail(err, ORCH_E_CORRUPT,
                       "the file config at %s was replaced since the repository was opened",
                       storage_url(repo->storage));
    }
    return rc != ORCH_OK ? rc : repo_config_verify(&config, repo->keys, err);
}

const char *repo_id(const struct repo *repo)
{
    return repo->id;
}

bool repo_encrypted(const struct repo *repo)
{
    return repo->algorithm != SEAL_NONE;
}

uint32_t repo_algorithm(const struct repo *repo)
{
    return repo->algorithm;
}

struct storage *repo_storage(struct repo *repo)
{
    return repo->storage;
}

const struct keys *repo_keys(const struct repo *repo)
{
    return repo->keys;
}

int32_t repo_put_document(struct repo *repo, const char *name, enum key_purpose purpose,
                          const json_t *document, uint32_t put_flags, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    int32_t rc = document_seal(repo, name, purpose, document, &bytes, err);
    return rc != ORCH_OK ? rc
                         : storage_put(repo->storage, name, bytes.data, bytes.len, put_flags, err);
}

int32_t repo_get_document(struct repo *repo, const char *name, enum key_purpose purpose,
                          json_t **out, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    int32_t rc = storage_read(repo->storage, name, DOCUMENT_MAX, &bytes, err);
    return rc != ORCH_OK ? rc : document_open(repo, name, purpose, bytes.data, bytes.len, out, err);
}
