/*
 * buffer.h: a growing run of bytes, and a bounds-checked reader over bytes that cannot be trusted.
 *
 * All integers are little-endian on disk and on the wire.
 */
#ifndef CORE_BASE_BUFFER_H
#define CORE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Initialise with BUFFER_INIT. `data` may move with every append. */
struct buffer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    bool failed; /* an append ran out of memory; later appends do nothing */
};

#define BUFFER_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }

/* Appends do not report failure one by one: check `failed` once at the end. */
void buffer_append(struct buffer *b, const void *data, size_t len);
void buffer_u8(struct buffer *b, uint8_t value);
void buffer_u16(struct buffer *b, uint16_t value);
void buffer_u32(struct buffer *b, uint32_t value);
void buffer_u64(struct buffer *b, uint64_t value);
/* LEB128: 7 bits a byte, low bits first, at most 10 bytes. */
void buffer_varint(struct buffer *b, uint64_t value);
/* Varint length, then the bytes. */
void buffer_bytes(struct buffer *b, const void *data, size_t len);
void buffer_text(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `len` more bytes; NULL when memory ran out. The caller adds to b->len what it fills. */
uint8_t *buffer_reserve(struct buffer *b, size_t len);
/* The content as a C string (adds a zero byte past the end); NULL when memory ran out. */
char *buffer_string(struct buffer *b);
void buffer_clear(struct buffer *b); /* keeps the memory */
void buffer_free(struct buffer *b);  /* frees it and re-initialises */

#define CLEANUP_BUFFER CLEANUP(buffer_free)

/* A cursor over foreign bytes. A read past the end returns zero and sets `failed`, for good. */
struct reader {
    const uint8_t *data;
    size_t len;
    size_t pos;
    bool failed;
};

struct reader reader_over(const void *data, size_t len);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_varint(struct reader *r); /* refuses encodings longer than they need to be */
/* `len` bytes in place, NULL on failure (and for len 0 a non-NULL pointer). */
const uint8_t *reader_take(struct reader *r, size_t len);
/* Varint length, then that many bytes in place; at most `max`. */
const uint8_t *reader_bytes(struct reader *r, size_t max, size_t *len);
size_t reader_left(const struct reader *r);

static inline void put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static inline uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_le64(const uint8_t *p)
{
    return (uint64_t)get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

#endif
