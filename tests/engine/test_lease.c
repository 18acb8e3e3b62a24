/*
 * test_lease.c: leases are renewed, are lost when they cannot be, and those of dead processes go.
 *
 * Waiting is for a change that is sure to come, or for a fault to be counted; no test passes or
 * fails by how fast the machine is.
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
#include "faults.h"

#define RUN_ID "ffeeddccbbaa99887766554433221100"

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

static json_t *leases(struct repo *repo)
{
    json_t *list = NULL;
    ct_ok(lease_list(repo, &list, &err), err);
    return list;
}

/* The renewals that the only lease says it has had; -1: there is no lease. */
static json_int_t renewals(void)
{
    json_t *list = leases(r.repo);
    json_t *value = json_object_get(json_array_get(list, 0), "renewals");
    json_int_t count = value == NULL ? -1 : json_integer_value(value);
    json_decref(list);
    return count;
}

START_TEST(test_take_and_end)
{
    struct lease *lease = NULL;
    ct_ok(lease_take(r.repo, RUN_ID, "backup", &lease, &err), err);
    ck_assert_int_eq(ct_count(&r, "leases"), 1);
    ct_ok(lease_check(lease, &err), err);
    json_t *list = leases(r.repo);
    ck_assert_uint_eq(json_array_size(list), 1);
    const json_t *entry = json_array_get(list, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "run_id")), RUN_ID);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "work")), "backup");
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "pid")), getpid());
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "ttl_ms")), LEASE_TTL_MS);
    ck_assert(json_is_false(json_object_get(entry, "stale")));
    ck_assert_uint_gt(strlen(json_string_value(json_object_get(entry, "host"))), 0);
    json_decref(list);
    lease_end(lease);
    lease_end(NULL);
    ck_assert_int_eq(ct_count(&r, "leases"), 0);
}
END_TEST

START_TEST(test_renewed)
{
    struct lease_timing timing = {.ttl_ms = 60000, .renew_ms = 1};
    struct lease *lease = NULL;
    ct_ok(lease_take_timed(r.repo, RUN_ID, "backup", &timing, &lease, &err), err);
    while (renewals() < 5) {
        (void)sched_yield();
    }
    ct_ok(lease_check(lease, &err), err);
    ck_assert_int_eq(ct_count(&r, "leases"), 1);
    lease_end(lease);
    ck_assert_int_eq(ct_count(&r, "leases"), 0);
}
END_TEST

/* A repository on a store that can be made to fail. */
struct failing {
    struct faults faults;
    struct storage *storage;
    struct repo *repo;
};

static void open_failing(struct failing *f)
{
    struct repo_unlock unlock = ct_unlock(CT_KEYFILE_SLOT);
    *f = (struct failing){.faults = {.inner = r.storage,
                                     .capabilities = STORAGE_CAN_PUT_IF_ABSENT,
                                     .code = ORCH_E_IO,
                                     .op = FAULTS_PUT_COMMIT}};
    ct_ok(faults_open(&f->faults, &f->storage, &err), err);
    ct_ok(repo_open(f->storage, &unlock, NULL, &f->repo, &err), err);
}

static void close_failing(struct failing *f)
{
    repo_close(f->repo);
    storage_close(f->storage);
}

START_TEST(test_lost_when_it_cannot_be_renewed)
{
    struct failing f;
    struct lease *lease = NULL;
    struct lease_timing timing = {.ttl_ms = 50, .renew_ms = 2};
    open_failing(&f);
    f.faults.at = 2; /* the first put takes the lease */
    f.faults.sticky = true;
    int64_t start_ms = clock_monotonic_ms();
    ct_ok(lease_take_timed(f.repo, RUN_ID, "backup", &timing, &lease, &err), err);
    while (lease_check(lease, &err) == ORCH_OK) {
        ck_assert_int_lt(clock_monotonic_ms() - start_ms, 30000);
        (void)sched_yield();
    }
    ck_assert_int_eq(err.code, ORCH_E_TIMEOUT);
    ck_assert_int_ge(clock_monotonic_ms() - start_ms, 49);
    ck_assert_int_eq(lease_check(lease, &err), ORCH_E_TIMEOUT); /* for good */
    lease_end(lease);
    close_failing(&f);
}
END_TEST

START_TEST(test_a_failure_that_passes)
{
    struct failing f;
    struct lease *lease = NULL;
    struct lease_timing timing = {.ttl_ms = 60000, .renew_ms = 1};
    open_failing(&f);
    f.faults.at = 3;
    ct_ok(lease_take_timed(f.repo, RUN_ID, "backup", &timing, &lease, &err), err);
    while (renewals() < 5) {
        (void)sched_yield();
    }
    ct_ok(lease_check(lease, &err), err);
    lease_end(lease);
    close_failing(&f);
}
END_TEST

START_TEST(test_a_take_that_fails)
{
    struct failing f;
    struct lease *lease = NULL;
    open_failing(&f);
    f.faults.at = 1;
    ck_assert_int_eq(lease_take(f.repo, RUN_ID, "backup", &lease, &err), ORCH_E_IO);
    ck_assert_ptr_null(lease);
    close_failing(&f);
}
END_TEST

static int32_t remove_it(void *ctx, const char *name, const struct storage_stat *stat,
                         struct orch_error *why)
{
    (void)stat;
    return storage_remove(ctx, name, why);
}

START_TEST(test_taken_away)
{
    struct lease *lease = NULL;
    struct lease_timing timing = {.ttl_ms = 600000, .renew_ms = 50};
    ct_ok(lease_take_timed(r.repo, RUN_ID, "backup", &timing, &lease, &err), err);
    ct_ok(storage_list(r.storage, "leases", remove_it, r.storage, &err), err);
    while (lease_check(lease, &err) == ORCH_OK) {
        /* A renewal that was under way may have put it back; that one does not count. */
        ct_ok(storage_list(r.storage, "leases", remove_it, r.storage, &err), err);
        (void)sched_yield();
    }
    ck_assert_int_eq(err.code, ORCH_E_TIMEOUT);
    lease_end(lease);
}
END_TEST

/* Takes a lease in a process that is then killed. */
static void leave_behind(void)
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
    (void)close(pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    (void)close(pipes[0]);
    json_t *list = leases(r.repo);
    ck_assert_uint_eq(json_array_size(list), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(list, 0), "pid")), pid);
    json_decref(list);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(test_a_dead_process)
{
    struct lease *lease = NULL;
    leave_behind();
    ck_assert_int_eq(ct_count(&r, "leases"), 1);
    ck_assert_int_eq(renewals(), -1); /* known to be dead */
    ct_ok(lease_take(r.repo, RUN_ID, "backup", &lease, &err), err);
    ck_assert_int_eq(ct_count(&r, "leases"), 1); /* swept, and ours is there */
    ck_assert_int_eq(renewals(), 0);
    lease_end(lease);
}
END_TEST

/* Leases of which nothing can be known stay, and count. */
static const struct {
    const char *key;
    const char *value;
    bool gone;
} elsewhere[] = {
    {"boot_id", "another-boot", false},  {"boot_id", "", false},
    {"pid_namespace", "pid:[1]", false}, {"pid_namespace", "", false},
    {"host", "elsewhere", true}, /* a host's name proves nothing either way */
};

START_TEST(test_leases_of_elsewhere)
{
    struct lease_file file = {.id = "00112233445566778899aabbccddeeff",
                              .run_id = RUN_ID,
                              .work = "backup",
                              .ttl_ms = 1000};
    struct lease *lease = NULL;
    process_self(&file.process);
    file.process.start_ticks++; /* another process had this pid */
    json_t *json = lease_file_to_json(&file);
    ck_assert_int_eq(json_object_set_new(json, elsewhere[_i].key, json_string(elsewhere[_i].value)),
                     0);
    ct_ok(repo_put_document(r.repo, "leases/00112233445566778899aabbccddeeff", KEY_CONTROL, json, 0,
                            &err),
          err);
    json_decref(json);
    ck_assert_int_eq(renewals(), elsewhere[_i].gone ? -1 : 0);
    ct_ok(lease_take(r.repo, RUN_ID, "backup", &lease, &err), err);
    ck_assert_int_eq(ct_count(&r, "leases"), elsewhere[_i].gone ? 1 : 2);
    lease_end(lease);
}
END_TEST

START_TEST(test_a_damaged_lease)
{
    struct lease *lease = NULL;
    ct_ok(storage_put(r.storage, "leases/rubbish", "rubbish", 7, 0, &err), err);
    ct_ok(lease_take(r.repo, RUN_ID, "backup", &lease, &err), err);
    ck_assert_int_eq(renewals(), 0);
    lease_end(lease);
    ck_assert_int_eq(ct_count(&r, "leases"), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *tests = tcase_create("lease");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_take_and_end);
    tcase_add_test(tests, test_renewed);
    tcase_add_test(tests, test_lost_when_it_cannot_be_renewed);
    tcase_add_test(tests, test_a_failure_that_passes);
    tcase_add_test(tests, test_a_take_that_fails);
    tcase_add_test(tests, test_taken_away);
    tcase_add_test(tests, test_a_dead_process);
    tcase_add_loop_test(tests, test_leases_of_elsewhere, 0,
                        (int)(sizeof elsewhere / sizeof elsewhere[0]));
    tcase_add_test(tests, test_a_damaged_lease);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
