/* fuzz_lease_runlog.c: the JSON of a lease and of an event of a run. */
#include <string.h>

#include "engine/leasefile.h"
#include "engine/runfile.h"
#include "fuzz.h"

static void try_lease(const json_t *json)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct lease_file file, again;
    memset(&file, 0, sizeof(file));
    memset(&again, 0, sizeof(again));
    if (lease_file_from_json(json, "a lease", &file, &err) != ORCH_OK) {
        return;
    }
    (void)process_gone(&file.process);
    json_t *text = lease_file_to_json(&file);
    must(text != NULL && lease_file_from_json(text, "a lease", &again, &err) == ORCH_OK);
    must(strcmp(file.host, again.host) == 0 && file.renewals == again.renewals &&
         file.process.pid == again.process.pid && file.ttl_ms == again.ttl_ms);
    json_decref(text);
}

static void try_event(const json_t *json)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *list = json_array();
    const char *previous = json_string_value(json_object_get(json, "previous"));
    uint64_t number = (uint64_t)json_integer_value(json_object_get(json, "number"));
    if (run_event_add(list, json, "event 1", number, previous == NULL ? "" : previous, &err) ==
        ORCH_OK) {
        must(json_array_size(list) == 1 && json_is_object(json_array_get(list, 0)));
    }
    json_decref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_error_t why;
    json_t *json =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (json != NULL) {
        try_lease(json);
        try_event(json);
    }
    json_decref(json);
    return 0;
}
