/* cursor.c: see cursor.h. */
#include "cursor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES 65536u

struct cursor {
    int fd;
    uint64_t size;
    uint64_t at;
    uint64_t window_at; /* file offset of window[0] */
    size_t window_len;
    uint8_t window[WINDOW_BYTES];
};

int32_t cursor_new(int fd, uint64_t size, struct cursor **out, struct orch_error *err)
{
    struct cursor *cursor = malloc(sizeof(*cursor));
    if (cursor == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read an index file");
    }
    cursor->fd = fd;
    cursor->size = size;
    cursor->at = 0;
    cursor->window_at = 0;
    cursor->window_len = 0;
    *out = cursor;
    return ORCH_OK;
}

void cursor_free(struct cursor *cursor)
{
    free(cursor);
}

int32_t cursor_fork(const struct cursor *cursor, uint64_t at, struct cursor **out,
                    struct orch_error *err)
{
    int32_t rc = cursor_new(cursor->fd, cursor->size, out, err);
    return rc != ORCH_OK ? rc : cursor_skip(*out, at, 1, err);
}

uint64_t cursor_at(const struct cursor *cursor)
{
    return cursor->at;
}

static int32_t past_end(const struct cursor *cursor, struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT,
                     "the file ends at byte %" PRIu64 " before its content does; it is damaged or "
                     "cut short",
                     cursor->size);
}

static int32_t fill(struct cursor *cursor, struct orch_error *err)
{
    uint64_t left = cursor->size - cursor->at;
    size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    for (;;) {
        ssize_t n = pread(cursor->fd, cursor->window, want, (off_t)cursor->at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail_errno(err, errno, "cannot read it");
        }
        if (n == 0) {
            return past_end(cursor, err);
        }
        cursor->window_at = cursor->at;
        cursor->window_len = (size_t)n;
        return ORCH_OK;
    }
}

int32_t cursor_take(struct cursor *cursor, void *out, size_t len, struct orch_error *err)
{
    uint8_t *to = out;
    if (len > cursor->size - cursor->at) {
        return past_end(cursor, err);
    }
    while (len > 0) {
        if (cursor->at < cursor->window_at ||
            cursor->at >= cursor->window_at + cursor->window_len) {
            int32_t rc = fill(cursor, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
        size_t offset = (size_t)(cursor->at - cursor->window_at);
        size_t n = cursor->window_len - offset;
        n = n < len ? n : len;
        memcpy(to, cursor->window + offset, n);
        to += n;
        len -= n;
        cursor->at += n;
    }
    return ORCH_OK;
}

int32_t cursor_peek(const struct cursor *cursor, uint64_t at, void *out, size_t len,
                    struct orch_error *err)
{
    if (at > cursor->size || len > cursor->size - at) {
        return past_end(cursor, err);
    }
    ssize_t n = pread(cursor->fd, out, len, (off_t)at);
    if (n < 0) {
        return orch_fail_errno(err, errno, "cannot read it");
    }
    return (size_t)n == len ? ORCH_OK : past_end(cursor, err);
}

int32_t cursor_skip(struct cursor *cursor, uint64_t count, uint64_t each, struct orch_error *err)
{
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(count, each, &bytes) || bytes > cursor->size - cursor->at) {
        return past_end(cursor, err);
    }
    cursor->at += bytes;
    return ORCH_OK;
}

int32_t cursor_skip_vector(struct cursor *cursor, uint64_t each, uint64_t *count,
                           struct orch_error *err)
{
    int32_t rc = cursor_take(cursor, count, sizeof(*count), err);
    return rc != ORCH_OK ? rc : cursor_skip(cursor, *count, each, err);
}

int32_t cursor_bad(struct orch_error *err, const char *what)
{
    return orch_fail(err, ORCH_E_CORRUPT, "%s; the index file is damaged or cut short", what);
}
