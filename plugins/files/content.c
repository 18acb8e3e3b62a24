/* content.c: see content.h. */
#include "content.h"

#include <errno.h>
#include <unistd.h>

/* Reads [offset, end) of the file straight into the host's blocks. *at_end: the file is shorter. */
static int32_t send_range(const struct orch_host *host, int fd, uint64_t offset, uint64_t end,
                          struct content_sent *sent, int *at_end, struct orch_error *err)
{
    while (offset < end) {
        void *space = NULL;
        uint64_t len = 0;
        int32_t rc = host->reserve(host->ctx, end - offset, &space, &len, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (len > end - offset) {
            len = end - offset;
        }
        ssize_t n = 0;
        do {
            n = pread(fd, space, (size_t)len, (off_t)offset);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            sent->read_errno = errno;
            return orch_fail_errno(err, errno, "cannot read");
        }
        rc = host->commit(host->ctx, (uint64_t)n, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (n == 0) {
            *at_end = 1;
            return ORCH_OK;
        }
        offset += (uint64_t)n;
        sent->size_bytes += (uint64_t)n;
        sent->data_bytes += (uint64_t)n;
        if (host->cancelled(host->ctx)) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
        }
    }
    return ORCH_OK;
}

static int32_t send_hole(const struct orch_host *host, uint64_t len, struct content_sent *sent,
                         struct orch_error *err)
{
    int32_t rc = len == 0 ? ORCH_OK : host->hole(host->ctx, len, err);
    if (rc == ORCH_OK) {
        sent->size_bytes += len;
    }
    return rc;
}

/* Goes from island to island of data. */
static int32_t send_sparse(const struct orch_host *host, int fd, uint64_t size,
                           struct content_sent *sent, struct orch_error *err)
{
    uint64_t offset = 0;
    int at_end = 0;
    while (offset < size && !at_end) {
        off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
        if (data < 0 && errno != ENXIO) {
            return send_range(host, fd, offset, size, sent, &at_end, err); /* cannot tell */
        }
        /* ENXIO: nothing but a hole up to the end of the file, which may have moved. */
        uint64_t start = data < 0 ? (uint64_t)lseek(fd, 0, SEEK_END) : (uint64_t)data;
        start = start > size ? size : start;
        if (start < offset) {
            return ORCH_OK; /* it was cut short */
        }
        int32_t rc = send_hole(host, start - offset, sent, err);
        if (rc != ORCH_OK || data < 0 || start == size) {
            return rc;
        }
        off_t hole = lseek(fd, data, SEEK_HOLE);
        uint64_t end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
        if (end <= start) {
            return ORCH_OK; /* it was cut short between the two looks */
        }
        rc = send_range(host, fd, start, end, sent, &at_end, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        offset = end;
    }
    return ORCH_OK;
}

int32_t content_send(const struct orch_host *host, int fd, const struct stat *st,
                     struct content_sent *sent, struct orch_error *err)
{
    *sent = (struct content_sent){0};
    uint64_t size = (uint64_t)st->st_size;
    int at_end = 0;
    if ((uint64_t)st->st_blocks * 512 < size) {
        return send_sparse(host, fd, size, sent, err);
    }
    return send_range(host, fd, 0, size, sent, &at_end, err);
}
