/*
 * rdb_atom.h: the atoms of the RDB format: lengths, and strings in their four encodings.
 *
 * Pure functions over bytes of any content; nothing is read past `avail`.
 */
#ifndef REDIS_RDB_ATOM_H
#define REDIS_RDB_ATOM_H

#include "bytes.h"

#include <stddef.h>
#include <stdint.h>

#define RDB_ATOM_MORE 0 /* not enough bytes yet */
#define RDB_ATOM_BAD (-1)

/* How a string is stored. */
#define RDB_ATOM_PLAIN 0u
#define RDB_ATOM_INT 1u /* an integer of 1, 2 or 4 bytes that stands for its decimal text */
#define RDB_ATOM_LZF 2u

/*
 * Reads a length. Gives the bytes used (1 to 9), RDB_ATOM_MORE, or RDB_ATOM_BAD. `*special` becomes
 * 1 when the byte announces an encoded string instead; then `*value` is the encoding's number.
 */
int rdb_atom_length(const uint8_t *p, size_t avail, uint64_t *value, int *special);

struct rdb_atom_string {
    uint32_t encoding;
    uint32_t head;   /* bytes before the stored ones */
    uint64_t stored; /* bytes stored */
    uint64_t plain;  /* bytes once decoded; for an integer an upper bound */
};

/* Reads a string's head: 1 when `*string` is set (its stored bytes may not be there yet),
 * RDB_ATOM_MORE or RDB_ATOM_BAD. A string that is longer than `cap`, stored or decoded, is bad. */
int rdb_atom_string(const uint8_t *p, size_t avail, uint64_t cap, struct rdb_atom_string *string);

/*
 * Decodes a string that is there as a whole. `*text` points into `p` or into `room`, which is
 * overwritten. ORCH_E_CORRUPT when its compressed form is wrong.
 */
int32_t rdb_atom_decode(const uint8_t *p, const struct rdb_atom_string *string, struct bytes *room,
                        const uint8_t **text, size_t *len, struct orch_error *err) ORCH_CHECKED;

/* Appends a length, and a string in the plain encoding. */
int32_t rdb_atom_put_length(struct bytes *out, uint64_t value, struct orch_error *err) ORCH_CHECKED;
int32_t rdb_atom_put_string(struct bytes *out, const void *data, size_t len,
                            struct orch_error *err) ORCH_CHECKED;

#endif
