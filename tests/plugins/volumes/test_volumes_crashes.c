/* test_volumes_crashes.c: the volumes plugin: restores that fail or are killed, and come again. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"
#include "volumetree.h"

static void set_up(void)
{
    treecase_set_up("data");
}

START_TEST(test_failed_stream_touches_nothing)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_text(treecase_at("live"), "now");
    char *before = tree_describe(t.data);
    harness_fail_next_after(t.host, (uint64_t)_i * 3);
    ck_assert_int_eq(harness_restore(t.host, TREECASE_RUN, 1, &t.err), ORCH_E_CORRUPT);
    treecase_is_as(before);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    ck_assert_int_eq(tree_count(t.scratch, "orch-"), 0);
    free(before);
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
static const char *const swap_points[] = {"swap-built", "swap-marked", "swap-intended",
                                          "swap-exchanged", "swap-replaced"};

/* Killed at each point, once or twice; then the next attempt finishes, and the aside holds what was
 * live before the run, whatever happened. */
static int lock_scratch; /* make the folder of the volume read-only meanwhile */

static void crash_and_resume(const char *first, const char *second, const char *aside)
{
    volumetree_make();
    char *wanted = tree_describe(t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_text(treecase_at("a/file"), "the live state before the run");
    tree_text(treecase_at("later"), "x");
    ck_assert_int_eq(unlink(treecase_at("a-b")), 0);
    char *original = tree_describe(t.data);
    ck_assert_int_eq(chmod(t.scratch, lock_scratch ? 0555 : 0755), 0);
    treecase_killed_at(first, 1);
    if (second != NULL) {
        treecase_killed_at(second, 2);
    }
    treecase_must(harness_restore(t.host, TREECASE_RUN, 3, &t.err));
    char *now = tree_describe(t.data);
    ck_assert_str_eq(now, wanted);
    free(now);
    char *kept = tree_describe(aside);
    /* The first line is the root folder, whose time an inside move changes. */
    ck_assert_str_eq(strchr(kept, '\n'), strchr(original, '\n'));
    free(kept);
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_VERIFIED, &t.err));
    ck_assert_int_eq(chmod(t.scratch, 0755), 0);
    now = tree_describe(t.data);
    ck_assert_str_eq(now, wanted);
    ck_assert_int_eq(tree_count(t.scratch, "orch-"), 0);
    ck_assert_int_eq(tree_count(t.data, ".orch-"), 0);
    free(now);
    free(wanted);
    free(original);
}

/* 5 points alone, then all 25 pairs. */
START_TEST(test_crash_swap)
{
    treecase_load(PLUGIN_PATH, t.data);
    char *aside = tree_join(t.scratch, ".data.orch-aside-01234567");
    crash_and_resume(swap_points[_i % 5], _i < 5 ? NULL : swap_points[(_i - 5) / 5], aside);
    free(aside);
}
END_TEST

/* Where an inside restore is killed, once or twice. Once the old children are all moved, an attempt
 * does not come by "inside-cleared" again. */
static const struct crash_case {
    const char *first;
    const char *second;
} crash_cases[] = {
    {"inside-intended", NULL},
    {"inside-cleared", NULL},
    {"inside-moved", NULL},
    {"inside-moving-up", NULL},
    {"inside-replaced", NULL},
    {"inside-intended", "inside-intended"},
    {"inside-intended", "inside-cleared"},
    {"inside-intended", "inside-moving-up"},
    {"inside-cleared", "inside-cleared"},
    {"inside-cleared", "inside-moved"},
    {"inside-cleared", "inside-replaced"},
    {"inside-moved", "inside-moved"},
    {"inside-moved", "inside-moving-up"},
    {"inside-moving-up", "inside-intended"},
    {"inside-moving-up", "inside-moving-up"},
    {"inside-moving-up", "inside-replaced"},
    {"inside-replaced", "inside-intended"},
    {"inside-replaced", "inside-moving-up"},
};

/* Inside a root whose own folder may not be written, as an ordinary user. */
START_TEST(test_crash_inside)
{
    const struct crash_case *c = &crash_cases[_i];
    treecase_load(PLUGIN_PATH, t.data);
    char *aside = tree_join(t.data, ".orch-aside-01234567");
    tree_become_ordinary(t.scratch);
    lock_scratch = 1;
    crash_and_resume(c->first, c->second, aside);
    free(aside);
}
END_TEST

/* A file system without an exchange of names: two steps, killed between and around them. */
static const struct crash_case plain_cases[] = {
    {"swap-intended", NULL},
    {"swap-moved-aside", NULL},
    {"swap-replaced", NULL},
    {"swap-intended", "swap-moved-aside"},
    {"swap-moved-aside", "swap-intended"},
    {"swap-moved-aside", "swap-replaced"},
    {"swap-replaced", "swap-intended"},
    {"swap-replaced", "swap-moved-aside"},
};

START_TEST(test_crash_without_exchange)
{
    const struct crash_case *c = &plain_cases[_i];
    ck_assert_int_eq(setenv("ORCHESTRATE_TEST_NO_EXCHANGE", "1", 1), 0);
    treecase_load(PLUGIN_PATH, t.data);
    char *aside = tree_join(t.scratch, ".data.orch-aside-01234567");
    crash_and_resume(c->first, c->second, aside);
    free(aside);
}
END_TEST

/* The root is gone, the restore is killed behind the swap, and comes again: nothing to set aside.
 */
START_TEST(test_crash_without_original)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    char *wanted = tree_describe(t.data);
    treecase_wipe();
    treecase_killed_at(swap_points[_i == 3 ? 4 : _i], 1);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 2, &t.err));
    ck_assert_int_eq(tree_count(t.scratch, "orch-aside"), 0);
    char *now = tree_describe(t.data);
    ck_assert_str_eq(now, wanted);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_VERIFIED, &t.err));
    ck_assert_int_eq(tree_count(t.scratch, "orch-"), 0);
    free(now);
    free(wanted);
}
END_TEST

#endif

/* Verification fails: the old tree stays aside, and a later attempt does not lose it. */
START_TEST(test_settle_failed_keeps_aside)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_text(treecase_at("later"), "original");
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    tree_text(treecase_at("meddled"), "x");
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    char *aside = tree_join(t.scratch, ".data.orch-aside-01234567/later");
    ck_assert_int_eq(access(aside, F_OK), 0);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 2, &t.err));
    ck_assert_int_eq(access(aside, F_OK), 0);
    ck_assert_int_eq(access(treecase_at("meddled"), F_OK), -1);
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_VERIFIED, &t.err));
    ck_assert_int_eq(access(aside, F_OK), -1);
    free(aside);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("volumes-crashes");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, treecase_tear_down);
    tcase_add_loop_test(tc, test_failed_stream_touches_nothing, 0, 8);
    tcase_add_test(tc, test_settle_failed_keeps_aside);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tc, test_crash_swap, 0, 30);
    tcase_add_loop_test(tc, test_crash_inside, 0,
                        (int)(sizeof(crash_cases) / sizeof(crash_cases[0])));
    tcase_add_loop_test(tc, test_crash_without_original, 0, 4);
    tcase_add_loop_test(tc, test_crash_without_exchange, 0,
                        (int)(sizeof(plain_cases) / sizeof(plain_cases[0])));
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
