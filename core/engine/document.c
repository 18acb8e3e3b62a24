/* document.c: see document.h. */
#include "engine/document.h"

#include <openssl/crypto.h>
#include <string.h>
#include <zstd.h>

static const char document_magic[8] = {'O', 'R', 'C', 'H', 'D', 'O', 'C', '1'};

#define DOCUMENT_VERSION 1u
#define DOCUMENT_SALT_AT 24u
#define DOCUMENT_SALT_BYTES 32u
#define DOCUMENT_HEADER (DOCUMENT_SALT_AT + DOCUMENT_SALT_BYTES)
#define DOCUMENT_LEVEL 3

/* Purposes as they stand in the file; 0: no documents are sealed for this purpose. */
static uint32_t document_purpose(enum key_purpose purpose)
{
    return purpose == KEY_MANIFEST ? 1 : purpose == KEY_CONTROL ? 2 : 0;
}

/* The key is fresh with each salt, so that a fixed nonce is used once. */
static const uint8_t document_nonce[SEAL_NONCE_BYTES] = {0};

/* What is bound to a document beside its content: header, repository, name. */
static void document_ad(const struct repo *repo, const char *name, const uint8_t *header,
                        struct buffer *ad)
{
    buffer_append(ad, header, DOCUMENT_HEADER);
    buffer_append(ad, repo_id(repo), ID_TEXT - 1);
    buffer_append(ad, name, strlen(name));
}

static int32_t document_key(const struct repo *repo, const char *name, enum key_purpose purpose,
                            const uint8_t *salt, struct seal **out, struct orch_error *err)
{
    uint8_t key[KEY_BYTES];
    int32_t rc = keys_expand(repo_keys(repo), purpose, salt, DOCUMENT_SALT_BYTES, name, key, err);
    if (rc == ORCH_OK) {
        rc = seal_new(repo_algorithm(repo), key, out, err);
    }
    OPENSSL_cleanse(key, sizeof key);
    return rc;
}

/* Appends the compressed text, with room for a tag behind it. */
static int32_t document_compress(const json_t *document, const char *name, struct buffer *out,
                                 struct orch_error *err)
{
    CLEANUP_FREE char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to write %s", name);
    }
    size_t len = strlen(text);
    if (len > DOCUMENT_PLAIN_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "%s would have %zu bytes; the most is %zu", name, len,
                         DOCUMENT_PLAIN_MAX);
    }
    size_t bound = ZSTD_compressBound(len);
    uint8_t *space = buffer_reserve(out, bound + SEAL_TAG_BYTES);
    if (space == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to write %s", name);
    }
    size_t size = ZSTD_compress(space, bound, text, len, DOCUMENT_LEVEL);
    if (ZSTD_isError(size)) {
        return orch_fail(err, ORCH_E_FAILED, "cannot compress %s: %s", name,
                         ZSTD_getErrorName(size));
    }
    out->len += size;
    return ORCH_OK;
}

int32_t document_seal(const struct repo *repo, const char *name, enum key_purpose purpose,
                      const json_t *document, struct buffer *out, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer ad = BUFFER_INIT;
    uint8_t salt[DOCUMENT_SALT_BYTES];
    size_t start = out->len;
    struct seal *seal = NULL;
    if (document_purpose(purpose) == 0) {
        return orch_fail(err, ORCH_E_INVALID, "%s has no purpose that documents have", name);
    }
    int32_t rc = id_random(salt, sizeof salt, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    buffer_append(out, document_magic, sizeof document_magic);
    buffer_u32(out, DOCUMENT_VERSION);
    buffer_u32(out, document_purpose(purpose));
    buffer_u32(out, repo_algorithm(repo));
    buffer_u32(out, 0);
    buffer_append(out, salt, sizeof salt);
    rc = document_compress(document, name, out, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    document_ad(repo, name, out->data + start, &ad);
    if (ad.failed || out->failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to write %s", name);
    }
    rc = document_key(repo, name, purpose, salt, &seal, err);
    if (rc == ORCH_OK) {
        uint8_t *body = out->data + start + DOCUMENT_HEADER;
        rc = seal_close(seal, document_nonce, ad.data, ad.len, body,
                        out->len - start - DOCUMENT_HEADER, body, err);
        out->len += SEAL_TAG_BYTES; /* document_compress left the room */
    }
    seal_free(seal);
    return rc;
}

static int32_t document_damaged(struct orch_error *err, const char *name, const char *why)
{
    return orch_fail(err, ORCH_E_CORRUPT,
                     "repository file %s is damaged (%s); restore it from another copy of the "
                     "repository",
                     name, why);
}

/* From authenticated bytes to JSON, within bounds all the same. */
int32_t document_decompress(const char *name, const uint8_t *bytes, size_t len, json_t **json,
                            struct orch_error *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(bytes, len);
    if (size > DOCUMENT_PLAIN_MAX) { /* the two error values are huge */
        return document_damaged(err, name, "its length makes no sense");
    }
    CLEANUP_FREE char *text = malloc((size_t)size + 1);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", name);
    }
    size_t got = ZSTD_decompress(text, (size_t)size, bytes, len);
    if (ZSTD_isError(got) || got != size) {
        return document_damaged(err, name, "it does not decompress");
    }
    json_error_t wrong;
    *json = json_loadb(text, got, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
    return *json != NULL ? ORCH_OK : document_damaged(err, name, "it holds no JSON");
}

int32_t document_open(const struct repo *repo, const char *name, enum key_purpose purpose,
                      const void *bytes, size_t len, json_t **json, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer ad = BUFFER_INIT;
    const uint8_t *header = bytes;
    struct seal *seal = NULL;
    if (len < DOCUMENT_HEADER + SEAL_TAG_BYTES) {
        return document_damaged(err, name, "it is cut short");
    }
    if (memcmp(header, document_magic, sizeof document_magic) != 0) {
        return document_damaged(err, name, "it is no sealed document");
    }
    uint32_t version = get_le32(header + 8);
    size_t sealed_len = len - DOCUMENT_HEADER;
    CLEANUP_FREE uint8_t *plain = malloc(sealed_len);
    document_ad(repo, name, header, &ad);
    if (plain == NULL || ad.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", name);
    }
    int32_t rc = document_key(repo, name, purpose, header + DOCUMENT_SALT_AT, &seal, err);
    if (rc == ORCH_OK) {
        rc = seal_open(seal, document_nonce, ad.data, ad.len, header + DOCUMENT_HEADER, sealed_len,
                       plain, err);
    }
    seal_free(seal);
    /* The version is judged once the seal has vouched for it: a flipped bit is damage. */
    if (rc == ORCH_E_CORRUPT) {
        return document_damaged(err, name,
                                version <= DOCUMENT_VERSION
                                    ? "its seal does not open"
                                    : "its seal does not open, or a newer program wrote it");
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (version != DOCUMENT_VERSION || get_le32(header + 12) != document_purpose(purpose) ||
        get_le32(header + 16) != repo_algorithm(repo) || get_le32(header + 20) != 0) {
        return orch_fail(err, ORCH_E_VERSION,
                         "repository file %s was written by a newer program (document version %u); "
                         "use a newer version of orchestrate",
                         name, version);
    }
    return document_decompress(name, plain, sealed_len - SEAL_TAG_BYTES, json, err);
}
