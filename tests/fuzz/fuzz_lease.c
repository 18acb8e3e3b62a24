/* fuzz_lease.c: leases: the JSON of one, and the file leases/ID as it is listed and waited for. */
#include <string.h>

#include "engine/lease.h"
#include "engine/leasefile.h"
#include "fuzz.h"
#include "memstore.h"

#define NAME "leases/00112233445566778899aabbccddeeff"
#define MARK "00112233445566778899aabbccddeeff"

static void check_same(const struct lease_file *a, const struct lease_file *b)
{
    must(strcmp(a->id, b->id) == 0 && strcmp(a->run_id, b->run_id) == 0 &&
         strcmp(a->work, b->work) == 0 && strcmp(a->host, b->host) == 0 &&
         strcmp(a->process.boot_id, b->process.boot_id) == 0 &&
         strcmp(a->process.namespace_id, b->process.namespace_id) == 0);
    must(a->process.pid == b->process.pid && a->process.start_ticks == b->process.start_ticks &&
         a->acknowledged_count == b->acknowledged_count && a->renewals == b->renewals &&
         a->ttl_ms == b->ttl_ms && a->started_ns == b->started_ns);
}

/* Whoever waits for the lease: it stands in the way unless it obeys the mark, is dead, or lapses.
 */
static void watch(struct memstore *store, const struct lease_file *file)
{
    static const char *const marks[] = {MARK, NULL};
    struct orch_error err = ORCH_ERROR_INIT;
    struct lease_watch *watch = NULL;
    struct lease_seen seen;
    size_t left = 0;
    must(lease_watch_new(store->repo, NULL, marks, &watch, &err) == ORCH_OK);
    must(lease_watch_poll(watch, &left, &err) == ORCH_OK && left <= 1);
    must(lease_watch_at(watch, 0, &seen) == (left == 1));
    if (file == NULL) {
        must(left == 1);
    } else if (process_gone(&file->process)) {
        must(left == 0 && memstore_get(store, NAME) == NULL);
    } else if (lease_file_obeys(file, MARK)) {
        must(left == 0 && memstore_get(store, NAME) != NULL);
    } else if (file->ttl_ms > 60000) {
        must(left == 1 && strcmp(seen.host, file->host) == 0 && seen.pid == file->process.pid);
    }
    lease_watch_free(watch);
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
    watch(store, file);
    memstore_set_document(store, NAME, KEY_CONTROL, json);
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
