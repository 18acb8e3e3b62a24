/* runlog.c: writes the events of a run. Reading them: runlist.c. */
#include "engine/runlog.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/document.h"
#include "engine/field.h"
#include "engine/runfile.h"

struct runlog {
    struct repo *repo; /* borrowed */
    char run_id[ID_TEXT];
    pthread_mutex_t lock; /* guards what follows, and the order of events */
    uint64_t next;
    char previous[2 * RUN_SHA_BYTES + 1]; /* digest of the event before, in hexadecimal, or "" */
};

bool run_file_digest(const void *bytes, size_t len, char hex[2 * RUN_SHA_BYTES + 1])
{
    uint8_t digest[RUN_SHA_BYTES];
    if (EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return false;
    }
    hex_encode(digest, sizeof digest, hex);
    return true;
}

/* The document of one event; takes over `details`. NULL when memory ran out. */
static json_t *event_to_json(const struct runlog *log, const char *event, const char *component,
                             json_t *details)
{
    json_t *json = json_object();
    if (details != NULL && json_object_set_new(json, "details", details) != 0) {
        json_decref(json);
        return NULL;
    }
    bool good =
        fields_put_u64(json, "document", RUN_DOCUMENT) &&
        fields_put_text(json, "run_id", log->run_id) && fields_put_u64(json, "number", log->next) &&
        fields_put_i64(json, "at_ns", clock_wall_ns()) &&
        fields_put_text(json, "previous", log->previous) && fields_put_text(json, "event", event);
    if (good && component != NULL) {
        good = fields_put_text(json, "component", component);
    }
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* Seals and puts one event; under the lock. Takes over `details`. */
static int32_t runlog_append(struct runlog *log, const char *event, const char *component,
                             json_t *details, uint32_t flags, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    char name[RUN_NAME];
    char digest[sizeof log->previous];
    json_t *json = event_to_json(log, event, component, details);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the log of run %s", log->run_id);
    }
    (void)snprintf(name, sizeof name, "%s/%s/%llu", RUN_FOLDER, log->run_id,
                   (unsigned long long)log->next);
    int32_t rc = document_seal(log->repo, name, KEY_CONTROL, json, &bytes, err);
    json_decref(json);
    if (rc == ORCH_OK && !run_file_digest(bytes.data, bytes.len, digest)) {
        rc = orch_fail(err, ORCH_E_FAILED, "OpenSSL failed to compute SHA-256");
    }
    if (rc == ORCH_OK) {
        rc = storage_put(repo_storage(log->repo), name, bytes.data, bytes.len,
                         flags | STORAGE_IF_ABSENT, err);
    }
    if (rc == ORCH_OK) {
        memcpy(log->previous, digest, sizeof digest);
        log->next++;
    }
    return rc;
}

static void runlog_free(struct runlog *log)
{
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

/* A run that is taken up again: where its log ended. */
static int32_t runlog_continue(struct runlog *log, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    char name[RUN_NAME];
    uint64_t last = 0;
    int32_t rc = run_last_number(log->repo, log->run_id, &last, err);
    log->next = last + 1;
    if (rc != ORCH_OK || last == 0) {
        return rc;
    }
    (void)snprintf(name, sizeof name, "%s/%s/%llu", RUN_FOLDER, log->run_id,
                   (unsigned long long)last);
    rc = storage_read(repo_storage(log->repo), name, DOCUMENT_MAX, &bytes, err);
    if (rc == ORCH_OK && !run_file_digest(bytes.data, bytes.len, log->previous)) {
        rc = orch_fail(err, ORCH_E_FAILED, "OpenSSL failed to compute SHA-256");
    }
    return rc;
}

int32_t runlog_start(struct repo *repo, const char *run_id, const char *kind, struct runlog **out,
                     struct orch_error *err)
{
    uint8_t id[ID_BYTES];
    char host[256] = "";
    if (hex_decode(run_id, strlen(run_id), id, sizeof id) != ORCH_OK) {
        return orch_fail(err, ORCH_E_INVALID, "\"%.64s\" is no id of a run", run_id);
    }
    struct runlog *log = calloc(1, sizeof *log);
    if (log == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the log of run %s", run_id);
    }
    (void)pthread_mutex_init(&log->lock, NULL);
    log->repo = repo;
    (void)snprintf(log->run_id, sizeof log->run_id, "%s", run_id);
    (void)gethostname(host, sizeof host - 1);
    int32_t rc = runlog_continue(log, err);
    if (rc == ORCH_OK) {
        json_t *details = json_object();
        if (!fields_put_text(details, "state", RUN_IN_PROGRESS) ||
            !fields_put_text(details, "kind", kind) || !fields_put_text(details, "host", host) ||
            !fields_put_i64(details, "pid", getpid())) {
            json_decref(details);
            rc = orch_fail(err, ORCH_E_NOMEM, "no memory for the log of run %s", run_id);
        } else {
            rc = runlog_append(log, RUN_EVENT_START, NULL, details, 0, err);
        }
    }
    if (rc != ORCH_OK) {
        runlog_free(log);
        return rc;
    }
    *out = log;
    return ORCH_OK;
}

int32_t runlog_event(struct runlog *log, const char *event, const char *component, json_t *details,
                     struct orch_error *err)
{
    (void)pthread_mutex_lock(&log->lock);
    int32_t rc = runlog_append(log, event, component, details, 0, err);
    (void)pthread_mutex_unlock(&log->lock);
    return rc;
}

int32_t runlog_finish(struct runlog *log, const char *state, json_t *details,
                      struct orch_error *err)
{
    int32_t rc;
    json_t *all = details != NULL ? details : json_object();
    if (!fields_put_text(all, "state", state)) {
        json_decref(all);
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory for the log of run %s", log->run_id);
    } else {
        rc = runlog_append(log, RUN_EVENT_END, NULL, all, 0, err);
    }
    if (rc == ORCH_OK) { /* the events before it were not put durably */
        rc = storage_barrier(repo_storage(log->repo), err);
    }
    runlog_free(log);
    return rc;
}
