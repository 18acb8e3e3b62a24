/* wire.c: see wire.h. */
#include "plugin/wire.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define STAGING_BYTES 65536u

struct wire {
    int fd;
    const char *peer;
    pthread_mutex_t send_lock;
    int send_limit_ms;

    uint8_t *staging; /* bytes read but not yet handed out: [start, end) */
    size_t start, end;
    bool have_header;
    bool handed_out; /* `payload` belongs to a frame that the caller has seen */
    struct wire_frame frame;
    struct buffer payload;
    int passed_fd;
};

void wire_encode(const struct wire_frame *frame, uint8_t out[WIRE_HEADER_BYTES])
{
    put_le32(out, frame->length);
    out[4] = frame->type;
    out[5] = frame->flags;
    out[6] = (uint8_t)frame->stream;
    out[7] = (uint8_t)(frame->stream >> 8);
    put_le32(out + 8, frame->credit);
    put_le32(out + 12, frame->id);
    put_le32(out + 16, frame->slot);
    put_le32(out + 20, frame->size);
}

int32_t wire_decode(const uint8_t in[WIRE_HEADER_BYTES], struct wire_frame *frame,
                    struct orch_error *err)
{
    frame->length = get_le32(in);
    frame->type = in[4];
    frame->flags = in[5];
    frame->stream = (uint16_t)(in[6] | in[7] << 8);
    frame->credit = get_le32(in + 8);
    frame->id = get_le32(in + 12);
    frame->slot = get_le32(in + 16);
    frame->size = get_le32(in + 20);

    if (frame->type < WIRE_HELLO || frame->type > WIRE_ALIVE) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a frame of unknown type %u", frame->type);
    }
    if ((frame->flags & ~WIRE_FLAG_SECRET) != 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a frame with unknown flags %#x", frame->flags);
    }
    bool bulk = frame->type == WIRE_DATA || frame->type == WIRE_CREDIT || frame->type == WIRE_DONE;
    bool stream_ok =
        bulk ? frame->stream >= WIRE_STREAM_BACKUP && frame->stream <= WIRE_STREAM_RESTORE
             : frame->stream == WIRE_STREAM_CONTROL;
    if (!stream_ok) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a frame of type %u on stream %u", frame->type,
                         frame->stream);
    }
    uint32_t max = frame->type == WIRE_DATA ? WIRE_BLOCK_BYTES : WIRE_CONTROL_MAX;
    if (frame->type == WIRE_CREDIT || frame->type == WIRE_CANCEL || frame->type == WIRE_ALIVE) {
        max = 0;
    }
    if (frame->length > max) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "a frame of type %u with %u bytes; at most %u may be", frame->type,
                         frame->length, max);
    }
    if (frame->size > WIRE_BLOCK_BYTES) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a block of %u bytes; at most %u may be",
                         frame->size, WIRE_BLOCK_BYTES);
    }
    return ORCH_OK;
}

int32_t wire_new(int fd, const char *peer, struct wire **out, struct orch_error *err)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    uint8_t *staging = malloc(STAGING_BYTES);
    if (wire == NULL || staging == NULL) {
        free(wire);
        free(staging);
        (void)close(fd);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a connection");
    }
    wire->fd = fd;
    wire->peer = peer;
    wire->staging = staging;
    wire->passed_fd = -1;
    (void)pthread_mutex_init(&wire->send_lock, NULL);
    *out = wire;
    return ORCH_OK;
}

static void drop_payload(struct wire *wire)
{
    if ((wire->frame.flags & WIRE_FLAG_SECRET) != 0 && wire->payload.data != NULL) {
        explicit_bzero(wire->payload.data, wire->payload.capacity);
    }
    if (wire->payload.capacity > 4 * STAGING_BYTES && wire->frame.type != WIRE_DATA) {
        buffer_free(&wire->payload); /* a rare large message is not worth keeping its memory */
    } else {
        buffer_clear(&wire->payload);
    }
    wire->handed_out = false;
}

void wire_free(struct wire *wire)
{
    if (wire == NULL) {
        return;
    }
    drop_payload(wire);
    buffer_free(&wire->payload);
    explicit_bzero(wire->staging, STAGING_BYTES);
    free(wire->staging);
    (void)close(wire->fd);
    if (wire->passed_fd >= 0) {
        (void)close(wire->passed_fd);
    }
    (void)pthread_mutex_destroy(&wire->send_lock);
    free(wire);
}

int wire_fd(const struct wire *wire)
{
    return wire->fd;
}

void wire_set_send_limit(struct wire *wire, int limit_ms)
{
    wire->send_limit_ms = limit_ms;
}

void wire_shutdown(struct wire *wire)
{
    (void)shutdown(wire->fd, SHUT_RDWR);
}

/* ---- sending ---- */

static int32_t wait_writable(struct wire *wire, struct orch_error *err)
{
    struct pollfd p = {.fd = wire->fd, .events = POLLOUT};
    for (;;) {
        int n = poll(&p, 1, wire->send_limit_ms > 0 ? wire->send_limit_ms : -1);
        if (n > 0) {
            return ORCH_OK;
        }
        if (n == 0) {
            return orch_fail(err, ORCH_E_TIMEOUT, "the %s has not read its messages for %d s",
                             wire->peer, wire->send_limit_ms / 1000);
        }
        if (errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot wait for the %s", wire->peer);
        }
    }
}

static int32_t send_locked(struct wire *wire, const struct wire_frame *frame, const void *payload,
                           int pass_fd, struct orch_error *err)
{
    uint8_t header[WIRE_HEADER_BYTES];
    wire_encode(frame, header);
    struct iovec iov[2] = {
        {.iov_base = header, .iov_len = sizeof(header)},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = frame->length},
    };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = frame->length > 0 ? 2 : 1};
    if (pass_fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
    }
    while (msg.msg_iovlen > 0) {
        ssize_t n = sendmsg(wire->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                int32_t rc = wait_writable(wire, err);
                if (rc != ORCH_OK) {
                    return rc;
                }
                continue;
            }
            if (errno == EPIPE || errno == ECONNRESET) {
                return orch_fail(err, ORCH_E_CRASHED, "the %s has closed the connection",
                                 wire->peer);
            }
            return orch_fail_errno(err, errno, "cannot send to the %s", wire->peer);
        }
        msg.msg_control = NULL; /* the descriptor went with the first bytes */
        msg.msg_controllen = 0;
        size_t left = (size_t)n;
        while (msg.msg_iovlen > 0 && left >= msg.msg_iov->iov_len) {
            left -= msg.msg_iov->iov_len;
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
        if (msg.msg_iovlen > 0) {
            msg.msg_iov->iov_base = (uint8_t *)msg.msg_iov->iov_base + left;
            msg.msg_iov->iov_len -= left;
        }
    }
    return ORCH_OK;
}

int32_t wire_send(struct wire *wire, struct wire_frame frame, const void *payload, size_t len,
                  int pass_fd, struct orch_error *err)
{
    size_t max = frame.type == WIRE_DATA ? WIRE_BLOCK_BYTES : WIRE_CONTROL_MAX;
    if (len > max) {
        return orch_fail(err, ORCH_E_INVALID, "a message of %zu bytes; at most %zu may be sent",
                         len, max);
    }
    frame.length = (uint32_t)len;
    (void)pthread_mutex_lock(&wire->send_lock);
    int32_t rc = send_locked(wire, &frame, payload, pass_fd, err);
    (void)pthread_mutex_unlock(&wire->send_lock);
    return rc;
}

int32_t wire_try_send(struct wire *wire, struct wire_frame frame, struct orch_error *err)
{
    frame.length = 0;
    if (pthread_mutex_trylock(&wire->send_lock) != 0) {
        return orch_fail(err, ORCH_E_BUSY, "another thread is sending");
    }
    int32_t rc = send_locked(wire, &frame, NULL, -1, err);
    (void)pthread_mutex_unlock(&wire->send_lock);
    return rc;
}

/* ---- receiving ---- */

/* Keeps the last descriptor that came along and closes any other. */
static void take_control(struct wire *wire, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (wire->passed_fd >= 0) {
                (void)close(wire->passed_fd);
            }
            wire->passed_fd = fd;
        }
    }
}

static size_t payload_missing(const struct wire *wire)
{
    return wire->have_header && !wire->handed_out ? wire->frame.length - wire->payload.len : 0;
}

int32_t wire_fill(struct wire *wire, struct orch_error *err)
{
    if (wire->handed_out) {
        drop_payload(wire);
        wire->have_header = false;
    }
    if (wire->start == wire->end) {
        wire->start = wire->end = 0;
    } else if (wire->end == STAGING_BYTES) {
        memmove(wire->staging, wire->staging + wire->start, wire->end - wire->start);
        wire->end -= wire->start;
        wire->start = 0;
    }
    /* A large payload goes straight to where it is wanted. */
    size_t missing = payload_missing(wire);
    bool direct = missing >= STAGING_BYTES / 2 && wire->start == wire->end;
    struct iovec iov = {.iov_base = wire->staging + wire->end,
                        .iov_len = STAGING_BYTES - wire->end};
    if (direct) {
        iov.iov_base = wire->payload.data + wire->payload.len;
        iov.iov_len = missing;
    }
    if (iov.iov_len == 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the %s sends without being read", wire->peer);
    }
    char control[CMSG_SPACE(4 * sizeof(int))] __attribute__((aligned(8)));
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(wire->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
            return WIRE_AGAIN;
        }
        if (errno == ECONNRESET) {
            return WIRE_EOF;
        }
        return orch_fail_errno(err, errno, "cannot receive from the %s", wire->peer);
    }
    take_control(wire, &msg);
    if (n == 0) {
        return WIRE_EOF;
    }
    if (direct) {
        wire->payload.len += (size_t)n;
    } else {
        wire->end += (size_t)n;
    }
    return WIRE_FILLED;
}

static int32_t parse_header(struct wire *wire, struct orch_error *err)
{
    int32_t rc = wire_decode(wire->staging + wire->start, &wire->frame, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    wire->start += WIRE_HEADER_BYTES;
    wire->have_header = true;
    if (buffer_reserve(&wire->payload, wire->frame.length) == NULL && wire->frame.length > 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a message of %u bytes",
                         wire->frame.length);
    }
    return ORCH_OK;
}

int32_t wire_next(struct wire *wire, struct wire_frame *frame, const uint8_t **payload,
                  struct orch_error *err)
{
    if (wire->handed_out) {
        drop_payload(wire);
        wire->have_header = false;
    }
    if (!wire->have_header) {
        if (wire->end - wire->start < WIRE_HEADER_BYTES) {
            return 0;
        }
        int32_t rc = parse_header(wire, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    size_t missing = payload_missing(wire);
    size_t have = wire->end - wire->start;
    size_t take = have < missing ? have : missing;
    if (take > 0) {
        memcpy(wire->payload.data + wire->payload.len, wire->staging + wire->start, take);
        wire->payload.len += take;
        if ((wire->frame.flags & WIRE_FLAG_SECRET) != 0) {
            explicit_bzero(wire->staging + wire->start, take);
        }
        wire->start += take;
    }
    if (take < missing) {
        return 0;
    }
    wire->handed_out = true;
    *frame = wire->frame;
    *payload = wire->payload.data;
    return 1;
}

void wire_take(struct wire *wire, struct buffer *out)
{
    *out = wire->payload;
    wire->payload = (struct buffer)BUFFER_INIT;
}

int wire_take_fd(struct wire *wire)
{
    return steal_fd(&wire->passed_fd);
}
