/*
 * test_index_damage.c: an index's cache with records that cannot be: it is made anew, by the same
 * run or, where only a lookup shows it, by the next one. (tests/fuzz/fuzz_index_cache.c tries any.)
 */
#include <check.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>

#include "engine/segment.h"
#include "enginetest.h"

#define PACKS 3u
#define CHUNKS_EACH 4u

static struct et_repo r;
static struct orch_error err;
static struct pack_table tables[PACKS];
static char cache_dir[96];

static void set_up(void)
{
    et_repo_make(&r, true);
    (void)snprintf(cache_dir, sizeof(cache_dir), "%s/cache", r.dir);
    for (uint8_t i = 0; i < PACKS; i++) {
        struct pack_chunk chunks[CHUNKS_EACH] = {0};
        tables[i] = (struct pack_table){.id = {i, 1}, .kind = PACK_DATA, .size_bytes = 1000};
        for (uint8_t j = 0; j < CHUNKS_EACH; j++) {
            chunks[j] = (struct pack_chunk){.id = {i, j}, .len = 10};
        }
        et_ok(pack_table_add(&tables[i], 56, 40, 0, chunks, CHUNKS_EACH, &err), err);
    }
    et_ok(segment_store(r.repo, tables, PACKS, NULL, 0, NULL, &err), err);
}

static void tear_down(void)
{
    for (size_t i = 0; i < PACKS; i++) {
        pack_table_clear(&tables[i]);
    }
    et_repo_remove(&r);
}

static struct index *open_index(void)
{
    struct index_options options = {.cache_dir = cache_dir};
    struct index *index = NULL;
    et_ok(index_open(r.repo, &options, &index, &err), err);
    return index;
}

/* Changes bytes of the first record of a table of generation `generation`, of its key or value. */
static void damage(unsigned generation, const char *table, bool in_key, size_t at,
                   const void *bytes, size_t len)
{
    char path[200];
    uint8_t copies[2][512];
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_dbi handle = 0;
    MDB_val record[2];
    (void)snprintf(path, sizeof(path), "%s/index/%s/index-%u", cache_dir, repo_id(r.repo),
                   generation);
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 6), 0);
    ck_assert_int_eq(mdb_env_open(env, path, MDB_NOSYNC, 0600), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, table, 0, &handle), 0);
    ck_assert_int_eq(mdb_cursor_open(txn, handle, &cursor), 0);
    ck_assert_int_eq(mdb_cursor_get(cursor, &record[0], &record[1], MDB_FIRST), 0);
    mdb_cursor_close(cursor);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_le(record[i].mv_size, sizeof(copies[i]));
        memcpy(copies[i], record[i].mv_data, record[i].mv_size);
        record[i].mv_data = copies[i];
    }
    ck_assert_int_eq(mdb_del(txn, handle, &record[0], NULL), 0);
    memcpy(copies[in_key ? 0 : 1] + at, bytes, len);
    ck_assert_int_eq(mdb_put(txn, handle, &record[0], &record[1], 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* How many of all chunks are found; places stay within what bitmaps are made for. */
static unsigned found(struct index *index)
{
    unsigned count = 0;
    for (size_t i = 0; i < PACKS; i++) {
        for (size_t j = 0; j < CHUNKS_EACH; j++) {
            struct chunk_location place;
            if (index_find(index, tables[i].chunks[j].id, &place) == ORCH_OK) {
                ck_assert_uint_lt(place.number, index_places(index));
                ck_assert_uint_eq(place.len, 10);
                count++;
            }
        }
    }
    return count;
}

static const struct {
    const char *table;
    bool in_key;
    size_t at;
    const char *bytes;
    size_t len;
    bool at_once; /* opening shows it */
} damages[] = {
    {"packs", true, 0, "\0\0\0\3", 4, true},                       /* a number beyond all sense */
    {"packs", true, 0, "\7\0\0\0", 4, true},                       /* one that was never given */
    {"packs", false, 32, "\xff\xff\xff\xff\xff\xff\xff", 8, true}, /* its first place */
    {"packs", false, 40, "\0\0\0\0\xff", 5, true},                 /* its chunks */
    {"segments", false, 4, "\x10", 1, true},                       /* its packs */
    {"meta", false, 4, "\0\0\0\7", 4, true},                       /* the next pack */
    {"meta", false, 8, "\0\0\0\0\0\0\0\7", 8, true},               /* the next place */
    {"meta", false, 40, "x", 1, true},                             /* the repository's id */
    {"chunks", false, 0, "\xff\xff", 2, false},                    /* the number in its pack */
    {"chunks", false, 4, "\1", 1, false},                          /* the frame */
    {"chunks", false, 8, "\xff", 1, false},                        /* the place in the frame */
    {"chunks", false, 12, "\xff", 1, false},                       /* its length */
    {"frames", false, 0, "\0\0\0\0\0\0\0\x80", 8, false},          /* where it lies */
    {"frames", false, 8, "\0\0\1\0", 4, false},                    /* how long it is */
};

START_TEST(test_damaged_record)
{
    index_close(open_index());
    damage(1, damages[_i].table, damages[_i].in_key, damages[_i].at, damages[_i].bytes,
           damages[_i].len);
    struct index *index = open_index();
    unsigned count = found(index);
    ck_assert(damages[_i].at_once ? count == PACKS * CHUNKS_EACH : count < PACKS * CHUNKS_EACH);
    index_close(index);
    index = open_index();
    ck_assert_uint_eq(found(index), PACKS * CHUNKS_EACH);
    index_close(index);
}
END_TEST

/* A number that the cache gives to a pack though another has it: what is new stays in memory. */
START_TEST(test_number_given_twice)
{
    struct pack_table table = {.id = {0, 1}, .kind = PACK_DATA, .size_bytes = 500};
    struct pack_chunk chunk = {.id = {0x77}, .len = 10};
    struct chunk_location place;
    struct index *index = open_index();
    index_close(index);
    damage(1, "ids", true, 0, "\x0a", 1); /* number 0 is that of pack 0a01… now */
    table.id[0] = 0x0a;
    for (size_t i = 0; i < CHUNKS_EACH; i++) {
        chunk.id[1] = (uint8_t)i;
        et_ok(pack_table_add(&table, 26, 10, 0, &chunk, 1, &err), err);
    }
    index = open_index();
    et_ok(index_add_pack(index, &table, &err), err);
    ck_assert_uint_eq(found(index), PACKS * CHUNKS_EACH);
    ck_assert_int_eq(index_find(index, chunk.id, &place), ORCH_OK);
    ck_assert_mem_eq(place.pack, table.id, PACK_ID_BYTES);
    index_close(index);
    pack_table_clear(&table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index-damage");
    TCase *tests = tcase_create("records");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, test_damaged_record, 0, sizeof(damages) / sizeof(damages[0]));
    tcase_add_test(tests, test_number_given_twice);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
