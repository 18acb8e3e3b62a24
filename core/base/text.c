/* text.c: see text.h. */
#include "base/text.h"

#include <string.h>

#include "base/buffer.h"

/* The length that the first byte announces, or 0. */
static size_t announced(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t text_printable(const uint8_t *p, size_t left)
{
    size_t n = left == 0 ? 0 : announced(p[0]);
    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool control = n == 1 ? p[0] < 0x20 || p[0] == 0x7f : p[0] == 0xc2 && p[1] < 0xa0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return control || overlong || beyond ? 0 : n;
}

/* The cleaned form of what stands at `p`, at most 4 bytes into `out`; *used bytes were read. */
static size_t clean_one(const uint8_t *p, size_t left, char out[4], size_t *used)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = text_printable(p, left);
    *used = n == 0 ? 1 : n;
    if (n > 0) {
        memcpy(out, p, n);
        return n;
    }
    if (*p == '\n' || *p == '\r' || *p == '\t') {
        out[0] = ' ';
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[*p >> 4];
    out[3] = digits[*p & 15];
    return 4;
}

static void clean_into(const char *text, struct buffer *out)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t left = strlen(text);
    while (left > 0) {
        char one[4];
        size_t used = 0;
        buffer_append(out, one, clean_one(p, left, one, &used));
        p += used;
        left -= used;
    }
}

void text_clean(char *text, size_t size)
{
    uint8_t *p = (uint8_t *)text;
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        char one[4];
        size_t used = 0;
        size_t n = clean_one(p + at, len - at, one, &used);
        if (at + n + 1 > size) {
            len = at;
            break;
        }
        /* The rest moves up by n - used; its end falls off when there is no room. */
        size_t rest = len - at - used;
        if (at + n + rest + 1 > size) {
            rest = size - at - n - 1;
        }
        memmove(p + at + n, p + at + used, rest);
        memcpy(p + at, one, n);
        at += n;
        len = at + rest;
    }
    p[len] = 0;
}

json_t *text_json(const char *text)
{
    CLEANUP_BUFFER struct buffer clean = BUFFER_INIT;
    if (text == NULL) {
        return NULL;
    }
    clean_into(text, &clean);
    const char *out = buffer_string(&clean);
    return out == NULL ? NULL : json_string(out);
}
