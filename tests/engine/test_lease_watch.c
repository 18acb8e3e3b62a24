/*
 * test_lease_watch.c: leases of others end, are acknowledged, lapse, or belong to the dead.
 *
 * Waiting is for a change that is sure to come, within a deadline that no machine needs.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "controltest.h"
#include "engine/lease.h"
#include "engine/leasefile.h"
#include "engine/mark.h"

#define RUN_ID "ffeeddccbbaa99887766554433221100"
#define ELSEWHERE "00112233445566778899aabbccddeeff"
#define MARK_A "000102030405060708090a0b0c0d0e0f"
#define MARK_B "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define DEADLINE_MS 30000

static struct ct_repo r;
static struct orch_error err;
static const char *const one_mark[] = {MARK_A, NULL};
static const char *const two_marks[] = {MARK_A, MARK_B, NULL};

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_KEYFILE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

static size_t poll_once(struct lease_watch *watch)
{
    size_t left = 99;
    ct_ok(lease_watch_poll(watch, &left, &err), err);
    return left;
}

static void poll_until_gone(struct lease_watch *watch)
{
    int64_t end_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (poll_once(watch) > 0) {
        ck_assert_int_lt(clock_monotonic_ms(), end_ms);
        (void)sched_yield();
    }
}

static struct lease *take(const char *work)
{
    struct lease *lease = NULL;
    ct_ok(lease_take(r.repo, RUN_ID, work, &lease, &err), err);
    return lease;
}

static struct lease_watch *watch_of(const struct lease *own, const char *const *marks)
{
    struct lease_watch *watch = NULL;
    ct_ok(lease_watch_new(r.repo, own, marks, &watch, &err), err);
    return watch;
}

/* The lease of a process of another machine, as it would stand there. */
static void put_elsewhere(uint32_t ttl_ms, uint64_t renewals)
{
    struct lease_file file = {.id = ELSEWHERE,
                              .run_id = RUN_ID,
                              .work = "backup",
                              .host = "elsewhere",
                              .ttl_ms = ttl_ms,
                              .renewals = renewals};
    process_self(&file.process);
    strcpy(file.process.boot_id, "another-boot");
    json_t *json = lease_file_to_json(&file);
    ct_ok(repo_put_document(r.repo, "leases/" ELSEWHERE, KEY_CONTROL, json, 0, &err), err);
    json_decref(json);
}

START_TEST(test_nobody)
{
    struct lease *own = take("prune");
    struct lease_watch *watch = watch_of(own, NULL);
    struct lease_seen seen;
    ck_assert_uint_eq(poll_once(watch), 0);
    ck_assert(!lease_watch_at(watch, 0, &seen));
    lease_watch_free(watch);
    lease_watch_free(NULL);
    watch = watch_of(NULL, NULL);
    ck_assert_uint_eq(poll_once(watch), 1); /* our own */
    lease_watch_free(watch);
    lease_end(own);
}
END_TEST

START_TEST(test_ended)
{
    struct lease *own = take("prune");
    struct lease *other = take("backup");
    struct lease_watch *watch = watch_of(own, one_mark);
    struct lease *later = take("restore"); /* not there when the watch began */
    struct lease_seen seen;
    ck_assert_uint_eq(poll_once(watch), 1);
    ck_assert(lease_watch_at(watch, 0, &seen));
    ck_assert_str_eq(seen.id, lease_id(other));
    ck_assert_str_eq(seen.work, "backup");
    ck_assert_str_eq(seen.run_id, RUN_ID);
    ck_assert_int_eq(seen.pid, getpid());
    ck_assert(!lease_watch_at(watch, 1, &seen));
    lease_end(other);
    ck_assert_uint_eq(poll_once(watch), 0);
    ck_assert_uint_eq(poll_once(watch), 0);
    lease_watch_free(watch);
    lease_end(later);
    lease_end(own);
}
END_TEST

START_TEST(test_acknowledged)
{
    struct lease *other = take("backup");
    struct lease_watch *first = watch_of(NULL, one_mark);
    struct lease_watch *both = watch_of(NULL, two_marks);
    struct lease_watch *any = watch_of(NULL, NULL);
    static const char *const none[] = {NULL};
    static const char *const second[] = {MARK_B, NULL};
    ct_ok(lease_acknowledge(other, none, &err), err);
    ck_assert_uint_eq(poll_once(first), 1);
    ct_ok(lease_acknowledge(other, one_mark, &err), err);
    ck_assert_uint_eq(poll_once(first), 0);
    ck_assert_uint_eq(poll_once(both), 1);
    ct_ok(lease_acknowledge(other, second, &err), err); /* beside the one before */
    ck_assert_uint_eq(poll_once(both), 0);
    ck_assert_uint_eq(poll_once(any), 1); /* where nothing can be acknowledged */
    ct_ok(lease_check(other, &err), err);
    lease_end(other);
    ck_assert_uint_eq(poll_once(any), 0);
    lease_watch_free(first);
    lease_watch_free(both);
    lease_watch_free(any);
}
END_TEST

START_TEST(test_more_marks_than_fit)
{
    char ids[LEASE_MARKS_MAX + 6][ID_TEXT];
    const char *marks[LEASE_MARKS_MAX + 7] = {NULL};
    struct lease *other = take("backup");
    for (size_t i = 0; i < LEASE_MARKS_MAX + 6; i++) {
        ck_assert_int_eq(id_new(ids[i], &err), ORCH_OK);
        marks[i] = ids[i];
    }
    struct lease_watch *all = watch_of(NULL, marks);
    ct_ok(lease_acknowledge(other, marks, &err), err);
    marks[LEASE_MARKS_MAX] = NULL;
    struct lease_watch *fitting = watch_of(NULL, marks);
    ck_assert_uint_eq(poll_once(all), 1); /* waited for, that is all */
    ck_assert_uint_eq(poll_once(fitting), 0);
    lease_watch_free(all);
    lease_watch_free(fitting);
    lease_end(other);
}
END_TEST

START_TEST(test_lapsed)
{
    put_elsewhere(40, 3);
    struct lease_watch *watch = watch_of(NULL, one_mark);
    int64_t start_ms = clock_monotonic_ms();
    poll_until_gone(watch);
    ck_assert_int_ge(clock_monotonic_ms() - start_ms, 40);
    ck_assert_int_eq(ct_count(&r, "leases"), 0);
    ck_assert_int_eq(ct_count(&r, "lapsed"), 1); /* said before it was removed */
    lease_watch_free(watch);
}
END_TEST

START_TEST(test_a_renewal_counts)
{
    struct lease_watch *watch = NULL;
    put_elsewhere(200, 0);
    watch = watch_of(NULL, NULL);
    int64_t last_ms = clock_monotonic_ms();
    int64_t end_ms = last_ms + 600; /* three times its time to live */
    for (uint64_t renewals = 1; clock_monotonic_ms() < end_ms; renewals++) {
        int64_t before_ms = clock_monotonic_ms();
        put_elsewhere(200, renewals);
        size_t left = poll_once(watch);
        ck_assert(left == 1 || clock_monotonic_ms() - last_ms > 200); /* we were too slow */
        if (left == 0) {
            break;
        }
        last_ms = before_ms;
    }
    poll_until_gone(watch);
    ck_assert_int_eq(ct_count(&r, "lapsed"), 1);
    lease_watch_free(watch);
}
END_TEST

START_TEST(test_a_holder_knows_first)
{
    struct lease_timing timing = {.ttl_ms = 50, .renew_ms = 60000}; /* never renewed */
    struct lease *lease = NULL;
    ct_ok(lease_take_timed(r.repo, RUN_ID, "backup", &timing, &lease, &err), err);
    struct lease_watch *watch = watch_of(NULL, NULL);
    poll_until_gone(watch);
    ck_assert_int_eq(lease_check(lease, &err), ORCH_E_TIMEOUT);
    ck_assert_int_eq(lease_acknowledge(lease, one_mark, &err), ORCH_E_TIMEOUT);
    ck_assert_int_eq(ct_count(&r, "leases"), 0); /* and does not come back */
    lease_watch_free(watch);
    lease_end(lease);
}
END_TEST

START_TEST(test_a_dead_process)
{
    int pipes[2];
    char byte = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct orch_error mine = ORCH_ERROR_INIT;
        struct lease *lease = NULL;
        if (lease_take(r.repo, RUN_ID, "backup", &lease, &mine) == ORCH_OK) {
            (void)!write(pipes[1], "x", 1);
        }
        for (;;) {
            (void)pause();
        }
    }
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    struct lease_watch *watch = watch_of(NULL, one_mark);
    ck_assert_uint_eq(poll_once(watch), 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_uint_eq(poll_once(watch), 0); /* at once, and nothing is left */
    ck_assert_int_eq(ct_count(&r, "leases"), 0);
    ck_assert_int_eq(ct_count(&r, "lapsed"), 0);
    lease_watch_free(watch);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}
END_TEST

START_TEST(test_a_damaged_lease)
{
#ifdef ORCHESTRATE_TEST_HOOKS
    struct lease_seen seen;
    ck_assert_int_eq(setenv("ORCHESTRATE_LEASE_TTL_MS", "60", 1), 0);
    put_elsewhere(LEASE_TTL_MS, 0);
    ct_write(&r, "leases/" ELSEWHERE, "rubbish", 7);
    struct lease_watch *watch = watch_of(NULL, one_mark);
    ck_assert(lease_watch_at(watch, 0, &seen));
    ck_assert_str_eq(seen.id, ELSEWHERE);
    ct_write(&r, "leases/" ELSEWHERE, "other rubbish", 13);
    int64_t start_ms = clock_monotonic_ms();
    ck_assert_uint_eq(poll_once(watch), 1); /* it has changed: somebody lives */
    poll_until_gone(watch);
    ck_assert_int_ge(clock_monotonic_ms() - start_ms, 60);
    ck_assert_int_eq(ct_count(&r, "leases"), 0);
    ck_assert_int_eq(ct_count(&r, "lapsed"), 1);
    lease_watch_free(watch);
#endif
}
END_TEST

START_TEST(test_lapsed_by_hand_of_another)
{
    put_elsewhere(40, 0);
    struct lease_watch *first = watch_of(NULL, NULL);
    struct lease_watch *second = watch_of(NULL, NULL);
    poll_until_gone(first);
    poll_until_gone(second);
    ck_assert_int_eq(ct_count(&r, "lapsed"), 1);
    lease_watch_free(first);
    lease_watch_free(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease_watch");
    TCase *tests = tcase_create("lease_watch");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_nobody);
    tcase_add_test(tests, test_ended);
    tcase_add_test(tests, test_acknowledged);
    tcase_add_test(tests, test_more_marks_than_fit);
    tcase_add_test(tests, test_lapsed);
    tcase_add_test(tests, test_a_renewal_counts);
    tcase_add_test(tests, test_a_holder_knows_first);
    tcase_add_test(tests, test_a_dead_process);
    tcase_add_test(tests, test_a_damaged_lease);
    tcase_add_test(tests, test_lapsed_by_hand_of_another);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
