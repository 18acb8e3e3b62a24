/* repo_config.c: see repo_config.h. */
#include "engine/repo_config.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "engine/field.h"

#define CONFIG_SEALED_KEY "\"sealed\": \""
#define CONFIG_MIDDLE "\",\n  \"checksum\": \""
#define CONFIG_END "\"\n}\n"
#define CONFIG_SALT_BYTES 32u
#define CONFIG_LABEL "config copy"
#define CONFIG_WARNING                                                                             \
    "THIS REPOSITORY IS NOT ENCRYPTED. Whoever can read these files can read every backup in it."

#define CONFIG_RESTORE_HINT                                                                        \
    "restore the file from a copy of the repository, or from another replica"

void repo_config_clear(struct repo_config *config)
{
    json_decref(config->head);
    config->head = NULL;
    buffer_free(&config->sealed);
    OPENSSL_cleanse(config->slots, sizeof config->slots); /* a clear slot holds the key */
}

static const char *algorithm_name(uint32_t algorithm)
{
    return algorithm == SEAL_NONE ? "none" : "aes-256-gcm";
}

static bool sha256(const void *data, size_t len, uint8_t out[REPO_CONFIG_SHA_BYTES])
{
    return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1;
}

/* The fields of the head, as JSON. */
static json_t *config_fields(const struct repo_config *config)
{
    json_t *json = json_object();
    json_t *slots = json_array();
    bool good = slots != NULL && fields_put_u64(json, "format", REPO_FORMAT) &&
                fields_put_u64(json, "required_features", config->required_features) &&
                fields_put_text(json, "id", config->id) &&
                fields_put_text(json, "encryption", algorithm_name(config->algorithm));
    if (good && config->algorithm == SEAL_NONE) {
        good = fields_put_text(json, "warning", CONFIG_WARNING);
    }
    for (size_t i = 0; good && i < config->slot_count; i++) {
        good = json_array_append_new(slots, keyslot_to_json(&config->slots[i])) == 0;
    }
    good = good && json_object_set(json, "key_slots", slots) == 0;
    json_decref(slots);
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* Appends the head: the fields' text without its closing brace, and the name of the next field. */
static bool config_head(const json_t *json, struct buffer *out)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len < 2) {
        free(text);
        return false;
    }
    buffer_append(out, text, len - 2); /* without newline and brace */
    buffer_printf(out, ",\n  %s", CONFIG_SEALED_KEY);
    OPENSSL_cleanse(text, len);
    free(text);
    return !out->failed;
}

/* The key and the additional data of the sealed copy. */
static int32_t copy_seal(const struct keys *keys, uint32_t algorithm, const uint8_t *salt,
                         struct seal **out, struct orch_error *err)
{
    uint8_t key[KEY_BYTES];
    int32_t rc = keys_expand(keys, KEY_CONTROL, salt, CONFIG_SALT_BYTES, CONFIG_LABEL, key, err);
    if (rc == ORCH_OK) {
        rc = seal_new(algorithm, key, out, err);
    }
    OPENSSL_cleanse(key, sizeof key);
    return rc;
}

/* The key is fresh with each salt, so that a fixed nonce is used once. */
static const uint8_t copy_nonce[SEAL_NONCE_BYTES] = {0};

/* Appends the sealed copy, in hexadecimal: the head's fields and the digest of its bytes. */
static int32_t config_seal_copy(const struct repo_config *config, const struct keys *keys,
                                json_t *fields, const uint8_t head_sha256[REPO_CONFIG_SHA_BYTES],
                                struct buffer *out, struct orch_error *err)
{
    uint8_t salt[CONFIG_SALT_BYTES];
    struct seal *seal = NULL;
    CLEANUP_FREE char *plain = NULL;
    if (fields_put_hex(fields, "head_sha256", head_sha256, REPO_CONFIG_SHA_BYTES)) {
        plain = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
    }
    size_t len = plain == NULL ? 0 : strlen(plain);
    CLEANUP_FREE uint8_t *sealed = malloc(len + SEAL_TAG_BYTES);
    CLEANUP_FREE char *hex = malloc(2 * (sizeof salt + len + SEAL_TAG_BYTES) + 1);
    if (plain == NULL || sealed == NULL || hex == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the repository's config");
    }
    int32_t rc = id_random(salt, sizeof salt, err);
    if (rc == ORCH_OK) {
        rc = copy_seal(keys, config->algorithm, salt, &seal, err);
    }
    if (rc == ORCH_OK) {
        rc = seal_close(seal, copy_nonce, config->id, strlen(config->id), plain, len, sealed, err);
    }
    seal_free(seal);
    OPENSSL_cleanse(plain, len);
    if (rc == ORCH_OK) {
        hex_encode(salt, sizeof salt, hex);
        hex_encode(sealed, len + SEAL_TAG_BYTES, hex + 2 * sizeof salt);
        buffer_append(out, hex, strlen(hex));
    }
    return rc;
}

int32_t repo_config_format(const struct repo_config *config, const struct keys *keys,
                           struct buffer *out, struct orch_error *err)
{
    uint8_t digest[REPO_CONFIG_SHA_BYTES];
    char hex[2 * REPO_CONFIG_SHA_BYTES + 1];
    json_t *fields = config_fields(config);
    int32_t rc = fields != NULL && config_head(fields, out) && sha256(out->data, out->len, digest)
                     ? ORCH_OK
                     : orch_fail(err, ORCH_E_NOMEM, "no memory for the repository's config");
    if (rc == ORCH_OK) {
        rc = config_seal_copy(config, keys, fields, digest, out, err);
    }
    json_decref(fields);
    if (rc != ORCH_OK) {
        return rc;
    }
    buffer_printf(out, "%s", CONFIG_MIDDLE);
    if (out->failed || !sha256(out->data, out->len, digest)) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the repository's config");
    }
    hex_encode(digest, sizeof digest, hex);
    buffer_printf(out, "%s%s", hex, CONFIG_END);
    return out->failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for the repository's config")
                       : ORCH_OK;
}

static int32_t config_damaged(struct orch_error *err, const char *where)
{
    return orch_fail(err, ORCH_E_CORRUPT,
                     "the repository's file config is damaged %s; " CONFIG_RESTORE_HINT, where);
}

/* Tells, for a text whose checksum is wrong, about where it broke. */
static int32_t config_locate_damage(const char *text, size_t len, struct orch_error *err)
{
    char where[200];
    json_error_t wrong;
    struct orch_error slot_error = ORCH_ERROR_INIT;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &wrong);
    const char *const names[] = {"format", "required_features", "id", "encryption", "key_slots",
                                 "sealed", "checksum"};
    (void)snprintf(where, sizeof where, "(its checksum is wrong)");
    if (json == NULL) {
        (void)snprintf(where, sizeof where, "at or near line %d (%.100s)", wrong.line, wrong.text);
    }
    for (size_t i = 0; json != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (json_object_get(json, names[i]) == NULL) {
            (void)snprintf(where, sizeof where, "at or near field \"%s\", which is gone", names[i]);
            break;
        }
    }
    json_t *slots = json_object_get(json, "key_slots");
    for (size_t i = 0; i < json_array_size(slots); i++) {
        struct keyslot slot;
        if (keyslot_from_json(json_array_get(slots, i), &slot, &slot_error) != ORCH_OK) {
            (void)snprintf(where, sizeof where, "at or near key slot %zu", i + 1);
        }
    }
    json_decref(json);
    return config_damaged(err, where);
}

/* Finds `what` in the text; NULL when it is not there. */
static const char *find_text(const char *text, size_t len, const char *what)
{
    return memmem(text, len, what, strlen(what));
}

/* Checks the frame and the checksum; gives the head's length and the hexadecimal of the copy. */
static int32_t config_split(const char *text, size_t len, size_t *head_len, const char **sealed,
                            size_t *sealed_len, struct orch_error *err)
{
    const size_t middle_len = strlen(CONFIG_MIDDLE);
    const size_t end_len = strlen(CONFIG_END);
    const size_t tail_len = middle_len + (size_t)2 * REPO_CONFIG_SHA_BYTES + end_len;
    uint8_t stated[REPO_CONFIG_SHA_BYTES];
    uint8_t actual[REPO_CONFIG_SHA_BYTES];
    const char *key = find_text(text, len, CONFIG_SEALED_KEY);
    if (len < tail_len || key == NULL) {
        return config_locate_damage(text, len, err);
    }
    const char *tail = text + len - tail_len;
    *head_len = (size_t)(key - text) + strlen(CONFIG_SEALED_KEY);
    *sealed = text + *head_len;
    if (*sealed > tail || memcmp(tail, CONFIG_MIDDLE, middle_len) != 0 ||
        memcmp(text + len - end_len, CONFIG_END, end_len) != 0 ||
        hex_decode(tail + middle_len, (size_t)2 * REPO_CONFIG_SHA_BYTES, stated, sizeof stated) !=
            ORCH_OK ||
        !sha256(text, len - tail_len + middle_len, actual) ||
        memcmp(stated, actual, sizeof stated) != 0) {
        return config_locate_damage(text, len, err);
    }
    *sealed_len = (size_t)(tail - *sealed);
    return ORCH_OK;
}

/* The format and the features come first: what follows them may have another shape. */
static int32_t config_check_version(struct fields *f, struct repo_config *out,
                                    struct orch_error *err)
{
    uint64_t format = fields_u64(f, "format");
    if (format != REPO_FORMAT && f->bad[0] == '\0') {
        return orch_fail(err, ORCH_E_VERSION,
                         "the repository has format %llu and this program handles format %u; use a "
                         "version of orchestrate that fits",
                         (unsigned long long)format, REPO_FORMAT);
    }
    out->required_features = fields_u64(f, "required_features");
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t mask = UINT64_C(1) << bit;
        if ((out->required_features & mask & ~REPO_FEATURES_KNOWN) != 0) {
            return orch_fail(err, ORCH_E_VERSION,
                             "the repository requires feature bit %u, which this program does not "
                             "know; use a newer version of orchestrate",
                             bit);
        }
    }
    return ORCH_OK;
}

static int32_t config_read_slots(struct fields *f, struct repo_config *out, struct orch_error *err)
{
    const json_t *slots = fields_array(f, "key_slots", REPO_CONFIG_SLOTS_MAX);
    for (size_t i = 0; i < json_array_size(slots); i++) {
        struct keyslot *slot = &out->slots[out->slot_count];
        int32_t rc = keyslot_from_json(json_array_get(slots, i), slot, err);
        if (rc == ORCH_E_VERSION) {
            continue; /* another slot may do */
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        if ((slot->type == KEYSLOT_CLEAR) != (out->algorithm == SEAL_NONE)) {
            fields_reject(f, "key_slots", "does not fit the encryption");
        }
        out->slot_count++;
    }
    return ORCH_OK;
}

int32_t repo_config_parse(const void *data, size_t len, struct repo_config *out,
                          struct orch_error *err)
{
    const char *text = data;
    size_t head_len = 0;
    const char *sealed = NULL;
    size_t sealed_len = 0;
    int32_t rc = config_split(text, len, &head_len, &sealed, &sealed_len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    json_error_t wrong;
    out->head = json_loadb(text, len, JSON_REJECT_DUPLICATES, &wrong);
    if (out->head == NULL) {
        return config_locate_damage(text, len, err);
    }
    char encryption[32];
    struct fields f = fields_over(out->head, "the repository's file config");
    rc = config_check_version(&f, out, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    fields_id(&f, "id", out->id, false);
    fields_text(&f, "encryption", encryption, sizeof encryption);
    if (strcmp(encryption, algorithm_name(SEAL_NONE)) == 0) {
        out->algorithm = SEAL_NONE;
    } else if (strcmp(encryption, algorithm_name(SEAL_AES_256_GCM)) == 0) {
        out->algorithm = SEAL_AES_256_GCM;
    } else {
        fields_reject(&f, "encryption", "names no encryption that this program knows");
    }
    rc = config_read_slots(&f, out, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t bytes = sealed_len / 2;
    uint8_t *space = buffer_reserve(&out->sealed, bytes + 1);
    if (space == NULL || !sha256(text, head_len, out->head_sha256)) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the repository's config");
    }
    if (bytes < CONFIG_SALT_BYTES + SEAL_TAG_BYTES ||
        hex_decode(sealed, sealed_len, space, bytes) != ORCH_OK) {
        fields_reject(&f, "sealed", "is no lower-case hexadecimal of a sealed copy");
    }
    out->sealed.len = bytes;
    /* What is left are the fields of the head. */
    (void)json_object_del(out->head, "sealed");
    (void)json_object_del(out->head, "checksum");
    return fields_end(&f, err);
}

int32_t repo_config_verify(const struct repo_config *config, const struct keys *keys,
                           struct orch_error *err)
{
    struct seal *seal = NULL;
    const uint8_t *sealed = config->sealed.data + CONFIG_SALT_BYTES;
    size_t len = config->sealed.len - CONFIG_SALT_BYTES;
    CLEANUP_FREE uint8_t *plain = malloc(len);
    if (plain == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the repository's config");
    }
    int32_t rc = copy_seal(keys, config->algorithm, config->sealed.data, &seal, err);
    if (rc == ORCH_OK) {
        rc = seal_open(seal, copy_nonce, config->id, strlen(config->id), sealed, len, plain, err);
    }
    seal_free(seal);
    if (rc != ORCH_OK) {
        return rc == ORCH_E_CORRUPT ? config_damaged(err, "in field \"sealed\"") : rc;
    }
    uint8_t head_sha256[REPO_CONFIG_SHA_BYTES];
    json_error_t wrong;
    json_t *copy = json_loadb((const char *)plain, len - SEAL_TAG_BYTES, 0, &wrong);
    OPENSSL_cleanse(plain, len);
    struct fields f = fields_over(copy, "the sealed copy of the repository's config");
    fields_hex(&f, "head_sha256", head_sha256, sizeof head_sha256);
    rc = fields_end(&f, err);
    (void)json_object_del(copy, "head_sha256");
    if (rc == ORCH_OK && (memcmp(head_sha256, config->head_sha256, sizeof head_sha256) != 0 ||
                          !json_equal(copy, config->head))) {
        rc = orch_fail(err, ORCH_E_CORRUPT,
                       "the repository's file config was changed: it differs from the sealed copy "
                       "in it; " CONFIG_RESTORE_HINT);
    }
    json_decref(copy);
    return rc;
}
