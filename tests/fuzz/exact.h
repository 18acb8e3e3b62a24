/* exact.h: copies of foreign bytes in memory that is just as long, so that a read past the end
 * shows (a struct buffer usually has room behind its bytes). */
#ifndef TESTS_FUZZ_EXACT_H
#define TESTS_FUZZ_EXACT_H

#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"

/* The caller frees it. */
static inline uint8_t *exact_bytes(const void *data, size_t len)
{
    uint8_t *copy = malloc(len + (len == 0));
    must(copy != NULL);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

static inline struct buffer exact_buffer(const void *data, size_t len)
{
    return (struct buffer){.data = exact_bytes(data, len), .len = len, .capacity = len};
}

#endif
