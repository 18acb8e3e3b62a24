/*
 * fuzz_proof.c: proofs, files proofs/SET. What was read is stored again and must read the same.
 *
 * The set that the file is expected to tell of is taken from the input, so that it fits.
 */
#include <stdio.h>
#include <string.h>

#include "engine/proof.h"
#include "fuzz.h"
#include "memstore.h"

static void use(struct memstore *store, const struct proof *proof)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct proof again;
    must(strlen(proof->set) == ID_TEXT - 1 && proof->level <= CHECK_DATA);
    must(memchr(proof->host, 0, sizeof(proof->host)) != NULL);
    must(!proof_is_full(proof) || (proof->good && !proof->own));
    must(proof_store(store->repo, proof, &err) == ORCH_OK);
    must(proof_load(store->repo, proof->set, &again, &err) == ORCH_OK);
    must(strcmp(proof->set, again.set) == 0 && proof->good == again.good &&
         proof->level == again.level && proof->own == again.own && proof->at_ns == again.at_ns &&
         strcmp(proof->run_id, again.run_id) == 0 && strcmp(proof->host, again.host) == 0);
    must(proof_remove(store->repo, proof->set, &err) == ORCH_OK);
    must(proof_load(store->repo, proof->set, &again, &err) == ORCH_E_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct proof proof;
    char name[STORAGE_NAME_MAX + 1];
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    const char *set = json_string_value(json_object_get(json, "set"));
    if (json_is_object(json)) {
        struct memstore *store = memstore_fresh();
        set = set == NULL ? "" : set;
        (void)snprintf(name, sizeof(name), "proofs/%s", set);
        if (storage_name_ok(name)) {
            memstore_set_document(store, name, KEY_CONTROL, json);
        }
        int32_t rc = proof_load(store->repo, set, &proof, &err);
        must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION || rc == ORCH_E_INVALID);
        if (rc == ORCH_OK) {
            use(store, &proof);
        } else {
            must(proof.set[0] == 0 && !proof_is_full(&proof));
        }
    }
    json_decref(json);
    return 0;
}
