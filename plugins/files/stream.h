/*
 * stream.h: the content of a large or sparse file, written as it comes. Whole blocks go past the
 * page cache where the file system can do that: through it, a gigabyte costs seconds of processor
 * time, and what others have there has to make room. Pieces between holes are left to the cache.
 *
 * One stream serves one file after the other. Zeroed is a valid one without a file.
 */
#ifndef PLUGINS_FILES_STREAM_H
#define PLUGINS_FILES_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

struct stream {
    int fd; /* borrowed from whoever began */
    int has_direct;
    int direct_fd; /* if so: the same file with O_DIRECT */
    uint8_t *block;
    size_t fill;     /* bytes in the block, not written yet */
    uint64_t offset; /* of the block in the file */
    int ends_in_hole;
};

/* All return 0 or an errno. A file that failed is still to be ended or let go. */

/* Begins with the empty file `fd`, which must stay open until the end. */
int stream_begin(struct stream *stream, int fd) ORCH_CHECKED;
int stream_write(struct stream *stream, const uint8_t *data, size_t len) ORCH_CHECKED;
int stream_hole(struct stream *stream, uint64_t len) ORCH_CHECKED;
/* Bytes and holes so far. */
uint64_t stream_length(const struct stream *stream);
/* Writes what is left and sets the length. */
int stream_end(struct stream *stream) ORCH_CHECKED;
/* Lets go of a file as it is, and of the memory. */
void stream_free(struct stream *stream);

#endif
