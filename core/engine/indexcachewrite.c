/*
 * indexcachewrite.c: transactions that change an index's cache; see indexcacheimpl.h.
 *
 * A segment is added in several of them, so that what a transaction holds in memory is bounded:
 * numbers first, then rows, and last, at once, the records that make the packs exist. A process
 * that dies in between leaves rows that nobody sees and that the next attempt writes again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "engine/indexcacheimpl.h"
#include "engine/indexstate.h"

/* Each row may touch a page of its own, and a touched page is memory until the commit: about
 * 25 MB. In a table with few pages rows share them. */
#define BATCH_ROWS 6000u
#define SMALL_BATCH_ROWS 65536u
#define SMALL_TABLE_PAGES 4096u

#define ID_RECORD_BYTES 20u /* number 4, first place 8, chunks 8 */

int32_t cache_write_begin(struct indexcache *cache, MDB_txn **txn, struct orch_error *err)
{
    if (!cache->dirty && !cache->private) {
        int32_t rc = indexstate_write(cache->path, false, true, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        cache->dirty = true;
    }
    int code = mdb_txn_begin(cache->env, NULL, 0, txn);
    return code == 0 ? ORCH_OK : cache_error(cache, code, "write", err);
}

/* LMDB leaves pages at the end unwritten when it did not need them after all; but who opens the
 * file tells from its length whether it was cut short. */
static void fill_length(const struct indexcache *cache)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    mdb_filehandle_t fd;
    if (cache->private || mdb_env_get_fd(cache->env, &fd) != 0 ||
        mdb_env_info(cache->env, &info) != 0 || mdb_env_stat(cache->env, &stat) != 0 ||
        fstat(fd, &file) != 0) {
        return;
    }
    off_t wanted = (off_t)((info.me_last_pgno + 1) * stat.ms_psize);
    if (file.st_size < wanted) {
        /* When it fails, the cache is taken for damaged and made anew. */
        int rc = fallocate(fd, 0, file.st_size, wanted - file.st_size);
        (void)rc;
    }
}

int32_t cache_write_commit(struct indexcache *cache, MDB_txn *txn, struct orch_error *err)
{
    int code = mdb_txn_commit(txn);
    if (code != 0) {
        return cache_error(cache, code, "write", err);
    }
    fill_length(cache);
    return ORCH_OK;
}

/* Ends a transaction whose steps came to `code`. */
static int32_t finish(struct indexcache *cache, MDB_txn *txn, int code, struct orch_error *err)
{
    if (code != 0) {
        mdb_txn_abort(txn);
        return cache_error(cache, code, "write", err);
    }
    return cache_write_commit(cache, txn, err);
}

/* ---- records ------------------------------------------------------------------------------- */

int cache_pack_put(const struct indexcache *cache, MDB_txn *txn, uint32_t number,
                   const struct cache_pack *pack)
{
    uint8_t bytes[PACK_RECORD_BYTES];
    MDB_val key = {sizeof(number), &number};
    MDB_val value = {sizeof(bytes), bytes};
    memcpy(bytes, pack->id, PACK_ID_BYTES);
    put_le32(bytes + 16, pack->kind);
    put_le32(bytes + 20, pack->frame_count);
    put_le64(bytes + 24, pack->size_bytes);
    put_le64(bytes + 32, pack->first_place);
    put_le64(bytes + 40, pack->chunk_count);
    put_le64(bytes + 48, pack->plain_bytes);
    put_le32(bytes + 56, pack->refs);
    return mdb_put(txn, cache->packs, &key, &value, 0);
}

int cache_put_frames(const struct indexcache *cache, MDB_txn *txn, uint32_t number,
                     const struct pack_table *table)
{
    MDB_val key = {sizeof(number), &number};
    MDB_val value = {table->frame_count * FRAME_RECORD_BYTES, NULL};
    int rc = mdb_put(txn, cache->frames, &key, &value, MDB_RESERVE);
    uint8_t *p = value.mv_data;
    for (size_t i = 0; rc == 0 && i < table->frame_count; i++, p += FRAME_RECORD_BYTES) {
        const struct pack_frame *frame = &table->frames[i];
        put_le64(p, frame->offset);
        put_le32(p + 8, frame->sealed_len);
        put_le32(p + 12, frame->plain_len);
        put_le32(p + 16, frame->codec);
    }
    return rc;
}

int cache_assign(const struct indexcache *cache, MDB_txn *txn, struct cache_meta *meta,
                 const struct pack_table *table, uint32_t *number, uint64_t *first_place)
{
    MDB_val key = {PACK_ID_BYTES, (void *)(uintptr_t)table->id};
    MDB_val value;
    struct cache_limits limits;
    int rc = cache_limits_get(cache, txn, meta, &limits);
    if (rc == 0) {
        rc = mdb_get(txn, cache->ids, &key, &value);
    }
    if (rc == 0 && value.mv_size == ID_RECORD_BYTES) {
        const uint8_t *p = value.mv_data;
        uint64_t chunks = get_le64(p + 12);
        *number = get_le32(p);
        *first_place = get_le64(p + 4);
        if (*number >= limits.packs || chunks > limits.places ||
            *first_place > limits.places - chunks) {
            return MDB_CORRUPTED;
        }
        if (chunks == table->chunk_count) {
            return 0;
        }
    } else if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    uint8_t bytes[ID_RECORD_BYTES];
    *number = meta->next_pack++;
    *first_place = meta->next_place;
    meta->next_place += table->chunk_count;
    put_le32(bytes, *number);
    put_le64(bytes + 4, *first_place);
    put_le64(bytes + 12, table->chunk_count);
    value = (MDB_val){sizeof(bytes), bytes};
    rc = mdb_put(txn, cache->ids, &key, &value, 0);
    return rc == 0 ? cache_meta_put(cache, txn, meta) : rc;
}

int cache_put_pack(const struct indexcache *cache, MDB_txn *txn, struct cache_meta *meta,
                   const struct pack_table *table, uint32_t number, uint64_t first_place,
                   bool *fresh)
{
    struct cache_pack pack = {.kind = table->kind,
                              .frame_count = (uint32_t)table->frame_count,
                              .size_bytes = table->size_bytes,
                              .first_place = first_place,
                              .chunk_count = table->chunk_count,
                              .refs = 0};
    int rc = cache_pack_get(cache, txn, number, &pack);
    *fresh = rc == MDB_NOTFOUND;
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (*fresh) {
        memcpy(pack.id, table->id, PACK_ID_BYTES);
        for (size_t i = 0; i < table->frame_count; i++) {
            pack.plain_bytes += table->frames[i].plain_len;
        }
        meta->totals.live_rows += table->chunk_count;
        rc = cache_put_frames(cache, txn, number, table);
        if (rc != 0) {
            return rc;
        }
    }
    pack.refs++;
    return cache_pack_put(cache, txn, number, &pack);
}

static int put_segment(const struct indexcache *cache, MDB_txn *txn,
                       const struct cache_segment *segment)
{
    size_t packs = 4 * segment->pack_count;
    size_t supersedes = SEGMENT_KEY_BYTES * segment->supersedes_count;
    MDB_val key = {SEGMENT_KEY_BYTES, (void *)(uintptr_t)segment->id};
    MDB_val value = {12 + packs + supersedes, NULL};
    int rc = mdb_put(txn, cache->segments, &key, &value, MDB_RESERVE);
    if (rc == 0) {
        uint8_t *p = value.mv_data;
        put_le32(p, segment->superseded);
        put_le32(p + 4, (uint32_t)segment->pack_count);
        put_le32(p + 8, (uint32_t)segment->supersedes_count);
        if (packs > 0) {
            memcpy(p + 12, segment->packs, packs);
        }
        if (supersedes > 0) {
            memcpy(p + 12 + packs, segment->supersedes, supersedes);
        }
    }
    return rc;
}

int cache_put_segment(const struct indexcache *cache, MDB_txn *txn, const struct cache_add *add,
                      const uint32_t *numbers)
{
    CLEANUP_FREE uint8_t *packs = malloc(4 * add->count + 1);
    if (packs == NULL) {
        return ENOMEM;
    }
    for (size_t i = 0; i < add->count; i++) {
        put_le32(packs + 4 * i, numbers[i]);
    }
    struct cache_segment segment = {.pack_count = add->count,
                                    .supersedes_count = add->supersedes_count,
                                    .packs = packs,
                                    .supersedes = add->supersedes};
    memcpy(segment.id, add->segment, SEGMENT_KEY_BYTES);
    return put_segment(cache, txn, &segment);
}

/* ---- rows ---------------------------------------------------------------------------------- */

void cache_rows(const struct pack_table *table, uint32_t number, struct cache_row *rows)
{
    uint32_t in_pack = 0;
    for (size_t i = 0; i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        uint32_t offset = 0;
        for (uint32_t j = 0; j < frame->chunk_count; j++, rows++, in_pack++) {
            const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + j];
            memcpy(rows->key, chunk->id, CHUNK_ID_BYTES);
            rows->key[CHUNK_ID_BYTES] = (uint8_t)(number >> 24);
            rows->key[CHUNK_ID_BYTES + 1] = (uint8_t)(number >> 16);
            rows->key[CHUNK_ID_BYTES + 2] = (uint8_t)(number >> 8);
            rows->key[CHUNK_ID_BYTES + 3] = (uint8_t)number;
            put_le32(rows->value, in_pack);
            put_le32(rows->value + 4, (uint32_t)i);
            put_le32(rows->value + 8, offset);
            put_le32(rows->value + 12, chunk->len);
            offset += chunk->len;
        }
    }
}

int cache_row_compare(const void *a, const void *b)
{
    return memcmp(a, b, ROW_KEY_BYTES);
}

/* Puts sorted rows in one transaction. */
static int32_t put_batch(struct indexcache *cache, struct cache_row *rows, size_t count,
                         struct orch_error *err)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    struct cache_meta meta;
    int32_t rc = cache_write_begin(cache, &txn, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int code = cache_meta_get(cache, txn, &meta);
    if (code == 0) {
        code = mdb_cursor_open(txn, cache->chunks, &cursor);
    }
    for (size_t i = 0; code == 0 && i < count; i++) {
        MDB_val key = {ROW_KEY_BYTES, rows[i].key};
        MDB_val value = {ROW_VALUE_BYTES, rows[i].value};
        code = mdb_cursor_put(cursor, &key, &value, MDB_NOOVERWRITE);
        meta.totals.rows += code == 0;
        code = code == MDB_KEYEXIST ? 0 : code;
    }
    if (code == 0) {
        code = cache_meta_put(cache, txn, &meta);
    }
    return finish(cache, txn, code, err);
}

static int32_t put_rows(struct indexcache *cache, struct cache_row *rows, size_t count,
                        struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    qsort(rows, count, sizeof(*rows), cache_row_compare);
    for (size_t done = 0; rc == ORCH_OK && done < count;) {
        MDB_stat stat = {0};
        struct cache_reader *reader = cache_reader_take(cache);
        if (reader != NULL) {
            (void)mdb_stat(reader->txn, cache->chunks, &stat);
            cache_reader_give(cache, reader);
        }
        size_t most = stat.ms_leaf_pages < SMALL_TABLE_PAGES ? SMALL_BATCH_ROWS : BATCH_ROWS;
        size_t now = count - done < most ? count - done : most;
        rc = put_batch(cache, rows + done, now, err);
        done += now;
    }
    return rc;
}

/* The rows of those tables that are new here, as many tables at once as memory allows. */
static int32_t put_tables(struct indexcache *cache, const struct cache_add *add,
                          const uint32_t *numbers, const bool *fresh, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t first = 0; rc == ORCH_OK && first < add->count;) {
        size_t count = 0;
        size_t end = first;
        do {
            count += fresh[end] ? add->tables[end].chunk_count : 0;
            end++;
        } while (end < add->count && count + add->tables[end].chunk_count <= CACHE_ROWS_MAX);
        CLEANUP_FREE struct cache_row *rows = malloc(count * sizeof(*rows) + 1);
        if (rows == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
        }
        struct cache_row *at = rows;
        for (; first < end; first++) {
            if (fresh[first]) {
                cache_rows(&add->tables[first], numbers[first], at);
                at += add->tables[first].chunk_count;
            }
        }
        rc = put_rows(cache, rows, count, err);
    }
    return rc;
}

/* ---- segments ------------------------------------------------------------------------------ */

int32_t indexcache_reserve(struct indexcache *cache, const struct pack_table *table,
                           uint32_t *number, uint64_t *first_place, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    struct cache_meta meta;
    int32_t rc = cache_write_begin(cache, &txn, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int code = cache_meta_get(cache, txn, &meta);
    if (code == 0) {
        code = cache_assign(cache, txn, &meta, table, number, first_place);
    }
    return finish(cache, txn, code, err);
}

struct adding {
    uint32_t *numbers;
    uint64_t *first_places;
    bool *fresh;
};

static void adding_clear(struct adding *adding)
{
    free(adding->numbers);
    free(adding->first_places);
    free(adding->fresh);
}

/* Is the segment there, and counted? */
static int segment_there(struct indexcache *cache, MDB_txn *txn, const uint8_t *id, bool *there)
{
    MDB_val key = {SEGMENT_KEY_BYTES, (void *)(uintptr_t)id};
    MDB_val value;
    struct cache_segment segment;
    *there = false;
    int code = id == NULL ? MDB_NOTFOUND : mdb_get(txn, cache->segments, &key, &value);
    if (code == 0 && !cache_segment_decode(&key, &value, &segment)) {
        code = MDB_CORRUPTED;
    }
    *there = code == 0 && !segment.superseded;
    return code == MDB_NOTFOUND ? 0 : code;
}

/* The first transaction: numbers, and which packs are not there yet. */
static int32_t assign_all(struct indexcache *cache, const struct cache_add *add,
                          struct adding *adding, bool *there, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    struct cache_meta meta;
    int32_t rc = cache_write_begin(cache, &txn, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int code = segment_there(cache, txn, add->segment, there);
    if (code == 0) {
        code = cache_meta_get(cache, txn, &meta);
    }
    for (size_t i = 0; code == 0 && i < add->count; i++) {
        struct cache_pack pack;
        code = cache_assign(cache, txn, &meta, &add->tables[i], &adding->numbers[i],
                            &adding->first_places[i]);
        int found = code == 0 ? cache_pack_get(cache, txn, adding->numbers[i], &pack) : code;
        adding->fresh[i] = found == MDB_NOTFOUND;
        code = found == MDB_NOTFOUND ? 0 : found;
    }
    return finish(cache, txn, code, err);
}

/* The last one: from now on the packs exist. */
static int32_t put_records(struct indexcache *cache, const struct cache_add *add,
                           const struct adding *adding, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    struct cache_meta meta;
    int32_t rc = cache_write_begin(cache, &txn, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int code = cache_meta_get(cache, txn, &meta);
    for (size_t i = 0; code == 0 && i < add->count; i++) {
        bool fresh = false;
        if (add->segment == NULL) {
            code = adding->fresh[i]
                       ? cache_put_frames(cache, txn, adding->numbers[i], &add->tables[i])
                       : 0;
        } else {
            code = cache_put_pack(cache, txn, &meta, &add->tables[i], adding->numbers[i],
                                  adding->first_places[i], &fresh);
        }
    }
    if (code == 0 && add->segment != NULL) {
        code = cache_put_segment(cache, txn, add, adding->numbers);
    }
    if (code == 0) {
        code = cache_meta_put(cache, txn, &meta);
    }
    return finish(cache, txn, code, err);
}

int32_t indexcache_add(struct indexcache *cache, const struct cache_add *add,
                       struct orch_error *err)
{
    CLEANUP(adding_clear)
    struct adding adding = {.numbers = calloc(add->count + 1, 4),
                            .first_places = calloc(add->count + 1, 8),
                            .fresh = calloc(add->count + 1, sizeof(bool))};
    bool there = false;
    if (adding.numbers == NULL || adding.first_places == NULL || adding.fresh == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
    }
    int32_t rc = assign_all(cache, add, &adding, &there, err);
    if (rc == ORCH_OK && add->numbers != NULL) {
        memcpy(add->numbers, adding.numbers, add->count * sizeof(*add->numbers));
    }
    if (rc != ORCH_OK || there) {
        return rc;
    }
    rc = put_tables(cache, add, adding.numbers, adding.fresh, err);
    return rc == ORCH_OK ? put_records(cache, add, &adding, err) : rc;
}

/* A segment less names the pack. */
static int unref_pack(struct indexcache *cache, MDB_txn *txn, struct cache_meta *meta,
                      uint32_t number)
{
    struct cache_pack pack;
    int code = cache_pack_get(cache, txn, number, &pack);
    if (code != 0) {
        return code;
    }
    if (pack.refs > 1) {
        pack.refs--;
        return cache_pack_put(cache, txn, number, &pack);
    }
    MDB_val key = {sizeof(number), &number};
    MDB_val id = {PACK_ID_BYTES, pack.id};
    meta->totals.live_rows -= pack.chunk_count;
    meta->drops++;
    code = mdb_del(txn, cache->packs, &key, NULL);
    if (code == 0) {
        code = mdb_del(txn, cache->frames, &key, NULL);
    }
    if (code == 0) {
        code = mdb_del(txn, cache->ids, &id, NULL);
    }
    return code == MDB_NOTFOUND ? 0 : code;
}

static int drop(struct indexcache *cache, MDB_txn *txn, const uint8_t *id, bool superseded)
{
    MDB_val key = {SEGMENT_KEY_BYTES, (void *)(uintptr_t)id};
    MDB_val value;
    struct cache_meta meta;
    struct cache_segment segment;
    CLEANUP_FREE uint8_t *copy = NULL;
    int code = mdb_get(txn, cache->segments, &key, &value);
    if (code != 0) {
        return code == MDB_NOTFOUND ? 0 : code;
    }
    copy = malloc(value.mv_size + 1); /* the original moves with the first change */
    if (copy == NULL) {
        return ENOMEM;
    }
    memcpy(copy, value.mv_data, value.mv_size);
    value.mv_data = copy;
    if (!cache_segment_decode(&key, &value, &segment)) {
        return MDB_CORRUPTED;
    }
    code = cache_meta_get(cache, txn, &meta);
    for (size_t i = 0; code == 0 && !segment.superseded && i < segment.pack_count; i++) {
        code = unref_pack(cache, txn, &meta, get_le32(segment.packs + 4 * i));
    }
    if (code == 0) {
        code = cache_meta_put(cache, txn, &meta);
    }
    if (code == 0 && superseded) {
        segment.superseded = true;
        segment.pack_count = 0;
        code = put_segment(cache, txn, &segment);
    } else if (code == 0) {
        code = mdb_del(txn, cache->segments, &key, NULL);
    }
    return code;
}

int32_t indexcache_drop(struct indexcache *cache, const uint8_t segment[SEGMENT_KEY_BYTES],
                        bool superseded, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    int32_t rc = cache_write_begin(cache, &txn, err);
    return rc != ORCH_OK ? rc : finish(cache, txn, drop(cache, txn, segment, superseded), err);
}

int32_t indexcache_rest(struct indexcache *cache, struct orch_error *err)
{
    MDB_txn *txn = NULL;
    struct cache_meta meta;
    int32_t rc = cache_write_begin(cache, &txn, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int code = cache_meta_get(cache, txn, &meta);
    if (code == 0) {
        struct cache_totals *totals = &meta.totals;
        totals->gone_base = totals->rows > totals->live_rows ? totals->rows - totals->live_rows : 0;
        code = cache_meta_put(cache, txn, &meta);
    }
    return finish(cache, txn, code, err);
}
