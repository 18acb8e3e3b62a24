/* conn.c: one connection to a Redis server. */
#include "conn.h"

#include "bytes.h"
#include "refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define POLL_SLICE_MS 200 /* how often a wait looks whether it was cancelled */
#define READ_SIZE 65536u
#define WORDS_MAX 16

struct conn {
    redisContext *context;
    const struct orch_host *host;
    struct bytes out; /* to send; the first `sent` bytes are gone */
    size_t sent;
    int64_t silence_timeout_ms;
    int64_t db; /* selected, or -1 for not known */
    char server[300];
    char buffer[READ_SIZE];
};

static int64_t monotonic_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t connect_it(struct conn *conn, const struct conn_params *params,
                          struct orch_error *err)
{
    struct timeval limit = {.tv_sec = params->connect_timeout_ms / 1000,
                            .tv_usec = params->connect_timeout_ms % 1000 * 1000};
    const struct url *url = params->url;
    conn->context = url->path[0] != '\0' ? redisConnectUnixWithTimeout(url->path, limit)
                                         : redisConnectWithTimeout(url->host, url->port, limit);
    if (conn->context == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for a connection to Redis");
    }
    if (conn->context->err != 0) {
        return orch_fail(err, ORCH_E_UNREACHABLE,
                         "cannot connect to Redis at %s: %s; is it running, and is the url right?",
                         conn->server, conn->context->errstr);
    }
    int flags = fcntl(conn->context->fd, F_GETFL);
    if (flags < 0 || fcntl(conn->context->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(conn->context->fd, F_SETFD, FD_CLOEXEC) != 0) {
        return orch_fail_errno(err, errno, "cannot set up the connection to Redis");
    }
    return ORCH_OK;
}

static int32_t authenticate(struct conn *conn, const struct conn_params *params,
                            struct orch_error *err)
{
    if (params->password == NULL) {
        return ORCH_OK;
    }
    return params->user != NULL
               ? conn_run(conn, NULL, err, "AUTH", params->user, params->password, NULL)
               : conn_run(conn, NULL, err, "AUTH", params->password, NULL);
}

int32_t conn_open(const struct conn_params *params, struct conn **out, struct orch_error *err)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for a connection to Redis");
    }
    conn->host = params->host;
    conn->silence_timeout_ms = params->silence_timeout_ms;
    conn->db = -1;
    url_server(params->url, conn->server, sizeof(conn->server));
    int32_t rc = connect_it(conn, params, err);
    if (rc == ORCH_OK) {
        rc = authenticate(conn, params, err);
    }
    if (rc != ORCH_OK) {
        conn_free(conn);
        return rc;
    }
    *out = conn;
    return ORCH_OK;
}

void conn_free(struct conn *conn)
{
    if (conn == NULL) {
        return;
    }
    if (conn->context != NULL) {
        redisFree(conn->context);
    }
    if (conn->out.data != NULL) {
        explicit_bzero(conn->out.data, conn->out.cap); /* AUTH went through it */
    }
    bytes_free(&conn->out);
    free(conn);
}

/* ---- input and output ---- */

static int32_t lost(const struct conn *conn, int os_errno, struct orch_error *err)
{
    return orch_fail(err, ORCH_E_UNREACHABLE, "lost the connection to Redis at %s: %s",
                     conn->server,
                     os_errno != 0 ? strerror(os_errno) : "the server closed it; see its log");
}

/* Waits for `events` on the socket. ORCH_OK, or why not. */
static int32_t wait_for(const struct conn *conn, short events, struct orch_error *err)
{
    int64_t until = monotonic_ms() + conn->silence_timeout_ms;
    for (;;) {
        if (conn->host->cancelled(conn->host->ctx)) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled while waiting for Redis");
        }
        struct pollfd poll_fd = {.fd = conn->context->fd, .events = events};
        int ready = poll(&poll_fd, 1, POLL_SLICE_MS);
        if (ready > 0) {
            return ORCH_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot wait for Redis");
        }
        if (monotonic_ms() > until) {
            return orch_fail(err, ORCH_E_TIMEOUT,
                             "Redis at %s gave no sign of life for %" PRId64 " s", conn->server,
                             conn->silence_timeout_ms / 1000);
        }
    }
}

static int32_t send_some(struct conn *conn, int *progress, struct orch_error *err)
{
    while (conn->sent < conn->out.len) {
        ssize_t put = send(conn->context->fd, conn->out.data + conn->sent,
                           conn->out.len - conn->sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (put < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            /* The server may have said why before it hung up: let the reader find it. */
            conn->sent = conn->out.len;
            *progress = 1;
            break;
        }
        if (put < 0) {
            return lost(conn, errno, err);
        }
        conn->sent += (size_t)put;
        *progress = 1;
    }
    if (conn->sent == conn->out.len) {
        bytes_clear(&conn->out);
        conn->sent = 0;
    } else if (conn->sent > conn->out.len / 2) {
        bytes_drop(&conn->out, conn->sent);
        conn->sent = 0;
    }
    return ORCH_OK;
}

/* Feeds the parser with at most one buffer. *progress is left alone when nothing is there. */
static int32_t read_some(struct conn *conn, int *progress, struct orch_error *err)
{
    ssize_t got = recv(conn->context->fd, conn->buffer, sizeof(conn->buffer), 0);
    if (got > 0) {
        *progress = 1;
        if (redisReaderFeed(conn->context->reader, conn->buffer, (size_t)got) != REDIS_OK) {
            return orch_fail(err, ORCH_E_NOMEM, "out of memory for a reply of Redis");
        }
        return ORCH_OK;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return ORCH_OK;
    }
    return lost(conn, got < 0 ? errno : 0, err);
}

size_t conn_unsent(const struct conn *conn)
{
    return conn->out.len - conn->sent;
}

int32_t conn_pump(struct conn *conn, int wait, struct orch_error *err)
{
    int progress = 0;
    int32_t rc = send_some(conn, &progress, err);
    if (rc == ORCH_OK) {
        rc = read_some(conn, &progress, err);
    }
    if (rc != ORCH_OK || progress || !wait) {
        return rc;
    }
    rc = wait_for(conn, conn_unsent(conn) > 0 ? POLLIN | POLLOUT : POLLIN, err);
    if (rc == ORCH_OK) {
        rc = send_some(conn, &progress, err);
    }
    return rc == ORCH_OK ? read_some(conn, &progress, err) : rc;
}

int32_t conn_take(struct conn *conn, redisReply **reply, struct orch_error *err)
{
    void *taken = NULL;
    if (redisReaderGetReply(conn->context->reader, &taken) != REDIS_OK) {
        return orch_fail(err, ORCH_E_PROTOCOL, "%s does not speak the protocol of Redis: %s",
                         conn->server, conn->context->reader->errstr);
    }
    *reply = taken;
    return ORCH_OK;
}

int32_t conn_wait(struct conn *conn, redisReply **reply, struct orch_error *err)
{
    *reply = NULL;
    for (;;) {
        int32_t rc = conn_take(conn, reply, err);
        if (rc != ORCH_OK || *reply != NULL) {
            return rc;
        }
        rc = conn_pump(conn, 1, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

int32_t conn_read(struct conn *conn, void *buffer, size_t cap, size_t *got, struct orch_error *err)
{
    while (conn_unsent(conn) > 0) {
        int progress = 0;
        int32_t rc = send_some(conn, &progress, err);
        if (rc == ORCH_OK && !progress) {
            rc = wait_for(conn, POLLOUT, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    for (;;) {
        ssize_t count = recv(conn->context->fd, buffer, cap, 0);
        if (count > 0) {
            *got = (size_t)count;
            return ORCH_OK;
        }
        if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return lost(conn, count < 0 ? errno : 0, err);
        }
        int32_t rc = wait_for(conn, POLLIN, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* ---- commands ---- */

static int32_t put_number(struct conn *conn, char sign, uint64_t value, struct orch_error *err)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%c%" PRIu64 "\r\n", sign, value);
    return bytes_append(&conn->out, text, (size_t)len, err);
}

int32_t conn_begin(struct conn *conn, int argc, struct orch_error *err)
{
    return put_number(conn, '*', (uint64_t)argc, err);
}

int32_t conn_word_begin(struct conn *conn, uint64_t len, struct orch_error *err)
{
    return put_number(conn, '$', len, err);
}

int32_t conn_word_piece(struct conn *conn, const void *data, size_t len, struct orch_error *err)
{
    return bytes_append(&conn->out, data, len, err);
}

int32_t conn_word_end(struct conn *conn, struct orch_error *err)
{
    return bytes_append(&conn->out, "\r\n", 2, err);
}

int32_t conn_word(struct conn *conn, const void *data, size_t len, struct orch_error *err)
{
    int32_t rc = conn_word_begin(conn, len, err);
    if (rc == ORCH_OK) {
        rc = conn_word_piece(conn, data, len, err);
    }
    return rc == ORCH_OK ? conn_word_end(conn, err) : rc;
}

static int32_t queue_words(struct conn *conn, int argc, const char *const *argv, const size_t *lens,
                           struct orch_error *err)
{
    int32_t rc = conn_begin(conn, argc, err);
    for (int i = 0; rc == ORCH_OK && i < argc; i++) {
        rc = conn_word(conn, argv[i], lens != NULL ? lens[i] : strlen(argv[i]), err);
    }
    return rc;
}

int32_t conn_command(struct conn *conn, redisReply **reply, struct orch_error *err, int argc,
                     const char *const *argv, const size_t *lens)
{
    CLEANUP_REPLY redisReply *got = NULL;
    int32_t rc = queue_words(conn, argc, argv, lens, err);
    if (rc == ORCH_OK) {
        rc = conn_wait(conn, &got, err);
    }
    if (rc == ORCH_OK && got->type == REDIS_REPLY_ERROR) {
        rc = conn_refused(conn, got->str, argv[0], err);
    }
    if (rc == ORCH_OK && reply != NULL) {
        *reply = steal_ptr(&got);
    }
    return rc;
}

static int collect(va_list list, const char *words[WORDS_MAX])
{
    int argc = 0;
    const char *word = va_arg(list, const char *);
    while (word != NULL && argc < WORDS_MAX) {
        words[argc++] = word;
        word = va_arg(list, const char *);
    }
    return argc;
}

int32_t conn_run(struct conn *conn, redisReply **reply, struct orch_error *err, ...)
{
    const char *words[WORDS_MAX];
    va_list list;
    va_start(list, err);
    int argc = collect(list, words);
    va_end(list);
    return conn_command(conn, reply, err, argc, words, NULL);
}

int32_t conn_queue(struct conn *conn, struct orch_error *err, ...)
{
    const char *words[WORDS_MAX];
    va_list list;
    va_start(list, err);
    int argc = collect(list, words);
    va_end(list);
    return queue_words(conn, argc, words, NULL, err);
}

int32_t conn_select(struct conn *conn, uint32_t db, struct orch_error *err)
{
    if (conn->db == (int64_t)db) {
        return ORCH_OK;
    }
    char number[16];
    (void)snprintf(number, sizeof(number), "%u", db);
    int32_t rc = conn_run(conn, NULL, err, "SELECT", number, NULL);
    conn->db = rc == ORCH_OK ? (int64_t)db : -1;
    return rc;
}

int32_t conn_refused(const struct conn *conn, const char *text, const char *what,
                     struct orch_error *err)
{
    return refusal_map(conn->server, what, text, err);
}
