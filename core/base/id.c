/* id.c: see id.h. */
#include "base/id.h"

#include <errno.h>
#include <sys/random.h>

int32_t id_random(void *bytes, size_t len, struct orch_error *err)
{
    uint8_t *p = bytes;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot get random bytes from the kernel");
        }
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return ORCH_OK;
}

int32_t id_new(char text[ID_TEXT], struct orch_error *err)
{
    uint8_t bytes[ID_BYTES];
    int32_t rc = id_random(bytes, sizeof(bytes), err);
    if (rc == ORCH_OK) {
        hex_encode(bytes, sizeof(bytes), text);
    }
    return rc;
}

void hex_encode(const uint8_t *bytes, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * len] = 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int32_t hex_decode(const char *text, size_t text_len, uint8_t *bytes, size_t len)
{
    if (text_len != 2 * len) {
        return ORCH_E_INVALID;
    }
    for (size_t i = 0; i < len; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return ORCH_E_INVALID;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return ORCH_OK;
}
