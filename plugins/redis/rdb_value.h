/*
 * rdb_value.h: a value as it stands in an RDB: where it ends, how many elements it has, its digest.
 *
 * A value is never decoded. A small program per type says what follows what, and a cursor runs it
 * over the bytes; the cursor keeps its place when the bytes run out, so that a value that arrives
 * in pieces is walked once.
 */
#ifndef REDIS_RDB_VALUE_H
#define REDIS_RDB_VALUE_H

#include "crc64.h"

#include <orchestrate/error.h>
#include <stddef.h>
#include <stdint.h>

/* The newest RDB version whose values this file knows. */
#define RDB_VERSION_MAX 12u

#define RDB_TYPE_MODULE 6u
#define RDB_TYPE_MODULE_2 7u

#define RDB_VALUE_DEPTH 4

struct rdb_cursor {
    const char *program;
    size_t offset; /* bytes of the value walked so far */
    uint64_t cap;  /* the longest string that is believed */
    uint32_t pc;
    uint32_t depth;
    struct {
        uint32_t pc;
        uint64_t left;
    } frame[RDB_VALUE_DEPTH];
};

/* 1 when values of this type can be walked. */
int rdb_value_known(uint32_t type);
/* The word that TYPE answers for it ("hash"), or "unknown". */
const char *rdb_value_name(uint32_t type);

/* Puts the cursor at the start of a value of a known type. */
void rdb_value_start(struct rdb_cursor *cursor, uint32_t type, uint64_t cap);
/*
 * Walks on; `data` is the value from its first byte, `len` what there is of it. 1: the value ends
 * after cursor->offset bytes. 0: more bytes are needed. -1: no value looks like this.
 */
int rdb_value_walk(struct rdb_cursor *cursor, const uint8_t *data, size_t len);

#define RDB_VALUE_UNCOUNTED UINT64_MAX
/* The number of elements (bytes, for a string) of a whole value, or RDB_VALUE_UNCOUNTED where that
 * would take decoding. */
uint64_t rdb_value_count(uint32_t type, const uint8_t *value, size_t len);

/*
 * A digest of a whole value that is equal for equal values in equal encodings. Sets and hashes that
 * are stored element by element come in an order of the server's own making (its hash seed), so
 * for them the order does not count.
 */
uint64_t rdb_value_digest(const struct crc64 *crc, uint32_t type, const uint8_t *value, size_t len);

#endif
