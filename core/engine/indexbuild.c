/* indexbuild.c: see indexbuild.h. */
#include "engine/indexbuild.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/indexcacheimpl.h"
#include "engine/indexsort.h"

/* Rows that come in order share pages: some 16 MB until the commit. */
#define BATCH_ROWS (256u << 10)

struct indexbuild {
    struct indexcache *cache;
    struct indexsort *sort;
    MDB_txn *txn; /* of the rows, while they are appended */
    MDB_cursor *cursor;
    size_t batch;
    uint64_t appended;
    uint8_t last[ROW_KEY_BYTES];
};

int32_t indexbuild_new(struct indexcache *cache, const char *folder, struct indexbuild **out,
                       struct orch_error *err)
{
    struct indexbuild *build = calloc(1, sizeof(*build));
    if (build == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
    }
    build->cache = cache;
    int32_t rc = indexsort_new(folder, &build->sort, err);
    if (rc != ORCH_OK) {
        free(build);
        return rc;
    }
    *out = build;
    return ORCH_OK;
}

void indexbuild_free(struct indexbuild *build)
{
    if (build != NULL) {
        if (build->txn != NULL) {
            mdb_txn_abort(build->txn);
        }
        indexsort_free(build->sort);
        free(build);
    }
}

static int32_t sort_table(struct indexbuild *build, const struct pack_table *table, uint32_t number,
                          struct orch_error *err)
{
    CLEANUP_FREE struct cache_row *rows = malloc(table->chunk_count * sizeof(*rows) + 1);
    int32_t rc = ORCH_OK;
    if (rows == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
    }
    cache_rows(table, number, rows);
    for (size_t i = 0; rc == ORCH_OK && i < table->chunk_count; i++) {
        rc = indexsort_add(build->sort, &rows[i], err);
    }
    return rc;
}

int32_t indexbuild_add(struct indexbuild *build, const struct cache_add *add,
                       struct orch_error *err)
{
    struct indexcache *cache = build->cache;
    CLEANUP_FREE uint32_t *numbers = calloc(add->count + 1, sizeof(*numbers));
    CLEANUP_FREE bool *fresh = calloc(add->count + 1, sizeof(*fresh));
    struct cache_meta meta;
    MDB_txn *txn = NULL;
    if (numbers == NULL || fresh == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
    }
    int32_t rc = cache_write_begin(cache, &txn, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int code = cache_meta_get(cache, txn, &meta);
    for (size_t i = 0; code == 0 && i < add->count; i++) {
        uint64_t first_place = 0;
        code = cache_assign(cache, txn, &meta, &add->tables[i], &numbers[i], &first_place);
        if (code == 0) {
            code = cache_put_pack(cache, txn, &meta, &add->tables[i], numbers[i], first_place,
                                  &fresh[i]);
        }
    }
    if (code == 0) {
        code = cache_put_segment(cache, txn, add, numbers);
    }
    if (code == 0) {
        code = cache_meta_put(cache, txn, &meta);
    }
    if (code != 0) {
        mdb_txn_abort(txn);
        return cache_error(cache, code, "write", err);
    }
    rc = cache_write_commit(cache, txn, err);
    for (size_t i = 0; rc == ORCH_OK && i < add->count; i++) {
        rc = fresh[i] ? sort_table(build, &add->tables[i], numbers[i], err) : ORCH_OK;
    }
    return rc;
}

/* Commits what was appended; the next row begins another transaction. */
static int32_t commit_batch(struct indexbuild *build, struct orch_error *err)
{
    MDB_txn *txn = build->txn;
    build->txn = NULL;
    build->batch = 0;
    return txn == NULL ? ORCH_OK : cache_write_commit(build->cache, txn, err);
}

static int32_t append(struct indexbuild *build, struct cache_row *row, struct orch_error *err)
{
    int code = 0;
    if (build->appended > 0 && memcmp(build->last, row->key, ROW_KEY_BYTES) == 0) {
        return ORCH_OK; /* twice in one pack */
    }
    if (build->txn == NULL) {
        int32_t rc = cache_write_begin(build->cache, &build->txn, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        code = mdb_cursor_open(build->txn, build->cache->chunks, &build->cursor);
    }
    MDB_val key = {ROW_KEY_BYTES, row->key};
    MDB_val value = {ROW_VALUE_BYTES, row->value};
    if (code == 0) {
        code = mdb_cursor_put(build->cursor, &key, &value, MDB_APPEND);
    }
    if (code != 0) {
        return cache_error(build->cache, code, "write", err);
    }
    memcpy(build->last, row->key, ROW_KEY_BYTES);
    build->appended++;
    return ++build->batch == BATCH_ROWS ? commit_batch(build, err) : ORCH_OK;
}

int32_t indexbuild_finish(struct indexbuild *build, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t bucket = 0; rc == ORCH_OK && bucket < SORT_BUCKETS; bucket++) {
        struct cache_row *rows = NULL;
        size_t count = 0;
        rc = indexsort_bucket(build->sort, bucket, &rows, &count, err);
        for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
            rc = append(build, &rows[i], err);
        }
    }
    if (rc == ORCH_OK) {
        rc = commit_batch(build, err);
    }
    MDB_txn *txn = NULL;
    if (rc == ORCH_OK) {
        rc = cache_write_begin(build->cache, &txn, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct cache_meta meta;
    int code = cache_meta_get(build->cache, txn, &meta);
    if (code == 0) {
        meta.totals.rows = build->appended;
        code = cache_meta_put(build->cache, txn, &meta);
    }
    if (code != 0) {
        mdb_txn_abort(txn);
        return cache_error(build->cache, code, "write", err);
    }
    return cache_write_commit(build->cache, txn, err);
}
