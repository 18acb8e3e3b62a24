/* test_prune_beside.c: a prune beside backups, other prunes, and hosts that sleep. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/leasefile.h"
#include "engine/mark.h"
#include "prunebase.h"
#include "sampling.h"
#include "testing.h"

/* ---- beside others --------------------------------------------------------------------------- */

/* A backup that goes on while a prune waits for it. */
struct beside {
    struct pb_choice choice;
    struct pt_backup *backup;
    struct pt_source source;
    int waited;
};

static int32_t choose_beside(void *ctx, const struct set_list *list, bool *remove,
                             struct orch_error *why)
{
    return pb_choose(&((struct beside *)ctx)->choice, list, remove, why);
}

static void finish_backup(void *ctx, const struct lease_seen *lease)
{
    struct beside *beside = ctx;
    ck_assert_str_eq(lease->id, lease_id(beside->backup->lease));
    ck_assert_str_eq(lease->work, "backup");
    ck_assert_int_eq(beside->waited++, 0);
    pt_backup_store(beside->backup, &beside->source, PB_PACK_BYTES);
    pt_backup_seal(beside->backup);
    pt_backup_end(beside->backup);
}

START_TEST(test_pardons)
{
    struct pt_backup backup;
    struct beside beside = {.choice = pb_remove_some(0, 4), .backup = &backup};
    struct prune_options options = pb_options_for(&beside.choice);
    struct prune_result result;
    options.choose = choose_beside;
    options.waiting = finish_backup;
    options.ctx = &beside;
    pb_source_of(1, &beside.source); /* of a set that goes: all its chunks are known */
    pt_backup_begin(pb_repo.repo, &backup);
    pb_now(&options, &result);
    ck_assert_int_eq(beside.waited, 1);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_gt(result.packs_pardoned, 0);
    ck_assert_uint_eq(result.sets_kept, PB_SETS - 4 + 1);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    pt_whole(pb_repo.repo, "after a pardon");
    options = pb_options_for(&(struct pb_choice){.count = 0});
    pb_now(&options, &result);
    pt_whole(pb_repo.repo, "after the next prune");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}
END_TEST

/* What a backup has stored and not yet named in a manifest when the prune looks. */
START_TEST(test_half_done_backup)
{
    struct pt_backup backup;
    struct pb_choice choice = pb_remove_some(0, 4);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    struct pt_source source;
    pt_random(&source, 99, 6, 100000);
    pt_backup_begin(pb_repo.repo, &backup);
    pt_backup_store(&backup, &source, PB_PACK_BYTES);
    options.wait_ms = _i == 0 ? -1 : 200;
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_MARKED);
    ck_assert_str_eq(result.blocked.id, lease_id(backup.lease));
    ck_assert_str_eq(result.blocked.work, "backup");
    ck_assert_uint_eq(result.packs_removed + result.parts_removed, 0);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 1);
    pt_backup_seal(&backup);
    pt_backup_end(&backup);
    pt_whole(pb_repo.repo, "beside a mark");
    pb_all(0, 0, &result); /* finishes what was begun */
    ck_assert_uint_gt(result.packs_removed, 0);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - 4 + 1);
    pt_whole(pb_repo.repo, "after the mark is gone");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}
END_TEST

/* A backup that begins under a mark obeys it: it stores again what lies in condemned packs. Nobody
 * waits for it, also where somebody is always at work. */
START_TEST(test_backup_under_a_mark)
{
    struct pt_backup first, second;
    struct pb_choice choice = pb_remove_some(0, 4);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    struct pt_source source;
    options.wait_ms = -1;
    pt_backup_begin(pb_repo.repo, &first);
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_MARKED);
    pt_backup_begin(pb_repo.repo, &second);
    lease_end(first.lease);
    first.lease = NULL;
    pb_now(&options, &result); /* the second still is at work, and has not seen this one's mark */
    ck_assert_int_eq(result.state, PRUNE_MARKED);
    ck_assert_uint_gt(result.packs_removed, 0);
    pb_source_of(1, &source);
    pt_backup_store(&second, &source, PB_PACK_BYTES);
    pt_backup_seal(&second);
    pt_backup_end(&second);
    pt_backup_end(&first);
    pt_whole(pb_repo.repo, "after a backup under a mark");
    pb_all(0, 0, &result);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    pt_whole(pb_repo.repo, "after the last mark");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}
END_TEST

/* A set whose writer is still at work may be withdrawn: retention neither counts nor removes it. */
START_TEST(test_unsettled_sets)
{
    struct pt_backup backup;
    struct pt_source source;
    struct pb_choice choice = pb_remove_some(0, 1);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    pt_random(&source, 99, 3, 100000);
    pt_backup_begin(pb_repo.repo, &backup);
    pt_backup_store(&backup, &source, PB_PACK_BYTES);
    pt_backup_seal(&backup);
    strcpy(choice.ids[0], backup.set);
    options.dry_run = true;
    pb_now(&options, &result);
    ck_assert_uint_eq(result.sets_removed, 0);
    ck_assert_uint_eq(result.sets_kept, PB_SETS + 1);
    pt_backup_end(&backup);
    pb_now(&options, &result);
    ck_assert_uint_eq(result.sets_removed, 1);
}
END_TEST

/* The lease of a host that died without a word. */
START_TEST(test_waits_until_a_lease_lapses)
{
    struct lease_file file = {.id = "00112233445566778899aabbccddeeff",
                              .run_id = "00112233445566778899aabbccddeeff",
                              .work = "backup",
                              .host = "elsewhere",
                              .ttl_ms = 150};
    struct prune_result result;
    process_self(&file.process);
    strcpy(file.process.boot_id, "another-boot");
    json_t *json = lease_file_to_json(&file);
    et_ok(repo_put_document(pb_repo.repo, "leases/00112233445566778899aabbccddeeff", KEY_CONTROL,
                            json, 0, &pb_err),
          pb_err);
    json_decref(json);
    pb_all(0, 3, &result);
    ck_assert_int_ge(result.wait_ms, 100);
    ck_assert_uint_eq(pt_count(&pb_repo, "leases"), 0);
    ck_assert_uint_eq(pt_count(&pb_repo, "lapsed"), 1);
    pt_whole(pb_repo.repo, "after a lease lapsed");
}
END_TEST

START_TEST(test_busy)
{
    struct pb_choice choice = pb_remove_some(0, 4);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    struct lease *other = NULL;
    options.wait_ms = -1;
    et_ok(lease_take(pb_repo.repo, "00112233445566778899aabbccddeeff", "prune", &other, &pb_err),
          pb_err);
    char *before = pt_listing(&pb_repo);
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_BUSY);
    ck_assert_str_eq(result.blocked.id, lease_id(other));
    char *after = pt_listing(&pb_repo);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(pt_count(&pb_repo, "leases"), 1);
    free(before);
    free(after);
    lease_end(other);
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
}
END_TEST

static bool stop_now(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(test_stopped)
{
    struct pb_choice choice = pb_remove_some(0, 4);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    options.stop = stop_now;
    ck_assert_int_eq(prune_run(pb_repo.repo, &options, &result, &pb_err), ORCH_E_CANCELLED);
    ck_assert_uint_eq(pt_count(&pb_repo, "leases"), 0);
    pt_whole(pb_repo.repo, "after a stop");
    pb_all(0, 4, &result);
    pt_whole(pb_repo.repo, "after the next one");
}
END_TEST

/* Two prunes at the same time, and a third after them. */
START_TEST(test_two_at_once)
{
    pid_t pids[2];
    struct prune_result result;
    for (size_t i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct et_repo mine;
            struct pb_choice choice = pb_remove_some(i, 4);
            struct prune_options options = pb_options_for(&choice);
            struct orch_error why = ORCH_ERROR_INIT;
            pt_open(pb_repo.dir, &mine);
            int32_t rc = prune_run(mine.repo, &options, &result, &why);
            if (rc != ORCH_OK) {
                fprintf(stderr, "prune %zu: %s\n", i, why.message);
            }
            pt_close(&mine);
            _exit(rc == ORCH_OK && result.state == PRUNE_DONE ? 0 : 1);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - 4);
    pt_whole(pb_repo.repo, "after two at once");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
    pb_all(0, 0, &result);
    ck_assert_uint_eq(result.packs_removed, 0);
}
END_TEST

/* Keeps the three newest. */
static int32_t keep_three(void *ctx, const struct set_list *list, bool *remove,
                          struct orch_error *why)
{
    (void)ctx;
    (void)why;
    for (size_t i = 3; i < list->count; i++) {
        remove[i] = true;
    }
    return ORCH_OK;
}

#define CROWD 6
#define ROUNDS 30

/* Backups of contents that come again and again, or prunes; in a process of its own. */
static int one_of_the_crowd(size_t number)
{
    struct et_random random = {number + 100};
    struct et_repo mine;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = ORCH_OK;
    pt_open(pb_repo.dir, &mine);
    for (size_t i = 0; rc == ORCH_OK && i < ROUNDS; i++) {
        if (number < 2) {
            struct prune_result result;
            struct prune_options options = pb_options_for(NULL);
            options.choose = keep_three;
            options.repack_above = 1 + (uint32_t)(et_random_next(&random) % 50);
            options.wait_ms = (int64_t)(et_random_next(&random) % 3) * 300 - 1;
            rc = prune_run(mine.repo, &options, &result, &why);
        } else {
            struct pt_backup backup;
            struct pt_source source;
            pt_random(&source, et_random_next(&random), 4, 12);
            source.object_bytes = 200000;
            pt_backup_begin(mine.repo, &backup);
            pt_backup_store(&backup, &source, PB_PACK_BYTES);
            pt_backup_seal(&backup);
            pt_backup_end(&backup);
        }
    }
    pt_close(&mine);
    if (rc != ORCH_OK) {
        fprintf(stderr, "%zu: %s\n", number, why.message);
    }
    return rc == ORCH_OK ? 0 : 1;
}

START_TEST(test_a_crowd)
{
    pid_t pids[CROWD];
    struct prune_result result;
    struct pb_choice none = {.count = 0};
    struct prune_options options = pb_options_for(&none);
    for (size_t i = 0; i < CROWD; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(one_of_the_crowd(i));
        }
    }
    for (size_t i = 0; i < CROWD; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%zu: %d", i, status);
    }
    pt_whole(pb_repo.repo, "after the crowd");
    options.choose = keep_three;
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), 3);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    pt_whole(pb_repo.repo, "after the last prune");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}
END_TEST

/* ---- who sleeps -------------------------------------------------------------------------------
 */

#ifdef ORCHESTRATE_TEST_HOOKS

/* Waits until a child has stopped itself. */
static void wait_until_stopped(pid_t pid)
{
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert_msg(WIFSTOPPED(status), "the child did not stop: %d", status);
}

static int wake(pid_t pid)
{
    int status = 0;
    ck_assert_int_eq(kill(pid, SIGCONT), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void sleep_when_deleting(void *ctx, const char *text)
{
    (void)ctx;
    if (strcmp(text, "deleting") == 0) {
        (void)raise(SIGSTOP);
    }
}

/* A prune that is put to sleep between its mark and its sweep, for longer than its lease. Another
 * one finishes meanwhile, and a backup uses what was condemned; the sleeper deletes nothing. */
START_TEST(test_a_sleeping_prune)
{
    struct prune_result result;
    struct pt_source source;
    char id[ID_TEXT];
    (void)setenv("ORCHESTRATE_LEASE_TTL_MS", "1500", 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct et_repo mine;
        struct pb_choice choice = pb_remove_some(0, 4);
        struct prune_options options = pb_options_for(&choice);
        struct orch_error why = ORCH_ERROR_INIT;
        options.phase = sleep_when_deleting;
        pt_open(pb_repo.dir, &mine);
        int32_t rc = prune_run(mine.repo, &options, &result, &why);
        _exit(rc == ORCH_E_TIMEOUT ? 0 : 1);
    }
    wait_until_stopped(pid);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 1);
    (void)unsetenv("ORCHESTRATE_LEASE_TTL_MS");
    pb_all(0, 4, &result); /* waits until the sleeper's lease lapses */
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    pb_source_of(1, &source);
    pt_set(pb_repo.repo, &source, "", PB_PACK_BYTES, id);
    char *before = pt_listing(&pb_repo);
    ck_assert_int_eq(wake(pid), 0);
    char *after = pt_listing(&pb_repo);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    pt_whole(pb_repo.repo, "after a prune woke late");
}
END_TEST

/* A backup that is put to sleep before its manifest, for longer than its lease: what it has stored
 * goes, and its set does not come to be, or does not count. */
START_TEST(test_a_sleeping_backup)
{
    struct prune_result result;
    (void)setenv("ORCHESTRATE_LEASE_TTL_MS", "1500", 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct et_repo mine;
        struct pt_backup backup;
        struct pt_source source;
        struct orch_error why = ORCH_ERROR_INIT;
        pt_open(pb_repo.dir, &mine);
        pb_source_of(1, &source); /* nothing of it is new */
        pt_backup_begin(mine.repo, &backup);
        pt_backup_store(&backup, &source, PB_PACK_BYTES);
        if (_i == 0) {
            (void)raise(SIGSTOP);
            int32_t lost = lease_check(backup.lease, &why);
            lease_end(backup.lease);
            _exit(lost == ORCH_E_TIMEOUT ? 0 : 1);
        }
        if (lease_check(backup.lease, &why) != ORCH_OK) {
            _exit(2);
        }
        (void)raise(SIGSTOP); /* between its last look and the put */
        struct set set = {.state = SET_PARTIAL, .started_ns = clock_wall_ns()};
        (void)snprintf(set.lease, sizeof(set.lease), "%s", lease_id(backup.lease));
        if (set_store(mine.repo, &set, &why) != ORCH_OK) {
            _exit(3);
        }
        int32_t lost = lease_check(backup.lease, &why);
        lease_end(backup.lease);
        _exit(lost == ORCH_E_TIMEOUT ? 0 : 4); /* and dies before it takes its set back */
    }
    wait_until_stopped(pid);
    (void)unsetenv("ORCHESTRATE_LEASE_TTL_MS");
    pb_all(0, 4, &result);
    ck_assert_uint_eq(pt_count(&pb_repo, "lapsed"), 1);
    ck_assert_uint_gt(result.packs_removed, 0);
    ck_assert_int_eq(wake(pid), 0);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - 4);
    ck_assert_uint_eq(pt_count(&pb_repo, "sets"), PB_SETS - 4 + (size_t)_i);
    pt_whole(pb_repo.repo, "after a backup woke late");
    pb_all(0, 0, &result);
    ck_assert_uint_eq(pt_count(&pb_repo, "sets"), PB_SETS - 4);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("prune_beside");
    TCase *tests = pb_case("prune", pb_make_base, 120);
    tcase_add_test(tests, test_pardons);
    tcase_add_loop_test(tests, test_half_done_backup, 0, 2);
    tcase_add_test(tests, test_backup_under_a_mark);
    tcase_add_test(tests, test_unsettled_sets);
    tcase_add_test(tests, test_waits_until_a_lease_lapses);
    tcase_add_test(tests, test_busy);
    tcase_add_test(tests, test_stopped);
    tcase_add_loop_test(tests, test_two_at_once, 0, 3);
    SAMPLING_ADD(tests, test_a_crowd, 3);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_test(tests, test_a_sleeping_prune);
    tcase_add_loop_test(tests, test_a_sleeping_backup, 0, 2);
#endif
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
