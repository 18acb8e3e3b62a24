/*
 * sync.c: the snapshot that a server sends to a replica.
 *
 * The handshake announces a replica that wants the RDB alone (rdb-only), so that the server keeps
 * no replication buffer for it. Two forms of answer exist: "$EOF:" with a mark of 40 bytes, which
 * follows the RDB's end (streamed from the forked child), and "$<length>" (saved to the server's
 * disk first). The RDB tells its own end, so the mark is looked for just there, however reads cut
 * it.
 */
#include "bytes.h"
#include "refusal.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_LEN 40
#define LINE_MAX 512
#define WINDOW (1u << 20)
#define READ_MIN 65536u
#define DISK_MAX                                                                                   \
    (UINT64_C(256) << 20) /* larger data is never saved to the server's disk for us                \
                           */

struct sync {
    struct conn *conn;
    struct bytes window;
    size_t start;       /* bytes of the window that are done with */
    uint64_t remaining; /* bytes of "$<length>" not yet read */
    int diskless;
    char mark[MARK_LEN];
};

/*
 * Streaming from memory leaves no trace on the server, but its repl-diskless-sync-delay (5 s as it
 * comes) passes first. Saving to its disk starts at once and leaves a fresh dump.rdb behind. So the
 * disk is used for small data on servers that keep an RDB or an AOF anyway, and only there.
 */
static int want_diskless(struct conn *conn, const struct server *server,
                         const struct orch_host *host, int wish)
{
    char delay[32], save[256];
    if (wish != SYNC_DISKLESS_AUTO) {
        return wish == SYNC_DISKLESS_YES;
    }
    if (server->dataset > DISK_MAX ||
        !server_config(conn, "repl-diskless-sync-delay", delay, sizeof(delay)) ||
        strcmp(delay, "0") == 0) {
        return 1;
    }
    int persists =
        server->aof || (server_config(conn, "save", save, sizeof(save)) && save[0] != '\0');
    if (persists) {
        return 0;
    }
    char text[128];
    (void)snprintf(text, sizeof(text),
                   "the server waits %.16s s (its repl-diskless-sync-delay) before the snapshot",
                   delay);
    host->log(host->ctx, ORCH_LOG_DEBUG, text);
    return 1;
}

/* Older servers do not know an option; that is no reason to stop. */
static int32_t announce(struct conn *conn, const char *name, const char *value,
                        struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    int32_t rc = conn_queue(conn, err, "REPLCONF", name, value, NULL);
    if (rc == ORCH_OK) {
        rc = conn_wait(conn, &reply, err);
    }
    return rc;
}

static int32_t read_more(struct sync *sync, struct orch_error *err)
{
    struct bytes *window = &sync->window;
    if (sync->start > 0 && window->cap - window->len < READ_MIN) {
        bytes_drop(window, sync->start);
        sync->start = 0;
    }
    int32_t rc = bytes_reserve(window, READ_MIN, err);
    size_t got = 0;
    size_t space = window->cap - window->len;
    if (rc == ORCH_OK && space > sync->remaining) {
        space = (size_t)sync->remaining;
    }
    if (rc == ORCH_OK) {
        rc = conn_read(sync->conn, window->data + window->len, space, &got, err);
    }
    window->len += got;
    sync->remaining -= sync->remaining == UINT64_MAX ? 0 : got;
    return rc;
}

/* Reads the first line of the answer, past newlines that only keep the connection alive. */
static int32_t first_line(struct sync *sync, char line[LINE_MAX], struct orch_error *err)
{
    for (;;) {
        size_t have = sync->window.len - sync->start;
        const char *p = (const char *)sync->window.data + sync->start;
        while (have > 0 && (*p == '\n')) {
            p++;
            have--;
            sync->start++;
        }
        const char *end = have > 0 ? memchr(p, '\n', have) : NULL;
        if (end != NULL && end > p && end - p < LINE_MAX) {
            size_t len = (size_t)(end - p);
            memcpy(line, p, len);
            line[len - (p[len - 1] == '\r' ? 1u : 0u)] = '\0';
            sync->start += len + 1;
            return ORCH_OK;
        }
        if (have >= LINE_MAX) {
            return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to SYNC is no snapshot");
        }
        int32_t rc = read_more(sync, err);
        if (rc != ORCH_OK) {
            return orch_wrap(err, "waiting for the snapshot");
        }
    }
}

static int32_t understand(struct sync *sync, const char *line, int *forbidden,
                          struct orch_error *err)
{
    if (line[0] == '-') {
        *forbidden = refusal_is_forbidden(line + 1);
        return conn_refused(sync->conn, line + 1, "SYNC", err);
    }
    if (strncmp(line, "$EOF:", 5) == 0 && strlen(line + 5) == MARK_LEN) {
        memcpy(sync->mark, line + 5, MARK_LEN);
        sync->diskless = 1;
        return ORCH_OK;
    }
    char *end = NULL;
    if (line[0] != '$' || line[1] < '0' || line[1] > '9') {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server answered SYNC with %.64s", line);
    }
    sync->remaining = strtoull(line + 1, &end, 10);
    size_t have = sync->window.len - sync->start;
    if (*end != '\0' || sync->remaining >= UINT64_MAX / 2) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server answered SYNC with %.64s", line);
    }
    if (have > sync->remaining) { /* what follows the RDB is of no interest */
        sync->window.len -= have - (size_t)sync->remaining;
        have = (size_t)sync->remaining;
    }
    sync->remaining -= have;
    return ORCH_OK;
}

int32_t sync_start(const struct conn_params *params, const struct server *server, int diskless,
                   struct sync **out, int *forbidden, struct orch_error *err)
{
    *forbidden = 0;
    char line[LINE_MAX];
    struct sync *sync = calloc(1, sizeof(*sync));
    if (sync == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for the snapshot's stream");
    }
    sync->remaining = UINT64_MAX;
    int32_t rc = conn_open(params, &sync->conn, err);
    if (rc == ORCH_OK && want_diskless(sync->conn, server, params->host, diskless)) {
        rc = announce(sync->conn, "capa", "eof", err);
    }
    if (rc == ORCH_OK) {
        rc = announce(sync->conn, "rdb-only", "1", err);
    }
    if (rc == ORCH_OK) {
        rc = conn_queue(sync->conn, err, "SYNC", NULL);
    }
    if (rc == ORCH_OK) {
        rc = bytes_reserve(&sync->window, WINDOW, err);
    }
    if (rc == ORCH_OK) {
        rc = first_line(sync, line, err);
    }
    if (rc == ORCH_OK) {
        rc = understand(sync, line, forbidden, err);
    }
    if (rc != ORCH_OK) {
        sync_free(sync);
        return rc;
    }
    *out = sync;
    return ORCH_OK;
}

static int32_t deliver(const struct source_sink *sink, int32_t kind, const struct rdb_event *event,
                       struct orch_error *err)
{
    if (kind == RDB_KEY) {
        return sink->wants(sink->ctx, event->db) ? sink->key(sink->ctx, event, err) : ORCH_OK;
    }
    if (kind == RDB_FUNCTION) {
        return sink->function(sink->ctx, event, err);
    }
    return kind == RDB_AUX && sink->aux != NULL ? sink->aux(sink->ctx, event, err) : ORCH_OK;
}

/* After the RDB's end: nothing of "$<length>" is left, or the mark is there. */
static int32_t finish(struct sync *sync, struct orch_error *err)
{
    if (!sync->diskless) {
        return sync->remaining == 0 && sync->start == sync->window.len
                   ? ORCH_OK
                   : orch_fail(err, ORCH_E_CORRUPT,
                               "the snapshot goes on after the end of its RDB");
    }
    while (sync->window.len - sync->start < MARK_LEN) {
        int32_t rc = read_more(sync, err);
        if (rc != ORCH_OK) {
            return orch_wrap(err, "the snapshot ends before its end mark");
        }
    }
    if (memcmp(sync->window.data + sync->start, sync->mark, MARK_LEN) != 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "the snapshot's end mark is missing behind its RDB");
    }
    return ORCH_OK;
}

static int32_t stream(struct sync *sync, struct rdb *rdb, const struct source_sink *sink,
                      struct orch_error *err)
{
    for (;;) {
        struct rdb_event event;
        size_t used = 0;
        int32_t kind = rdb_next(rdb, sync->window.data + sync->start,
                                sync->window.len - sync->start, &used, &event, err);
        if (kind < 0) {
            return kind;
        }
        int32_t rc = deliver(sink, kind, &event, err);
        sync->start += used;
        if (kind == RDB_END) {
            return finish(sync, err);
        }
        if (rc == ORCH_OK && kind == RDB_MORE) {
            if (sync->remaining == 0) {
                return orch_fail(err, ORCH_E_CORRUPT,
                                 "the snapshot's RDB ends early, after %" PRIu64 " bytes",
                                 rdb_offset(rdb));
            }
            rc = read_more(sync, err);
            if (rc != ORCH_OK) {
                return orch_wrap(err, "the snapshot broke off after %" PRIu64 " bytes",
                                 rdb_offset(rdb));
            }
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

int32_t sync_stream(struct sync *sync, const struct crc64 *crc, const struct source_sink *sink,
                    struct orch_error *err)
{
    struct rdb *rdb = NULL;
    int32_t rc = rdb_new(crc, RDB_ITEM_MAX, &rdb, err);
    if (rc == ORCH_OK) {
        rc = stream(sync, rdb, sink, err);
    }
    rdb_free(rdb);
    return rc;
}

int sync_diskless(const struct sync *sync)
{
    return sync->diskless;
}

void sync_free(struct sync *sync)
{
    if (sync != NULL) {
        conn_free(sync->conn);
        bytes_free(&sync->window);
        free(sync);
    }
}
