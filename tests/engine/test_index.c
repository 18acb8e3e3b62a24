/* test_index.c: the table of chunks, claims, segments on disk, supersession, damage. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/frame.h"
#include "engine/segment.h"
#include "enginetest.h"

static void chunk_id(uint64_t number, uint8_t id[CHUNK_ID_BYTES])
{
    et_random_fill(number, id, CHUNK_ID_BYTES);
}

/* A pack with `frames` frames of 4 chunks, whose ids come from `seed`. */
static void make_table(struct pack_table *table, uint64_t seed, size_t frames)
{
    struct orch_error err = ORCH_ERROR_INIT;
    memset(table, 0, sizeof(*table));
    et_random_fill(seed, table->id, PACK_ID_BYTES);
    table->kind = PACK_DATA;
    for (size_t i = 0; i < frames; i++) {
        struct pack_chunk chunks[4];
        for (uint32_t j = 0; j < 4; j++) {
            chunk_id(seed + 4 * i + j, chunks[j].id);
            chunks[j].len = 10 + j;
        }
        et_ok(pack_table_add(table, 30, 46, CODEC_ZSTD, chunks, 4, &err), err);
    }
    table->size_bytes = pack_table_end(table) + 1000;
}

START_TEST(found_where_they_were_put)
{
    static const uint64_t offsets[] = {0, 10, 21, 33};
    struct index *index = NULL;
    struct pack_table table;
    struct orch_error err = ORCH_ERROR_INIT;
    struct chunk_location place;
    uint8_t id[CHUNK_ID_BYTES];
    et_ok(index_new(&index, &err), err);
    for (uint64_t p = 0; p < 5; p++) {
        make_table(&table, p * 1000000, 10000);
        et_ok(index_add_pack(index, &table, &err), err);
        pack_table_clear(&table);
    }
    ck_assert_uint_eq(index_chunks(index), 200000);
    ck_assert_uint_eq(index_pack_count(index), 5);
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t pack = i / 40000;
        uint64_t at = i % 40000;
        uint8_t pack_id[PACK_ID_BYTES];
        chunk_id(pack * 1000000 + at, id);
        et_random_fill(pack * 1000000, pack_id, PACK_ID_BYTES);
        ck_assert_int_eq(index_find(index, id, &place), ORCH_OK);
        ck_assert_mem_eq(place.pack, pack_id, PACK_ID_BYTES);
        ck_assert_uint_eq(place.frame_number, at / 4);
        ck_assert_uint_eq(place.frame_offset, PACK_HEADER_BYTES + at / 4 * 30);
        ck_assert_uint_eq(place.len, 10 + at % 4);
        ck_assert_uint_eq(place.offset, offsets[at % 4]);
        ck_assert_uint_eq(place.plain_len, 46);
    }
    chunk_id(999999, id);
    ck_assert_int_eq(index_find(index, id, &place), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(index_knows(index, id), 0);
    index_close(index);
}
END_TEST

START_TEST(claims)
{
    struct index *index = NULL;
    struct pack_table table;
    struct orch_error err = ORCH_ERROR_INIT;
    struct chunk_location place;
    uint8_t id[CHUNK_ID_BYTES];
    bool claimed = false;
    et_ok(index_new(&index, &err), err);
    for (uint64_t i = 0; i < 10000; i++) {
        chunk_id(i, id);
        et_ok(index_claim(index, id, &claimed, &err), err);
        ck_assert(claimed);
        et_ok(index_claim(index, id, &claimed, &err), err);
        ck_assert(!claimed);
        ck_assert(index_knows(index, id));
        ck_assert_int_eq(index_find(index, id, &place), ORCH_E_NOT_FOUND);
    }
    make_table(&table, 0, 1); /* chunks 0 to 3 */
    et_ok(index_add_pack(index, &table, &err), err);
    pack_table_clear(&table);
    index_release_claims(index);
    for (uint64_t i = 0; i < 10000; i++) {
        chunk_id(i, id);
        ck_assert_int_eq(index_knows(index, id), i < 4);
        ck_assert_int_eq(index_find(index, id, &place), i < 4 ? ORCH_OK : ORCH_E_NOT_FOUND);
        et_ok(index_claim(index, id, &claimed, &err), err);
        ck_assert_int_eq(claimed, i >= 4);
    }
    ck_assert_uint_eq(index_chunks(index), 4);
    index_close(index);
}
END_TEST

struct told {
    int count;
    char name[SEGMENT_NAME_BYTES];
};

static void damaged(void *ctx, const char *name, const struct orch_error *why)
{
    struct told *told = ctx;
    told->count++;
    ck_assert_int_lt(why->code, 0);
    ck_assert_uint_lt(strlen(name), sizeof(told->name));
    strcpy(told->name, name);
}

START_TEST(segments_last_and_damage_is_seen)
{
    struct et_repo r;
    struct pack_table tables[2];
    struct orch_error err = ORCH_ERROR_INIT;
    char names[2][SEGMENT_NAME_BYTES];
    struct buffer file = BUFFER_INIT;
    struct index *index = NULL;
    struct told told = {0};
    et_repo_make(&r, _i == 0);
    make_table(&tables[0], 100, 3);
    make_table(&tables[1], 200, 3);
    et_ok(segment_store(r.repo, &tables[0], 1, NULL, 0, names[0], &err), err);
    et_ok(segment_store(r.repo, &tables[1], 1, NULL, 0, names[1], &err), err);
    et_ok(
        index_open(r.repo, &(struct index_options){.damaged = damaged, .ctx = &told}, &index, &err),
        err);
    ck_assert_uint_eq(index_chunks(index), 24);
    ck_assert_int_eq(told.count, 0);
    index_close(index);
    et_ok(storage_read(r.storage, names[0], 1 << 20, &file, &err), err);
    for (size_t i = 0; i < file.len; i++) {
        told.count = 0;
        et_flip(&r, names[0], i, i % 8);
        et_ok(index_open(r.repo, &(struct index_options){.damaged = damaged, .ctx = &told}, &index,
                         &err),
              err);
        ck_assert_int_eq(told.count, 1);
        ck_assert_str_eq(told.name, names[0]);
        ck_assert_uint_eq(index_chunks(index), 12);
        index_close(index);
        et_flip(&r, names[0], i, i % 8);
    }
    et_ok(storage_put(r.storage, names[0], "", 0, 0, &err), err);
    ck_assert_int_eq(index_open(r.repo, NULL, &index, &err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, names[0]));
    buffer_free(&file);
    pack_table_clear(&tables[0]);
    pack_table_clear(&tables[1]);
    et_repo_remove(&r);
}
END_TEST

START_TEST(a_superseded_segment_is_not_read)
{
    struct et_repo r;
    struct pack_table tables[2];
    struct orch_error err = ORCH_ERROR_INIT;
    char names[2][SEGMENT_NAME_BYTES];
    uint8_t old[2][SEGMENT_ID_BYTES];
    struct index *index = NULL;
    et_repo_make(&r, true);
    make_table(&tables[0], 100, 3);
    make_table(&tables[1], 200, 3);
    for (int i = 0; i < 2; i++) {
        et_ok(segment_store(r.repo, &tables[i], 1, NULL, 0, names[i], &err), err);
        ck_assert_int_eq(hex_decode(names[i] + 6, 64, old[i], 32), ORCH_OK);
    }
    et_ok(segment_store(r.repo, &tables[1], 1, old, 2, NULL, &err), err);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    ck_assert_uint_eq(index_chunks(index), 12);
    ck_assert_uint_eq(index_pack_find(index, tables[0].id), SIZE_MAX);
    size_t number = index_pack_find(index, tables[1].id);
    struct index_pack pack;
    ck_assert(index_pack_at(index, number, &pack));
    ck_assert(!pack.gone);
    for (size_t i = 0; i < index_pack_count(index); i++) {
        ck_assert(index_pack_at(index, i, &pack));
        ck_assert_int_eq(pack.gone, i != number);
    }
    index_close(index);
    pack_table_clear(&tables[0]);
    pack_table_clear(&tables[1]);
    et_repo_remove(&r);
}
END_TEST

START_TEST(hostile_bodies)
{
    struct buffer body = BUFFER_INIT;
    struct pack_table table;
    struct segment segment;
    struct orch_error err = ORCH_ERROR_INIT;
    make_table(&table, 5, 4);
    buffer_varint(&body, 1);
    buffer_append(&body, "0123456789abcdef0123456789abcdef", 32);
    buffer_varint(&body, 1);
    buffer_append(&body, table.id, PACK_ID_BYTES);
    buffer_u8(&body, PACK_DATA);
    buffer_varint(&body, table.size_bytes);
    pack_table_encode(&table, &body);
    et_ok(segment_decode(body.data, body.len, &segment, &err), err);
    ck_assert_uint_eq(segment.count, 1);
    ck_assert_uint_eq(segment.supersedes_count, 1);
    segment_clear(&segment);
    struct et_random random = {3};
    for (size_t i = 0; i < 50000; i++) {
        size_t len = i < body.len ? i : body.len;
        size_t at = et_random_next(&random) % body.len;
        uint8_t old = body.data[at];
        body.data[at] = i < body.len ? old : (uint8_t)et_random_next(&random);
        int32_t rc = segment_decode(body.data, len, &segment, &err);
        ck_assert(rc == ORCH_OK || rc == ORCH_E_CORRUPT);
        ck_assert(i >= body.len || rc == ORCH_E_CORRUPT);
        if (rc == ORCH_OK) {
            segment_clear(&segment);
        }
        body.data[at] = old;
    }
    buffer_free(&body);
    pack_table_clear(&table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index");
    TCase *tests = tcase_create("index");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, found_where_they_were_put);
    tcase_add_test(tests, claims);
    tcase_add_loop_test(tests, segments_last_and_damage_is_seen, 0, 2);
    tcase_add_test(tests, a_superseded_segment_is_not_read);
    tcase_add_test(tests, hostile_bodies);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
