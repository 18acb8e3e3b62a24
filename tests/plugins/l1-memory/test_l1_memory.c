/* test_l1_memory.c: plugins/l1-memory on real caches, through the SDK's harness. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "l1cache.h"

#define RUN "0123456789abcdef0123456789abcdef"

static char folder[64];
static char path[80];
static char aside[128];
static struct orch_error err;
static struct harness *h;

static void setup(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/test-l1p-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/cache", folder);
    (void)snprintf(aside, sizeof(aside), "%s.orch-aside-01234567", path);
    err = (struct orch_error)ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_load(PLUGIN_PATH, &h, &err), ORCH_OK);
    ck_assert_int_eq(harness_option(h, "path", path, &err), ORCH_OK);
    ck_assert_int_eq(harness_open(h, &err), ORCH_OK);
}

static void teardown(void)
{
    char command[128];
    harness_free(h);
    h = NULL;
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void fill(int count)
{
    struct orch_l1_options options = {.size_bytes = 16 << 20, .max_entries = 5000};
    struct orch_l1 *cache = NULL;
    ck_assert_int_eq(orch_l1_open(path, &options, &cache, &err), ORCH_OK);
    for (int i = 0; i < count; i++) {
        char key[32], value[64];
        (void)snprintf(key, sizeof(key), "key-%05d", i);
        (void)snprintf(value, sizeof(value), "value of %d", i);
        ck_assert_int_eq(orch_l1_put(cache, key, strlen(key), value, strlen(value),
                                     i % 10 == 0 ? 3600000 : 0, &err),
                         ORCH_OK);
    }
    orch_l1_close(cache);
}

static uint64_t entries_at(const char *where)
{
    struct orch_l1 *cache = NULL;
    struct orch_l1_stats stats;
    ck_assert_int_eq(orch_l1_open_existing(where, &cache, &err), ORCH_OK);
    ck_assert_int_eq(orch_l1_stats(cache, &stats, &err), ORCH_OK);
    orch_l1_close(cache);
    return stats.entries;
}

static void back_up(int32_t expected)
{
    struct orch_probe probe;
    struct orch_freeze freeze;
    ck_assert_int_eq(harness_backup(h, 0, &probe, &freeze, &err), expected);
    if (expected == ORCH_OK) {
        ck_assert_uint_eq(freeze.consistency, ORCH_CONSISTENCY_SNAPSHOT);
    }
}

static void wipe(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", path);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(round_trip_after_loss)
{
    uint64_t count = 0;
    fill(1000);
    back_up(ORCH_OK);
    (void)harness_items(h, &count);
    ck_assert_uint_eq(count, 1000);
    wipe();
    ck_assert_int_eq(harness_check(h, RUN, &err), ORCH_OK);
    ck_assert_uint_eq(harness_worst(h), ORCH_VERDICT_GO);
    ck_assert_int_eq(harness_restore(h, RUN, 1, &err), ORCH_OK);
    ck_assert_uint_eq(entries_at(path), 1000);
    ck_assert_int_eq(harness_verify(h, RUN, &err), ORCH_OK);
    ck_assert_uint_eq(harness_worst(h), ORCH_VERDICT_GO);
    ck_assert_ptr_nonnull(strstr(harness_journal(h), "intent replace"));
}
END_TEST

START_TEST(verify_sees_a_changed_value)
{
    struct orch_l1 *cache = NULL;
    fill(50);
    back_up(ORCH_OK);
    ck_assert_int_eq(harness_restore(h, RUN, 1, &err), ORCH_OK);
    ck_assert_int_eq(orch_l1_open_existing(path, &cache, &err), ORCH_OK);
    ck_assert_int_eq(orch_l1_put(cache, "key-00001", 9, "other", 5, 0, &err), ORCH_OK);
    orch_l1_close(cache);
    ck_assert_int_eq(harness_verify(h, RUN, &err), ORCH_OK);
    ck_assert_uint_eq(harness_worst(h), ORCH_VERDICT_REFUSE);
}
END_TEST

START_TEST(failed_restore_leaves_the_original)
{
    fill(100);
    back_up(ORCH_OK);
    wipe();
    fill(7);
    harness_fail_next_after(h, 20);
    ck_assert_int_eq(harness_restore(h, RUN, 1, &err), ORCH_E_CORRUPT);
    ck_assert_uint_eq(entries_at(path), 7);
}
END_TEST

START_TEST(aside_is_made_once_and_holds_the_original)
{
    fill(100);
    back_up(ORCH_OK);
    wipe();
    fill(7);
    ck_assert_int_eq(harness_restore(h, RUN, 1, &err), ORCH_OK);
    ck_assert_uint_eq(entries_at(aside), 7);
    ck_assert_int_eq(harness_restore(h, RUN, 2, &err), ORCH_OK);
    ck_assert_uint_eq(entries_at(aside), 7);
    ck_assert_int_eq(harness_settle(h, RUN, ORCH_SETTLE_FAILED, &err), ORCH_OK);
    ck_assert_uint_eq(entries_at(aside), 7);
    ck_assert_int_eq(harness_settle(h, RUN, ORCH_SETTLE_VERIFIED, &err), ORCH_OK);
    ck_assert_int_ne(access(aside, F_OK), 0);
}
END_TEST

START_TEST(damaged_target_is_moved_aside)
{
    char name[128];
    fill(30);
    back_up(ORCH_OK);
    (void)snprintf(name, sizeof(name), "%s/usage", path);
    ck_assert_int_eq(truncate(name, 3), 0);
    ck_assert_int_eq(harness_restore(h, RUN, 1, &err), ORCH_OK);
    ck_assert_uint_eq(entries_at(path), 30);
    ck_assert_int_eq(access(aside, F_OK), 0);
}
END_TEST

START_TEST(no_cache_and_wrong_checksum)
{
    back_up(ORCH_E_NOT_FOUND);
    fill(20);
    /* One byte of a value, changed behind LMDB's back. */
    char name[128], command[300];
    (void)snprintf(name, sizeof(name), "%s/data.mdb", path);
    (void)snprintf(command, sizeof(command), "sed -i 's/value of 11/vAlue of 11/' %s", name);
    ck_assert_int_eq(system(command), 0);
    back_up(ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "key-00011"));
}
END_TEST

START_TEST(unwritable_place_is_refused)
{
    fill(5);
    back_up(ORCH_OK);
    harness_close(h);
    ck_assert_int_eq(harness_option(h, "path", "/proc/nowhere/cache", &err), ORCH_OK);
    ck_assert_int_eq(harness_open(h, &err), ORCH_OK);
    ck_assert_int_eq(harness_check(h, RUN, &err), ORCH_OK);
    ck_assert_uint_eq(harness_worst(h), ORCH_VERDICT_REFUSE);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("l1-memory");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, round_trip_after_loss);
    tcase_add_test(tcase, verify_sees_a_changed_value);
    tcase_add_test(tcase, failed_restore_leaves_the_original);
    tcase_add_test(tcase, aside_is_made_once_and_holds_the_original);
    tcase_add_test(tcase, damaged_target_is_moved_aside);
    tcase_add_test(tcase, no_cache_and_wrong_checksum);
    tcase_add_test(tcase, unwritable_place_is_refused);
    Suite *suite = suite_create("l1-memory");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
