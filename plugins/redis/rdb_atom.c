/* rdb_atom.c: lengths and strings of the RDB format. */
#include "rdb_atom.h"

#include "lzf.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENCODED_INT8 0u
#define ENCODED_INT16 1u
#define ENCODED_INT32 2u
#define ENCODED_LZF 3u
#define LENGTH_32 0x80u
#define LENGTH_64 0x81u
#define LZF_RATIO_MAX 132u /* two or three bytes of LZF make at most 264 */

int rdb_atom_length(const uint8_t *p, size_t avail, uint64_t *value, int *special)
{
    *special = 0;
    if (avail < 1) {
        return RDB_ATOM_MORE;
    }
    uint8_t first = p[0];
    if ((first & 0xc0) == 0x00) {
        *value = first & 0x3f;
        return 1;
    }
    if ((first & 0xc0) == 0x40) {
        if (avail < 2) {
            return RDB_ATOM_MORE;
        }
        *value = (uint64_t)(first & 0x3f) << 8 | p[1];
        return 2;
    }
    if ((first & 0xc0) == 0xc0) {
        *value = first & 0x3f;
        *special = 1;
        return 1;
    }
    if (first == LENGTH_32) {
        uint32_t big;
        if (avail < 5) {
            return RDB_ATOM_MORE;
        }
        memcpy(&big, p + 1, 4);
        *value = be32toh(big);
        return 5;
    }
    if (first == LENGTH_64) {
        uint64_t big;
        if (avail < 9) {
            return RDB_ATOM_MORE;
        }
        memcpy(&big, p + 1, 8);
        *value = be64toh(big);
        return 9;
    }
    return RDB_ATOM_BAD;
}

static int lzf_head(const uint8_t *p, size_t avail, struct rdb_atom_string *string)
{
    uint64_t stored = 0, plain = 0;
    int special = 0;
    int first = rdb_atom_length(p + 1, avail - 1, &stored, &special);
    if (first <= 0 || special) {
        return special ? RDB_ATOM_BAD : first;
    }
    int second = rdb_atom_length(p + 1 + first, avail - 1 - (size_t)first, &plain, &special);
    if (second <= 0 || special) {
        return special ? RDB_ATOM_BAD : second;
    }
    /* A length that LZF cannot reach is refused before memory is taken for it. */
    if (stored == 0 || plain == 0 || plain / LZF_RATIO_MAX > stored) {
        return RDB_ATOM_BAD;
    }
    *string = (struct rdb_atom_string){RDB_ATOM_LZF, 1 + (uint32_t)first + (uint32_t)second, stored,
                                       plain};
    return 1;
}

int rdb_atom_string(const uint8_t *p, size_t avail, uint64_t cap, struct rdb_atom_string *string)
{
    uint64_t value = 0;
    int special = 0;
    int used = rdb_atom_length(p, avail, &value, &special);
    if (used <= 0) {
        return used;
    }
    if (!special) {
        *string = (struct rdb_atom_string){RDB_ATOM_PLAIN, (uint32_t)used, value, value};
    } else if (value <= ENCODED_INT32) {
        *string = (struct rdb_atom_string){RDB_ATOM_INT, 1, UINT64_C(1) << value, 11};
        return 1;
    } else if (value == ENCODED_LZF) {
        int rc = lzf_head(p, avail, string);
        if (rc != 1) {
            return rc;
        }
    } else {
        return RDB_ATOM_BAD;
    }
    return string->stored > cap || string->plain > cap ? RDB_ATOM_BAD : 1;
}

static int32_t decode_integer(const uint8_t *stored, uint64_t size, struct bytes *room,
                              struct orch_error *err)
{
    int32_t value = 0;
    if (size == 1) {
        value = (int8_t)stored[0];
    } else if (size == 2) {
        value = (int16_t)(uint16_t)(stored[0] | stored[1] << 8);
    } else {
        uint32_t little;
        memcpy(&little, stored, 4);
        value = (int32_t)le32toh(little);
    }
    char text[16];
    int len = snprintf(text, sizeof(text), "%" PRId32, value);
    return bytes_append(room, text, (size_t)len, err);
}

int32_t rdb_atom_decode(const uint8_t *p, const struct rdb_atom_string *string, struct bytes *room,
                        const uint8_t **text, size_t *len, struct orch_error *err)
{
    const uint8_t *stored = p + string->head;
    if (string->encoding == RDB_ATOM_PLAIN) {
        *text = stored;
        *len = (size_t)string->stored;
        return ORCH_OK;
    }
    bytes_clear(room);
    int32_t rc;
    if (string->encoding == RDB_ATOM_INT) {
        rc = decode_integer(stored, string->stored, room, err);
    } else {
        rc = bytes_reserve(room, (size_t)string->plain, err);
        if (rc == ORCH_OK &&
            lzf_decode(stored, (size_t)string->stored, room->data, (size_t)string->plain) != 0) {
            rc = orch_fail(err, ORCH_E_CORRUPT, "a compressed string cannot be decoded");
        }
        room->len = rc == ORCH_OK ? (size_t)string->plain : 0;
    }
    *text = room->data;
    *len = room->len;
    return rc;
}

int32_t rdb_atom_put_length(struct bytes *out, uint64_t value, struct orch_error *err)
{
    uint8_t head[9];
    size_t len;
    if (value < 64) {
        head[0] = (uint8_t)value;
        len = 1;
    } else if (value < 16384) {
        head[0] = (uint8_t)(0x40 | value >> 8);
        head[1] = (uint8_t)value;
        len = 2;
    } else if (value <= UINT32_MAX) {
        uint32_t big = htobe32((uint32_t)value);
        head[0] = LENGTH_32;
        memcpy(head + 1, &big, 4);
        len = 5;
    } else {
        uint64_t big = htobe64(value);
        head[0] = LENGTH_64;
        memcpy(head + 1, &big, 8);
        len = 9;
    }
    return bytes_append(out, head, len, err);
}

int32_t rdb_atom_put_string(struct bytes *out, const void *data, size_t len, struct orch_error *err)
{
    int32_t rc = rdb_atom_put_length(out, len, err);
    return rc != ORCH_OK ? rc : bytes_append(out, data, len, err);
}
