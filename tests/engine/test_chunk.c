/* test_chunk.c: cuts do not depend on the pieces; sizes, resynchronisation, fixed profiles. */
#include <check.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/plugin.h>

#include "base/buffer.h"
#include "engine/chunk.h"
#include "engine/chunkid.h"
#include "enginetest.h"

static const uint8_t key[KEY_BYTES] = {9, 8, 7};

struct cuts {
    size_t lens[8192];
    size_t count;
    struct buffer all;
    const uint8_t *from; /* chunks that lie here are not copies */
    size_t from_len, in_place;
};

static int32_t note(void *ctx, const uint8_t *data, size_t len, struct orch_error *err)
{
    struct cuts *cuts = ctx;
    (void)err;
    ck_assert_uint_lt(cuts->count, 8192);
    cuts->lens[cuts->count++] = len;
    buffer_append(&cuts->all, data, len);
    cuts->in_place += data >= cuts->from && data < cuts->from + cuts->from_len;
    return ORCH_OK;
}

/* Cuts `data` in pieces: fixed, or random when piece is 0. */
static void cut(struct cuts *cuts, const uint8_t *data, size_t len, size_t piece, uint32_t profile,
                uint32_t row, uint64_t offset)
{
    struct chunk_gear gear;
    struct chunk_cutter *cutter = NULL;
    struct et_random random = {len};
    struct orch_error err = ORCH_ERROR_INIT;
    memset(cuts, 0, sizeof(*cuts));
    cuts->from = data;
    cuts->from_len = len;
    et_ok(chunk_gear_init_key(&gear, key, &err), err);
    et_ok(chunk_cutter_new(&gear, note, cuts, &cutter, &err), err);
    chunk_cutter_start(cutter, profile, row, offset);
    for (size_t at = 0; at < len;) {
        size_t take = piece != 0 ? piece : (size_t)(et_random_next(&random) % 300000);
        take = take > len - at ? len - at : take;
        et_ok(chunk_cutter_feed(cutter, data + at, take, &err), err);
        at += take;
    }
    et_ok(chunk_cutter_flush(cutter, &err), err);
    chunk_cutter_free(cutter);
    ck_assert_uint_eq(cuts->all.len, len);
    ck_assert(len == 0 || memcmp(cuts->all.data, data, len) == 0);
}

START_TEST(same_cuts_whatever_the_pieces)
{
    static const struct {
        uint32_t profile, row;
        uint64_t offset;
    } shapes[] = {{ORCH_PROFILE_CONTENT, 0, 0},      {ORCH_PROFILE_ROWS, 3072, 45},
                  {ORCH_PROFILE_ROWS, 100, 3000000}, {ORCH_PROFILE_PAGES, 8192, 0},
                  {ORCH_PROFILE_ROWS, 70000, 1},     {ORCH_PROFILE_ROWS, 4u << 20, 0}};
    size_t len = 7654321;
    uint8_t *data = malloc(len);
    et_random_fill(1, data, len);
    struct cuts *whole = malloc(sizeof(*whole));
    struct cuts *pieces = malloc(sizeof(*pieces));
    for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) {
        static const size_t sizes[] = {0, 1 << 20, 65536, 4096, 777, 1};
        cut(whole, data, len, len, shapes[s].profile, shapes[s].row, shapes[s].offset);
        ck_assert_uint_ge(whole->in_place + 1, whole->count); /* all but the last */
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            cut(pieces, data, len, sizes[i], shapes[s].profile, shapes[s].row, shapes[s].offset);
            ck_assert_uint_eq(pieces->count, whole->count);
            ck_assert_mem_eq(pieces->lens, whole->lens, whole->count * sizeof(size_t));
            buffer_free(&pieces->all);
        }
        buffer_free(&whole->all);
    }
    free(data);
    free(whole);
    free(pieces);
}
END_TEST

/* As docs/repository-format.md states it, a byte at a time. */
START_TEST(cuts_are_where_the_document_says)
{
    size_t len = 12345677;
    uint8_t *data = malloc(len);
    struct chunk_gear gear;
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(chunk_gear_init_key(&gear, key, &err), err);
    et_random_fill(5, data, len);
    memset(data + 3000000, 'x', 2500000); /* chunks that end at the greatest length */
    struct cuts *cuts = malloc(sizeof(*cuts));
    cut(cuts, data, len, 1 << 20, ORCH_PROFILE_CONTENT, 0, 0);
    size_t count = 0;
    for (size_t start = 0; start < len; count++) {
        uint64_t hash = 0;
        size_t at = start + 196608 < len ? start + 196608 : len;
        bool end = false;
        while (!end && at < len && at < start + 1048576) {
            hash = 2 * hash + gear.table[data[at++]];
            end = hash >> 48 == 0;
        }
        ck_assert_uint_lt(count, cuts->count);
        ck_assert_uint_eq(cuts->lens[count], at - start);
        start = at;
    }
    ck_assert_uint_eq(count, cuts->count);
    buffer_free(&cuts->all);
    free(cuts);
    free(data);
}
END_TEST

START_TEST(sizes_are_as_promised)
{
    size_t len = 128u << 20;
    uint8_t *data = malloc(len);
    et_random_fill(2, data, len);
    struct cuts *cuts = malloc(sizeof(*cuts));
    cut(cuts, data, len, len, ORCH_PROFILE_CONTENT, 0, 0);
    for (size_t i = 0; i + 1 < cuts->count; i++) {
        ck_assert_uint_ge(cuts->lens[i], CHUNK_MIN);
        ck_assert_uint_le(cuts->lens[i], CHUNK_MAX);
    }
    size_t mean = len / cuts->count;
    ck_assert_msg(mean > 220u << 10 && mean < 300u << 10, "mean chunk %zu", mean);
    buffer_free(&cuts->all);
    memset(data, 0, 8u << 20); /* no cut by content: the longest chunks */
    cut(cuts, data, 8u << 20, 8u << 20, ORCH_PROFILE_CONTENT, 0, 0);
    ck_assert_uint_eq(cuts->count, 8);
    buffer_free(&cuts->all);
    free(cuts);
    free(data);
}
END_TEST

START_TEST(an_insertion_moves_few_cuts)
{
    size_t len = 16u << 20;
    uint8_t *data = malloc(len + 1);
    struct cuts *before = malloc(sizeof(*before));
    struct cuts *after = malloc(sizeof(*after));
    et_random_fill(3, data, len);
    cut(before, data, len, len, ORCH_PROFILE_CONTENT, 0, 0);
    memmove(data + 1000001, data + 1000000, len - 1000000);
    cut(after, data, len + 1, len + 1, ORCH_PROFILE_CONTENT, 0, 0);
    size_t same = 0;
    while (same < before->count && same < after->count &&
           before->lens[before->count - 1 - same] == after->lens[after->count - 1 - same]) {
        same++;
    }
    ck_assert_uint_ge(same + 12, before->count);
    buffer_free(&before->all);
    buffer_free(&after->all);
    free(before);
    free(after);
    free(data);
}
END_TEST

START_TEST(rows_are_never_split)
{
    static const uint32_t rows[] = {1, 100, 3072, 4096, 8191, 8192, 8193, 65536, 1048576};
    size_t len = 5u << 20;
    uint8_t *data = calloc(1, len);
    struct cuts *cuts = malloc(sizeof(*cuts));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cut(cuts, data, len, 4096, ORCH_PROFILE_ROWS, rows[i], 33);
        ck_assert_uint_eq(cuts->lens[0], 33);
        size_t at = 33;
        for (size_t j = 1; j + 1 < cuts->count; j++) {
            at += cuts->lens[j];
            ck_assert_uint_eq((at - 33) % rows[i], 0);
            ck_assert_uint_le(cuts->lens[j],
                              rows[i] > CHUNK_ROWS_TARGET ? rows[i] : CHUNK_ROWS_TARGET);
        }
        buffer_free(&cuts->all);
    }
    free(cuts);
    free(data);
}
END_TEST

START_TEST(rows_stay_aligned_behind_a_hole)
{
    static uint8_t data[100000];
    struct chunk_gear gear;
    struct chunk_cutter *cutter = NULL;
    struct cuts *cuts = calloc(1, sizeof(*cuts));
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(chunk_gear_init_key(&gear, key, &err), err);
    et_ok(chunk_cutter_new(&gear, note, cuts, &cutter, &err), err);
    chunk_cutter_start(cutter, ORCH_PROFILE_PAGES, 8192, 0);
    et_ok(chunk_cutter_feed(cutter, data, 100, &err), err);
    et_ok(chunk_cutter_flush(cutter, &err), err);
    chunk_cutter_skip(cutter, 32768 * 3 - 200);
    et_ok(chunk_cutter_feed(cutter, data, 100 + 32768 + 5, &err), err);
    et_ok(chunk_cutter_flush(cutter, &err), err);
    static const size_t expected[] = {100, 100, 32768, 5};
    ck_assert_uint_eq(cuts->count, 4);
    ck_assert_mem_eq(cuts->lens, expected, sizeof(expected));
    chunk_cutter_free(cutter);
    buffer_free(&cuts->all);
    free(cuts);
}
END_TEST

START_TEST(ids_are_hmac_sha256)
{
    static const size_t lens[] = {0, 1, 55, 56, 63, 64, 65, 1000, 262144};
    uint8_t *data = malloc(262144);
    struct chunkid state;
    et_random_fill(4, data, 262144);
    chunkid_init_key(&state, key);
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        uint8_t id[32];
        uint8_t expected[32];
        unsigned len = 32;
        chunkid_of(&state, data, lens[i], id);
        ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, sizeof(key), data, lens[i], expected, &len));
        ck_assert_mem_eq(id, expected, 32);
    }
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chunk");
    TCase *tests = tcase_create("chunk");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, same_cuts_whatever_the_pieces);
    tcase_add_test(tests, cuts_are_where_the_document_says);
    tcase_add_test(tests, sizes_are_as_promised);
    tcase_add_test(tests, an_insertion_moves_few_cuts);
    tcase_add_test(tests, rows_are_never_split);
    tcase_add_test(tests, rows_stay_aligned_behind_a_hole);
    tcase_add_test(tests, ids_are_hmac_sha256);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
