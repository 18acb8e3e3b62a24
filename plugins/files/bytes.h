/*
 * bytes.h: a growing run of bytes. Zeroed is a valid empty one; bytes_free makes it empty again.
 */
#ifndef PLUGINS_FILES_BYTES_H
#define PLUGINS_FILES_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

struct bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Makes room for `extra` more bytes behind the first `len`. -1: no memory. */
int bytes_reserve(struct bytes *bytes, size_t extra) ORCH_CHECKED;
/* Appends a copy. -1: no memory. */
int bytes_add(struct bytes *bytes, const void *data, size_t len) ORCH_CHECKED;
int bytes_add_text(struct bytes *bytes, const char *text) ORCH_CHECKED;
void bytes_free(struct bytes *bytes);

#define CLEANUP_BYTES __attribute__((cleanup(bytes_free)))

#endif
