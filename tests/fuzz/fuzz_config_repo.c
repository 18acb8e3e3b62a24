/*
 * fuzz_config_repo.c: the repository's file `config` and its key slots.
 *
 * The input is tried as a whole file, whose checksum is nearly always wrong, and as the head of
 * one whose rest and checksum are made to fit.
 */
#include <openssl/evp.h>
#include <string.h>

#include "engine/repo_config.h"
#include "fuzz.h"

#define ID "00112233445566778899aabbccddeeff"
#define SHA_DIGITS ((size_t)2 * REPO_CONFIG_SHA_BYTES)
#define END_BYTES 4u /* behind the checksum */

static const uint8_t master[KEY_BYTES] = {7, 7, 7};

struct fixture {
    struct keys *keys;
    struct buffer text; /* a sound file */
    size_t head_len;
};

static int32_t parse(const struct fixture *fixture, const void *text, size_t len)
{
    CLEANUP_REPO_CONFIG struct repo_config config = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct repo_unlock unlock = {.key = master};
    uint8_t opened[KEY_BYTES];
    int32_t rc = repo_config_parse(text, len, &config, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    if (rc != ORCH_OK) {
        return rc;
    }
    must(config.slot_count <= REPO_CONFIG_SLOTS_MAX);
    for (size_t i = 0; i < config.slot_count; i++) {
        (void)!keyslot_open(&config.slots[i], config.id, &unlock, opened, &err);
        json_t *json = keyslot_to_json(&config.slots[i]);
        struct keyslot again;
        must(keyslot_from_json(json, &again, &err) == ORCH_OK);
        json_decref(json);
    }
    return repo_config_verify(&config, fixture->keys, &err);
}

/* `head` with the rest of the sound file, and the checksum that this text must have. */
static int32_t parse_head(const struct fixture *fixture, const void *head, size_t len)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    uint8_t digest[REPO_CONFIG_SHA_BYTES];
    char hex[SHA_DIGITS + 1];
    buffer_append(&text, head, len);
    buffer_append(&text, fixture->text.data + fixture->head_len,
                  fixture->text.len - fixture->head_len);
    must(!text.failed);
    size_t covered = text.len - END_BYTES - SHA_DIGITS;
    must(EVP_Digest(text.data, covered, digest, NULL, EVP_sha256(), NULL) == 1);
    hex_encode(digest, sizeof(digest), hex);
    memcpy(text.data + covered, hex, SHA_DIGITS);
    return parse(fixture, text.data, text.len);
}

static void make(struct fixture *fixture)
{
    struct repo_config config = {.id = ID, .algorithm = SEAL_NONE, .slot_count = 1};
    struct repo_unlock unlock = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    must(keys_new(master, ID, &fixture->keys, &err) == ORCH_OK);
    must(keyslot_make(ID, &unlock, 0, master, &config.slots[0], &err) == ORCH_OK);
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
    (void)parse(&fixture, data, size);
    (void)parse_head(&fixture, data, size);
    return 0;
}
