/* stream.c: see stream.h. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)1 << 20)
#define ALIGNMENT ((size_t)4096)
#define DIRECT_LEAST (BLOCK_BYTES / 4) /* a wait for the disk each: not for less */

int stream_begin(struct stream *stream, int fd)
{
    void *block = stream->block;
    if (block == NULL && posix_memalign(&block, ALIGNMENT, BLOCK_BYTES) != 0) {
        return ENOMEM;
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *stream = (struct stream){.fd = fd, .block = block};
    stream->direct_fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    stream->has_direct = stream->direct_fd >= 0;
    return 0;
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* 0 or the errno of close(2). */
static int stop_direct(struct stream *stream)
{
    int had = stream->has_direct;
    stream->has_direct = 0;
    return had && close(stream->direct_fd) != 0 ? errno : 0;
}

static int flush(struct stream *stream)
{
    int error = EINVAL;
    if (stream->has_direct && stream->fill >= DIRECT_LEAST && stream->fill % ALIGNMENT == 0 &&
        stream->offset % ALIGNMENT == 0) {
        error = write_all(stream->direct_fd, stream->block, stream->fill, stream->offset);
        if (error == EINVAL) { /* opened, and yet it cannot: through the page cache, then */
            (void)stop_direct(stream);
        }
    }
    if (error == EINVAL) {
        error = write_all(stream->fd, stream->block, stream->fill, stream->offset);
    }
    stream->offset += stream->fill;
    stream->fill = 0;
    return error;
}

int stream_write(struct stream *stream, const uint8_t *data, size_t len)
{
    stream->ends_in_hole = stream->ends_in_hole && len == 0;
    while (len > 0) {
        /* Behind a hole of any length, the blocks come to lie aligned again. */
        size_t room = BLOCK_BYTES - (size_t)(stream->offset % ALIGNMENT) - stream->fill;
        size_t n = len < room ? len : room;
        memcpy(stream->block + stream->fill, data, n);
        stream->fill += n;
        data += n;
        len -= n;
        int error = n == room ? flush(stream) : 0;
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

int stream_hole(struct stream *stream, uint64_t len)
{
    int error = flush(stream);
    stream->offset += len;
    stream->ends_in_hole = stream->ends_in_hole || len > 0;
    return error;
}

uint64_t stream_length(const struct stream *stream)
{
    return stream->offset + stream->fill;
}

int stream_end(struct stream *stream)
{
    int error = flush(stream);
    if (error == 0 && stream->ends_in_hole && ftruncate(stream->fd, (off_t)stream->offset) != 0) {
        error = errno;
    }
    int closed = stop_direct(stream);
    return error != 0 ? error : closed;
}

void stream_free(struct stream *stream)
{
    (void)stop_direct(stream);
    free(stream->block);
    *stream = (struct stream){0};
}
