/*
 * swap.c: MULTI, SWAPDB for each, EXEC.
 *
 * The markers of the spares are watched, so a spare that was flushed or taken meanwhile makes the
 * transaction void. In the same transaction the marker moves from the spare's data (now live) to
 * the old data (now aside): after a crash the server itself tells whether the swap happened.
 */
#include "swap.h"

#include <stdio.h>
#include <string.h>

static int32_t watch(struct conn *conn, const char *run_id, struct place_job *job,
                     struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    struct mark mine = {.role = MARK_LOADING, .target = job->target};
    char text[128];
    (void)snprintf(mine.run, sizeof(mine.run), "%s", run_id);
    mark_text(&mine, text, sizeof(text));
    int32_t rc = mark_db_size(conn, job->target, &job->old_keys, err);
    if (rc == ORCH_OK) {
        rc = conn_select(conn, job->spare, err);
    }
    if (rc == ORCH_OK) {
        rc = conn_run(conn, NULL, err, "WATCH", REDIS_MARKER, NULL);
    }
    if (rc == ORCH_OK) {
        rc = conn_run(conn, &reply, err, "GET", REDIS_MARKER, NULL);
    }
    if (rc == ORCH_OK && (reply->type != REDIS_REPLY_STRING || strcmp(reply->str, text) != 0)) {
        rc = orch_fail(err, ORCH_E_CHANGED,
                       "database %u, which this restore was loading into, has lost its marker: "
                       "somebody else uses it, or the server evicts keys; nothing was changed",
                       job->spare);
    }
    return rc;
}

/* The five commands of one job; each is answered with QUEUED. */
static int32_t queue_job(struct conn *conn, const char *run_id, const struct place_job *job,
                         struct orch_error *err)
{
    struct mark aside = {.role = MARK_ASIDE, .target = job->target, .keys = job->old_keys};
    char text[128], target[16], spare[16];
    (void)snprintf(aside.run, sizeof(aside.run), "%s", run_id);
    mark_text(&aside, text, sizeof(text));
    (void)snprintf(target, sizeof(target), "%u", job->target);
    (void)snprintf(spare, sizeof(spare), "%u", job->spare);
    int32_t rc = conn_run(conn, NULL, err, "SWAPDB", target, spare, NULL);
    if (rc == ORCH_OK) {
        rc = conn_run(conn, NULL, err, "SELECT", target, NULL);
    }
    if (rc == ORCH_OK) {
        rc = conn_run(conn, NULL, err, "DEL", REDIS_MARKER, NULL);
    }
    if (rc == ORCH_OK) {
        rc = conn_run(conn, NULL, err, "SELECT", spare, NULL);
    }
    if (rc == ORCH_OK) {
        /* When an earlier attempt has set the old data aside, what is live now is only its work. */
        rc = job->has_aside ? conn_run(conn, NULL, err, "FLUSHDB", "ASYNC", NULL)
                            : conn_run(conn, NULL, err, "SET", REDIS_MARKER, text, NULL);
    }
    return rc;
}

static int32_t execute(struct conn *conn, struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    int32_t rc = conn_run(conn, &reply, err, "EXEC", NULL);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        return orch_fail(err, ORCH_E_CHANGED,
                         "a spare database changed while it was to be swapped in; nothing was "
                         "changed, run again");
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            return conn_refused(conn, reply->element[i]->str, "SWAPDB", err);
        }
    }
    return ORCH_OK;
}

/* Writers may have been at work until the very swap: the exact count is known only now. */
static void recount(struct conn *conn, const char *run_id, const struct place_job *job)
{
    struct orch_error ignored = ORCH_ERROR_INIT;
    struct mark aside = {.role = MARK_ASIDE, .target = job->target};
    char text[128], spare[16];
    uint64_t keys = 0;
    (void)snprintf(aside.run, sizeof(aside.run), "%s", run_id);
    (void)snprintf(spare, sizeof(spare), "%u", job->spare);
    if (conn_run(conn, NULL, &ignored, "SELECT", spare, NULL) != ORCH_OK) {
        return;
    }
    CLEANUP_REPLY redisReply *reply = NULL;
    if (conn_run(conn, &reply, &ignored, "DBSIZE", NULL) == ORCH_OK &&
        reply->type == REDIS_REPLY_INTEGER) {
        keys = reply->integer > 0 ? (uint64_t)reply->integer - 1 : 0;
        aside.keys = keys;
        mark_text(&aside, text, sizeof(text));
        if (conn_run(conn, NULL, &ignored, "SET", REDIS_MARKER, text, "XX", NULL) != ORCH_OK) {
            return; /* the count from before the swap stands */
        }
    }
}

int32_t swap_run(struct conn *conn, const char *run_id, const struct place *place,
                 struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (uint32_t i = 0; rc == ORCH_OK && i < place->count; i++) {
        rc = watch(conn, run_id, &place->jobs[i], err);
    }
    if (rc == ORCH_OK) {
        rc = conn_run(conn, NULL, err, "MULTI", NULL);
    }
    for (uint32_t i = 0; rc == ORCH_OK && i < place->count; i++) {
        rc = queue_job(conn, run_id, &place->jobs[i], err);
    }
    if (rc == ORCH_OK) {
        rc = execute(conn, err);
    }
    for (uint32_t i = 0; rc == ORCH_OK && i < place->count; i++) {
        if (!place->jobs[i].has_aside) {
            recount(conn, run_id, &place->jobs[i]);
        }
    }
    return rc;
}
