/* internal.h: what the files of the cache share. */
#ifndef ORCHESTRATE_L1_INTERNAL_H
#define ORCHESTRATE_L1_INTERNAL_H

#include <lmdb.h>
#include <stdatomic.h>
#include <stddef.h>

#include "l1cache.h"

#define L1_USAGE_MAGIC UINT64_C(0x3155314c4843524f) /* "ORCHL1U1", little-endian */

/* usage: this header, then one slot for each entry number. */
struct l1_slot {
    _Atomic uint64_t hits;
    _Atomic int64_t last_used_ms;
};

struct l1_usage {
    uint64_t magic;
    uint64_t slots;
    uint64_t size_bytes; /* of the LMDB map, so that every process maps the same */
    _Atomic uint64_t hits, misses;
    uint64_t reserved[3];
    struct l1_slot slot[];
};

struct orch_l1 {
    MDB_env *env;
    MDB_dbi entries; /* key: header, value */
    MDB_dbi freed;   /* entry numbers to use again: see slot.c */
    struct l1_usage *usage;
    size_t usage_bytes;
    char *path;
};

/* The header before each value, little-endian on every machine that LMDB shares a file on. */
struct l1_header {
    uint64_t slot;
    int64_t created_ms;
    int64_t expires_ms;
    uint64_t checksum;
    uint64_t reserved;
};

int64_t l1_now_ms(void);
int32_t l1_fail(struct orch_error *err, int mdb_rc, const struct orch_l1 *cache, const char *what);

/* usage.c */
int32_t l1_usage_open(struct orch_l1 *cache, const struct orch_l1_options *options,
                      struct orch_error *err);
void l1_usage_close(struct orch_l1 *cache);
struct l1_slot *l1_slot(const struct orch_l1 *cache, uint64_t number); /* never NULL */

/* slot.c: entry numbers, given and taken back within a write transaction. MDB_MAP_FULL when all are
 * in use. */
int l1_slot_take(struct orch_l1 *cache, MDB_txn *txn, uint64_t *number);
int l1_slot_free(struct orch_l1 *cache, MDB_txn *txn, uint64_t number);

/* Takes an entry apart; 0, or MDB_CORRUPTED when it is too short. `value` stays in place. */
int l1_unpack(const MDB_val *stored, struct l1_header *header, MDB_val *value);
/* Writes one entry under a number of its own. */
int l1_store(struct orch_l1 *cache, MDB_txn *txn, MDB_val *key, const struct l1_header *header,
             const void *value, size_t value_len);

#endif
