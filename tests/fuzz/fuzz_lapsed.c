/*
 * fuzz_lapsed.c: leases that were given up on: the JSON of one, and the file lapsed/LEASE among all
 * of them.
 *
 * The lease that the file is expected to tell of is taken from the input, so that it fits.
 */
#include <stdio.h>
#include <string.h>

#include "engine/markload.h"
#include "fuzz.h"
#include "memstore.h"

/* Ids of sets: one that seeds keep, one that nobody keeps. */
#define KEPT "00112233445566778899aabbccddeeff"
#define LOST "ffffffffffffffffffffffffffffffff"

static int32_t check(struct memstore *store, const char *lease, const char *set, bool *valid)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct lapsed_list *list = NULL;
    must(lapsed_list_load(store->repo, &list, &err) == ORCH_OK);
    int32_t rc = lapsed_list_check(list, lease, set, valid, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    must(rc == ORCH_OK || strstr(err.message, lease) != NULL);
    lapsed_list_free(list);
    return rc;
}

/* What is said of a set must be the same through the file as of its JSON alone. */
static void judge(struct memstore *store, const json_t *json, const char *lease, const char *set)
{
    struct orch_error err = ORCH_ERROR_INIT;
    bool kept = true, valid = true;
    int32_t rc = lapsed_from_json(json, lease, set, "file x", &kept, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    must(check(store, lease, set, &valid) == rc && (rc != ORCH_OK || valid == kept));
    must(check(store, LOST, set, &valid) == ORCH_OK && valid); /* not given up on */
    must(check(store, "", set, &valid) == ORCH_OK && valid);
    if (rc == ORCH_OK) {
        const char *text = json_string_value(json_object_get(json, "kept"));
        json_t *again = lapsed_to_json(lease, text);
        must(lapsed_from_json(again, lease, set, "file x", &valid, &err) == ORCH_OK &&
             valid == kept);
        json_decref(again);
        /* The first word counts. */
        must(lapsed_put(store->repo, lease, &err) == ORCH_OK);
        must(check(store, lease, set, &valid) == ORCH_OK && valid == kept);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[STORAGE_NAME_MAX + 1];
    uint8_t bytes[ID_BYTES];
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    const char *lease = json_string_value(json_object_get(json, "lease"));
    if (lease == NULL || hex_decode(lease, strlen(lease), bytes, sizeof(bytes)) != ORCH_OK ||
        strcmp(lease, LOST) == 0) {
        lease = MEMSTORE_REPO_ID;
    }
    if (json_is_object(json)) {
        struct memstore *store = memstore_fresh();
        (void)snprintf(name, sizeof(name), "lapsed/%s", lease);
        memstore_set_document(store, name, KEY_CONTROL, json);
        judge(store, json, lease, KEPT);
        judge(store, json, lease, LOST);
    }
    json_decref(json);
    return 0;
}
