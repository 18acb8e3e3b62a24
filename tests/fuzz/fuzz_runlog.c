/*
 * fuzz_runlog.c: the events of a run, files runs/ID/N, read one by one and all together.
 *
 * The input is an array of events; `previous` is filled in where it is true, so that they fit each
 * other. What can be read is then gone on with, as a run that is taken up again.
 */
#include <stdio.h>
#include <string.h>

#include "engine/runfile.h"
#include "engine/runlog.h"
#include "fuzz.h"
#include "memstore.h"

#define RUN "0102030405060708090a0b0c0d0e0f10"
#define EVENTS_MAX 12u

/* Puts the events and a lease of their run. */
static size_t put_events(struct memstore *store, json_t *events)
{
    char previous[2 * RUN_SHA_BYTES + 1] = "";
    char name[RUN_NAME];
    size_t i = 0;
    json_t *event = NULL;
    json_array_foreach(events, i, event)
    {
        if (i == EVENTS_MAX || !json_is_object(event)) {
            break;
        }
        if (json_is_true(json_object_get(event, "previous"))) {
            (void)json_object_set_new(event, "previous", json_string(previous));
        }
        (void)snprintf(name, sizeof(name), "runs/%s/%zu", RUN, i + 1);
        memstore_set_document(store, name, KEY_CONTROL, event);
        const struct buffer *file = memstore_get(store, name);
        must(run_file_digest(file->data, file->len, previous));
    }
    return i;
}

static int32_t read_events(struct memstore *store, size_t count)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *list = NULL;
    int32_t rc = runlog_read(store->repo, RUN, &list, &err);
    must(rc == ORCH_OK ? json_array_size(list) == count : list == NULL && err.message[0] != 0);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION ||
         (rc == ORCH_E_NOT_FOUND && count == 0));
    json_decref(list);
    return rc;
}

static void list_runs(struct memstore *store)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *list = NULL;
    must(runlog_list(store->repo, &list, &err) == ORCH_OK && json_array_size(list) <= 1);
    json_decref(list);
}

/* Takes the run up again: what it appends must fit what is there. */
static void go_on(struct memstore *store, size_t count, bool sound)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct runlog *log = NULL;
    int32_t rc = runlog_start(store->repo, RUN, "backup", &log, &err);
    if (rc != ORCH_OK) {
        return;
    }
    must(runlog_event(log, "frozen", "db", json_pack("{s:i}", "n", 1), &err) == ORCH_OK);
    must(runlog_finish(log, RUN_COMPLETED, NULL, &err) == ORCH_OK);
    if (sound) {
        must(read_events(store, count + 3) == ORCH_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (json == NULL) {
        return 0;
    }
    struct memstore *store = memstore_fresh();
    if (json_is_array(json)) {
        size_t count = put_events(store, json);
        bool sound = read_events(store, count) == ORCH_OK;
        list_runs(store);
        go_on(store, count, sound || count == 0);
        list_runs(store);
    }
    json_decref(json);
    return 0;
}
