/*
 * indexcacheimpl.h: what the files of an index's cache share.
 *
 * indexcache.c       the environment: made, opened, shared, closed
 * indexcacheread.c   lookups
 * indexcachewrite.c  transactions that change it
 * indexbuild.c       a whole new one
 */
#ifndef CORE_ENGINE_INDEXCACHEIMPL_H
#define CORE_ENGINE_INDEXCACHEIMPL_H

#include <lmdb.h>
#include <pthread.h>
#include <sys/types.h>

#include "engine/indexcache.h"

#define CACHE_FORMAT 2u

/* chunks: 32 bytes of chunk id and the pack's number, big-endian, so that rows lie by chunk and
 * then by pack. Value: number in the pack, frame, offset, length. */
#define ROW_KEY_BYTES (CHUNK_ID_BYTES + 4u)
#define ROW_VALUE_BYTES 16u
struct cache_row {
    uint8_t key[ROW_KEY_BYTES];
    uint8_t value[ROW_VALUE_BYTES];
};

#define FRAME_RECORD_BYTES 20u

/* The one record of `meta`. */
struct cache_meta {
    char repo_id[ID_TEXT];
    uint32_t next_pack;
    uint64_t next_place;
    uint64_t drops; /* of packs, ever */
    struct cache_totals totals;
};

struct cache_reader {
    MDB_txn *txn;
    MDB_cursor *chunks;
    struct cache_reader *next;
};

struct indexcache {
    MDB_env *env;
    MDB_dbi chunks, packs, frames, ids, segments, meta;
    char *path;
    bool private; /* the files are deleted, nobody else can come to it */
    bool dirty;   /* the state file says that writes are not synced */
    bool failed;  /* a lookup met damage; told */
    int users_fd; /* shared lock: somebody has it open */

    pthread_mutex_t lock; /* over `idle` and `failed` */
    struct cache_reader *idle;

    /* Of the list of open caches. */
    dev_t device;
    ino_t inode;
    size_t refs;
    struct indexcache *next;
};

/* An LMDB error as ours. */
int32_t cache_error(const struct indexcache *cache, int code, const char *what,
                    struct orch_error *err);

/* A read transaction of now; NULL when there is none to be had. */
struct cache_reader *cache_reader_take(struct indexcache *cache);
void cache_reader_give(struct indexcache *cache, struct cache_reader *reader);

int cache_meta_get(const struct indexcache *cache, MDB_txn *txn, struct cache_meta *out);
int cache_meta_put(const struct indexcache *cache, MDB_txn *txn, const struct cache_meta *meta);
/* Numbers that a sound cache can have are below these: a damaged one must not make tables of them
 * too long for any memory. */
struct cache_limits {
    uint64_t packs, places;
};
/* MDB_CORRUPTED when `meta` itself cannot be. */
int cache_limits_get(const struct indexcache *cache, MDB_txn *txn, const struct cache_meta *meta,
                     struct cache_limits *out);
/* 0, MDB_NOTFOUND, or another LMDB error. */
int cache_pack_get(const struct indexcache *cache, MDB_txn *txn, uint32_t number,
                   struct cache_pack *out);
int cache_pack_put(const struct indexcache *cache, MDB_txn *txn, uint32_t number,
                   const struct cache_pack *pack);
void cache_pack_decode(const uint8_t *bytes, struct cache_pack *out);
#define PACK_RECORD_BYTES 60u
void cache_frame_decode(const uint8_t *bytes, struct cache_frame *out);
/* false when the bytes make no segment. */
bool cache_segment_decode(const MDB_val *key, const MDB_val *value, struct cache_segment *out);

/* Begins a write transaction; before the first, the state file says that the cache is not synced.
 */
int32_t cache_write_begin(struct indexcache *cache, MDB_txn **txn,
                          struct orch_error *err) ORCH_CHECKED;
/* Commits; whatever happens, the transaction is gone. */
int32_t cache_write_commit(struct indexcache *cache, MDB_txn *txn,
                           struct orch_error *err) ORCH_CHECKED;

/* In a transaction: numbers for a pack, new or those it has. */
int cache_assign(const struct indexcache *cache, MDB_txn *txn, struct cache_meta *meta,
                 const struct pack_table *table, uint32_t *number, uint64_t *first_place);
/* In a transaction: the records of a pack that a segment names once more. *fresh: it was not there
 * before, and its rows are needed. */
int cache_put_pack(const struct indexcache *cache, MDB_txn *txn, struct cache_meta *meta,
                   const struct pack_table *table, uint32_t number, uint64_t first_place,
                   bool *fresh);
int cache_put_frames(const struct indexcache *cache, MDB_txn *txn, uint32_t number,
                     const struct pack_table *table);
int cache_put_segment(const struct indexcache *cache, MDB_txn *txn, const struct cache_add *add,
                      const uint32_t *numbers);
/* Rows of one pack, one after another; `rows` has room for table->chunk_count. */
void cache_rows(const struct pack_table *table, uint32_t number, struct cache_row *rows);
int cache_row_compare(const void *a, const void *b);

#endif
