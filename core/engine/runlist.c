/* runlist.c: which runs a repository knows, and what happened in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/document.h"
#include "engine/field.h"
#include "engine/lease.h"
#include "engine/runfile.h"
#include "engine/runlog.h"

/* One run, as its folder shows it. */
struct run_seen {
    char id[ID_TEXT];
    uint64_t last; /* the highest number of an event */
    int64_t started_ns;
    json_t *json;
};

struct runs_seen {
    struct run_seen *list;
    size_t count;
    size_t capacity;
};

static void runs_clear(struct runs_seen *runs)
{
    for (size_t i = 0; i < runs->count; i++) {
        json_decref(runs->list[i].json);
    }
    free(runs->list);
}

static void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

/* Splits "runs/ID/N"; false when it is not of that form. */
static bool split_name(const char *name, char id[ID_TEXT], uint64_t *number)
{
    const size_t at = strlen(RUN_FOLDER) + 1;
    uint8_t bytes[ID_BYTES];
    if (strlen(name) < at + ID_TEXT + 1 || name[at + ID_TEXT - 1] != '/' ||
        hex_decode(name + at, ID_TEXT - 1, bytes, sizeof bytes) != ORCH_OK) {
        return false;
    }
    const char *digits = name + at + ID_TEXT;
    size_t len = strlen(digits);
    if (len > 18 || strspn(digits, "0123456789") != len || digits[0] == '0') {
        return false;
    }
    memcpy(id, name + at, ID_TEXT - 1);
    id[ID_TEXT - 1] = '\0';
    *number = strtoull(digits, NULL, 10);
    return true;
}

/* Files of one run come one after the other from most stores: the last run is looked at first. */
static struct run_seen *runs_find(struct runs_seen *runs, const char *id)
{
    for (size_t i = runs->count; i-- > 0;) {
        if (strcmp(runs->list[i].id, id) == 0) {
            return &runs->list[i];
        }
    }
    return NULL;
}

static int32_t see_event(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *err)
{
    struct runs_seen *runs = ctx;
    char id[ID_TEXT];
    uint64_t number = 0;
    (void)stat;
    if (!split_name(name, id, &number)) {
        return ORCH_OK;
    }
    struct run_seen *run = runs_find(runs, id);
    if (run == NULL) {
        if (runs->count == runs->capacity) {
            size_t capacity = runs->capacity == 0 ? 64 : 2 * runs->capacity;
            struct run_seen *list = realloc(runs->list, capacity * sizeof *list);
            if (list == NULL) {
                return orch_fail(err, ORCH_E_NOMEM, "no memory to list the runs");
            }
            runs->list = list;
            runs->capacity = capacity;
        }
        run = &runs->list[runs->count++];
        *run = (struct run_seen){.last = 0};
        memcpy(run->id, id, sizeof id);
    }
    run->last = number > run->last ? number : run->last;
    return ORCH_OK;
}

int32_t run_last_number(struct repo *repo, const char *run_id, uint64_t *out,
                        struct orch_error *err)
{
    CLEANUP(runs_clear) struct runs_seen runs = {NULL, 0, 0};
    char folder[RUN_NAME];
    (void)snprintf(folder, sizeof folder, "%s/%s", RUN_FOLDER, run_id);
    *out = 0;
    int32_t rc = storage_list(repo_storage(repo), folder, see_event, &runs, err);
    if (rc == ORCH_OK && runs.count > 0) {
        *out = runs.list[0].last;
    }
    return rc;
}

/* An event of a newer program may mean what this one does not know. */
static int32_t check_version(const json_t *json, const char *name, struct orch_error *err)
{
    struct fields f = fields_over(json, name);
    if (fields_u64(&f, "document") > RUN_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         name);
    }
    return fields_end(&f, err);
}

/* Reads event `number`; `digest` (NULL: not wanted) gets that of its file. */
static int32_t read_event(struct repo *repo, const char *run_id, uint64_t number, char *digest,
                          json_t **out, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    char name[RUN_NAME];
    (void)snprintf(name, sizeof name, "%s/%s/%llu", RUN_FOLDER, run_id, (unsigned long long)number);
    int32_t rc = storage_read(repo_storage(repo), name, DOCUMENT_MAX, &bytes, err);
    if (rc == ORCH_OK && digest != NULL && !run_file_digest(bytes.data, bytes.len, digest)) {
        rc = orch_fail(err, ORCH_E_FAILED, "OpenSSL failed to compute SHA-256");
    }
    CLEANUP(cleanup_json) json_t *json = NULL;
    if (rc == ORCH_OK) {
        rc = document_open(repo, name, KEY_CONTROL, bytes.data, bytes.len, &json, err);
    }
    if (rc == ORCH_OK && (rc = check_version(json, name, err)) == ORCH_OK) {
        *out = steal_ptr(&json);
    }
    return rc;
}

/* True if a lease that may be alive belongs to the run. */
static bool run_is_leased(const json_t *leases, const char *id)
{
    size_t i;
    json_t *lease;
    json_array_foreach(leases, i, lease)
    {
        const char *run_id = json_string_value(json_object_get(lease, "run_id"));
        if (run_id != NULL && strcmp(run_id, id) == 0 &&
            !json_is_true(json_object_get(lease, "stale"))) {
            return true;
        }
    }
    return false;
}

static bool put_time(json_t *json, const char *key, const char *key_ns, bool known, int64_t ns)
{
    char text[21];
    if (!known) {
        return json_object_set_new(json, key, json_null()) == 0 &&
               json_object_set_new(json, key_ns, json_null()) == 0;
    }
    clock_iso(ns, text);
    return fields_put_text(json, key, text) && fields_put_i64(json, key_ns, ns);
}

/* How a run stands whose last event, as seen, is `last`. Gives the end's time, or says there is
 * none yet. */
static int32_t run_state(const struct run_seen *run, const json_t *last, const char *what,
                         const json_t *leases, char state[32], bool *ended, int64_t *finished_ns,
                         struct orch_error *err)
{
    char event[64];
    struct fields f = fields_over(last, what);
    *finished_ns = fields_i64(&f, "at_ns");
    fields_text(&f, "event", event, sizeof event);
    *ended = strcmp(event, RUN_EVENT_END) == 0;
    if (*ended) {
        struct fields details = fields_over(fields_object(&f, "details"), what);
        fields_text(&details, "state", state, 32);
        int32_t rc = fields_end(&details, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    } else {
        (void)snprintf(state, 32, "%s",
                       run_is_leased(leases, run->id) ? RUN_IN_PROGRESS : RUN_FAILED);
    }
    return fields_end(&f, err);
}

/* Reads the last event of a run. One that ended since its folder was listed has no lease any more,
 * but an end by now. */
static int32_t read_last(struct repo *repo, struct run_seen *run, const json_t *leases,
                         json_t **out, struct orch_error *err)
{
    int32_t rc =
        run_is_leased(leases, run->id) ? ORCH_OK : run_last_number(repo, run->id, &run->last, err);
    return rc != ORCH_OK ? rc : read_event(repo, run->id, run->last, NULL, out, err);
}

/* Fills run->json from the first and the last event. */
static int32_t summarise(struct repo *repo, struct run_seen *run, const json_t *leases,
                         struct orch_error *err)
{
    CLEANUP(cleanup_json) json_t *first = NULL;
    CLEANUP(cleanup_json) json_t *last = NULL;
    char what[RUN_NAME + 16];
    char kind[64];
    char state[32];
    bool ended = false;
    int64_t finished_ns = 0;
    (void)snprintf(what, sizeof what, "the log of run %s", run->id);
    int32_t rc = read_event(repo, run->id, 1, NULL, &first, err);
    if (rc == ORCH_OK) {
        rc = read_last(repo, run, leases, &last, err);
    }
    if (rc == ORCH_OK) {
        rc = run_state(run, last, what, leases, state, &ended, &finished_ns, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct fields f = fields_over(first, what);
    struct fields start = fields_over(fields_object(&f, "details"), what);
    run->started_ns = fields_i64(&f, "at_ns");
    fields_text(&start, "kind", kind, sizeof kind);
    rc = fields_end(&f, err);
    rc = rc != ORCH_OK ? rc : fields_end(&start, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    run->json = json_object();
    if (!fields_put_text(run->json, "id", run->id) || !fields_put_text(run->json, "kind", kind) ||
        !fields_put_text(run->json, "state", state) ||
        !put_time(run->json, "started", "started_ns", true, run->started_ns) ||
        !put_time(run->json, "finished", "finished_ns", ended, finished_ns) ||
        !fields_put_u64(run->json, "events", run->last)) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to list the runs");
    }
    return ORCH_OK;
}

static int newest_first(const void *left, const void *right)
{
    const struct run_seen *a = left;
    const struct run_seen *b = right;
    if (a->started_ns != b->started_ns) {
        return a->started_ns < b->started_ns ? 1 : -1;
    }
    return strcmp(b->id, a->id);
}

int32_t runlog_list(struct repo *repo, json_t **out, struct orch_error *err)
{
    CLEANUP(runs_clear) struct runs_seen runs = {NULL, 0, 0};
    CLEANUP(cleanup_json) json_t *leases = NULL;
    /* Leases after the runs: a run takes its lease before it starts its log. */
    int32_t rc = storage_list(repo_storage(repo), RUN_FOLDER, see_event, &runs, err);
    if (rc == ORCH_OK) {
        rc = lease_list(repo, &leases, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < runs.count; i++) {
        struct orch_error why = ORCH_ERROR_INIT;
        rc = summarise(repo, &runs.list[i], leases, &why);
        if (rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION || rc == ORCH_E_NOT_FOUND) {
            log_warning("runs", "%s", why.message);
            rc = ORCH_OK;
        } else if (rc != ORCH_OK && err != NULL) {
            *err = why;
        }
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (runs.count > 0) {
        qsort(runs.list, runs.count, sizeof *runs.list, newest_first);
    }
    CLEANUP(cleanup_json) json_t *list = json_array();
    for (size_t i = 0; i < runs.count; i++) {
        if (runs.list[i].json != NULL && json_array_append(list, runs.list[i].json) != 0) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to list the runs");
        }
    }
    *out = steal_ptr(&list);
    return ORCH_OK;
}

int32_t run_event_add(json_t *list, const json_t *json, const char *what, uint64_t number,
                      const char *previous, struct orch_error *err)
{
    char named[2 * RUN_SHA_BYTES + 1];
    struct fields f = fields_over(json, what);
    fields_text(&f, "previous", named, sizeof named);
    int64_t at_ns = fields_i64(&f, "at_ns");
    if (fields_u64(&f, "number") != number) {
        fields_reject(&f, "number", "is another event's");
    }
    if (strcmp(named, previous) != 0) {
        fields_reject(&f, "previous", "does not name the event before it");
    }
    int32_t rc = fields_end(&f, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    json_t *copy = json_deep_copy(json);
    bool good = put_time(copy, "at", "at_ns", true, at_ns);
    (void)json_object_del(copy, "document");
    (void)json_object_del(copy, "previous");
    if (json_array_append_new(list, copy) != 0 || !good) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
    }
    return ORCH_OK;
}

int32_t runlog_read(struct repo *repo, const char *run_id, json_t **out, struct orch_error *err)
{
    CLEANUP(cleanup_json) json_t *list = json_array();
    char previous[2 * RUN_SHA_BYTES + 1] = "";
    char what[RUN_NAME + 32];
    uint8_t id[ID_BYTES];
    uint64_t last = 0;
    if (hex_decode(run_id, strlen(run_id), id, sizeof id) != ORCH_OK) {
        return orch_fail(err, ORCH_E_INVALID, "\"%.64s\" is no id of a run", run_id);
    }
    int32_t rc = run_last_number(repo, run_id, &last, err);
    if (rc == ORCH_OK && last == 0) {
        rc = orch_fail(err, ORCH_E_NOT_FOUND, "the repository knows no run %s", run_id);
    }
    for (uint64_t number = 1; rc == ORCH_OK && number <= last; number++) {
        CLEANUP(cleanup_json) json_t *json = NULL;
        char digest[sizeof previous];
        (void)snprintf(what, sizeof what, "event %llu of run %s", (unsigned long long)number,
                       run_id);
        rc = read_event(repo, run_id, number, digest, &json, err);
        if (rc == ORCH_E_NOT_FOUND) {
            rc = orch_fail(err, ORCH_E_CORRUPT, "%s is missing", what);
        }
        if (rc == ORCH_OK) {
            rc = run_event_add(list, json, what, number, previous, err);
            memcpy(previous, digest, sizeof digest);
        }
    }
    if (rc == ORCH_OK) {
        *out = steal_ptr(&list);
    }
    return rc;
}
