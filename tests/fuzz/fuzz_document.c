/*
 * fuzz_document.c: the envelope of sealed documents.
 *
 * The first byte chooses: what stands behind the seal (compressed JSON); a header that is not what
 * it should be, under a seal that fits it; a file that was changed after it was sealed.
 */
#include <string.h>

#include "engine/document.h"
#include "exact.h"
#include "memstore.h"

#define NAME "parts/00112233445566778899aabbccddeeff"
#define HEADER 56u
#define HEADER_FIXED 24u /* before the salt */

static int32_t get(struct memstore *store, enum key_purpose purpose)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *json = NULL;
    int32_t rc = repo_get_document(store->repo, NAME, purpose, &json, &err);
    must((rc == ORCH_OK) == (json != NULL));
    must(rc == ORCH_OK || ((rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION) && err.message[0] != 0));
    json_decref(json);
    return rc;
}

static void try_plain(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *json = NULL;
    uint8_t *exact = exact_bytes(data, size);
    int32_t rc = document_decompress(NAME, exact, size, &json, &err);
    must((rc == ORCH_OK) == (json != NULL));
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT);
    json_decref(json);
    free(exact);
}

/* The seal of a document as docs/repository-format.md has it. */
static void seal_file(struct memstore *store, const uint8_t header[HEADER], const uint8_t *body,
                      size_t len)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES];
    uint8_t key[KEY_BYTES];
    struct seal *seal = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_BUFFER struct buffer ad = BUFFER_INIT;
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    buffer_append(&ad, header, HEADER);
    buffer_append(&ad, MEMSTORE_REPO_ID, strlen(MEMSTORE_REPO_ID));
    buffer_append(&ad, NAME, strlen(NAME));
    buffer_append(&file, header, HEADER);
    uint8_t *room = buffer_reserve(&file, len + SEAL_TAG_BYTES);
    must(!ad.failed && room != NULL);
    must(keys_expand(repo_keys(store->repo), KEY_MANIFEST, header + HEADER_FIXED, 32, NAME, key,
                     &err) == ORCH_OK);
    must(seal_new(SEAL_NONE, key, &seal, &err) == ORCH_OK);
    must(seal_close(seal, nonce, ad.data, ad.len, body, len, room, &err) == ORCH_OK);
    seal_free(seal);
    memstore_set(store, NAME, file.data, file.len + len + SEAL_TAG_BYTES);
}

static void try_header(struct memstore *store, const uint8_t *data, size_t size)
{
    uint8_t header[HEADER] = "ORCHDOC1\x01\0\0\0\x01";
    size_t fixed = size < HEADER_FIXED ? size : HEADER_FIXED;
    bool changed = overlay(header, HEADER_FIXED, data, fixed);
    seal_file(store, header, data + fixed, size - fixed);
    int32_t rc = get(store, KEY_MANIFEST);
    must(!changed || rc != ORCH_OK);
    must(get(store, KEY_CONTROL) != ORCH_OK);
}

static void try_changed(struct memstore *store, const uint8_t *data, size_t size)
{
    json_t *json = json_pack("{s:i, s:s}", "document", 1, "text", "the quick brown fox");
    memstore_set_document(store, NAME, KEY_MANIFEST, json);
    json_decref(json);
    CLEANUP_BUFFER struct buffer file = BUFFER_INIT;
    const struct buffer *sound = memstore_get(store, NAME);
    buffer_append(&file, sound->data, sound->len);
    must(!file.failed && size >= 2);
    size_t at = (data[0] | (size_t)data[1] << 8) % file.len;
    bool changed = overlay(file.data + at, file.len - at, data + 2, size - 2);
    if (size % 4 == 3) { /* and cut */
        file.len = at;
        changed = true;
    }
    memstore_set(store, NAME, file.data, file.len);
    must((get(store, KEY_MANIFEST) == ORCH_OK) == !changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    switch (data[0] % 3) {
    case 0:
        try_plain(data + 1, size - 1);
        break;
    case 1:
        try_header(memstore_fresh(), data + 1, size - 1);
        break;
    default:
        try_changed(memstore_fresh(), data + 1, size - 1);
        break;
    }
    return 0;
}
