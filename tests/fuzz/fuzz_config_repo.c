/*
 * fuzz_config_repo.c: the repository's file `config`.
 *
 * An input that is a JSON object has the fields of the head, and in `copy` those of the sealed copy
 * where they shall differ: the file is put together from them, sealed, and opened as a repository.
 * Any other input is tried as a whole file, whose checksum is nearly always wrong, and as the head
 * of one whose rest and checksum are made to fit.
 */
#include <openssl/evp.h>
#include <string.h>

#include "engine/repo_config.h"
#include "fuzz.h"
#include "memstore.h"

#define SHA_DIGITS ((size_t)2 * REPO_CONFIG_SHA_BYTES)
#define MIDDLE "\",\n  \"checksum\": \""
#define END "\"\n}\n"
#define SALT_BYTES 32u

static const uint8_t master[KEY_BYTES] = {7, 7, 7};
static const uint8_t key_file[KEY_BYTES] = {9, 8, 7};

struct fixture {
    struct keys *keys;
    struct buffer text; /* a sound file */
    size_t head_len;
};

static int32_t parse(const struct fixture *fixture, const void *text, size_t len)
{
    CLEANUP_REPO_CONFIG struct repo_config config = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = repo_config_parse(text, len, &config, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    if (rc != ORCH_OK) {
        return rc;
    }
    must(config.slot_count <= REPO_CONFIG_SLOTS_MAX && config.required_features == 0 &&
         strlen(config.id) == ID_TEXT - 1);
    for (size_t i = 0; i < config.slot_count; i++) {
        must((config.slots[i].type == KEYSLOT_CLEAR) == (config.algorithm == SEAL_NONE));
    }
    return repo_config_verify(&config, fixture->keys, &err);
}

static void append_sha(struct buffer *text, size_t covered)
{
    uint8_t digest[REPO_CONFIG_SHA_BYTES];
    char hex[SHA_DIGITS + 1];
    must(!text->failed && EVP_Digest(text->data, covered, digest, NULL, EVP_sha256(), NULL) == 1);
    hex_encode(digest, sizeof(digest), hex);
    buffer_append(text, hex, SHA_DIGITS);
}

/* `head` with the rest of the sound file, and the checksum that this text must have. */
static int32_t parse_head(const struct fixture *fixture, const void *head, size_t len)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    size_t rest = fixture->text.len - strlen(END) - SHA_DIGITS - fixture->head_len;
    buffer_append(&text, head, len);
    buffer_append(&text, fixture->text.data + fixture->head_len, rest);
    append_sha(&text, text.len);
    buffer_append(&text, END, strlen(END));
    must(!text.failed);
    return parse(fixture, text.data, text.len);
}

/* ---- a file from its fields ---- */

/* Appends the hexadecimal of the sealed `fields` and of the head's digest. */
static void append_copy(const struct fixture *fixture, uint32_t algorithm, const char *id,
                        json_t *fields, struct buffer *text)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t salt[SALT_BYTES] = {3}, key[KEY_BYTES], digest[REPO_CONFIG_SHA_BYTES];
    char hex[SHA_DIGITS + 1];
    struct seal *seal = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    must(EVP_Digest(text->data, text->len, digest, NULL, EVP_sha256(), NULL) == 1);
    hex_encode(digest, sizeof(digest), hex);
    if (json_object_get(fields, "head_sha256") == NULL) {
        (void)json_object_set_new(fields, "head_sha256", json_string(hex));
    }
    char *plain = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
    must(plain != NULL);
    size_t len = strlen(plain) + SEAL_TAG_BYTES;
    uint8_t *sealed = malloc(len);
    char *digits = malloc(2 * len + 1);
    must(sealed != NULL && digits != NULL);
    must(keys_expand(fixture->keys, KEY_CONTROL, salt, sizeof(salt), "config copy", key, &err) ==
             ORCH_OK &&
         seal_new(algorithm, key, &seal, &err) == ORCH_OK &&
         seal_close(seal, nonce, id, strlen(id), plain, strlen(plain), sealed, &err) == ORCH_OK);
    seal_free(seal);
    hex_encode(salt, sizeof(salt), hex);
    hex_encode(sealed, len, digits);
    buffer_append(text, hex, sizeof(salt) * 2);
    buffer_append(text, digits, 2 * len);
    free(plain);
    free(sealed);
    free(digits);
}

/* True: the file was put together. */
static bool compose(const struct fixture *fixture, const json_t *fields, const json_t *copy,
                    struct buffer *text)
{
    const char *id = json_string_value(json_object_get(fields, "id"));
    const char *encryption = json_string_value(json_object_get(fields, "encryption"));
    bool sealed = encryption != NULL && strcmp(encryption, "aes-256-gcm") == 0;
    json_t *sealed_fields = json_deep_copy(json_is_object(copy) ? copy : fields);
    char *head = json_dumps(fields, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    size_t len = head == NULL ? 0 : strlen(head);
    bool good = len > 2;
    if (good) {
        buffer_append(text, head, len - 2);
        buffer_printf(text, ",\n  \"sealed\": \"");
        append_copy(fixture, sealed ? SEAL_AES_256_GCM : SEAL_NONE, id == NULL ? "" : id,
                    sealed_fields, text);
        buffer_printf(text, "%s", MIDDLE);
        append_sha(text, text->len);
        buffer_printf(text, "%s", END);
        must(!text->failed);
    }
    free(head);
    json_decref(sealed_fields);
    return good;
}

/* Opening a repository may cost scrypt's time: not here. */
static bool has_scrypt(const json_t *fields)
{
    const json_t *slots = json_object_get(fields, "key_slots");
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const char *type = json_string_value(json_object_get(json_array_get(slots, i), "type"));
        if (type != NULL && strcmp(type, "scrypt") == 0) {
            return true;
        }
    }
    return false;
}

static void open_repo(const struct buffer *text, const json_t *fields)
{
    struct memstore *store = memstore_fresh();
    static const struct repo_unlock unlocks[] = {{0}, {.key = key_file}, {.passphrase = "x"}};
    struct repo_known known = {.id = MEMSTORE_REPO_ID, .encrypted = true};
    CLEANUP_BUFFER struct buffer sound = BUFFER_INIT;
    const struct buffer *own = memstore_get(store, REPO_CONFIG_NAME);
    buffer_append(&sound, own->data, own->len);
    memstore_set(store, REPO_CONFIG_NAME, text->data, text->len);
    for (size_t i = 0; i < (has_scrypt(fields) ? 2 : 3); i++) {
        struct repo *repo = NULL;
        struct orch_error err = ORCH_ERROR_INIT;
        if (repo_open(store->storage, &unlocks[i], NULL, &repo, &err) == ORCH_OK) {
            must(repo_verify_config(repo, &err) == ORCH_OK);
            must(repo_encrypted(repo) == (i > 0));
            repo_close(repo);
            repo = NULL;
        }
        if (repo_open(store->storage, &unlocks[i], &known, &repo, &err) == ORCH_OK) {
            must(repo_encrypted(repo) && strcmp(repo_id(repo), known.id) == 0);
            repo_close(repo);
        }
    }
    memstore_set(store, REPO_CONFIG_NAME, sound.data, sound.len); /* the store is used again */
}

/* A slot that is the text "key file" becomes one that opens. */
static void fill_slots(json_t *fields)
{
    json_t *slots = json_object_get(fields, "key_slots");
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const char *text = json_string_value(json_array_get(slots, i));
        if (text != NULL && strcmp(text, "key file") == 0) {
            struct repo_unlock unlock = {.key = key_file};
            struct keyslot slot;
            struct orch_error err = ORCH_ERROR_INIT;
            must(keyslot_make(MEMSTORE_REPO_ID, &unlock, 0, master, &slot, &err) == ORCH_OK);
            (void)json_array_set_new(slots, i, keyslot_to_json(&slot));
        }
    }
}

static void try_fields(const struct fixture *fixture, json_t *fields)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    json_t *copy = json_incref(json_object_get(fields, "copy"));
    if (copy != NULL) {
        (void)json_object_del(fields, "copy");
    }
    fill_slots(fields);
    if (compose(fixture, fields, copy, &text)) {
        int32_t rc = parse(fixture, text.data, text.len);
        must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
        must(rc != ORCH_OK || !json_is_object(copy) || json_object_get(copy, "head_sha256") ||
             json_equal(copy, fields));
        open_repo(&text, fields);
    }
    json_decref(copy);
}

/* ---- */

static void make(struct fixture *fixture)
{
    struct repo_config config = {.id = MEMSTORE_REPO_ID, .algorithm = SEAL_NONE, .slot_count = 1};
    struct repo_unlock unlock = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    must(keys_new(master, config.id, &fixture->keys, &err) == ORCH_OK);
    must(keyslot_make(config.id, &unlock, 0, master, &config.slots[0], &err) == ORCH_OK);
    must(repo_config_format(&config, fixture->keys, &fixture->text, &err) == ORCH_OK);
    const char *key = memmem(fixture->text.data, fixture->text.len, "\"sealed\"", 8);
    must(key != NULL);
    fixture->head_len = (size_t)(key - (const char *)fixture->text.data);
    /* What is put together here is a file as the program writes it. */
    must(parse_head(fixture, fixture->text.data, fixture->head_len) == ORCH_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture fixture;
    if (fixture.keys == NULL) {
        make(&fixture);
    }
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json)) {
        try_fields(&fixture, json);
    } else {
        (void)parse(&fixture, data, size);
        (void)parse_head(&fixture, data, size);
    }
    json_decref(json);
    return 0;
}
