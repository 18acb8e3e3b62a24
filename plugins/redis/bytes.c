/* bytes.c: a growing run of bytes. */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

int32_t bytes_reserve(struct bytes *bytes, size_t extra, struct orch_error *err)
{
    if (extra <= bytes->cap - bytes->len) {
        return ORCH_OK;
    }
    if (extra > SIZE_MAX / 4 - bytes->len) {
        return orch_fail(err, ORCH_E_NOMEM, "a buffer of %zu more bytes is too large", extra);
    }
    size_t want = bytes->cap == 0 ? 256 : bytes->cap * 2;
    if (want < bytes->len + extra) {
        want = bytes->len + extra;
    }
    uint8_t *grown = realloc(bytes->data, want);
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for a buffer of %zu bytes", want);
    }
    bytes->data = grown;
    bytes->cap = want;
    return ORCH_OK;
}

int32_t bytes_append(struct bytes *bytes, const void *data, size_t len, struct orch_error *err)
{
    if (len == 0) {
        return ORCH_OK;
    }
    int32_t rc = bytes_reserve(bytes, len, err);
    if (rc == ORCH_OK) {
        memcpy(bytes->data + bytes->len, data, len);
        bytes->len += len;
    }
    return rc;
}

void bytes_clear(struct bytes *bytes)
{
    bytes->len = 0;
}

void bytes_drop(struct bytes *bytes, size_t len)
{
    if (len > 0) {
        memmove(bytes->data, bytes->data + len, bytes->len - len);
        bytes->len -= len;
    }
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->len = 0;
    bytes->cap = 0;
}
