/* test_runlog.c: the log of a run, its chain, and the list of runs. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controltest.h"
#include "engine/lease.h"
#include "engine/runlog.h"

#define RUN_A "aa000000000000000000000000000000"
#define RUN_B "bb000000000000000000000000000000"

static struct ct_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_KEYFILE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

static struct runlog *start(const char *id)
{
    struct runlog *log = NULL;
    ct_ok(runlog_start(r.repo, id, "backup", &log, &err), err);
    return log;
}

static void finish(struct runlog *log, const char *state)
{
    ct_ok(runlog_finish(log, state, NULL, &err), err);
}

/* "id state events" of every run, newest first. */
static const char *runs(void)
{
    static char out[1024];
    json_t *list = NULL;
    json_t *run;
    size_t i;
    out[0] = '\0';
    ct_ok(runlog_list(r.repo, &list, &err), err);
    json_array_foreach(list, i, run)
    {
        (void)snprintf(out + strlen(out), sizeof out - strlen(out), "%.2s %s %d;",
                       json_string_value(json_object_get(run, "id")),
                       json_string_value(json_object_get(run, "state")),
                       (int)json_integer_value(json_object_get(run, "events")));
        ck_assert_str_eq(json_string_value(json_object_get(run, "kind")), "backup");
        ck_assert_ptr_nonnull(json_string_value(json_object_get(run, "started")));
    }
    json_decref(list);
    return out;
}

START_TEST(test_a_run)
{
    json_t *events = NULL;
    struct runlog *log = start(RUN_A);
    ct_ok(runlog_event(log, "frozen", "app-db", json_pack("{s:i}", "at", 7), &err), err);
    ct_ok(runlog_event(log, "stored", NULL, NULL, &err), err);
    ct_ok(runlog_finish(log, RUN_PARTIAL, json_pack("{s:s}", "set", "x"), &err), err);
    ck_assert_str_eq(runs(), "aa partial 4;");
    ct_ok(runlog_read(r.repo, RUN_A, &events, &err), err);
    ck_assert_uint_eq(json_array_size(events), 4);
    const json_t *first = json_array_get(events, 0);
    const json_t *details = json_object_get(first, "details");
    ck_assert_str_eq(json_string_value(json_object_get(first, "event")), "start");
    ck_assert_str_eq(json_string_value(json_object_get(details, "state")), RUN_IN_PROGRESS);
    const json_t *second = json_array_get(events, 1);
    ck_assert_str_eq(json_string_value(json_object_get(second, "component")), "app-db");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(second, "details"), "at")),
                     7);
    details = json_object_get(json_array_get(events, 3), "details");
    ck_assert_str_eq(json_string_value(json_object_get(details, "set")), "x");
    ck_assert_str_eq(json_string_value(json_object_get(details, "state")), RUN_PARTIAL);
    json_decref(events);
}
END_TEST

START_TEST(test_list_of_runs)
{
    struct lease *lease = NULL;
    ck_assert_str_eq(runs(), "");
    struct runlog *a = start(RUN_A);
    ck_assert_str_eq(runs(), "aa failed 1;"); /* nobody holds a lease for it */
    ct_ok(lease_take(r.repo, RUN_A, "backup", &lease, &err), err);
    ck_assert_str_eq(runs(), "aa in-progress 1;");
    struct runlog *b = start(RUN_B);
    finish(b, RUN_COMPLETED);
    ck_assert_str_eq(runs(), "bb completed 2;aa in-progress 1;");
    lease_end(lease);
    ck_assert_str_eq(runs(), "bb completed 2;aa failed 1;");
    finish(a, RUN_CANCELLED);
    ck_assert_str_eq(runs(), "bb completed 2;aa cancelled 2;");
}
END_TEST

START_TEST(test_taken_up_again)
{
    json_t *events = NULL;
    finish(start(RUN_A), RUN_FAILED);
    struct runlog *log = start(RUN_A);
    ck_assert_str_eq(runs(), "aa failed 3;");
    finish(log, RUN_COMPLETED);
    ck_assert_str_eq(runs(), "aa completed 4;");
    ct_ok(runlog_read(r.repo, RUN_A, &events, &err), err);
    ck_assert_uint_eq(json_array_size(events), 4);
    json_decref(events);
}
END_TEST

START_TEST(test_damage)
{
    json_t *events = NULL;
    char two[64], three[64];
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    struct runlog *log = start(RUN_A);
    ct_ok(runlog_event(log, "one", NULL, NULL, &err), err);
    ct_ok(runlog_event(log, "two", NULL, NULL, &err), err);
    finish(log, RUN_COMPLETED);
    (void)snprintf(two, sizeof two, "runs/%s/2", RUN_A);
    (void)snprintf(three, sizeof three, "runs/%s/3", RUN_A);
    ct_read(&r, two, &bytes);
    /* One that is sealed well and takes the place of another: the chain tells. */
    json_t *json = NULL;
    ct_ok(repo_get_document(r.repo, two, KEY_CONTROL, &json, &err), err);
    ct_ok(repo_put_document(r.repo, two, KEY_CONTROL, json, 0, &err), err);
    json_decref(json);
    ck_assert_int_eq(runlog_read(r.repo, RUN_A, &events, &err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "event 3"));
    ct_write(&r, three, bytes.data, bytes.len); /* under another name */
    ck_assert_int_eq(runlog_read(r.repo, RUN_A, &events, &err), ORCH_E_CORRUPT);
    ct_ok(storage_remove(r.storage, two, &err), err);
    ck_assert_int_eq(runlog_read(r.repo, RUN_A, &events, &err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "event 2"));
    ck_assert_str_eq(runs(), "aa completed 4;");
    (void)snprintf(two, sizeof two, "runs/%s/1", RUN_A);
    ct_write(&r, two, "rubbish", 7);
    ck_assert_str_eq(runs(), ""); /* logged and left out */
    ck_assert_ptr_null(events);
}
END_TEST

/* An event that a newer program wrote, or one of no version at all, is not guessed at. */
START_TEST(test_versions)
{
    static const struct {
        const char *version;
        int32_t code;
    } cases[] = {{"2", ORCH_E_VERSION}, {"\"1\"", ORCH_E_CORRUPT}, {"null", ORCH_E_CORRUPT}};
    json_t *json = NULL, *events = NULL;
    finish(start(RUN_A), RUN_COMPLETED);
    ct_ok(repo_get_document(r.repo, "runs/" RUN_A "/2", KEY_CONTROL, &json, &err), err);
    (void)json_object_set_new(json, "document",
                              json_loads(cases[_i].version, JSON_DECODE_ANY, NULL));
    ct_ok(repo_put_document(r.repo, "runs/" RUN_A "/2", KEY_CONTROL, json, 0, &err), err);
    json_decref(json);
    ck_assert_int_eq(runlog_read(r.repo, RUN_A, &events, &err), cases[_i].code);
    ck_assert_ptr_nonnull(strstr(err.message, "runs/" RUN_A "/2"));
    ck_assert_ptr_null(events);
    ck_assert_str_eq(runs(), ""); /* logged and left out */
}
END_TEST

START_TEST(test_strange_names)
{
    json_t *events = NULL;
    struct runlog *log = NULL;
    ck_assert_int_eq(runlog_start(r.repo, "../x", "backup", &log, &err), ORCH_E_INVALID);
    ck_assert_int_eq(runlog_read(r.repo, "x", &events, &err), ORCH_E_INVALID);
    ck_assert_int_eq(runlog_read(r.repo, RUN_A, &events, &err), ORCH_E_NOT_FOUND);
    static const char *const names[] = {
        "runs/x/1",          "runs/" RUN_A "/0",   "runs/" RUN_A "/01",
        "runs/" RUN_A "/1x", "runs/" RUN_A "/9/9", "runs/" RUN_A "/99999999999999999999"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ct_ok(storage_put(r.storage, names[i], "x", 1, 0, &err), err);
    }
    ck_assert_str_eq(runs(), "");
    finish(start(RUN_A), RUN_COMPLETED);
    ck_assert_str_eq(runs(), "aa completed 2;");
}
END_TEST

static void *log_twenty(void *argument)
{
    for (int i = 0; i < 20; i++) {
        struct orch_error mine = ORCH_ERROR_INIT;
        if (runlog_event(argument, "tick", NULL, NULL, &mine) != ORCH_OK) {
            return argument;
        }
    }
    return NULL;
}

START_TEST(test_threads)
{
    json_t *events = NULL;
    pthread_t threads[4];
    void *failed = NULL;
    struct runlog *log = start(RUN_A);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_twenty, log), 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    finish(log, RUN_COMPLETED);
    ct_ok(runlog_read(r.repo, RUN_A, &events, &err), err);
    ck_assert_uint_eq(json_array_size(events), 82);
    json_decref(events);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runlog");
    TCase *tests = tcase_create("runlog");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_a_run);
    tcase_add_test(tests, test_list_of_runs);
    tcase_add_test(tests, test_taken_up_again);
    tcase_add_test(tests, test_damage);
    tcase_add_loop_test(tests, test_versions, 0, 3);
    tcase_add_test(tests, test_strange_names);
    tcase_add_test(tests, test_threads);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
