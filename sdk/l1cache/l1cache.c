/* l1cache.c: see l1cache.h. Opening, put, get, delete, sweep, statistics. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

int64_t l1_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int32_t l1_fail(struct orch_error *err, int mdb_rc, const struct orch_l1 *cache, const char *what)
{
    if (mdb_rc == MDB_MAP_FULL) {
        return orch_fail(err, ORCH_E_NO_SPACE, "cache %s is full: cannot %s", cache->path, what);
    }
    int32_t code =
        mdb_rc == MDB_CORRUPTED || mdb_rc == MDB_INVALID || mdb_rc == MDB_VERSION_MISMATCH
            ? ORCH_E_CORRUPT
            : ORCH_E_IO;
    return orch_fail(err, code, "cache %s: cannot %s: %s", cache->path, what, mdb_strerror(mdb_rc));
}

static int open_databases(struct orch_l1 *cache)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(cache->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "entries", MDB_CREATE, &cache->entries);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "freed", MDB_CREATE, &cache->freed);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_env(struct orch_l1 *cache)
{
    int rc = mdb_env_create(&cache->env);
    if (rc == 0) {
        rc = mdb_env_set_mapsize(cache->env, cache->usage->size_bytes);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(cache->env, 4);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(cache->env, 1024);
    }
    if (rc == 0) {
        /* A cache need not survive a power loss, so nothing is synced. */
        rc = mdb_env_open(cache->env, cache->path, MDB_NOSYNC | MDB_NOTLS, 0600);
    }
    if (rc == 0) {
        int dead = 0;
        rc = mdb_reader_check(cache->env, &dead); /* readers of killed processes hold pages */
    }
    return rc == 0 ? open_databases(cache) : rc;
}

static int32_t open_at(const char *path, const struct orch_l1_options *options,
                       struct orch_l1 **out, struct orch_error *err)
{
    struct orch_l1 *cache = calloc(1, sizeof(*cache));
    if (cache == NULL || (cache->path = strdup(path)) == NULL) {
        free(cache);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for cache %s", path);
    }
    int32_t rc = l1_usage_open(cache, options, err);
    if (rc == ORCH_OK) {
        int mdb_rc = open_env(cache);
        if (mdb_rc != 0) {
            rc = l1_fail(err, mdb_rc, cache, "open it");
        }
    }
    if (rc != ORCH_OK) {
        orch_l1_close(cache);
        return rc;
    }
    *out = cache;
    return ORCH_OK;
}

int32_t orch_l1_open(const char *path, const struct orch_l1_options *options, struct orch_l1 **out,
                     struct orch_error *err)
{
    static const struct orch_l1_options defaults;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return orch_fail_errno(err, errno, "cannot make the folder of cache %s", path);
    }
    return open_at(path, options == NULL ? &defaults : options, out, err);
}

int32_t orch_l1_open_existing(const char *path, struct orch_l1 **out, struct orch_error *err)
{
    return open_at(path, NULL, out, err);
}

void orch_l1_close(struct orch_l1 *cache)
{
    if (cache == NULL) {
        return;
    }
    if (cache->env != NULL) {
        mdb_env_close(cache->env);
    }
    l1_usage_close(cache);
    free(cache->path);
    free(cache);
}

int l1_unpack(const MDB_val *stored, struct l1_header *header, MDB_val *value)
{
    if (stored->mv_size < sizeof(*header)) {
        return MDB_CORRUPTED;
    }
    memcpy(header, stored->mv_data, sizeof(*header));
    value->mv_data = (uint8_t *)stored->mv_data + sizeof(*header);
    value->mv_size = stored->mv_size - sizeof(*header);
    return 0;
}

int l1_store(struct orch_l1 *cache, MDB_txn *txn, MDB_val *key, const struct l1_header *header,
             const void *value, size_t value_len)
{
    MDB_val stored = {sizeof(*header) + value_len, NULL};
    int rc = mdb_put(txn, cache->entries, key, &stored, MDB_RESERVE);
    if (rc != 0) {
        return rc;
    }
    memcpy(stored.mv_data, header, sizeof(*header));
    if (value_len > 0) {
        memcpy((uint8_t *)stored.mv_data + sizeof(*header), value, value_len);
    }
    return 0;
}

static int32_t check_key(uint64_t key_len, uint64_t value_len, struct orch_error *err)
{
    if (key_len == 0 || key_len > ORCH_L1_KEY_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "a cache key has 1 to %u bytes, not %llu",
                         ORCH_L1_KEY_MAX, (unsigned long long)key_len);
    }
    if (value_len > ORCH_L1_VALUE_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "a cache value has at most %u bytes",
                         ORCH_L1_VALUE_MAX);
    }
    return ORCH_OK;
}

/* The number that the key has already, or a new one. */
static int slot_for(struct orch_l1 *cache, MDB_txn *txn, MDB_val *key, uint64_t *number)
{
    struct l1_header header = {0};
    MDB_val stored, value;
    int rc = mdb_get(txn, cache->entries, key, &stored);
    if (rc == MDB_NOTFOUND) {
        return l1_slot_take(cache, txn, number);
    }
    if (rc == 0) {
        rc = l1_unpack(&stored, &header, &value);
        *number = header.slot;
    }
    return rc;
}

static int put_once(struct orch_l1 *cache, MDB_val *key, const void *value, size_t value_len,
                    int64_t ttl_ms)
{
    MDB_txn *txn = NULL;
    int64_t now = l1_now_ms();
    struct l1_header header = {
        .created_ms = now,
        .expires_ms = ttl_ms <= 0 ? ORCH_L1_NO_EXPIRY : now + ttl_ms,
        .checksum = XXH64(value, value_len, 0),
    };
    int rc = mdb_txn_begin(cache->env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = slot_for(cache, txn, key, &header.slot);
    if (rc == 0) {
        rc = l1_store(cache, txn, key, &header, value, value_len);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0) {
        struct l1_slot *slot = l1_slot(cache, header.slot);
        atomic_store(&slot->hits, 0);
        atomic_store(&slot->last_used_ms, 0);
    }
    return rc;
}

int32_t orch_l1_put(struct orch_l1 *cache, const void *key, uint64_t key_len, const void *value,
                    uint64_t value_len, int64_t ttl_ms, struct orch_error *err)
{
    int32_t rc = check_key(key_len, value_len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    MDB_val k = {key_len, (void *)(uintptr_t)key};
    int mdb_rc = put_once(cache, &k, value, value_len, ttl_ms);
    if (mdb_rc == MDB_MAP_FULL) {
        uint64_t swept = 0;
        rc = orch_l1_sweep(cache, &swept, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        mdb_rc = swept == 0 ? mdb_rc : put_once(cache, &k, value, value_len, ttl_ms);
    }
    return mdb_rc == 0 ? ORCH_OK : l1_fail(err, mdb_rc, cache, "put an entry");
}

int32_t orch_l1_get(struct orch_l1 *cache, const void *key, uint64_t key_len, void *buffer,
                    uint64_t capacity, uint64_t *value_len, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    MDB_val k = {key_len, (void *)(uintptr_t)key}, stored, value = {0, NULL};
    struct l1_header header = {0};
    int32_t rc = check_key(key_len, 0, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int mdb_rc = mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &txn);
    if (mdb_rc != 0) {
        return l1_fail(err, mdb_rc, cache, "read it");
    }
    mdb_rc = mdb_get(txn, cache->entries, &k, &stored);
    if (mdb_rc == 0) {
        mdb_rc = l1_unpack(&stored, &header, &value);
    }
    int64_t now = l1_now_ms();
    if (mdb_rc == MDB_NOTFOUND ||
        (mdb_rc == 0 && header.expires_ms != ORCH_L1_NO_EXPIRY && header.expires_ms <= now)) {
        atomic_fetch_add(&cache->usage->misses, 1);
        rc = ORCH_E_NOT_FOUND;
    } else if (mdb_rc != 0) {
        rc = l1_fail(err, mdb_rc, cache, "read an entry");
    } else if (XXH64(value.mv_data, value.mv_size, 0) != header.checksum) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "cache %s: the checksum of an entry is wrong",
                       cache->path);
    } else {
        *value_len = value.mv_size;
        memcpy(buffer, value.mv_data, value.mv_size < capacity ? value.mv_size : capacity);
        struct l1_slot *slot = l1_slot(cache, header.slot);
        atomic_fetch_add(&cache->usage->hits, 1);
        atomic_fetch_add(&slot->hits, 1);
        atomic_store(&slot->last_used_ms, now);
    }
    mdb_txn_abort(txn);
    return rc;
}

static int delete_in(struct orch_l1 *cache, MDB_txn *txn, MDB_val *key)
{
    struct l1_header header;
    MDB_val stored, value;
    int rc = mdb_get(txn, cache->entries, key, &stored);
    if (rc == 0) {
        rc = l1_unpack(&stored, &header, &value);
    }
    if (rc == 0) {
        rc = l1_slot_free(cache, txn, header.slot);
    }
    return rc == 0 ? mdb_del(txn, cache->entries, key, NULL) : rc;
}

int32_t orch_l1_delete(struct orch_l1 *cache, const void *key, uint64_t key_len,
                       struct orch_error *err)
{
    MDB_txn *txn = NULL;
    MDB_val k = {key_len, (void *)(uintptr_t)key};
    int32_t rc = check_key(key_len, 0, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int mdb_rc = mdb_txn_begin(cache->env, NULL, 0, &txn);
    if (mdb_rc != 0) {
        return l1_fail(err, mdb_rc, cache, "delete an entry");
    }
    mdb_rc = delete_in(cache, txn, &k);
    if (mdb_rc == 0) {
        mdb_rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    if (mdb_rc == MDB_NOTFOUND) {
        return ORCH_E_NOT_FOUND;
    }
    return mdb_rc == 0 ? ORCH_OK : l1_fail(err, mdb_rc, cache, "delete an entry");
}

static int sweep_in(struct orch_l1 *cache, MDB_txn *txn, uint64_t *swept)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, stored, value;
    struct l1_header header;
    int64_t now = l1_now_ms();
    int rc = mdb_cursor_open(txn, cache->entries, &cursor);
    if (rc != 0) {
        return rc;
    }
    for (rc = mdb_cursor_get(cursor, &key, &stored, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &stored, MDB_NEXT)) {
        rc = l1_unpack(&stored, &header, &value);
        if (rc != 0 || header.expires_ms == ORCH_L1_NO_EXPIRY || header.expires_ms > now) {
            continue;
        }
        rc = l1_slot_free(cache, txn, header.slot);
        if (rc == 0) {
            rc = mdb_cursor_del(cursor, 0);
            (*swept)++;
        }
        if (rc != 0) {
            break;
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int32_t orch_l1_sweep(struct orch_l1 *cache, uint64_t *swept, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    *swept = 0;
    int rc = mdb_txn_begin(cache->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = sweep_in(cache, txn, swept);
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    return rc == 0 ? ORCH_OK : l1_fail(err, rc, cache, "sweep it");
}

int32_t orch_l1_stats(struct orch_l1 *cache, struct orch_l1_stats *stats, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    MDB_stat db;
    MDB_envinfo info;
    int rc = mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return l1_fail(err, rc, cache, "read its statistics");
    }
    rc = mdb_stat(txn, cache->entries, &db);
    mdb_txn_abort(txn);
    if (rc == 0) {
        rc = mdb_env_info(cache->env, &info);
    }
    if (rc != 0) {
        return l1_fail(err, rc, cache, "read its statistics");
    }
    *stats = (struct orch_l1_stats){
        .entries = db.ms_entries,
        .used_bytes =
            (uint64_t)db.ms_psize * (db.ms_branch_pages + db.ms_leaf_pages + db.ms_overflow_pages),
        .size_bytes = cache->usage->size_bytes,
        .max_entries = cache->usage->slots,
        .hits = atomic_load(&cache->usage->hits),
        .misses = atomic_load(&cache->usage->misses),
        .last_change = info.me_last_txnid,
    };
    return ORCH_OK;
}
