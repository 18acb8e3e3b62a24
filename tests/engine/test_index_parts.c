/* test_index_parts.c: what an index is made of: sets of ids, chunks in memory, sorted rows, packs
 * by number. Each is compared with a plain model. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/byteset.h"
#include "engine/indexoverlay.h"
#include "engine/indexsort.h"
#include "engine/indexview.h"
#include "enginetest.h"

START_TEST(a_set_has_what_was_added)
{
    struct byteset *set = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t key[20] = {0};
    ck_assert(!byteset_has(NULL, key));
    et_ok(byteset_new(sizeof(key), &set, &err), err);
    ck_assert(!byteset_has(set, key));
    for (uint32_t i = 0; i < 20000; i++) {
        memcpy(key + 16, &i, 4); /* keys that differ in their last bytes only */
        ck_assert(!byteset_has(set, key));
        et_ok(byteset_add(set, key, &err), err);
        et_ok(byteset_add(set, key, &err), err);
        ck_assert(byteset_has(set, key));
        ck_assert_uint_eq(byteset_count(set), i + 1);
    }
    for (uint32_t i = 0; i < 40000; i++) {
        memcpy(key + 16, &i, 4);
        ck_assert_int_eq(byteset_has(set, key), i < 20000);
    }
    byteset_free(set);
}
END_TEST

#define IDS 3000

/* Ids of which many want the same slot. */
static void id_of(uint64_t number, uint8_t id[CHUNK_ID_BYTES])
{
    et_random_fill(number, id, CHUNK_ID_BYTES);
    memset(id, 0, 8);
    id[0] = (uint8_t)(number % 37);
    id[1] = (uint8_t)(number % 3 == 0 ? 255 : 3);
}

START_TEST(chunks_in_memory_come_and_go)
{
    struct indexoverlay *overlay = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct et_random random = {7};
    uint32_t packs[IDS] = {0}; /* 0: not there */
    uint64_t count = 0;
    uint8_t id[CHUNK_ID_BYTES];
    et_ok(indexoverlay_new(&overlay, &err), err);
    for (uint32_t round = 0; round < 60000; round++) {
        uint64_t number = et_random_next(&random) % IDS;
        id_of(number, id);
        struct overlay_place *place = indexoverlay_find(overlay, id);
        ck_assert_int_eq(place != NULL, packs[number] != 0);
        ck_assert(place == NULL || place->pack == packs[number]);
        if (place == NULL && round % 20000 < 14000) {
            packs[number] = round % 5 == 0 ? OVERLAY_CLAIMED : round + 1;
            et_ok(
                indexoverlay_add(overlay, id, &(struct overlay_place){.pack = packs[number]}, &err),
                err);
            count++;
        } else {
            indexoverlay_remove(overlay, id);
            count -= packs[number] != 0;
            packs[number] = 0;
        }
        if (round % 15000 == 14999) {
            indexoverlay_release(overlay);
            for (size_t i = 0; i < IDS; i++) {
                count -= packs[i] == OVERLAY_CLAIMED;
                packs[i] = packs[i] == OVERLAY_CLAIMED ? 0 : packs[i];
            }
        }
        ck_assert_uint_eq(indexoverlay_count(overlay), count);
    }
    for (uint64_t i = 0; i < IDS; i++) {
        id_of(i, id);
        indexoverlay_remove(overlay, id);
        ck_assert_ptr_null(indexoverlay_find(overlay, id));
    }
    ck_assert_uint_eq(indexoverlay_count(overlay), 0);
    indexoverlay_free(overlay);
}
END_TEST

/* Few rows stay in memory; many go through the file. */
START_TEST(rows_come_sorted)
{
    const size_t counts[] = {0, 1, 1000, 300000};
    struct indexsort *sort = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct et_random random = {3};
    uint64_t sum = 0;
    uint64_t found = 0;
    size_t seen = 0;
    uint8_t last[ROW_KEY_BYTES] = {0};
    et_ok(indexsort_new("/tmp", &sort, &err), err);
    for (size_t i = 0; i < counts[_i]; i++) {
        struct cache_row row;
        et_random_fill(et_random_next(&random), row.key, sizeof(row.key));
        row.key[0] = (uint8_t)(i % 3 == 0 ? 9 : row.key[0]); /* one bucket is much larger */
        et_random_fill(i, row.value, sizeof(row.value));
        sum += get_le64(row.key) * 31 + get_le64(row.value);
        et_ok(indexsort_add(sort, &row, &err), err);
    }
    for (size_t bucket = 0; bucket < SORT_BUCKETS; bucket++) {
        struct cache_row *rows = NULL;
        size_t count = 0;
        et_ok(indexsort_bucket(sort, bucket, &rows, &count, &err), err);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_lt(memcmp(last, rows[i].key, ROW_KEY_BYTES), 0);
            memcpy(last, rows[i].key, ROW_KEY_BYTES);
            found += get_le64(rows[i].key) * 31 + get_le64(rows[i].value);
        }
        seen += count;
    }
    ck_assert_uint_eq(seen, counts[_i]);
    ck_assert_uint_eq(found, sum);
    indexsort_free(sort);
}
END_TEST

START_TEST(packs_by_number_and_id)
{
    struct indexview view = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct cache_pack pack = {.chunk_count = 10};
    ck_assert_uint_eq(indexview_find(&view, pack.id), SIZE_MAX);
    for (uint32_t i = 0; i < 5000; i++) {
        et_random_fill(i, pack.id, PACK_ID_BYTES);
        pack.first_place = 10 * i;
        et_ok(indexview_add(&view, 3 * i, &pack, NULL, &err), err);
    }
    ck_assert_uint_eq(view.places, 50000);
    ck_assert_uint_eq(view.chunks, 50000);
    for (uint32_t i = 0; i < 5000; i += 2) {
        indexview_hide(&view, 3 * i);
    }
    ck_assert_uint_eq(view.chunks, 25000);
    for (uint32_t i = 0; i < 6000; i++) {
        bool there = i < 5000 && i % 2 == 1;
        et_random_fill(i, pack.id, PACK_ID_BYTES);
        ck_assert_uint_eq(indexview_find(&view, pack.id), there ? 3 * i : SIZE_MAX);
        ck_assert_int_eq(indexview_at(&view, 3 * (size_t)i) != NULL, there);
        ck_assert_ptr_null(indexview_at(&view, 3 * (size_t)i + 1));
    }
    et_random_fill(0, pack.id, PACK_ID_BYTES); /* back again, under another number */
    et_ok(indexview_add(&view, 20000, &pack, NULL, &err), err);
    ck_assert_uint_eq(indexview_find(&view, pack.id), 20000);
    indexview_clear(&view);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_parts");
    TCase *tests = tcase_create("index_parts");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_set_has_what_was_added);
    tcase_add_test(tests, chunks_in_memory_come_and_go);
    tcase_add_loop_test(tests, rows_come_sorted, 0, 4);
    tcase_add_test(tests, packs_by_number_and_id);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
