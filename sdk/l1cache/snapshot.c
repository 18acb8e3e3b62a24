/* snapshot.c: reading one point in time, replacing all in one step, copying. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

struct orch_l1_snapshot {
    struct orch_l1 *cache;
    MDB_txn *txn;
    MDB_cursor *cursor;
    int started;
};

int32_t orch_l1_snapshot_open(struct orch_l1 *cache, struct orch_l1_snapshot **out,
                              struct orch_error *err)
{
    struct orch_l1_snapshot *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a snapshot of cache %s", cache->path);
    }
    s->cache = cache;
    int rc = mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &s->txn);
    if (rc == 0) {
        rc = mdb_cursor_open(s->txn, cache->entries, &s->cursor);
    }
    if (rc != 0) {
        orch_l1_snapshot_close(s);
        return l1_fail(err, rc, cache, "take a snapshot");
    }
    *out = s;
    return ORCH_OK;
}

int32_t orch_l1_snapshot_next(struct orch_l1_snapshot *s, struct orch_l1_entry *entry,
                              struct orch_error *err)
{
    MDB_val key, stored, value;
    struct l1_header header;
    int rc = mdb_cursor_get(s->cursor, &key, &stored, s->started ? MDB_NEXT : MDB_FIRST);
    s->started = 1;
    if (rc == MDB_NOTFOUND) {
        return ORCH_E_NOT_FOUND;
    }
    if (rc == 0) {
        rc = l1_unpack(&stored, &header, &value);
    }
    if (rc != 0) {
        return l1_fail(err, rc, s->cache, "read the next entry");
    }
    const struct l1_slot *slot = l1_slot(s->cache, header.slot);
    *entry = (struct orch_l1_entry){
        .key = key.mv_data,
        .key_len = key.mv_size,
        .value = value.mv_data,
        .value_len = value.mv_size,
        .created_ms = header.created_ms,
        .expires_ms = header.expires_ms,
        .last_used_ms = atomic_load(&slot->last_used_ms),
        .hits = atomic_load(&slot->hits),
        .checksum = header.checksum,
    };
    if (XXH64(value.mv_data, value.mv_size, 0) != header.checksum) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "cache %s: the checksum of entry \"%.*s\" is wrong; delete the entry",
                         s->cache->path, (int)(key.mv_size < 80 ? key.mv_size : 80),
                         (const char *)key.mv_data);
    }
    return ORCH_OK;
}

void orch_l1_snapshot_close(struct orch_l1_snapshot *s)
{
    if (s == NULL) {
        return;
    }
    if (s->cursor != NULL) {
        mdb_cursor_close(s->cursor);
    }
    if (s->txn != NULL) {
        mdb_txn_abort(s->txn);
    }
    free(s);
}

/* ---- replacing ---- */

/* Use counts are written after the commit: until then the slots belong to the old entries. */
struct usage_list {
    struct {
        uint64_t hits;
        int64_t last_used_ms;
    } * items;
    size_t count, capacity;
};

static int remember(struct usage_list *list, const struct orch_l1_entry *entry)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        void *grown = realloc(list->items, capacity * sizeof(*list->items));
        if (grown == NULL) {
            return ENOMEM;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count].hits = entry->hits;
    list->items[list->count].last_used_ms = entry->last_used_ms;
    list->count++;
    return 0;
}

static int32_t fill(struct orch_l1 *cache, MDB_txn *txn,
                    int32_t (*next)(void *ctx, struct orch_l1_entry *entry, struct orch_error *err),
                    void *ctx, struct usage_list *usage, struct orch_error *err)
{
    for (;;) {
        struct orch_l1_entry entry = {0};
        int32_t rc = next(ctx, &entry, err);
        if (rc != ORCH_OK) {
            return rc == ORCH_E_NOT_FOUND ? ORCH_OK : rc;
        }
        if (entry.key_len == 0 || entry.key_len > ORCH_L1_KEY_MAX) {
            return orch_fail(err, ORCH_E_INVALID, "a cache key has 1 to %u bytes", ORCH_L1_KEY_MAX);
        }
        struct l1_header header = {
            .created_ms = entry.created_ms,
            .expires_ms = entry.expires_ms,
            .checksum = XXH64(entry.value, entry.value_len, 0),
        };
        MDB_val key = {entry.key_len, (void *)(uintptr_t)entry.key};
        int mdb_rc = l1_slot_take(cache, txn, &header.slot);
        if (mdb_rc == 0) {
            mdb_rc = l1_store(cache, txn, &key, &header, entry.value, entry.value_len);
        }
        if (mdb_rc == 0) {
            mdb_rc = remember(usage, &entry);
        }
        if (mdb_rc != 0) {
            return l1_fail(err, mdb_rc, cache, "put a restored entry");
        }
    }
}

int32_t orch_l1_replace(struct orch_l1 *cache,
                        int32_t (*next)(void *ctx, struct orch_l1_entry *entry,
                                        struct orch_error *err),
                        void *ctx, struct orch_error *err)
{
    struct usage_list usage = {0};
    MDB_txn *txn = NULL;
    int mdb_rc = mdb_txn_begin(cache->env, NULL, 0, &txn);
    if (mdb_rc == 0) {
        mdb_rc = mdb_drop(txn, cache->entries, 0);
    }
    if (mdb_rc == 0) {
        mdb_rc = mdb_drop(txn, cache->freed, 0); /* numbers start from 0 again, in order */
    }
    int32_t rc = mdb_rc == 0 ? fill(cache, txn, next, ctx, &usage, err)
                             : l1_fail(err, mdb_rc, cache, "empty it");
    if (rc != ORCH_OK) {
        mdb_txn_abort(txn);
    } else {
        mdb_rc = mdb_txn_commit(txn);
        rc = mdb_rc == 0 ? ORCH_OK : l1_fail(err, mdb_rc, cache, "commit the restored entries");
    }
    for (size_t i = 0; rc == ORCH_OK && i < usage.count; i++) {
        struct l1_slot *slot = l1_slot(cache, i);
        atomic_store(&slot->hits, usage.items[i].hits);
        atomic_store(&slot->last_used_ms, usage.items[i].last_used_ms);
    }
    free(usage.items);
    return rc;
}

/* ---- copying ---- */

struct copying {
    struct orch_l1_snapshot *snapshot;
};

static int32_t copy_next(void *ctx, struct orch_l1_entry *entry, struct orch_error *err)
{
    return orch_l1_snapshot_next(((struct copying *)ctx)->snapshot, entry, err);
}

int32_t orch_l1_copy(struct orch_l1 *cache, const char *path, struct orch_error *err)
{
    struct orch_l1_options options = {.size_bytes = cache->usage->size_bytes,
                                      .max_entries = cache->usage->slots};
    struct orch_l1 *copy = NULL;
    struct copying copying = {0};
    int32_t rc = orch_l1_open(path, &options, &copy, err);
    if (rc == ORCH_OK) {
        rc = orch_l1_snapshot_open(cache, &copying.snapshot, err);
    }
    if (rc == ORCH_OK) {
        rc = orch_l1_replace(copy, copy_next, &copying, err);
    }
    if (rc == ORCH_OK) {
        int mdb_rc = mdb_env_sync(copy->env, 1);
        rc = mdb_rc == 0 ? ORCH_OK : l1_fail(err, mdb_rc, copy, "sync the copy");
    }
    orch_l1_snapshot_close(copying.snapshot);
    orch_l1_close(copy);
    return rc;
}
