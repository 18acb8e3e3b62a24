/* test_repack.c: what is needed is copied, in order, into packs of its kind; the rest is not. */
#include <stdlib.h>
#include <string.h>

#include "engine/packreader.h"
#include "engine/repack.h"
#include "prunetest.h"

static struct et_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof(err));
    et_repo_make(&r, true);
}

static void teardown(void)
{
    et_repo_remove(&r);
}

/* An index and the usage of the newest set. */
struct view {
    struct index *index;
    struct usage *usage;
    struct set_list sets;
};

static void look(struct view *view, const char *set)
{
    et_ok(index_open(r.repo, NULL, &view->index, &err), err);
    et_ok(usage_new(r.repo, view->index, &view->usage, &err), err);
    et_ok(set_list_load(r.repo, NULL, NULL, &view->sets, &err), err);
    et_ok(usage_add_set(view->usage, pt_find(&view->sets, set), NULL, NULL, &err), err);
}

static void leave(struct view *view)
{
    usage_free(view->usage);
    index_close(view->index);
    set_list_free(&view->sets);
}

static const struct writer_options writer = {.codec = CODEC_ZSTD, .jobs = 2, .pack_bytes = 400000};

START_TEST(test_copies_what_is_needed)
{
    struct pt_source first, second;
    char old[ID_TEXT], kept[ID_TEXT];
    struct view view;
    struct repack_result result;
    size_t numbers[4096];
    bool copied[4096];
    size_t count = 0;
    pt_random(&first, 3, 30, 1000);
    pt_random(&second, 4, 20, 1000);
    memcpy(second.contents, first.contents, 10 * sizeof(first.contents[0])); /* in common */
    first.records = second.records = 3000;
    pt_set(r.repo, &first, "", 300000, old);
    pt_set(r.repo, &second, "", 300000, kept);
    look(&view, kept);
    size_t packs = index_pack_count(view.index);
    uint64_t needed = 0;
    for (size_t i = 0; i < packs; i++) {
        if (usage_of_pack(view.usage, i).chunks > 0) {
            needed += usage_of_pack(view.usage, i).chunks;
            numbers[count++] = i;
        }
    }
    et_ok(repack_run(r.repo, view.index, view.usage, numbers, count, &writer, NULL, NULL, copied,
                     &result, &err),
          err);
    ck_assert_uint_eq(result.packs, count);
    ck_assert_uint_eq(result.chunks, needed);
    ck_assert_uint_eq(result.chunks, usage_chunks(view.usage));
    /* Without the old packs everything is there. */
    for (size_t i = 0; i < packs; i++) {
        struct index_pack pack;
        ck_assert(index_pack_at(view.index, i, &pack));
        if (!pack.gone) {
            et_ok(index_shun(view.index, (const uint8_t(*)[PACK_ID_BYTES])pack.id, 1, &err), err);
        }
    }
    bool good[4096];
    et_ok(repack_verify(r.repo, view.index, view.usage, numbers, count, good, &err), err);
    for (size_t i = 0; i < count; i++) {
        ck_assert(copied[i] && good[i]);
    }
    size_t kinds[3] = {0, 0, 0};
    for (size_t i = packs; i < index_pack_count(view.index); i++) {
        struct index_pack pack;
        if (index_pack_at(view.index, i, &pack) && !pack.gone) {
            kinds[pack.kind]++;
        }
    }
    ck_assert_uint_gt(kinds[PACK_DATA], 0);
    ck_assert_uint_gt(kinds[PACK_META], 0);
    leave(&view);
    pt_whole(r.repo, "after repacking");
}
END_TEST

START_TEST(test_nothing_to_copy)
{
    struct pt_source source;
    struct repack_result result;
    struct view view;
    char set[ID_TEXT];
    pt_random(&source, 3, 3, 1000);
    pt_set(r.repo, &source, "", 0, set);
    look(&view, set);
    et_ok(repack_run(r.repo, view.index, view.usage, NULL, 0, &writer, NULL, NULL, NULL, &result,
                     &err),
          err);
    ck_assert_uint_eq(result.packs + result.chunks + result.bytes_stored, 0);
    leave(&view);
}
END_TEST

static bool stop_at_third(void *ctx)
{
    int *asked = ctx;
    return ++*asked == 3;
}

START_TEST(test_stopped)
{
    struct pt_source source;
    struct repack_result result;
    struct view view;
    char set[ID_TEXT];
    size_t numbers[2] = {0, 1};
    bool copied[2];
    int asked = 0;
    pt_random(&source, 3, 60, 1000);
    pt_set(r.repo, &source, "", 0, set);
    look(&view, set);
    ck_assert_int_eq(repack_run(r.repo, view.index, view.usage, numbers, 2, &writer, stop_at_third,
                                &asked, copied, &result, &err),
                     ORCH_E_CANCELLED);
    ck_assert(!copied[0] && !copied[1]);
    leave(&view);
    pt_whole(r.repo, "after stopping");
}
END_TEST

/* A pack that cannot be read is passed over; the others are copied. */
START_TEST(test_damaged_pack)
{
    struct pt_source source;
    struct repack_result result;
    struct view view;
    struct index_pack pack;
    char set[ID_TEXT], name[PACK_NAME_BYTES];
    size_t numbers[64];
    bool copied[64];
    size_t data = 0, count = 0;
    pt_random(&source, 3, 30, 1000);
    pt_set(r.repo, &source, "", 300000, set);
    look(&view, set);
    for (size_t i = 0; index_pack_at(view.index, i, &pack) && count < 64; i++) {
        if (!pack.gone && pack.kind == PACK_DATA) {
            data = count;
            numbers[count++] = i;
        }
    }
    ck_assert_uint_gt(count, 2);
    ck_assert(index_pack_at(view.index, numbers[data], &pack));
    pack_name(pack.id, name);
    /* Its first frame; or its footer. */
    et_flip(&r, name, _i == 0 ? PACK_HEADER_BYTES + 100 : pack.size_bytes - 60, 3);
    et_ok(repack_run(r.repo, view.index, view.usage, numbers, count, &writer, NULL, NULL, copied,
                     &result, &err),
          err);
    ck_assert_uint_eq(result.packs, count - 1);
    for (size_t i = 0; i < count; i++) {
        ck_assert(copied[i] == (i != data));
    }
    leave(&view);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("repack");
    TCase *tests = tcase_create("repack");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_copies_what_is_needed);
    tcase_add_test(tests, test_nothing_to_copy);
    tcase_add_test(tests, test_stopped);
    tcase_add_loop_test(tests, test_damaged_pack, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
