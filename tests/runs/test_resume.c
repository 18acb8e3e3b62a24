/* test_resume.c: a restore that did not finish: gone on with, given up, or killed in the middle. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan/config.h"
#include "run/ledger.h"
#include "runtest.h"

static struct runtest t;
static struct orch_error err;
static struct restore_result result;
static char set[ID_TEXT];

static const char *const three[] = {"base", "left: base", "top: left", NULL};
static const char *const names[] = {"base", "left", "top"};

static void prepare(void)
{
    runtest_make(&t, three, NULL);
    runtest_backup(&t, set);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        runtest_data(&t, names[i], "lost=all\n");
    }
}

static int32_t restore(const struct restore_options *options)
{
    restore_result_clear(&result);
    err = (struct orch_error)ORCH_ERROR_INIT;
    return restore_run(&t.ctx, options, &result, &err);
}

static struct restore_options resuming(void)
{
    struct restore_options options = runtest_options();
    options.resume = true;
    return options;
}

static void finish(void)
{
    restore_result_clear(&result);
    runtest_remove(&t);
}

static const char *state_of(const char *component)
{
    return runtest_member(json_object_get(result.document, "components"), component, "state");
}

/* `left` fails; `base` is back. The run's id into `run`. */
static void fail_at_left(char run[ID_TEXT])
{
    runtest_script(&t, "left", "restore failed\n");
    struct restore_options options = runtest_options();
    ck_assert_int_eq(restore(&options), ORCH_E_FAILED);
    ck_assert_uint_eq(result.verified, 1);
    memcpy(run, result.run_id, ID_TEXT);
    free(runtest_log(&t));
}

START_TEST(test_resume)
{
    char run[ID_TEXT];
    prepare();
    fail_at_left(run);
    runtest_script(&t, "left", "");
    runtest_reopen(&t);
    struct restore_options options = resuming();
    ASSERT_OK(restore(&options), err);
    ck_assert_str_eq(result.run_id, run);
    ck_assert_uint_eq(result.verified, 3);
    CLEANUP_FREE char *log = runtest_log(&t);
    /* What is verified is not done again, nor checked again; the others are, by a new attempt. */
    ck_assert_uint_eq(runtest_times(log, "base restore"), 0);
    ck_assert_uint_eq(runtest_times(log, "base check"), 0);
    ck_assert_uint_eq(runtest_times(log, "left check"), 1);
    ck_assert_uint_eq(runtest_times(log, "left attempt 2"), 1);
    ck_assert_uint_eq(runtest_times(log, "top attempt 1"), 1);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        ck_assert(runtest_holds(&t, names[i], "one=1\n"));
    }
    json_t *history = NULL;
    ASSERT_OK(ledger_read(t.ctx.config, LEDGER_HISTORY, &history, &err), err);
    ck_assert_uint_eq(json_array_size(history), 2);
    json_decref(history);
    /* It is over now. */
    ASSERT_FAILS(restore(&options), ORCH_E_NOT_FOUND, err, "no unfinished restore");
    finish();
}
END_TEST

/* "latest" is resolved once: a set that came in between changes nothing. */
START_TEST(test_resume_keeps_the_set)
{
    char run[ID_TEXT], newer[ID_TEXT];
    prepare();
    fail_at_left(run);
    runtest_script(&t, "left", "");
    runtest_backup(&t, newer);
    struct restore_options options = resuming();
    ASSERT_OK(restore(&options), err);
    ck_assert_str_eq(result.set_id, set);
    ck_assert(runtest_holds(&t, "top", "one=1\n"));
    finish();
}
END_TEST

/* Preflight is repeated for what is left; a refusal leaves the run as it was. */
START_TEST(test_resume_refused)
{
    char run[ID_TEXT];
    prepare();
    fail_at_left(run);
    runtest_script(&t, "left", "check refuse\n");
    struct restore_options options = resuming();
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err, "left: scripted");
    ck_assert(result.refused);
    ck_assert(runtest_holds(&t, "left", "lost=all\n"));
    runtest_script(&t, "left", "");
    ASSERT_OK(restore(&options), err);
    ck_assert_str_eq(result.run_id, run);
    finish();
}
END_TEST

/* A new restore of the same components does not silently overrun an unfinished one. */
START_TEST(test_unfinished_is_in_the_way)
{
    char run[ID_TEXT];
    prepare();
    fail_at_left(run);
    runtest_script(&t, "left", "");
    struct restore_options options = runtest_options();
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err, run);
    ck_assert(runtest_holds(&t, "left", "lost=all\n"));
    options.dry_run = true; /* looking is always fine */
    ASSERT_OK(restore(&options), err);
    options.dry_run = false;
    options.restart = true;
    ASSERT_OK(restore(&options), err);
    ck_assert_str_ne(result.run_id, run);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "base attempt 1"), 1); /* all of it again */
    options.restart = false;
    ASSERT_OK(restore(&options), err);
    struct restore_options resume = resuming();
    ASSERT_FAILS(restore(&resume), ORCH_E_NOT_FOUND, err, "no unfinished restore");
    finish();
}
END_TEST

/* Nor one of a part of them; but one of others goes ahead. */
START_TEST(test_unfinished_of_other_components)
{
    char run[ID_TEXT];
    prepare();
    const char *const top[] = {"top"}, *const base[] = {"base"};
    struct restore_step step = {.components = top, .component_count = 1};
    struct restore_options options = {.set = set, .steps = &step, .step_count = 1};
    runtest_script(&t, "top", "restore failed\n");
    ck_assert_int_eq(restore(&options), ORCH_E_FAILED);
    memcpy(run, result.run_id, ID_TEXT);
    struct restore_options all = runtest_options();
    ASSERT_FAILS(restore(&all), ORCH_E_REFUSED, err, run);
    step.components = base;
    ASSERT_OK(restore(&options), err);
    /* And what is asked for must be the same to be gone on with. */
    options.resume = true;
    ASSERT_FAILS(restore(&options), ORCH_E_NOT_FOUND, err, "no unfinished restore");
    step.components = top;
    runtest_script(&t, "top", "");
    ASSERT_OK(restore(&options), err);
    ck_assert_str_eq(result.run_id, run);
    finish();
}
END_TEST

/* Targets belong to the request, to the last byte, also where they are no text. */
START_TEST(test_targets_belong_to_the_request)
{
    static const char *const given[] = {"left.path=/tmp/a\xff"};
    static const char *const others[] = {"left.path=/tmp/a\xfe"};
    prepare();
    runtest_script(&t, "left", "restore failed\n");
    struct restore_options options = runtest_options();
    options.targets = given;
    options.target_count = 1;
    ck_assert_int_eq(restore(&options), ORCH_E_FAILED);
    runtest_script(&t, "left", "");
    options.resume = true;
    options.target_count = 0;
    ASSERT_FAILS(restore(&options), ORCH_E_NOT_FOUND, err, "the same set, components and targets");
    options.target_count = 1;
    options.targets = others;
    ASSERT_FAILS(restore(&options), ORCH_E_NOT_FOUND, err, "the same set, components and targets");
    options.targets = given;
    ASSERT_OK(restore(&options), err);
    finish();
}
END_TEST

START_TEST(test_the_configuration_changed)
{
    char run[ID_TEXT];
    prepare();
    fail_at_left(run);
    runtest_script(&t, "left", "");
    folder_write(t.dir, "conf.d/other.conf", "# a comment\n");
    runtest_reopen(&t);
    struct restore_options options = resuming();
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err, "cannot be resumed: the configuration");
    ck_assert(runtest_holds(&t, "left", "lost=all\n"));
    finish();
}
END_TEST

/* A check that passed is not run again. */
START_TEST(test_checks_that_passed)
{
    char command[128];
    prepare();
    const char *const base[] = {"base"}, *const left[] = {"left"};
    (void)snprintf(command, sizeof(command), "echo ran >> %s/checks", t.dir);
    struct restore_step steps[] = {
        {.kind = RESTORE_STEP_COMPONENTS, .components = base, .component_count = 1},
        {.kind = RESTORE_STEP_CHECK, .command = command, .timeout_ms = 30000},
        {.kind = RESTORE_STEP_COMPONENTS, .components = left, .component_count = 1},
        {.kind = RESTORE_STEP_CHECK, .command = command, .timeout_ms = 30000},
    };
    struct restore_options options = {.set = set, .steps = steps, .step_count = 4};
    runtest_script(&t, "left", "restore failed 1\n");
    ck_assert_int_eq(restore(&options), ORCH_E_FAILED);
    CLEANUP_FREE char *once = folder_read(t.dir, "checks");
    ck_assert_str_eq(once, "ran\n");
    options.resume = true;
    ASSERT_OK(restore(&options), err);
    CLEANUP_FREE char *twice = folder_read(t.dir, "checks"); /* the second check, not the first */
    ck_assert_str_eq(twice, "ran\nran\n");
    ck_assert(runtest_told(&t, "step 2 passed in an earlier attempt"));
    finish();
}
END_TEST

/* The data is back, but the writers do not start: that is a failure, and a resume starts them. */
START_TEST(test_writers_that_do_not_start)
{
    prepare();
    runtest_script(&t, "base", "resume failed 2\n");
    struct restore_options options = runtest_options();
    ASSERT_FAILS(restore(&options), ORCH_E_FAILED, err, "its writers could not be started");
    ck_assert_str_eq(state_of("base"), "failed");
    ck_assert_str_eq(state_of("left"), "skipped");
    CLEANUP_FREE char *first = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(first, "base settle-verified"), 0);
    options.resume = true;
    ASSERT_FAILS(restore(&options), ORCH_E_FAILED, err, "its writers could not be started");
    ck_assert_str_eq(state_of("left"), "skipped");
    free(runtest_log(&t));
    ASSERT_OK(restore(&options), err);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "base restore"), 0);
    ck_assert_uint_eq(runtest_times(log, "base resume"), 1);
    ck_assert_uint_eq(runtest_times(log, "base settle-verified"), 1);
    ck_assert_str_eq(state_of("base"), "verified");
    finish();
}
END_TEST

static void cancel_at_left(struct runtest *where, const struct report_event *event)
{
    if (event->kind == REPORT_COMPONENT && strcmp(event->component, "left") == 0 &&
        strcmp(event->text, "restored and verified") == 0) {
        __atomic_store_n(&where->cancel, 1, __ATOMIC_RELAXED);
    }
}

START_TEST(test_cancel)
{
    prepare();
    t.on_event = cancel_at_left;
    struct restore_options options = runtest_options();
    ASSERT_FAILS(restore(&options), ORCH_E_CANCELLED, err, "go on with it by --resume");
    ck_assert(runtest_holds(&t, "top", "lost=all\n"));
    json_t *history = NULL;
    ASSERT_OK(ledger_read(t.ctx.config, LEDGER_HISTORY, &history, &err), err);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(history, 0), "state")),
                     "cancelled");
    json_decref(history);
    t.cancel = 0;
    options.resume = true;
    ASSERT_OK(restore(&options), err);
    ck_assert(runtest_holds(&t, "top", "one=1\n"));
    finish();
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
/* Killed at a point; a resume finishes the work. `restores`: how often base is restored after it,
 * `resumes`: how often its writers are started after it. */
static const struct {
    const char *at;
    size_t restores, resumes;
} kills[] = {
    {"restore-component-started:1", 1, 1}, {"restore-intent:1", 1, 1},
    {"restore-applied:1", 1, 1},           {"restore-verified:1", 0, 1},
    {"restore-settled:1", 0, 0},           {"restore-stage-ended:1", 0, 0},
};

START_TEST(test_killed)
{
    prepare();
    pid_t pid = fork();
    if (pid == 0) {
        (void)setenv("ORCHESTRATE_CRASH_AT", kills[_i].at, 1);
        struct restore_options options = runtest_options();
        _exit(restore(&options) == ORCH_OK ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    free(runtest_log(&t));
    runtest_reopen(&t);
    struct restore_options options = resuming();
    ASSERT_OK(restore(&options), err);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "base restore"), kills[_i].restores);
    ck_assert_uint_eq(runtest_times(log, "base resume"), kills[_i].resumes);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        ck_assert(runtest_holds(&t, names[i], "one=1\n"));
        ck_assert_str_eq(state_of(names[i]), "verified");
    }
    finish();
}
END_TEST
#endif

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    (void)setenv("CK_FORK", "yes", 1); /* tests that end their process */
    Suite *suite = suite_create("resume");
    TCase *tests = tcase_create("resume");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_resume);
    tcase_add_test(tests, test_resume_keeps_the_set);
    tcase_add_test(tests, test_resume_refused);
    tcase_add_test(tests, test_unfinished_is_in_the_way);
    tcase_add_test(tests, test_unfinished_of_other_components);
    tcase_add_test(tests, test_targets_belong_to_the_request);
    tcase_add_test(tests, test_the_configuration_changed);
    tcase_add_test(tests, test_checks_that_passed);
    tcase_add_test(tests, test_writers_that_do_not_start);
    tcase_add_test(tests, test_cancel);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tests, test_killed, 0, (int)COUNT_OF(kills));
#endif
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
