/* test_l1cache.c: sdk/l1cache: one process and several, expiry, snapshot, replacement, damage. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l1cache.h"

static char folder[64];
static char path[80];
static struct orch_error err;

static void setup(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/test-l1-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/cache", folder);
    err = (struct orch_error)ORCH_ERROR_INIT;
}

static void teardown(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct orch_l1 *open_small(uint64_t size, uint64_t entries)
{
    struct orch_l1_options options = {.size_bytes = size, .max_entries = entries};
    struct orch_l1 *cache = NULL;
    ck_assert_int_eq(orch_l1_open(path, &options, &cache, &err), ORCH_OK);
    return cache;
}

static int32_t put(struct orch_l1 *cache, const char *key, const char *value, int64_t ttl)
{
    return orch_l1_put(cache, key, strlen(key), value, strlen(value), ttl, &err);
}

static int32_t get(struct orch_l1 *cache, const char *key, char value[64])
{
    uint64_t len = 0;
    int32_t rc = orch_l1_get(cache, key, strlen(key), value, 63, &len, &err);
    value[rc == ORCH_OK && len < 63 ? len : 0] = 0;
    return rc;
}

START_TEST(put_get_delete)
{
    char value[64];
    struct orch_l1 *cache = open_small(1 << 20, 100);
    ck_assert_int_eq(get(cache, "a", value), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(put(cache, "a", "one", 0), ORCH_OK);
    ck_assert_int_eq(put(cache, "a", "two", 0), ORCH_OK);
    ck_assert_int_eq(get(cache, "a", value), ORCH_OK);
    ck_assert_str_eq(value, "two");
    ck_assert_int_eq(orch_l1_delete(cache, "a", 1, &err), ORCH_OK);
    ck_assert_int_eq(orch_l1_delete(cache, "a", 1, &err), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(get(cache, "a", value), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(put(cache, "", "x", 0), ORCH_E_INVALID);
    orch_l1_close(cache);
}
END_TEST

START_TEST(expiry_and_sweep)
{
    char value[64];
    uint64_t swept = 0;
    struct orch_l1 *cache = open_small(1 << 20, 100);
    ck_assert_int_eq(put(cache, "short", "x", 1), ORCH_OK);
    ck_assert_int_eq(put(cache, "long", "y", 3600000), ORCH_OK);
    while (get(cache, "short", value) == ORCH_OK) {
        /* it lasts a millisecond */
    }
    ck_assert_int_eq(get(cache, "long", value), ORCH_OK);
    ck_assert_int_eq(orch_l1_sweep(cache, &swept, &err), ORCH_OK);
    ck_assert_uint_eq(swept, 1);
    orch_l1_close(cache);
}
END_TEST

START_TEST(all_numbers_in_use)
{
    struct orch_l1 *cache = open_small(1 << 20, 3);
    ck_assert_int_eq(put(cache, "a", "1", 0), ORCH_OK);
    ck_assert_int_eq(put(cache, "b", "1", 0), ORCH_OK);
    ck_assert_int_eq(put(cache, "c", "1", 0), ORCH_OK);
    ck_assert_int_eq(put(cache, "d", "1", 0), ORCH_E_NO_SPACE);
    ck_assert_int_eq(orch_l1_delete(cache, "b", 1, &err), ORCH_OK);
    ck_assert_int_eq(put(cache, "d", "1", 0), ORCH_OK);
    orch_l1_close(cache);
}
END_TEST

START_TEST(full_map_keeps_what_it_has)
{
    char value[64];
    char big[4000];
    int32_t rc = ORCH_OK;
    memset(big, 'x', sizeof(big));
    struct orch_l1 *cache = open_small(1 << 18, 1000);
    for (int i = 0; i < 1000 && rc == ORCH_OK; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        rc = orch_l1_put(cache, key, strlen(key), big, sizeof(big), 0, &err);
    }
    ck_assert_int_eq(rc, ORCH_E_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(err.message, "is full"));
    uint64_t len = 0;
    ck_assert_int_eq(orch_l1_get(cache, "k0", 2, value, sizeof(value), &len, &err), ORCH_OK);
    ck_assert_uint_eq(len, sizeof(big));
    orch_l1_close(cache);
}
END_TEST

START_TEST(snapshot_stands_still)
{
    struct orch_l1_snapshot *snapshot = NULL;
    struct orch_l1_entry entry;
    char value[64];
    struct orch_l1 *cache = open_small(1 << 20, 100);
    ck_assert_int_eq(put(cache, "a", "old", 0), ORCH_OK);
    ck_assert_int_eq(get(cache, "a", value), ORCH_OK);
    ck_assert_int_eq(orch_l1_snapshot_open(cache, &snapshot, &err), ORCH_OK);
    ck_assert_int_eq(put(cache, "a", "new", 0), ORCH_OK);
    ck_assert_int_eq(put(cache, "b", "new", 0), ORCH_OK);
    ck_assert_int_eq(orch_l1_snapshot_next(snapshot, &entry, &err), ORCH_OK);
    ck_assert_mem_eq(entry.value, "old", 3);
    ck_assert_int_eq(orch_l1_snapshot_next(snapshot, &entry, &err), ORCH_E_NOT_FOUND);
    orch_l1_snapshot_close(snapshot);
    ck_assert_int_eq(get(cache, "a", value), ORCH_OK);
    ck_assert_str_eq(value, "new");
    orch_l1_close(cache);
}
END_TEST

/* Four processes write keys of their own and read each other's; nothing is lost, hits add up. */
START_TEST(several_processes)
{
    orch_l1_close(open_small(16 << 20, 10000));
    for (int p = 0; p < 4; p++) {
        if (fork() == 0) {
            struct orch_l1 *cache = NULL;
            int bad = orch_l1_open_existing(path, &cache, &err) != ORCH_OK;
            for (int i = 0; i < 250 && !bad; i++) {
                char key[32], value[64];
                (void)snprintf(key, sizeof(key), "p%d-%d", p, i);
                bad = put(cache, key, key, 0) != ORCH_OK || get(cache, key, value) != ORCH_OK ||
                      strcmp(key, value) != 0;
            }
            orch_l1_close(cache);
            _exit(bad);
        }
    }
    for (int p = 0; p < 4; p++) {
        int status = 0;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    struct orch_l1 *cache = open_small(0, 0);
    struct orch_l1_stats stats;
    ck_assert_int_eq(orch_l1_stats(cache, &stats, &err), ORCH_OK);
    ck_assert_uint_eq(stats.entries, 1000);
    ck_assert_uint_eq(stats.hits, 1000);
    orch_l1_close(cache);
}
END_TEST

struct two_entries {
    int at;
    int fail_at;
};

static int32_t next_of_two(void *ctx, struct orch_l1_entry *entry, struct orch_error *e)
{
    struct two_entries *t = ctx;
    if (t->at == t->fail_at) {
        return orch_fail(e, ORCH_E_CORRUPT, "injected");
    }
    if (t->at == 2) {
        return ORCH_E_NOT_FOUND;
    }
    *entry = (struct orch_l1_entry){
        .key = (const uint8_t *)(t->at == 0 ? "x" : "y"),
        .key_len = 1,
        .value = (const uint8_t *)"val",
        .value_len = 3,
        .created_ms = 5,
        .expires_ms = ORCH_L1_NO_EXPIRY,
        .hits = 7,
        .last_used_ms = 9,
    };
    t->at++;
    return ORCH_OK;
}

START_TEST(replace_is_all_or_nothing)
{
    char value[64];
    struct orch_l1_snapshot *snapshot = NULL;
    struct orch_l1_entry entry;
    struct orch_l1 *cache = open_small(1 << 20, 100);
    ck_assert_int_eq(put(cache, "a", "old", 0), ORCH_OK);
    struct two_entries broken = {.fail_at = 1};
    ck_assert_int_eq(orch_l1_replace(cache, next_of_two, &broken, &err), ORCH_E_CORRUPT);
    ck_assert_int_eq(get(cache, "a", value), ORCH_OK);
    ck_assert_str_eq(value, "old");
    struct two_entries whole = {.fail_at = -1};
    ck_assert_int_eq(orch_l1_replace(cache, next_of_two, &whole, &err), ORCH_OK);
    ck_assert_int_eq(get(cache, "a", value), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(orch_l1_snapshot_open(cache, &snapshot, &err), ORCH_OK);
    ck_assert_int_eq(orch_l1_snapshot_next(snapshot, &entry, &err), ORCH_OK);
    ck_assert_mem_eq(entry.key, "x", 1);
    ck_assert_int_eq(entry.created_ms, 5);
    ck_assert_uint_eq(entry.hits, 7);
    ck_assert_int_eq(entry.last_used_ms, 9);
    orch_l1_snapshot_close(snapshot);
    orch_l1_close(cache);
}
END_TEST

START_TEST(missing_and_damaged)
{
    struct orch_l1 *cache = NULL;
    ck_assert_int_eq(orch_l1_open_existing(path, &cache, &err), ORCH_E_NOT_FOUND);
    orch_l1_close(open_small(1 << 20, 10));
    char name[128];
    (void)snprintf(name, sizeof(name), "%s/usage", path);
    ck_assert_int_eq(truncate(name, 10), 0);
    ck_assert_int_eq(orch_l1_open_existing(path, &cache, &err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "cut short"));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("l1cache");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, put_get_delete);
    tcase_add_test(tcase, expiry_and_sweep);
    tcase_add_test(tcase, all_numbers_in_use);
    tcase_add_test(tcase, full_map_keeps_what_it_has);
    tcase_add_test(tcase, snapshot_stands_still);
    tcase_add_test(tcase, several_processes);
    tcase_add_test(tcase, replace_is_all_or_nothing);
    tcase_add_test(tcase, missing_and_damaged);
    Suite *suite = suite_create("l1cache");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
