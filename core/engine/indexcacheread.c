/* indexcacheread.c: lookups in an index's cache; see indexcacheimpl.h. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "engine/indexcacheimpl.h"
#include "engine/indexstate.h"

/* ---- records ------------------------------------------------------------------------------- */

/* format 4, next pack 4, next place 8, rows 8, live rows 8, gone base 8, drops 8, repository id */
#define META_BYTES (48u + ID_TEXT)

int cache_meta_get(const struct indexcache *cache, MDB_txn *txn, struct cache_meta *out)
{
    MDB_val key = {4, (void *)(uintptr_t) "meta"};
    MDB_val value;
    int rc = mdb_get(txn, cache->meta, &key, &value);
    if (rc != 0) {
        return rc;
    }
    const uint8_t *p = value.mv_data;
    if (value.mv_size != META_BYTES || get_le32(p) != CACHE_FORMAT || p[META_BYTES - 1] != 0) {
        return MDB_VERSION_MISMATCH;
    }
    out->next_pack = get_le32(p + 4);
    out->next_place = get_le64(p + 8);
    out->totals.rows = get_le64(p + 16);
    out->totals.live_rows = get_le64(p + 24);
    out->totals.gone_base = get_le64(p + 32);
    out->drops = get_le64(p + 40);
    memcpy(out->repo_id, p + 48, ID_TEXT);
    return 0;
}

int cache_meta_put(const struct indexcache *cache, MDB_txn *txn, const struct cache_meta *meta)
{
    uint8_t bytes[META_BYTES];
    MDB_val key = {4, (void *)(uintptr_t) "meta"};
    MDB_val value = {sizeof(bytes), bytes};
    put_le32(bytes, CACHE_FORMAT);
    put_le32(bytes + 4, meta->next_pack);
    put_le64(bytes + 8, meta->next_place);
    put_le64(bytes + 16, meta->totals.rows);
    put_le64(bytes + 24, meta->totals.live_rows);
    put_le64(bytes + 32, meta->totals.gone_base);
    put_le64(bytes + 40, meta->drops);
    memcpy(bytes + 48, meta->repo_id, ID_TEXT);
    return mdb_put(txn, cache->meta, &key, &value, 0);
}

/* Numbers of packs that are gone are not used again before a cache is made anew, which happens long
 * before there are so many of them. */
#define HOLES_MAX (UINT64_C(1) << 20)
#define HOLES_PER_PACK 64u
#define PLACES_MAX (UINT64_C(1) << 40)

int cache_limits_get(const struct indexcache *cache, MDB_txn *txn, const struct cache_meta *meta,
                     struct cache_limits *out)
{
    MDB_stat packs;
    int rc = mdb_stat(txn, cache->packs, &packs);
    out->packs = meta->next_pack;
    out->places = meta->next_place;
    if (rc == 0 && (out->packs > HOLES_MAX + (uint64_t)packs.ms_entries * HOLES_PER_PACK ||
                    out->places > PLACES_MAX)) {
        rc = MDB_CORRUPTED;
    }
    return rc;
}

void cache_pack_decode(const uint8_t *bytes, struct cache_pack *out)
{
    memcpy(out->id, bytes, PACK_ID_BYTES);
    out->kind = get_le32(bytes + 16);
    out->frame_count = get_le32(bytes + 20);
    out->size_bytes = get_le64(bytes + 24);
    out->first_place = get_le64(bytes + 32);
    out->chunk_count = get_le64(bytes + 40);
    out->plain_bytes = get_le64(bytes + 48);
    out->refs = get_le32(bytes + 56);
}

int cache_pack_get(const struct indexcache *cache, MDB_txn *txn, uint32_t number,
                   struct cache_pack *out)
{
    MDB_val key = {sizeof(number), &number};
    MDB_val value;
    int rc = mdb_get(txn, cache->packs, &key, &value);
    if (rc == 0 && value.mv_size != PACK_RECORD_BYTES) {
        rc = MDB_CORRUPTED;
    }
    if (rc == 0) {
        cache_pack_decode(value.mv_data, out);
    }
    return rc;
}

void cache_frame_decode(const uint8_t *bytes, struct cache_frame *out)
{
    out->offset = get_le64(bytes);
    out->sealed_len = get_le32(bytes + 8);
    out->plain_len = get_le32(bytes + 12);
    out->codec = get_le32(bytes + 16);
}

bool cache_segment_decode(const MDB_val *key, const MDB_val *value, struct cache_segment *out)
{
    const uint8_t *p = value->mv_data;
    if (key->mv_size != SEGMENT_KEY_BYTES || value->mv_size < 12) {
        return false;
    }
    memcpy(out->id, key->mv_data, SEGMENT_KEY_BYTES);
    out->superseded = get_le32(p) != 0;
    out->pack_count = get_le32(p + 4);
    out->supersedes_count = get_le32(p + 8);
    out->packs = p + 12;
    out->supersedes = (const uint8_t(*)[SEGMENT_KEY_BYTES])(p + 12 + 4 * out->pack_count);
    return value->mv_size == 12 + 4 * out->pack_count + SEGMENT_KEY_BYTES * out->supersedes_count;
}

/* ---- transactions -------------------------------------------------------------------------- */

static struct cache_reader *reader_new(struct indexcache *cache)
{
    struct cache_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL || mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &reader->txn) != 0) {
        free(reader);
        return NULL;
    }
    if (mdb_cursor_open(reader->txn, cache->chunks, &reader->chunks) != 0) {
        mdb_txn_abort(reader->txn);
        free(reader);
        return NULL;
    }
    return reader;
}

struct cache_reader *cache_reader_take(struct indexcache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct cache_reader *reader = cache->idle;
    if (reader != NULL) {
        cache->idle = reader->next;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    if (reader == NULL) {
        return reader_new(cache);
    }
    if (mdb_txn_renew(reader->txn) != 0 || mdb_cursor_renew(reader->txn, reader->chunks) != 0) {
        mdb_cursor_close(reader->chunks);
        mdb_txn_abort(reader->txn);
        free(reader);
        return NULL;
    }
    return reader;
}

/* Between lookups no transaction is open: it would keep old pages from being used again. */
void cache_reader_give(struct indexcache *cache, struct cache_reader *reader)
{
    mdb_txn_reset(reader->txn);
    (void)pthread_mutex_lock(&cache->lock);
    reader->next = cache->idle;
    cache->idle = reader;
    (void)pthread_mutex_unlock(&cache->lock);
}

/* A lookup met what cannot be: what it looked for counts as absent, and the cache is not used by
 * anybody who opens it from now on. */
static int32_t lookup_failed(struct indexcache *cache, int code)
{
    (void)pthread_mutex_lock(&cache->lock);
    bool first = !cache->failed;
    cache->failed = true;
    (void)pthread_mutex_unlock(&cache->lock);
    if (first) {
        log_warning("index",
                    "the index cache %s cannot be read (%s); it will be made anew by the "
                    "next run",
                    cache->private ? "in the temporary folder" : cache->path, mdb_strerror(code));
        if (!cache->private) {
            indexstate_spoil(cache->path);
        }
    }
    return ORCH_E_NOT_FOUND;
}

void indexcache_damaged(struct indexcache *cache)
{
    (void)lookup_failed(cache, MDB_CORRUPTED);
}

/* ---- lookups ------------------------------------------------------------------------------- */

/* 0, MDB_NOTFOUND when the pack is gone, or another error. */
static int frame_get(struct indexcache *cache, MDB_txn *txn, uint32_t pack, uint64_t number,
                     struct cache_frame *out)
{
    MDB_val key = {sizeof(pack), &pack};
    MDB_val value;
    int rc = mdb_get(txn, cache->frames, &key, &value);
    if (rc != 0) {
        return rc;
    }
    if (number >= value.mv_size / FRAME_RECORD_BYTES) {
        return MDB_CORRUPTED;
    }
    cache_frame_decode((const uint8_t *)value.mv_data + number * FRAME_RECORD_BYTES, out);
    return 0;
}

static uint32_t row_pack(const MDB_val *key)
{
    const uint8_t *p = (const uint8_t *)key->mv_data + CHUNK_ID_BYTES;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void row_decode(const MDB_val *key, const MDB_val *value, struct cache_place *out)
{
    const uint8_t *p = value->mv_data;
    out->pack = row_pack(key);
    out->number = get_le32(p);
    out->frame = get_le32(p + 4);
    out->offset = get_le32(p + 8);
    out->len = get_le32(p + 12);
}

int32_t indexcache_find(struct indexcache *cache, const uint8_t id[CHUNK_ID_BYTES],
                        enum cache_verdict (*judge)(const void *ctx, uint32_t pack),
                        const void *ctx, struct cache_place *place, struct cache_frame *frame,
                        bool *good)
{
    struct cache_reader *reader = cache_reader_take(cache);
    if (reader == NULL) {
        return lookup_failed(cache, MDB_BAD_TXN);
    }
    MDB_val key = {CHUNK_ID_BYTES, (void *)(uintptr_t)id};
    MDB_val value;
    bool found = false;
    *good = false;
    int rc = mdb_cursor_get(reader->chunks, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && !*good && key.mv_size == ROW_KEY_BYTES && value.mv_size == ROW_VALUE_BYTES &&
           memcmp(key.mv_data, id, CHUNK_ID_BYTES) == 0) {
        enum cache_verdict verdict = judge(ctx, row_pack(&key));
        if (verdict == CACHE_GOOD || (verdict == CACHE_POOR && !found)) {
            struct cache_place here;
            struct cache_frame its;
            row_decode(&key, &value, &here);
            rc = frame_get(cache, reader->txn, here.pack, here.frame, &its);
            if (rc == 0) {
                *place = here;
                *frame = its;
                found = true;
                *good = verdict == CACHE_GOOD;
            } else if (rc != MDB_NOTFOUND) {
                break;
            }
        }
        rc = *good ? 0 : mdb_cursor_get(reader->chunks, &key, &value, MDB_NEXT);
    }
    cache_reader_give(cache, reader);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return lookup_failed(cache, rc);
    }
    return found ? ORCH_OK : ORCH_E_NOT_FOUND;
}

bool indexcache_frame(struct indexcache *cache, uint32_t pack, uint64_t number,
                      struct cache_frame *out)
{
    struct cache_reader *reader = cache_reader_take(cache);
    int rc = reader == NULL ? MDB_BAD_TXN : frame_get(cache, reader->txn, pack, number, out);
    if (reader != NULL) {
        cache_reader_give(cache, reader);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        (void)lookup_failed(cache, rc);
    }
    return rc == 0;
}

struct cache_frame *indexcache_frames(struct indexcache *cache, uint32_t pack, size_t *count)
{
    struct cache_reader *reader = cache_reader_take(cache);
    struct cache_frame *frames = NULL;
    MDB_val key = {sizeof(pack), &pack};
    MDB_val value;
    if (reader == NULL) {
        return NULL;
    }
    if (mdb_get(reader->txn, cache->frames, &key, &value) == 0) {
        *count = value.mv_size / FRAME_RECORD_BYTES;
        frames = calloc(*count + 1, sizeof(*frames));
        for (size_t i = 0; frames != NULL && i < *count; i++) {
            cache_frame_decode((const uint8_t *)value.mv_data + i * FRAME_RECORD_BYTES, &frames[i]);
        }
    }
    cache_reader_give(cache, reader);
    return frames;
}

/* ---- everything ---------------------------------------------------------------------------- */

static bool pack_fits(const struct cache_limits *limits, uint32_t number,
                      const struct cache_pack *pack)
{
    return number < limits->packs && pack->chunk_count <= limits->places &&
           pack->first_place <= limits->places - pack->chunk_count;
}

int32_t indexcache_each_pack(struct indexcache *cache,
                             int32_t (*each)(void *ctx, uint32_t number,
                                             const struct cache_pack *pack, struct orch_error *err),
                             void *ctx, struct orch_error *err)
{
    struct cache_reader *reader = cache_reader_take(cache);
    MDB_cursor *cursor = NULL;
    int32_t rc = ORCH_OK;
    struct cache_meta meta;
    struct cache_limits limits = {0};
    int code = reader == NULL ? ENOMEM : cache_meta_get(cache, reader->txn, &meta);
    if (code == 0) {
        code = cache_limits_get(cache, reader->txn, &meta, &limits);
    }
    if (code == 0) {
        code = mdb_cursor_open(reader->txn, cache->packs, &cursor);
    }
    while (code == 0 && rc == ORCH_OK) {
        MDB_val key;
        MDB_val value;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (code == 0 && (key.mv_size != 4 || value.mv_size != PACK_RECORD_BYTES)) {
            code = MDB_CORRUPTED;
        }
        if (code == 0) {
            struct cache_pack pack;
            uint32_t number;
            memcpy(&number, key.mv_data, sizeof(number));
            cache_pack_decode(value.mv_data, &pack);
            code = pack_fits(&limits, number, &pack) ? 0 : MDB_CORRUPTED;
            rc = code == 0 ? each(ctx, number, &pack, err) : ORCH_OK;
        }
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    if (reader != NULL) {
        cache_reader_give(cache, reader);
    }
    return rc != ORCH_OK || code == MDB_NOTFOUND ? rc : cache_error(cache, code, "read", err);
}

int32_t indexcache_each_segment(struct indexcache *cache,
                                int32_t (*each)(void *ctx, const struct cache_segment *segment,
                                                struct orch_error *err),
                                void *ctx, struct orch_error *err)
{
    struct cache_reader *reader = cache_reader_take(cache);
    MDB_cursor *cursor = NULL;
    int32_t rc = ORCH_OK;
    int code = reader == NULL ? ENOMEM : mdb_cursor_open(reader->txn, cache->segments, &cursor);
    while (code == 0 && rc == ORCH_OK) {
        MDB_val key;
        MDB_val value;
        struct cache_segment segment;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (code == 0 && !cache_segment_decode(&key, &value, &segment)) {
            code = MDB_CORRUPTED;
        }
        if (code == 0) {
            rc = each(ctx, &segment, err);
        }
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    if (reader != NULL) {
        cache_reader_give(cache, reader);
    }
    return rc != ORCH_OK || code == MDB_NOTFOUND ? rc : cache_error(cache, code, "read", err);
}

int32_t indexcache_each_row(struct indexcache *cache,
                            int32_t (*each)(void *ctx, const uint8_t id[CHUNK_ID_BYTES],
                                            const struct cache_place *place,
                                            struct orch_error *err),
                            void *ctx, struct orch_error *err)
{
    struct cache_reader *reader = cache_reader_take(cache);
    int32_t rc = ORCH_OK;
    int code = reader == NULL ? ENOMEM : 0;
    for (MDB_cursor_op next = MDB_FIRST; code == 0 && rc == ORCH_OK; next = MDB_NEXT) {
        MDB_val key;
        MDB_val value;
        struct cache_place place;
        code = mdb_cursor_get(reader->chunks, &key, &value, next);
        if (code == 0 && (key.mv_size != ROW_KEY_BYTES || value.mv_size != ROW_VALUE_BYTES)) {
            code = MDB_CORRUPTED;
        }
        if (code == 0) {
            row_decode(&key, &value, &place);
            rc = each(ctx, key.mv_data, &place, err);
        }
    }
    if (reader != NULL) {
        cache_reader_give(cache, reader);
    }
    return rc != ORCH_OK || code == MDB_NOTFOUND ? rc : cache_error(cache, code, "read", err);
}

/* The number of the last transaction: it is in the map. */
static uint64_t last_transaction(const struct indexcache *cache)
{
    MDB_envinfo info = {0};
    return mdb_env_info(cache->env, &info) == 0 ? info.me_last_txnid : 0;
}

int32_t indexcache_epoch(struct indexcache *cache, struct cache_epoch *out, struct orch_error *err)
{
    struct cache_meta meta;
    atomic_store(&out->transaction, last_transaction(cache));
    struct cache_reader *reader = cache_reader_take(cache);
    int code = reader == NULL ? ENOMEM : cache_meta_get(cache, reader->txn, &meta);
    if (reader != NULL) {
        cache_reader_give(cache, reader);
    }
    out->drops = code == 0 ? meta.drops : 0;
    return code == 0 ? ORCH_OK : cache_error(cache, code, "read", err);
}

bool indexcache_dropped_since(struct indexcache *cache, struct cache_epoch *epoch)
{
    uint64_t now = last_transaction(cache);
    struct cache_epoch fresh;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (now == atomic_load(&epoch->transaction)) {
        return false;
    }
    if (indexcache_epoch(cache, &fresh, &ignored) != ORCH_OK || fresh.drops != epoch->drops) {
        return true;
    }
    atomic_store(&epoch->transaction, atomic_load(&fresh.transaction));
    return false;
}

int32_t indexcache_totals(struct indexcache *cache, struct cache_totals *out,
                          struct orch_error *err)
{
    struct cache_meta meta;
    struct cache_reader *reader = cache_reader_take(cache);
    int code = reader == NULL ? ENOMEM : cache_meta_get(cache, reader->txn, &meta);
    if (reader != NULL) {
        cache_reader_give(cache, reader);
    }
    if (code != 0) {
        return cache_error(cache, code, "read", err);
    }
    *out = meta.totals;
    return ORCH_OK;
}
