/* bytes.c: see bytes.h. */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

int bytes_reserve(struct bytes *bytes, size_t extra)
{
    if (extra <= bytes->cap - bytes->len) {
        return 0;
    }
    size_t need = 0;
    if (__builtin_add_overflow(bytes->len, extra, &need)) {
        return -1;
    }
    size_t cap = bytes->cap < 64 ? 64 : bytes->cap;
    while (cap < need) {
        if (__builtin_mul_overflow(cap, (size_t)2, &cap)) {
            return -1;
        }
    }
    uint8_t *data = realloc(bytes->data, cap);
    if (data == NULL) {
        return -1;
    }
    bytes->data = data;
    bytes->cap = cap;
    return 0;
}

int bytes_add(struct bytes *bytes, const void *data, size_t len)
{
    if (bytes_reserve(bytes, len) != 0) {
        return -1;
    }
    if (len > 0) {
        memcpy(bytes->data + bytes->len, data, len);
        bytes->len += len;
    }
    return 0;
}

int bytes_add_text(struct bytes *bytes, const char *text)
{
    return bytes_add(bytes, text, strlen(text));
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}
