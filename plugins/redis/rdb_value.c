/* rdb_value.c: programs for every type of value, and the cursor that runs them. */
#include "rdb_value.h"

#include "rdb_atom.h"

#include <string.h>

/*
 * One letter per atom: s string, l length, 8 eight bytes, x sixteen bytes, d a score in the text
 * form of old sorted sets; "(…)" reads a length and repeats what is inside that many times.
 */
#define STREAM_1 "(ss)lll(sll(x8l)(s8(x)))"
#define STREAM_2 "(ss)llllllll(slll(x8l)(s8(x)))"
#define STREAM_3 "(ss)llllllll(slll(x8l)(s88(x)))"

struct shape {
    const char *program;
    const char *name;
};

static const struct shape SHAPES[] = {
    [0] = {"s", "string"},       [1] = {"(s)", "list"},       [2] = {"(s)", "set"},
    [3] = {"(sd)", "zset"},      [4] = {"(ss)", "hash"},      [5] = {"(s8)", "zset"},
    [9] = {"s", "hash"},         [10] = {"s", "list"},        [11] = {"s", "set"},
    [12] = {"s", "zset"},        [13] = {"s", "hash"},        [14] = {"(s)", "list"},
    [15] = {STREAM_1, "stream"}, [16] = {"s", "hash"},        [17] = {"s", "zset"},
    [18] = {"(ls)", "list"},     [19] = {STREAM_2, "stream"}, [20] = {"s", "set"},
    [21] = {STREAM_3, "stream"}, [24] = {"8(lss)", "hash"},   [25] = {"8s", "hash"},
};

static const struct shape *shape_of(uint32_t type)
{
    if (type >= sizeof(SHAPES) / sizeof(SHAPES[0]) || SHAPES[type].program == NULL) {
        return NULL;
    }
    return &SHAPES[type];
}

int rdb_value_known(uint32_t type)
{
    return shape_of(type) != NULL;
}

const char *rdb_value_name(uint32_t type)
{
    const struct shape *shape = shape_of(type);
    return shape == NULL ? "unknown" : shape->name;
}

void rdb_value_start(struct rdb_cursor *cursor, uint32_t type, uint64_t cap)
{
    memset(cursor, 0, sizeof(*cursor));
    cursor->program = shape_of(type)->program;
    cursor->cap = cap;
}

/* The place after the bracket that closes the one before `pc`. */
static uint32_t after_bracket(const char *program, uint32_t pc)
{
    int open = 1;
    while (open > 0) {
        open += program[pc] == '(' ? 1 : program[pc] == ')' ? -1 : 0;
        pc++;
    }
    return pc;
}

static int skip_fixed(struct rdb_cursor *cursor, size_t len, size_t size)
{
    if (len - cursor->offset < size) {
        return 0;
    }
    cursor->offset += size;
    return 1;
}

static int skip_string(struct rdb_cursor *cursor, const uint8_t *data, size_t len)
{
    struct rdb_atom_string string;
    size_t avail = len - cursor->offset;
    int rc = rdb_atom_string(data + cursor->offset, avail, cursor->cap, &string);
    if (rc != 1) {
        return rc;
    }
    if (avail - string.head < string.stored) {
        return 0;
    }
    cursor->offset += string.head + (size_t)string.stored;
    return 1;
}

static int skip_length(struct rdb_cursor *cursor, const uint8_t *data, size_t len, uint64_t *value)
{
    int special = 0;
    int used = rdb_atom_length(data + cursor->offset, len - cursor->offset, value, &special);
    if (used <= 0 || special) {
        return special ? -1 : used;
    }
    cursor->offset += (size_t)used;
    return 1;
}

/* A score: its length in a byte, of which the three highest stand for nan and the infinities. */
static int skip_score(struct rdb_cursor *cursor, const uint8_t *data, size_t len)
{
    if (len == cursor->offset) {
        return 0;
    }
    uint8_t size = data[cursor->offset];
    return skip_fixed(cursor, len, size >= 253 ? 1 : (size_t)size + 1);
}

static int enter(struct rdb_cursor *cursor, const uint8_t *data, size_t len)
{
    uint64_t count = 0;
    int rc = skip_length(cursor, data, len, &count);
    if (rc != 1) {
        return rc;
    }
    cursor->pc++;
    if (count == 0) {
        cursor->pc = after_bracket(cursor->program, cursor->pc);
    } else {
        cursor->frame[cursor->depth].pc = cursor->pc;
        cursor->frame[cursor->depth].left = count;
        cursor->depth++;
    }
    return 1;
}

static void leave(struct rdb_cursor *cursor)
{
    if (--cursor->frame[cursor->depth - 1].left > 0) {
        cursor->pc = cursor->frame[cursor->depth - 1].pc;
    } else {
        cursor->depth--;
        cursor->pc++;
    }
}

int rdb_value_walk(struct rdb_cursor *cursor, const uint8_t *data, size_t len)
{
    for (;;) {
        uint64_t ignored;
        int rc;
        switch (cursor->program[cursor->pc]) {
        case '\0':
            return 1;
        case '(':
            rc = enter(cursor, data, len);
            if (rc != 1) {
                return rc;
            }
            continue;
        case ')':
            leave(cursor);
            continue;
        case 's':
            rc = skip_string(cursor, data, len);
            break;
        case 'l':
            rc = skip_length(cursor, data, len, &ignored);
            break;
        case 'd':
            rc = skip_score(cursor, data, len);
            break;
        case '8':
            rc = skip_fixed(cursor, len, 8);
            break;
        default: /* 'x' */
            rc = skip_fixed(cursor, len, 16);
            break;
        }
        if (rc != 1) {
            return rc;
        }
        cursor->pc++;
    }
}

/* The element count in the header of a packed form, which is stored as one string. */
static uint64_t packed_count(uint32_t type, const uint8_t *value, size_t len)
{
    struct rdb_atom_string string;
    if (rdb_atom_string(value, len, UINT64_MAX, &string) != 1 ||
        string.encoding != RDB_ATOM_PLAIN || len - string.head < string.stored) {
        return RDB_VALUE_UNCOUNTED;
    }
    const uint8_t *p = value + string.head;
    if (type == 11) { /* intset: width, count, numbers */
        return string.stored < 8 ? RDB_VALUE_UNCOUNTED
                                 : (uint64_t)p[4] | (uint64_t)p[5] << 8 | (uint64_t)p[6] << 16 |
                                       (uint64_t)p[7] << 24;
    }
    /* A listpack counts after 4 bytes, a ziplist after 8; 65535 means "count them yourself". */
    size_t at = type == 16 || type == 17 || type == 20 ? 4 : 8;
    if (string.stored < at + 2) {
        return RDB_VALUE_UNCOUNTED;
    }
    uint64_t count = (uint64_t)p[at] | (uint64_t)p[at + 1] << 8;
    int pairs = type == 12 || type == 13 || type == 16 || type == 17;
    return count == 65535 ? RDB_VALUE_UNCOUNTED : pairs ? count / 2 : count;
}

uint64_t rdb_value_count(uint32_t type, const uint8_t *value, size_t len)
{
    uint64_t count = 0;
    int special = 0;
    struct rdb_atom_string string;
    switch (type) {
    case 0:
        if (rdb_atom_string(value, len, UINT64_MAX, &string) != 1 ||
            string.encoding == RDB_ATOM_INT) {
            return RDB_VALUE_UNCOUNTED;
        }
        return string.plain;
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        return rdb_atom_length(value, len, &count, &special) > 0 ? count : RDB_VALUE_UNCOUNTED;
    case 10:
    case 11:
    case 12:
    case 13:
    case 16:
    case 17:
    case 20:
        return packed_count(type, value, len);
    default:
        return RDB_VALUE_UNCOUNTED;
    }
}

/* Spreads the bits, so that a sum over elements does not cancel out as a linear code would. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

/* A string is digested as it reads, since a server may or may not compress it. */
static uint64_t string_digest(const struct crc64 *crc, const uint8_t *value, size_t len)
{
    CLEANUP_BYTES struct bytes room = BYTES_INIT;
    struct rdb_atom_string string;
    const uint8_t *text = NULL;
    size_t text_len = 0;
    if (rdb_atom_string(value, len, UINT64_MAX, &string) != 1 ||
        len - string.head < string.stored ||
        rdb_atom_decode(value, &string, &room, &text, &text_len, NULL) != ORCH_OK) {
        return 0;
    }
    return mix(crc64_update(crc, 0, text, text_len) ^ text_len);
}

uint64_t rdb_value_digest(const struct crc64 *crc, uint32_t type, const uint8_t *value, size_t len)
{
    uint64_t kind = mix(type + 1);
    if (type == 0) {
        return string_digest(crc, value, len);
    }
    if (type != 2 && type != 4) {
        return mix(crc64_update(crc, 0, value, len) ^ kind);
    }
    uint64_t count = 0;
    struct rdb_cursor cursor = {.program = "", .cap = UINT64_MAX};
    if (skip_length(&cursor, value, len, &count) != 1) {
        return 0;
    }
    uint64_t sum = mix(kind ^ count);
    for (uint64_t i = 0; i < count; i++) {
        size_t start = cursor.offset;
        if (skip_string(&cursor, value, len) != 1 ||
            (type == 4 && skip_string(&cursor, value, len) != 1)) {
            return 0;
        }
        sum += mix(crc64_update(crc, kind, value + start, cursor.offset - start));
    }
    return mix(sum);
}
