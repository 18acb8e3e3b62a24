/*
 * l1cache.h: an embeddable cache in shared memory that several processes use at once.
 *
 * A cache is a folder, best on a memory file system ("/dev/shm/app-l1"):
 *   data.mdb, lock.mdb   LMDB: the entries. Readers take no lock and see one snapshot each; writers
 *                        go one at a time.
 *   usage                a shared array of atomics: hits and time of last use of each entry, so
 * that a get writes nothing under a lock and scales with the readers.
 *
 * Keys have 1 to 511 bytes. Times are milliseconds since 1970-01-01 UTC. Handles may be used from
 * several threads. A process opens one cache at most once at a time (a rule of LMDB), and not
 * across fork(). Every status function gives 0 or a code of orchestrate/error.h.
 */
#ifndef ORCHESTRATE_L1CACHE_H
#define ORCHESTRATE_L1CACHE_H

#include <stdint.h>

#include <orchestrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORCH_L1_KEY_MAX 511u
#define ORCH_L1_VALUE_MAX (1u << 30)
#define ORCH_L1_NO_EXPIRY INT64_MIN

struct orch_l1;          /* an open cache */
struct orch_l1_snapshot; /* a point in time of it */

/* Zero: the default. Both count only when the cache is made. */
struct orch_l1_options {
    uint64_t size_bytes;  /* room for entries; default 256 MiB */
    uint64_t max_entries; /* size of the usage array; default 1,048,576 */
};

struct orch_l1_stats {
    uint64_t entries;    /* expired ones that were not swept yet included */
    uint64_t used_bytes; /* of the room */
    uint64_t size_bytes;
    uint64_t max_entries;
    uint64_t hits, misses; /* of all processes, since the cache was made */
    uint64_t last_change;  /* number of the last write transaction */
};

/* An entry. In a snapshot the pointers are valid until the next call on it. */
struct orch_l1_entry {
    const uint8_t *key;
    uint64_t key_len;
    const uint8_t *value;
    uint64_t value_len;
    int64_t created_ms;
    int64_t expires_ms;   /* or ORCH_L1_NO_EXPIRY */
    int64_t last_used_ms; /* 0: never */
    uint64_t hits;
    uint64_t checksum; /* XXH64 of the value, seed 0; checked by get and by a snapshot */
};

/* Opens the cache at `path`, and makes it (folder 0700) unless it exists. `options` may be NULL. */
int32_t orch_l1_open(const char *path, const struct orch_l1_options *options, struct orch_l1 **out,
                     struct orch_error *err) ORCH_CHECKED;
/* Opens an existing one; ORCH_E_NOT_FOUND when there is none. */
int32_t orch_l1_open_existing(const char *path, struct orch_l1 **out,
                              struct orch_error *err) ORCH_CHECKED;
void orch_l1_close(struct orch_l1 *cache); /* NULL is fine; end snapshots first */

/* Puts a value; `ttl_ms` 0: it does not expire. A full cache sweeps what has expired and tries once
 * more before ORCH_E_NO_SPACE. */
int32_t orch_l1_put(struct orch_l1 *cache, const void *key, uint64_t key_len, const void *value,
                    uint64_t value_len, int64_t ttl_ms, struct orch_error *err) ORCH_CHECKED;
/* Copies at most `capacity` bytes of the value and gives its whole length. ORCH_E_NOT_FOUND for a
 * missing or expired key (no message is made: this is the common case); ORCH_E_CORRUPT when the
 * checksum is wrong. */
int32_t orch_l1_get(struct orch_l1 *cache, const void *key, uint64_t key_len, void *buffer,
                    uint64_t capacity, uint64_t *value_len, struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_NOT_FOUND (without a message) when there was none. */
int32_t orch_l1_delete(struct orch_l1 *cache, const void *key, uint64_t key_len,
                       struct orch_error *err) ORCH_CHECKED;
/* Deletes what has expired; *swept counts it. */
int32_t orch_l1_sweep(struct orch_l1 *cache, uint64_t *swept, struct orch_error *err) ORCH_CHECKED;
int32_t orch_l1_stats(struct orch_l1 *cache, struct orch_l1_stats *stats,
                      struct orch_error *err) ORCH_CHECKED;

/* One point in time, without stopping writers. While it is held, pages that writers free are not
 * used again. Entries come in key order, expired ones too; ORCH_E_NOT_FOUND ends. */
int32_t orch_l1_snapshot_open(struct orch_l1 *cache, struct orch_l1_snapshot **out,
                              struct orch_error *err) ORCH_CHECKED;
int32_t orch_l1_snapshot_next(struct orch_l1_snapshot *snapshot, struct orch_l1_entry *entry,
                              struct orch_error *err) ORCH_CHECKED;
void orch_l1_snapshot_close(struct orch_l1_snapshot *snapshot);

/* Replaces the whole content in one transaction: readers see all of the old or all of the new.
 * `next` gives entries until it returns ORCH_E_NOT_FOUND; any other failure leaves the cache as it
 * was. */
int32_t orch_l1_replace(struct orch_l1 *cache,
                        int32_t (*next)(void *ctx, struct orch_l1_entry *entry,
                                        struct orch_error *err),
                        void *ctx, struct orch_error *err) ORCH_CHECKED;
/* Copies the cache as it is now into the new folder `path`, durably. */
int32_t orch_l1_copy(struct orch_l1 *cache, const char *path, struct orch_error *err) ORCH_CHECKED;

#ifdef __cplusplus
}
#endif

#endif
