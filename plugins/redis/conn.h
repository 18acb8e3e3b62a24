/*
 * conn.h: one connection to a Redis server.
 *
 * hiredis connects and parses replies; reading and writing are done here, on a socket that never
 * blocks, so that a pipeline can be written and its replies read at the same time (a server that
 * waits for us to read its replies reads no more commands), and so that every wait has a time limit
 * and notices when somebody asked to stop.
 *
 * One thread at a time. After a failure of the connection itself (any code but the ones that a
 * reply was mapped to) it can only be freed.
 */
#ifndef REDIS_CONN_H
#define REDIS_CONN_H

#include "cleanup.h"
#include "url.h"

#include <orchestrate/plugin.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

/* What a connection is made from; the texts are used during conn_open only. */
struct conn_params {
    const struct orch_host *host; /* for cancelled(); must outlive the connection */
    const struct url *url;
    const char *user;     /* or NULL */
    const char *password; /* or NULL */
    int64_t connect_timeout_ms;
    int64_t silence_timeout_ms; /* the longest wait for any sign of life */
};

/* Connects, and authenticates when there is a password. Selects no database. */
int32_t conn_open(const struct conn_params *params, struct conn **out,
                  struct orch_error *err) ORCH_CHECKED;
void conn_free(struct conn *conn); /* NULL is allowed */
static inline void conn_cleanup(struct conn **slot)
{
    conn_free(*slot);
}
#define CLEANUP_CONN CLEANUP(conn_cleanup)

/* ---- one command at a time ---- */

/*
 * Sends a command of `argc` words and waits for its reply, which is the caller's to free
 * (CLEANUP_REPLY; NULL when it is not wanted). An error reply is mapped to a code with a message
 * that says what to do.
 */
int32_t conn_command(struct conn *conn, redisReply **reply, struct orch_error *err, int argc,
                     const char *const *argv, const size_t *lens) ORCH_CHECKED;
/* The same for a command of zero-terminated words; the list ends with NULL. */
int32_t conn_run(struct conn *conn, redisReply **reply, struct orch_error *err, ...) ORCH_CHECKED
    __attribute__((sentinel));

/* SELECT of a database; nothing is sent when it is selected already. */
int32_t conn_select(struct conn *conn, uint32_t db, struct orch_error *err) ORCH_CHECKED;

/* ---- pipelines ---- */

/* Appends a command to what is to be sent, word by word. A word may be given in pieces. */
int32_t conn_begin(struct conn *conn, int argc, struct orch_error *err) ORCH_CHECKED;
int32_t conn_word(struct conn *conn, const void *data, size_t len,
                  struct orch_error *err) ORCH_CHECKED;
int32_t conn_word_begin(struct conn *conn, uint64_t len, struct orch_error *err) ORCH_CHECKED;
int32_t conn_word_piece(struct conn *conn, const void *data, size_t len,
                        struct orch_error *err) ORCH_CHECKED;
int32_t conn_word_end(struct conn *conn, struct orch_error *err) ORCH_CHECKED;
/* A whole command of zero-terminated words, up to NULL. */
int32_t conn_queue(struct conn *conn, struct orch_error *err, ...) ORCH_CHECKED
    __attribute__((sentinel));

/* Bytes appended and not yet sent. */
size_t conn_unsent(const struct conn *conn);
/* Sends and reads what can be; with `wait`, waits until something could. */
int32_t conn_pump(struct conn *conn, int wait, struct orch_error *err) ORCH_CHECKED;
/* The next reply that was read, the caller's to free, or NULL in *reply. Error replies are handed
 * out as they are. */
int32_t conn_take(struct conn *conn, redisReply **reply, struct orch_error *err) ORCH_CHECKED;
/* Waits for the next reply; error replies are handed out as they are. */
int32_t conn_wait(struct conn *conn, redisReply **reply, struct orch_error *err) ORCH_CHECKED;

/* Fills `err` from an error reply (its text), and gives the code. `what` was being done. */
int32_t conn_refused(const struct conn *conn, const char *text, const char *what,
                     struct orch_error *err);

/* ---- the raw stream behind SYNC ---- */

/* Reads what is there, 1 to `cap` bytes, waiting for at most the silence limit. An end of the
 * stream is ORCH_E_UNREACHABLE. */
int32_t conn_read(struct conn *conn, void *buffer, size_t cap, size_t *got,
                  struct orch_error *err) ORCH_CHECKED;

#endif
