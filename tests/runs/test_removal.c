/* test_removal.c: what a prune tells when another gets in its way after it has removed sets. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lease.h"
#include "run/removal.h"
#include "runtest.h"

static struct orch_error err;
static struct runtest t;
static struct lease *other; /* of a prune that came in the last moment */
static bool stays;          /* until its end */

static const char *const one[] = {"a", NULL};

/* The name of the only lease. */
static void find_lease(char id[ID_TEXT])
{
    char path[FOLDER_TEXT + 16];
    (void)snprintf(path, sizeof(path), "%s/repo/leases", t.dir);
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    id[0] = '\0';
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            ck_assert_str_eq(id, "");
            (void)snprintf(id, ID_TEXT, "%.32s", entry->d_name);
        }
    }
    (void)closedir(dir);
    ck_assert_uint_eq(strlen(id), ID_TEXT - 1);
}

/* Of two prunes the one with the lesser lease goes on: the other one, here. */
static void another_comes(void)
{
    char id[ID_TEXT];
    find_lease(id);
    do {
        lease_end(other);
        ASSERT_OK(lease_take(t.ctx.repo, "00000000000000000000000000000001", "prune", &other, &err),
                  err);
    } while (strcmp(lease_id(other), id) > 0);
}

static void on_event(struct runtest *self, const struct report_event *event)
{
    (void)self;
    if (event->kind == REPORT_PHASE && strstr(event->text, "waiting for others") != NULL &&
        other == NULL) {
        another_comes();
    } else if (event->kind == REPORT_NOTE && strstr(event->text, "waiting for prune") != NULL &&
               !stays) {
        lease_end(other);
        other = NULL;
        t.on_event = NULL;
    }
}

static void four_sets(void)
{
    char id[ID_TEXT];
    char text[32];
    runtest_make(&t, one, NULL);
    for (int i = 0; i < 4; i++) {
        (void)snprintf(text, sizeof(text), "x=%d\n", i);
        runtest_data(&t, "a", text);
        runtest_backup(&t, id);
    }
    other = NULL;
    t.on_event = on_event;
}

static const struct config_retention keep_two = {.keep_last = 2};
static const struct removal_options options = {.rules = &keep_two, .rule_count = 1};

/* Newest first, as many that go as were removed. */
static void check_told(const struct removal_result *result)
{
    size_t i = 0;
    size_t gone = 0;
    const json_t *set = NULL;
    json_int_t before = INT64_MAX;
    json_array_foreach(result->sets, i, set)
    {
        json_int_t started = json_integer_value(json_object_get(set, "started_ns"));
        gone += json_is_false(json_object_get(set, "keep"));
        ck_assert_int_lt(started, before);
        before = started;
    }
    ck_assert_uint_eq(gone, result->prune.sets_removed);
    ck_assert_uint_eq(gone, 2);
}

START_TEST(test_begins_again)
{
    struct removal_result result;
    struct removal_options o = options;
    stays = false;
    o.wait_ms = 60000;
    four_sets();
    ASSERT_OK(removal_prune(&t.ctx, &o, &result, &err), err);
    ck_assert_ptr_null(t.on_event);
    ck_assert_int_eq(result.prune.state, PRUNE_DONE);
    ck_assert_uint_eq(json_array_size(result.sets), 4);
    ck_assert_uint_gt(result.prune.packs_removed, 0);
    check_told(&result);
    removal_result_clear(&result);
    runtest_remove(&t);
}
END_TEST

START_TEST(test_another_stays)
{
    struct removal_result result;
    struct removal_options o = options;
    stays = true;
    o.wait_ms = 0;
    four_sets();
    ASSERT_FAILS(removal_prune(&t.ctx, &o, &result, &err), ORCH_E_BUSY, err,
                 "2 sets were removed, and their data goes with the next prune");
    check_told(&result);
    removal_result_clear(&result);
    ASSERT_FAILS(removal_prune(&t.ctx, &o, &result, &err), ORCH_E_BUSY, err, "nothing was done");
    ck_assert_uint_eq(result.prune.sets_removed, 0);
    removal_result_clear(&result);
    lease_end(other);
    other = NULL;
    t.on_event = NULL;
    ASSERT_OK(removal_prune(&t.ctx, &o, &result, &err), err);
    ck_assert_int_eq(result.prune.state, PRUNE_DONE);
    removal_result_clear(&result);
    runtest_remove(&t);
}
END_TEST

int main(int argc, char **argv)
{
    int worker = runtest_main(argc, argv);
    if (worker >= 0) {
        return worker;
    }
    Suite *suite = suite_create("removal");
    TCase *tests = tcase_create("removal");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_begins_again);
    tcase_add_test(tests, test_another_stays);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
