/*
 * source.h: where keys come from: a replication stream (SYNC), or SCAN with DUMP.
 *
 * Both hand every key, as an RDB event, to a sink. Only keys of the databases that the sink asks
 * for are handed on.
 */
#ifndef REDIS_SOURCE_H
#define REDIS_SOURCE_H

#include "conn.h"
#include "crc64.h"
#include "rdb.h"
#include "server.h"

/* Takes what a source delivers. Pointers are valid during the call. */
struct source_sink {
    void *ctx;
    int32_t (*wants)(void *ctx, uint32_t db); /* 1: keys of this database are asked for */
    int32_t (*key)(void *ctx, const struct rdb_event *key, struct orch_error *err);
    int32_t (*function)(void *ctx, const struct rdb_event *library, struct orch_error *err);
    int32_t (*aux)(void *ctx, const struct rdb_event *aux, struct orch_error *err); /* or NULL */
};

/* ---- SYNC ---- */

struct sync;

#define SYNC_DISKLESS_AUTO 0
#define SYNC_DISKLESS_YES 1
#define SYNC_DISKLESS_NO 2

/*
 * Opens a connection of its own, asks for the snapshot and returns once its first byte is there:
 * the server has forked. `server` decides, with `diskless`, whether it may be saved to the server's
 * disk. *forbidden becomes 1 when it failed because the user or the server does not allow SYNC.
 */
int32_t sync_start(const struct conn_params *params, const struct server *server, int diskless,
                   struct sync **out, int *forbidden, struct orch_error *err) ORCH_CHECKED;
/* Streams all of it. An end that comes early is an error. */
int32_t sync_stream(struct sync *sync, const struct crc64 *crc, const struct source_sink *sink,
                    struct orch_error *err) ORCH_CHECKED;
/* 1 when the server streams from memory, 0 when it saved to its disk first. */
int sync_diskless(const struct sync *sync);
void sync_free(struct sync *sync); /* closes the connection; NULL is allowed */

/* ---- SCAN ---- */

/* Walks the databases that have keys; `batch` keys are asked for at a time. Not a point in time.
 * `functions`: fetch function libraries too, where the server has them. */
int32_t scan_stream(struct conn *conn, const struct server *server, uint32_t batch, int functions,
                    const struct crc64 *crc, const struct source_sink *sink,
                    struct orch_error *err) ORCH_CHECKED;

#endif
