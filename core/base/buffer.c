/* buffer.c: see buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <string.h>

uint8_t *buffer_reserve(struct buffer *b, size_t len)
{
    if (b->failed) {
        return NULL;
    }
    if (b->data == NULL || b->capacity - b->len < len) {
        size_t capacity = b->capacity < 64 ? 64 : b->capacity;
        while (capacity - b->len < len) {
            if (capacity > SIZE_MAX / 2) {
                b->failed = true;
                return NULL;
            }
            capacity *= 2;
        }
        uint8_t *grown = realloc(b->data, capacity);
        if (grown == NULL) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    return b->data + b->len;
}

void buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    uint8_t *space = buffer_reserve(b, len);
    if (space != NULL) {
        memcpy(space, data, len);
        b->len += len;
    }
}

void buffer_u8(struct buffer *b, uint8_t value)
{
    buffer_append(b, &value, 1);
}

void buffer_u16(struct buffer *b, uint16_t value)
{
    uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    buffer_append(b, bytes, sizeof(bytes));
}

void buffer_u32(struct buffer *b, uint32_t value)
{
    uint8_t bytes[4];
    put_le32(bytes, value);
    buffer_append(b, bytes, sizeof(bytes));
}

void buffer_u64(struct buffer *b, uint64_t value)
{
    uint8_t bytes[8];
    put_le64(bytes, value);
    buffer_append(b, bytes, sizeof(bytes));
}

void buffer_varint(struct buffer *b, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    buffer_append(b, bytes, n);
}

void buffer_bytes(struct buffer *b, const void *data, size_t len)
{
    buffer_varint(b, len);
    buffer_append(b, data, len);
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need < 0) {
        b->failed = true;
        return;
    }
    uint8_t *space = buffer_reserve(b, (size_t)need + 1);
    if (space == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf((char *)space, (size_t)need + 1, format, args);
    va_end(args);
    b->len += (size_t)need;
}

char *buffer_string(struct buffer *b)
{
    uint8_t *end = buffer_reserve(b, 1);
    if (end == NULL) {
        return NULL;
    }
    *end = 0;
    return (char *)b->data;
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->failed = false;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer)BUFFER_INIT;
}

struct reader reader_over(const void *data, size_t len)
{
    return (struct reader){.data = data, .len = len, .pos = 0, .failed = false};
}

size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->len - r->pos;
}

const uint8_t *reader_take(struct reader *r, size_t len)
{
    static const uint8_t nothing[1];
    if (r->failed || r->len - r->pos < len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = len == 0 ? nothing : r->data + r->pos;
    r->pos += len;
    return p;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p == NULL ? 0 : *p;
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p == NULL ? 0 : (uint16_t)(p[0] | p[1] << 8);
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p == NULL ? 0 : get_le32(p);
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_take(r, 8);
    return p == NULL ? 0 : get_le64(p);
}

uint64_t reader_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        if (r->failed) {
            return 0;
        }
        if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0)) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    r->failed = true;
    return 0;
}

const uint8_t *reader_bytes(struct reader *r, size_t max, size_t *len)
{
    uint64_t n = reader_varint(r);
    *len = 0;
    if (r->failed || n > max) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = reader_take(r, (size_t)n);
    if (p != NULL) {
        *len = (size_t)n;
    }
    return p;
}
