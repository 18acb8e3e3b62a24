/*
 * bytes.h: a growing run of bytes.
 *
 * It grows by doubling, so a caller that adds only what has arrived never holds more than about
 * twice of it, whatever a hostile length says. Initialise with BYTES_INIT; one thread at a time.
 */
#ifndef REDIS_BYTES_H
#define REDIS_BYTES_H

#include <orchestrate/error.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /* NULL while nothing was added */
    size_t len;
    size_t cap;
};

#define BYTES_INIT                                                                                 \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

/* Makes room for `extra` more bytes; ORCH_E_NOMEM when there is none. */
int32_t bytes_reserve(struct bytes *bytes, size_t extra, struct orch_error *err) ORCH_CHECKED;
/* Copies `len` bytes (0 is allowed, then `data` may be NULL) to the end. */
int32_t bytes_append(struct bytes *bytes, const void *data, size_t len,
                     struct orch_error *err) ORCH_CHECKED;
/* Empties it and keeps the memory. */
void bytes_clear(struct bytes *bytes);
/* Drops the first `len` bytes, which must be there. */
void bytes_drop(struct bytes *bytes, size_t len);
/* Frees the memory; the structure may be used again. */
void bytes_free(struct bytes *bytes);

#define CLEANUP_BYTES __attribute__((cleanup(bytes_free)))

#endif
