/* mark.c: the marker key of a restore. */
#include "mark.h"

#include "redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "RUN role TARGET KEYS". 1 when it is one. */
static int parse(const char *text, uint32_t db, struct mark *mark)
{
    char role[16];
    memset(mark, 0, sizeof(*mark));
    mark->db = db;
    if (sscanf(text, "%64[0-9a-f] %15[a-z] %" SCNu32 " %" SCNu64, mark->run, role, &mark->target,
               &mark->keys) != 4) {
        return 0;
    }
    mark->role = strcmp(role, "loading") == 0 ? MARK_LOADING
                 : strcmp(role, "aside") == 0 ? MARK_ASIDE
                                              : 0;
    return mark->role != 0;
}

void mark_text(const struct mark *mark, char *text, size_t size)
{
    (void)snprintf(text, size, "%s %s %" PRIu32 " %" PRIu64, mark->run,
                   mark->role == MARK_LOADING ? "loading" : "aside", mark->target, mark->keys);
}

/* Reads the marker of one database. *found tells. */
static int32_t read_one(struct conn *conn, uint32_t db, struct mark *mark, int *found,
                        struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    *found = 0;
    int32_t rc = conn_select(conn, db, err);
    if (rc == ORCH_OK) {
        rc = conn_queue(conn, err, "GET", REDIS_MARKER, NULL);
    }
    if (rc == ORCH_OK) {
        rc = conn_wait(conn, &reply, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (reply->type == REDIS_REPLY_ERROR) { /* a key of another type is not ours */
        return strncmp(reply->str, "WRONGTYPE", 9) == 0
                   ? ORCH_OK
                   : conn_refused(conn, reply->str, "GET of the restore marker", err);
    }
    *found = reply->type == REDIS_REPLY_STRING && parse(reply->str, db, mark);
    return ORCH_OK;
}

int32_t mark_find(struct conn *conn, const struct server *server, struct marks *marks,
                  struct orch_error *err)
{
    memset(marks, 0, sizeof(*marks));
    for (uint32_t i = 0; i < server->db_count; i++) {
        struct mark mark;
        int found = 0;
        int32_t rc = read_one(conn, server->dbs[i].db, &mark, &found, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!found) {
            continue;
        }
        struct mark *grown = realloc(marks->list, (marks->count + 1) * sizeof(*grown));
        if (grown == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "out of memory");
        }
        marks->list = grown;
        marks->list[marks->count++] = mark;
    }
    return ORCH_OK;
}

void mark_free(struct marks *marks)
{
    free(marks->list);
    marks->list = NULL;
    marks->count = 0;
}

const struct mark *mark_in(const struct marks *marks, uint32_t db)
{
    for (uint32_t i = 0; i < marks->count; i++) {
        if (marks->list[i].db == db) {
            return &marks->list[i];
        }
    }
    return NULL;
}

const struct mark *mark_aside_of(const struct marks *marks, const char *run, uint32_t target)
{
    for (uint32_t i = 0; i < marks->count; i++) {
        const struct mark *mark = &marks->list[i];
        if (mark->role == MARK_ASIDE && mark->target == target && strcmp(mark->run, run) == 0) {
            return mark;
        }
    }
    return NULL;
}

int32_t mark_db_size(struct conn *conn, uint32_t db, uint64_t *keys, struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    int32_t rc = conn_select(conn, db, err);
    if (rc == ORCH_OK) {
        rc = conn_run(conn, &reply, err, "DBSIZE", NULL);
    }
    if (rc == ORCH_OK && (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)) {
        rc = orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to DBSIZE is no number");
    }
    if (rc == ORCH_OK) {
        *keys = (uint64_t)reply->integer;
    }
    return rc;
}

int32_t mark_take(struct conn *conn, uint32_t db, uint32_t target, const char *run, int *taken,
                  struct orch_error *err)
{
    struct mark mark = {.db = db, .role = MARK_LOADING, .target = target};
    char text[128];
    uint64_t keys = 0;
    CLEANUP_REPLY redisReply *reply = NULL;
    (void)snprintf(mark.run, sizeof(mark.run), "%s", run);
    mark_text(&mark, text, sizeof(text));
    *taken = 0;
    int32_t rc = mark_db_size(conn, db, &keys, err);
    if (rc == ORCH_OK && keys == 0) {
        rc = conn_run(conn, &reply, err, "SET", REDIS_MARKER, text, "NX", NULL);
        *taken = rc == ORCH_OK && reply->type == REDIS_REPLY_STATUS;
    }
    return rc;
}

int32_t mark_drop(struct conn *conn, const struct mark *mark, int *done, struct orch_error *err)
{
    struct mark live;
    int found = 0;
    uint64_t keys = 0;
    *done = 0;
    int32_t rc = read_one(conn, mark->db, &live, &found, err);
    if (rc == ORCH_OK) {
        rc = mark_db_size(conn, mark->db, &keys, err);
    }
    if (rc != ORCH_OK || !found || live.role != mark->role || strcmp(live.run, mark->run) != 0) {
        return rc;
    }
    if (live.role == MARK_ASIDE && keys > live.keys + 1) {
        return ORCH_OK;
    }
    rc = conn_run(conn, NULL, err, "FLUSHDB", "ASYNC", NULL);
    *done = rc == ORCH_OK;
    return rc;
}
