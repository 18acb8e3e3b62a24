/* test_index_cache.c: the cache of an index: it lasts, and is in step with the segments and with
 * what this process adds. */
#include <check.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachebase.h"
#include "testing.h"

/* ---- in step -------------------------------------------------------------------------------- */

static void note_damage(void *ctx, const char *name, const struct orch_error *why)
{
    ck_assert_int_eq(why->code, ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(name);
    (*(int *)ctx)++;
}

/* What is in the cache is not read again, except when that is asked for. */
START_TEST(it_lasts)
{
    struct cb_world w;
    char names[2][SEGMENT_NAME_BYTES];
    char path[300];
    unsigned newest = 0;
    int damaged = 0;
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    cb_make(&w);
    cb_store(&w, 1, 2, 50, NULL, names[0]);
    cb_store(&w, 3, 1, 50, NULL, names[1]);
    for (int i = 0; i < 3; i++) {
        index = cb_open(&w);
        ck_assert_uint_eq(index_chunks(index), 150);
        cb_expect(index, 1, 50, true);
        cb_expect(index, 3, 50, true);
        index_close(index);
        ck_assert_uint_eq(cb_generations(&w, &newest, path), 1);
        ck_assert_uint_eq(newest, 1);
    }
    et_flip(&w.r, names[0], 100, 1);
    index = cb_open(&w);
    cb_expect(index, 1, 50, true);
    index_close(index);
    struct index_options options = {
        .cache_dir = w.cache, .check_segments = true, .damaged = note_damage, .ctx = &damaged};
    et_ok(index_open(w.r.repo, &options, &index, &err), err);
    ck_assert_int_eq(damaged, 1);
    cb_expect(index, 1, 50, false); /* as for somebody without the cache */
    cb_expect(index, 3, 50, true);
    index_close(index);
    struct index *refused = NULL;
    options.check_segments = false;
    options.damaged = NULL;
    ck_assert_int_eq(index_open(w.r.repo, &options, &refused, &err), ORCH_E_CORRUPT);
    et_flip(&w.r, names[0], 100, 1);
    index = cb_open(&w);
    cb_expect(index, 1, 50, true);
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

START_TEST(others_are_seen_after_a_refresh)
{
    struct cb_world w;
    char names[3][SEGMENT_NAME_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    cb_make(&w);
    cb_table(&table, 1, 10);
    cb_store(&w, 1, 1, 50, NULL, names[0]);
    struct index *first = cb_open(&w);
    size_t number = index_pack_find(first, table.id);
    cb_store(&w, 2, 1, 50, NULL, names[1]);
    struct index *second = cb_open(&w);
    cb_expect(second, 2, 50, true);
    cb_expect(first, 2, 50, false);
    et_ok(index_refresh(first, &err), err);
    cb_expect(first, 2, 50, true);
    ck_assert_uint_eq(index_pack_find(first, table.id), number);
    /* A third one drops what the first two see. */
    cb_drop(&w, names[1]);
    struct index *third = cb_open(&w);
    cb_expect(third, 2, 50, false);
    struct chunk_location place;
    uint8_t id[CHUNK_ID_BYTES];
    cb_chunk_id(2, 7, id);
    ck_assert_int_eq(index_find(second, id, &place), ORCH_E_NOT_FOUND);
    ck_assert(!index_knows(second, id));
    et_ok(index_refresh(second, &err), err);
    cb_expect(second, 2, 50, false);
    cb_expect(second, 1, 50, true);
    index_close(third);
    /* And it comes back, under another number. */
    cb_store(&w, 2, 1, 50, NULL, names[2]);
    et_ok(index_refresh(second, &err), err);
    cb_expect(second, 2, 50, true);
    index_close(first);
    index_close(second);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

/* Who looks up much gets a small cache into memory; that must not be seen in what is found. */
START_TEST(many_lookups)
{
    struct cb_world w;
    char names[2][SEGMENT_NAME_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    struct chunk_location place;
    bool claimed = false;
    cb_make(&w);
    cb_table(&table, 3, 1000);
    cb_store(&w, 1, 8, 1000, NULL, names[0]);
    cb_store(&w, 9, 1, 1000, NULL, names[1]);
    struct index *index = cb_open(&w);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 1; i <= 9; i++) {
            cb_expect(index, i, 1000, true);
        }
        cb_expect(index, 100, 1000, false);
    }
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])table.id, 1, &err), err);
    ck_assert(!index_knows(index, table.chunks[5].id));
    et_ok(index_find(index, table.chunks[5].id, &place), err);
    et_ok(index_claim(index, table.chunks[5].id, &claimed, &err), err);
    ck_assert(claimed);
    cb_expect(index, 4, 1000, true);
    cb_drop(&w, names[1]);
    index_close(cb_open(&w)); /* drops it for all */
    uint8_t id[CHUNK_ID_BYTES];
    cb_chunk_id(9, 77, id);
    ck_assert_int_eq(index_find(index, id, &place), ORCH_E_NOT_FOUND);
    ck_assert(!index_knows(index, id));
    cb_expect(index, 4, 1000, true);
    cb_store(&w, 20, 1, 1000, NULL, names[1]);
    et_ok(index_refresh(index, &err), err);
    for (int round = 0; round < 3; round++) {
        cb_expect(index, 20, 1000, true);
        cb_expect(index, 8, 1000, true);
        cb_expect(index, 9, 1000, false);
    }
    index_close(index);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

/* Lookups that are foretold: what is made for them is made beside them, and dropped segments are
 * seen all the same. */
START_TEST(foretold_lookups)
{
    struct cb_world w;
    struct orch_error err = ORCH_ERROR_INIT;
    char names[2][SEGMENT_NAME_BYTES];
    cb_make(&w);
    cb_store(&w, 1, 8, 1000, NULL, names[0]);
    cb_store(&w, 9, 1, 1000, NULL, names[1]);
    for (int round = 0; round < 4; round++) {
        struct index *index = cb_open(&w);
        index_expect(index, 10);
        index_expect(index, UINT64_MAX);
        index_expect(index, 5000);
        for (uint64_t i = 1; i <= 8 && round > 0; i++) {
            cb_expect(index, i, 1000, true);
        }
        cb_expect(index, 9, round == 0 ? 0 : 1000, round < 3);
        if (round == 2) {
            cb_drop(&w, names[1]);
            et_ok(index_refresh(index, &err), err);
            cb_expect(index, 9, 1000, false);
            cb_expect(index, 8, 1000, true);
        }
        index_close(index); /* in the first round while it is being made */
    }
    struct index *nothing = NULL;
    et_ok(index_new(&nothing, &err), err);
    index_expect(nothing, 5000);
    index_close(nothing);
    et_repo_remove(&w.r);
}
END_TEST

START_TEST(superseded_segments)
{
    struct cb_world w;
    char names[4][SEGMENT_NAME_BYTES];
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    cb_make(&w);
    cb_table(&table, 2, 10);
    cb_store(&w, 1, 2, 50, NULL, names[0]);
    struct index *index = cb_open(&w);
    size_t number = index_pack_find(index, table.id);
    /* As prune does it: pack 1 goes, pack 2 stays. */
    cb_store(&w, 2, 1, 50, (const char *const[]){names[0], NULL}, names[1]);
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, 1, 50, false);
    cb_expect(index, 2, 50, true);
    ck_assert_uint_eq(index_pack_find(index, table.id), number);
    /* Another one in the chain; the first is superseded though only the middle one says so. */
    cb_store(&w, 2, 2, 50, (const char *const[]){names[1], NULL}, names[2]);
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, 1, 50, false);
    cb_expect(index, 2, 50, true);
    cb_expect(index, 3, 50, true);
    struct index *fresh = cb_open(&w);
    cb_expect(fresh, 1, 50, false);
    cb_expect(fresh, 3, 50, true);
    index_close(fresh);
    cb_drop(&w, names[0]);
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, 2, 50, true);
    /* What superseded it is gone: it counts again. */
    cb_drop(&w, names[2]);
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, 2, 50, true);
    cb_expect(index, 3, 50, false);
    ck_assert_uint_eq(index_chunks(index), 50);
    index_close(index);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

/* A store whose list of segments is out of date the first times: what it listed is superseded and
 * removed before it can be read. */
struct racing {
    struct cb_world *w;
    char old[SEGMENT_NAME_BYTES];
    uint64_t next; /* pack of the next segment */
    int races;
};

static uint32_t race_capabilities(void *impl)
{
    return storage_capabilities(((struct racing *)impl)->w->r.storage);
}

static int32_t race_put_begin(void *impl, const char *name, void **put, struct orch_error *err)
{
    struct storage_put *inner = NULL;
    int32_t rc = storage_put_begin(((struct racing *)impl)->w->r.storage, name, &inner, err);
    *put = inner;
    return rc;
}

static int32_t race_put_data(void *put, const void *data, size_t len, struct orch_error *err)
{
    return storage_put_data(put, data, len, err);
}

static int32_t race_put_commit(void *put, uint32_t flags, struct orch_error *err)
{
    return storage_put_commit(put, flags, err);
}

static void race_put_abort(void *put)
{
    storage_put_abort(put);
}

static int32_t race_get(void *impl, const char *name, uint64_t offset, void *data, size_t len,
                        struct orch_error *err)
{
    return storage_get(((struct racing *)impl)->w->r.storage, name, offset, data, len, err);
}

static int32_t race_stat(void *impl, const char *name, struct storage_stat *stat,
                         struct orch_error *err)
{
    return storage_stat(((struct racing *)impl)->w->r.storage, name, stat, err);
}

static int32_t race_list(void *impl, const char *prefix,
                         int32_t (*each)(void *ctx, const char *name,
                                         const struct storage_stat *stat, struct orch_error *err),
                         void *ctx, struct orch_error *err)
{
    struct racing *racing = impl;
    int32_t rc = storage_list(racing->w->r.storage, prefix, each, ctx, err);
    if (rc == ORCH_OK && strcmp(prefix, "index") == 0 && racing->races > 0) {
        char name[SEGMENT_NAME_BYTES];
        racing->races--;
        cb_store(racing->w, racing->next++, 2, 50, (const char *const[]){racing->old, NULL}, name);
        cb_drop(racing->w, racing->old);
        memcpy(racing->old, name, sizeof(name));
    }
    return rc;
}

static int32_t race_remove(void *impl, const char *name, struct orch_error *err)
{
    return storage_remove(((struct racing *)impl)->w->r.storage, name, err);
}

static int32_t race_barrier(void *impl, struct orch_error *err)
{
    return storage_barrier(((struct racing *)impl)->w->r.storage, err);
}

static void race_close(void *impl)
{
    (void)impl;
}

static const struct storage_driver race_driver = {
    .name = "racing",
    .capabilities = race_capabilities,
    .put_begin = race_put_begin,
    .put_data = race_put_data,
    .put_commit = race_put_commit,
    .put_abort = race_put_abort,
    .get = race_get,
    .stat = race_stat,
    .list = race_list,
    .remove = race_remove,
    .barrier = race_barrier,
    .close = race_close,
};

/* Each time pack N goes and pack N + 1 stays, in another segment: it is never missed. With an empty
 * cache, and with one that has some of it. */
START_TEST(replaced_between_listing_and_reading)
{
    static const uint8_t key[KEY_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8}; /* as in enginetest.c */
    struct cb_world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct racing racing = {.w = &w, .next = 2};
    struct storage *storage = NULL;
    struct repo *repo = NULL;
    struct index *index = NULL;
    struct repo_unlock unlock = {.key = key};
    cb_make(&w);
    struct index_options options = {.cache_dir = w.cache};
    cb_store(&w, 1, 2, 50, NULL, racing.old);
    et_ok(storage_new(&race_driver, &racing, &storage, &err), err);
    et_ok(repo_open(storage, &unlock, NULL, &repo, &err), err);
    racing.races = _i == 0 ? 3 : 0;
    et_ok(index_open(repo, &options, &index, &err), err);
    ck_assert_int_eq(racing.races, 0);
    cb_expect(index, 1, 10, _i == 1);
    cb_expect(index, racing.next - 1, 50, true);
    cb_expect(index, racing.next, 50, true);
    /* What is known need not be read: the index is that of the moment of the listing. */
    racing.races = 1;
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, racing.next - 2, 50, true);
    cb_expect(index, racing.next, 10, false);
    racing.races = 3;
    et_ok(index_refresh(index, &err), err);
    ck_assert_int_eq(racing.races, 0);
    cb_expect(index, racing.next - 2, 10, false);
    cb_expect(index, racing.next - 1, 50, true);
    cb_expect(index, racing.next, 50, true);
    /* Without end: an error, not a hang, and not an index without. */
    racing.races = 1;
    et_ok(index_refresh(index, &err), err);
    racing.races = 1000;
    ck_assert_int_eq(index_refresh(index, &err), ORCH_E_CORRUPT);
    index_close(index);
    repo_close(repo);
    storage_close(storage);
    et_repo_remove(&w.r);
}
END_TEST

/* ---- additions ------------------------------------------------------------------------------ */

START_TEST(own_packs_move_to_the_cache)
{
    struct cb_world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table tables[3];
    char name[SEGMENT_NAME_BYTES];
    size_t numbers[3];
    struct index_pack before[3];
    cb_make(&w);
    struct index *index = cb_open(&w);
    struct index *other = cb_open(&w);
    for (uint64_t i = 0; i < 3; i++) {
        bool claimed = false;
        cb_table(&tables[i], i, 50);
        et_ok(index_claim(index, tables[i].chunks[7].id, &claimed, &err), err);
        ck_assert(claimed);
        et_ok(index_add_pack(index, &tables[i], &err), err);
        numbers[i] = index_pack_find(index, tables[i].id);
        ck_assert(index_pack_at(index, numbers[i], &before[i]));
        cb_expect(index, i, 50, true);
    }
    cb_expect(other, 1, 50, false);
    et_ok(segment_store(w.r.repo, tables, 3, NULL, 0, name, &err), err);
    struct index *third = NULL;
    if (_i == 1) { /* somebody else is faster with our segment */
        third = cb_open(&w);
        cb_expect(third, 1, 50, true);
    }
    if (_i == 2) {
        et_ok(index_refresh(index, &err), err);
    }
    et_ok(index_add_segment(index, name, tables, 3, &err), err);
    et_ok(index_add_segment(index, name, tables, 3, &err), err);
    index_release_claims(index);
    for (uint64_t i = 0; i < 3; i++) {
        struct index_pack after;
        ck_assert_uint_eq(index_pack_find(index, tables[i].id), numbers[i]);
        ck_assert(index_pack_at(index, numbers[i], &after));
        ck_assert_uint_eq(after.first_place, before[i].first_place);
        ck_assert_uint_eq(after.plain_bytes, before[i].plain_bytes);
        cb_expect(index, i, 50, true);
    }
    et_ok(index_refresh(index, &err), err);
    et_ok(index_refresh(other, &err), err);
    ck_assert_uint_eq(index_chunks(other), 150);
    for (uint64_t i = 0; i < 3; i++) {
        cb_expect(index, i, 50, true);
        cb_expect(other, i, 50, true);
        ck_assert_uint_eq(index_pack_find(other, tables[i].id), numbers[i]);
        pack_table_clear(&tables[i]);
    }
    index_close(third);
    index_close(index);
    index_close(other);
    index = cb_open(&w);
    ck_assert_uint_eq(index_chunks(index), 150);
    index_close(index);
    et_repo_remove(&w.r);
}
END_TEST

/* Packs that no segment names are seen by whoever added them, and by nobody else. */
START_TEST(packs_without_a_segment)
{
    struct cb_world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table;
    char name[SEGMENT_NAME_BYTES];
    cb_make(&w);
    cb_store(&w, 1, 1, 50, NULL, name);
    cb_table(&table, 2, 50);
    struct index *index = cb_open(&w);
    struct index *copy = NULL;
    et_ok(index_copy(index, &copy, &err), err);
    et_ok(index_add_pack(copy, &table, &err), err);
    cb_expect(copy, 2, 50, true);
    et_ok(index_add_segment(copy, NULL, &table, 1, &err), err);
    cb_expect(copy, 1, 50, true);
    cb_expect(copy, 2, 50, true);
    cb_expect(index, 2, 50, false);
    et_ok(index_refresh(index, &err), err);
    cb_expect(index, 2, 50, false);
    et_ok(index_refresh(copy, &err), err);
    cb_expect(copy, 2, 50, true);
    struct index *other = cb_open(&w);
    cb_expect(other, 2, 50, false);
    cb_store(&w, 2, 1, 50, NULL, name);
    et_ok(index_refresh(other, &err), err);
    cb_expect(other, 2, 50, true);
    index_close(other);
    index_close(copy);
    index_close(index);
    pack_table_clear(&table);
    et_repo_remove(&w.r);
}
END_TEST

START_TEST(of_two_places_the_good_one)
{
    struct cb_world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table tables[2];
    struct chunk_location place;
    char name[SEGMENT_NAME_BYTES];
    bool claimed = false;
    cb_make(&w);
    cb_table(&tables[0], 1, 50);
    cb_table(&tables[1], 1, 50);
    et_random_fill(77, tables[1].id, PACK_ID_BYTES); /* the same chunks in another pack */
    for (int i = 0; i < 2; i++) {
        et_ok(segment_store(w.r.repo, &tables[i], 1, NULL, 0, name, &err), err);
        index_close(cb_open(&w));
    }
    struct index *index = cb_open(&w);
    const uint8_t *id = tables[0].chunks[3].id;
    et_ok(index_find(index, id, &place), err);
    ck_assert_mem_eq(place.pack, tables[0].id, PACK_ID_BYTES);
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])tables[0].id, 1, &err), err);
    ck_assert(index_shunned(index, index_pack_find(index, tables[0].id)));
    et_ok(index_find(index, id, &place), err);
    ck_assert_mem_eq(place.pack, tables[1].id, PACK_ID_BYTES);
    et_ok(index_claim(index, id, &claimed, &err), err);
    ck_assert(!claimed);
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])tables[1].id, 1, &err), err);
    ck_assert(!index_knows(index, id));
    et_ok(index_find(index, id, &place), err); /* better than none */
    ck_assert_mem_eq(place.pack, tables[0].id, PACK_ID_BYTES);
    et_ok(index_claim(index, id, &claimed, &err), err);
    ck_assert(claimed);
    index_close(index);
    /* One that the index learns of later is shunned too. */
    struct pack_table later;
    cb_table(&later, 9, 20);
    index = cb_open(&w);
    et_ok(index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])later.id, 1, &err), err);
    et_ok(segment_store(w.r.repo, &later, 1, NULL, 0, name, &err), err);
    et_ok(index_refresh(index, &err), err);
    ck_assert(!index_knows(index, later.chunks[0].id));
    et_ok(index_find(index, later.chunks[0].id, &place), err);
    index_close(index);
    for (int i = 0; i < 2; i++) {
        pack_table_clear(&tables[i]);
    }
    pack_table_clear(&later);
    et_repo_remove(&w.r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_cache");
    TCase *tests = tcase_create("index_cache");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, it_lasts);
    tcase_add_test(tests, others_are_seen_after_a_refresh);
    tcase_add_test(tests, many_lookups);
    tcase_add_test(tests, foretold_lookups);
    tcase_add_test(tests, superseded_segments);
    tcase_add_loop_test(tests, replaced_between_listing_and_reading, 0, 2);
    tcase_add_loop_test(tests, own_packs_move_to_the_cache, 0, 3);
    tcase_add_test(tests, packs_without_a_segment);
    tcase_add_test(tests, of_two_places_the_good_one);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
