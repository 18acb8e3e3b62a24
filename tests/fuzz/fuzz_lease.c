/* fuzz_lease.c: leases: the JSON of one, and the file leases/ID among others. */
#include <string.h>

#include "engine/lease.h"
#include "engine/leasefile.h"
#include "fuzz.h"
#include "memstore.h"

#define NAME "leases/00112233445566778899aabbccddeeff"

static void check_same(const struct lease_file *a, const struct lease_file *b)
{
    must(strcmp(a->id, b->id) == 0 && strcmp(a->run_id, b->run_id) == 0 &&
         strcmp(a->work, b->work) == 0 && strcmp(a->host, b->host) == 0 &&
         strcmp(a->process.boot_id, b->process.boot_id) == 0 &&
         strcmp(a->process.namespace_id, b->process.namespace_id) == 0);
    must(a->process.pid == b->process.pid && a->process.start_ticks == b->process.start_ticks &&
         a->renewals == b->renewals && a->ttl_ms == b->ttl_ms && a->started_ns == b->started_ns);
}

/* The file as others see it: listed, or left out with a warning; and swept away if its process is
 * dead. */
static void load(const json_t *json, const struct lease_file *file)
{
    struct memstore *store = memstore_fresh();
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *list = NULL;
    memstore_set_document(store, NAME, KEY_CONTROL, json);
    must(lease_list(store->repo, &list, &err) == ORCH_OK);
    must(json_array_size(list) == (file != NULL && !process_gone(&file->process) ? 1 : 0));
    json_decref(list);
    lease_sweep(store->repo);
    must((memstore_get(store, NAME) == NULL) == (file != NULL && process_gone(&file->process)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct lease_file file = {0}, again = {0};
    json_t *json =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (json == NULL) {
        return 0;
    }
    int32_t rc = lease_file_from_json(json, "a lease", &file, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    if (json_is_object(json)) {
        load(json, rc == ORCH_OK ? &file : NULL);
    }
    if (rc == ORCH_OK) {
        json_t *text = lease_file_to_json(&file);
        must(text != NULL && lease_file_from_json(text, "a lease", &again, &err) == ORCH_OK);
        check_same(&file, &again);
        json_decref(text);
    }
    json_decref(json);
    return 0;
}
