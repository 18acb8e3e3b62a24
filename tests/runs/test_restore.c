/* test_restore.c: restore runs over scripted components: order, refusals, failures, verification,
 * confirmation, checks. What is resumed is in test_resume.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/ledger.h"
#include "run/target_lock.h"
#include "runtest.h"

static struct runtest t;
static struct orch_error err;
static struct restore_result result;
static char set[ID_TEXT];

static const char *const four[] = {"base", "left: base", "right: base", "top: left", NULL};
static const char *const names[] = {"base", "left", "right", "top"};

/* Four components in a set, whose live data has changed since. */
static void prepare(void)
{
    runtest_make(&t, four, NULL);
    runtest_backup(&t, set);
    for (size_t i = 0; i < 4; i++) {
        runtest_data(&t, names[i], "lost=all\n");
    }
}

static int32_t restore(const struct restore_options *options)
{
    restore_result_clear(&result);
    err = (struct orch_error)ORCH_ERROR_INIT;
    return restore_run(&t.ctx, options, &result, &err);
}

static void finish(void)
{
    restore_result_clear(&result);
    runtest_remove(&t);
}

static json_t *ledger(const char *name)
{
    json_t *entries = NULL;
    ASSERT_OK(ledger_read(t.ctx.config, name, &entries, &err), err);
    return entries;
}

static const char *state_of(const char *component)
{
    return runtest_member(json_object_get(result.document, "components"), component, "state");
}

static const char *error_of(const char *component)
{
    return runtest_member(json_object_get(result.document, "components"), component, "error");
}

/* Nothing was touched and nothing remembered. */
static void assert_untouched(void)
{
    CLEANUP_FREE char *log = runtest_log(&t);
    for (size_t i = 0; i < 4; i++) {
        static const char *const acts[] = {"quiesce", "restore", "settle-verified", "settle-failed",
                                           "resume"};
        ck_assert(runtest_holds(&t, names[i], "lost=all\n"));
        for (size_t k = 0; k < COUNT_OF(acts); k++) {
            char line[64];
            (void)snprintf(line, sizeof(line), "%s %s", names[i], acts[k]);
            ck_assert_msg(runtest_times(log, line) == 0, "%s", line);
        }
    }
    ck_assert_uint_eq(folder_count(t.dir, "state/journals"), 0);
    ck_assert_uint_eq(folder_count(t.dir, "repo/leases"), 0);
    json_t *history = ledger(LEDGER_HISTORY);
    ck_assert_uint_eq(json_array_size(history), 0);
    json_decref(history);
}

START_TEST(test_all_come_back)
{
    prepare();
    struct restore_options options = runtest_options();
    ASSERT_OK(restore(&options), err);
    ck_assert_uint_eq(result.verified, 4);
    ck_assert_uint_eq(result.failed, 0);
    ck_assert(!result.refused);
    ck_assert_str_eq(result.set_id, set);
    CLEANUP_FREE char *log = runtest_log(&t);
    for (size_t i = 0; i < 4; i++) {
        static const char *const acts[] = {"check",  "quiesce", "restore",
                                           "verify", "resume",  "settle-verified"};
        long last = -1;
        for (size_t k = 0; k < COUNT_OF(acts); k++) {
            char line[64];
            (void)snprintf(line, sizeof(line), "%s %s", names[i], acts[k]);
            ck_assert_uint_eq(runtest_times(log, line), 1);
            ck_assert_int_gt(runtest_place(log, line), last);
            last = runtest_place(log, line);
        }
        ck_assert(runtest_holds(&t, names[i], "one=1\n"));
        ck_assert_str_eq(state_of(names[i]), "verified");
        ck_assert_str_eq(error_of(names[i]), "(none)");
    }
    /* Every check before the first act; a stage after the one before it has verified. */
    ck_assert_int_lt(runtest_place(log, "top check"), runtest_place(log, "base quiesce"));
    ck_assert_int_lt(runtest_place(log, "right check"), runtest_place(log, "base quiesce"));
    ck_assert_int_lt(runtest_place(log, "base verify"), runtest_place(log, "left quiesce"));
    ck_assert_int_lt(runtest_place(log, "base verify"), runtest_place(log, "right quiesce"));
    ck_assert_int_lt(runtest_place(log, "left verify"), runtest_place(log, "top quiesce"));
    ck_assert_int_lt(runtest_place(log, "right verify"), runtest_place(log, "top quiesce"));
    json_t *history = ledger(LEDGER_HISTORY);
    ck_assert_uint_eq(json_array_size(history), 1);
    const json_t *entry = json_array_get(history, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "state")), "completed");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "set")), set);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "run")), result.run_id);
    json_decref(history);
    ck_assert_uint_eq(folder_count(t.dir, "repo/leases"), 0);
    /* And again: a restore that is over is in nobody's way. */
    ASSERT_OK(restore(&options), err);
    finish();
}
END_TEST

START_TEST(test_dry_run)
{
    prepare();
    struct restore_options options = runtest_options();
    options.dry_run = true;
    ASSERT_OK(restore(&options), err);
    const json_t *steps = json_object_get(result.document, "steps");
    ck_assert_uint_eq(json_array_size(steps), 1);
    const json_t *stages = json_object_get(json_array_get(steps, 0), "restore");
    ck_assert_uint_eq(json_array_size(stages), 3);
    ck_assert_uint_eq(json_array_size(json_array_get(stages, 1)), 2);
    ck_assert_str_eq(state_of("top"), "pending");
    assert_untouched();
    finish();
}
END_TEST

/* ---- refusals ---- */

static const struct {
    const char *script, *says;
} refusals[] = {
    {"check refuse\n", "scripted: the script says refuse"},
    {"check overridable\n", "scripted: the script says overridable"},
    {"check unreachable\n", "unreachable: the script says unreachable"},
    {"check crash\n", "crashed: "},
    {"open failed\n", "failed: the script says failed"},
};

/* One refusal, in the last stage, stops the whole run before the first act. */
START_TEST(test_refused)
{
    prepare();
    runtest_script(&t, "top", refusals[_i].script);
    struct restore_options options = runtest_options();
    options.dry_run = _i % 2 == 1; /* a dry run says the same */
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err,
                 "preflight refused, nothing was touched: top: ");
    ck_assert_msg(strstr(err.message, refusals[_i].says) != NULL, "%s", err.message);
    ck_assert(result.refused);
    ck_assert_uint_eq(result.verified, 0);
    ck_assert_str_eq(state_of("top"), "refused");
    ck_assert_str_eq(state_of("base"), "pending");
    assert_untouched();
    finish();
}
END_TEST

START_TEST(test_warnings_do_not_stop)
{
    prepare();
    runtest_script(&t, "top", "check warn\nverify warn\n");
    runtest_script(&t, "base", "check audit\n");
    struct restore_options options = runtest_options();
    ASSERT_OK(restore(&options), err);
    ck_assert(runtest_told(&t, "warning top scripted (data): the script says warn"));
    json_t *audit = ledger(LEDGER_AUDIT);
    ck_assert_uint_eq(json_array_size(audit), 1);
    const json_t *entry = json_array_get(audit, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "what")), "verdict");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "component")), "base");
    json_decref(audit);
    finish();
}
END_TEST

START_TEST(test_allow_incompatible)
{
    prepare();
    struct restore_options options = runtest_options();
    options.allow_incompatible = true;
    runtest_script(&t, "left", "check overridable\n");
    runtest_script(&t, "right", "check refuse\n");
    /* A refusal that cannot be overridden still stops all, and then nothing is audited. */
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err, "right: scripted: the script says refuse");
    assert_untouched();
    json_t *audit = ledger(LEDGER_AUDIT);
    ck_assert_uint_eq(json_array_size(audit), 0);
    json_decref(audit);
    runtest_script(&t, "right", "");
    ASSERT_OK(restore(&options), err);
    ck_assert(runtest_told(&t, "OVERRIDDEN by --allow-incompatible"));
    audit = ledger(LEDGER_AUDIT);
    ck_assert_uint_eq(json_array_size(audit), 1);
    const json_t *entry = json_array_get(audit, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "what")), "allow-incompatible");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "component")), "left");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "code")), "scripted");
    json_decref(audit);
    finish();
}
END_TEST

/* The part is damaged: found before anything is touched. */
START_TEST(test_damaged_repository)
{
    static const char *const folders[] = {"parts", "packs", "index"};
    char command[256];
    prepare();
    (void)snprintf(command, sizeof(command), "find '%s/repo/%s' -type f -delete", t.dir,
                   folders[_i]);
    ck_assert_int_eq(system(command), 0);
    runtest_reopen(&t);
    struct restore_options options = runtest_options();
    int32_t rc = restore(&options);
    ck_assert_msg(rc == ORCH_E_REFUSED || rc == ORCH_E_CORRUPT || rc == ORCH_E_NOT_FOUND, "%d %s",
                  (int)rc, err.message);
    assert_untouched();
    finish();
}
END_TEST

/* Another process restores one of the components: nothing is begun. */
START_TEST(test_target_is_busy)
{
    prepare();
    int ready[2], go[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct target_locks locks = {0};
        byte = target_lock(t.ctx.config, "right", &locks, &err) == ORCH_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1 || close(go[1]) != 0 || read(go[0], &byte, 1) != 0) {
            _exit(1);
        }
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'y');
    struct restore_options options = runtest_options();
    ASSERT_FAILS(restore(&options), ORCH_E_BUSY, err, "\"right\" is being restored by another");
    assert_untouched();
    int status = -1;
    (void)close(go[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ASSERT_OK(restore(&options), err);
    finish();
}
END_TEST

/* ---- confirmation ---- */

static bool answer(void *ctx, const char *summary)
{
    (void)snprintf(ctx, 512, "%s", summary);
    return summary != NULL && strstr(summary, "base, left, right, top") == NULL;
}

START_TEST(test_confirmation)
{
    char asked[512] = "";
    prepare();
    struct restore_options options = runtest_options();
    options.confirm = answer;
    options.confirm_ctx = asked;
    ASSERT_FAILS(restore(&options), ORCH_E_CANCELLED, err, "not confirmed; nothing was touched");
    ck_assert_msg(strncmp(asked, "This replaces base, left, right, top by what set ", 49) == 0,
                  "%s", asked);
    assert_untouched();
    /* One component alone: the answer is yes. */
    const char *const one[] = {"top"};
    struct restore_step step = {.components = one, .component_count = 1};
    options.steps = &step;
    ASSERT_OK(restore(&options), err);
    ck_assert_int_eq(strncmp(asked, "This replaces top by what set ", 30), 0);
    ck_assert(runtest_holds(&t, "top", "one=1\n"));
    ck_assert(runtest_holds(&t, "left", "lost=all\n"));
    finish();
}
END_TEST

/* ---- failures on the way ---- */

static const struct {
    const char *script, *says;
    bool replaced; /* its data is the set's by then */
    size_t settled_failed;
} failures[] = {
    {"quiesce failed\n", "writers could not be stopped, nothing was touched: the script says",
     false, 1},
    {"restore failed\n", "the script says failed", false, 1},
    {"restore crash\n", "", false, 0},
    {"verify refuse\n", "verification failed: scripted: the script says refuse", true, 1},
    {"verify failed\n", "the script says failed", true, 1},
};

/* A provider fails: its dependants are left alone, its sibling comes back. */
START_TEST(test_dependants_are_skipped)
{
    prepare();
    runtest_script(&t, "left", failures[_i].script);
    struct restore_options options = runtest_options();
    ASSERT_FAILS(restore(&options), ORCH_E_FAILED, err,
                 "2 of 4 components did not come back (left: ");
    ck_assert_uint_eq(result.verified, 2);
    ck_assert_uint_eq(result.failed, 2);
    ck_assert(!result.refused);
    ck_assert_str_eq(state_of("left"), "failed");
    ck_assert_str_eq(state_of("top"), "skipped");
    ck_assert_str_eq(state_of("right"), "verified");
    ck_assert_msg(strstr(error_of("left"), failures[_i].says) != NULL, "%s", error_of("left"));
    ck_assert(runtest_told(&t, "failure top not restored: it depends on left, which failed"));
    ck_assert(runtest_holds(&t, "left", failures[_i].replaced ? "one=1\n" : "lost=all\n"));
    ck_assert(runtest_holds(&t, "top", "lost=all\n"));
    ck_assert(runtest_holds(&t, "right", "one=1\n"));
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "top quiesce"), 0);
    ck_assert_uint_eq(runtest_times(log, "left settle-failed"), failures[_i].settled_failed);
    ck_assert_uint_eq(runtest_times(log, "left settle-verified"), 0);
    json_t *history = ledger(LEDGER_HISTORY);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(history, 0), "state")),
                     "partial");
    json_decref(history);
    finish();
}
END_TEST

/* What was stopped is started again, whatever becomes of the restore. */
START_TEST(test_writers_go_on)
{
    static const char *const scripts[] = {"restore failed\n", "verify failed\n", "verify refuse\n"};
    prepare();
    runtest_script(&t, "base", scripts[_i]);
    struct restore_options options = runtest_options();
    ck_assert_int_eq(restore(&options), ORCH_E_FAILED);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "base quiesce"), 1);
    ck_assert_uint_eq(runtest_times(log, "base resume"), 1);
    finish();
}
END_TEST

START_TEST(test_settling_that_fails_is_a_warning)
{
    prepare();
    runtest_script(&t, "base", "settle-verified io\n");
    struct restore_options options = runtest_options();
    ASSERT_OK(restore(&options), err);
    ck_assert(
        runtest_told(&t, "warning base verified, but what was set aside could not be let go"));
    finish();
}
END_TEST

START_TEST(test_all_fail)
{
    prepare();
    runtest_script(&t, "base", "restore bytes\n");
    struct restore_options options = runtest_options();
    ASSERT_FAILS(restore(&options), ORCH_E_FAILED, err, "4 of 4 components did not come back");
    ck_assert_uint_eq(result.verified, 0);
    /* The message is fit for JSON and for a terminal, also in the history. */
    ck_assert_int_eq(strncmp(error_of("base"), "cannot read caf\\xe9", 18), 0);
    json_t *history = ledger(LEDGER_HISTORY);
    const json_t *entry = json_array_get(history, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "state")), "failed");
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(entry, "error")), "caf\\xe9"));
    json_decref(history);
    finish();
}
END_TEST

/* ---- check steps ---- */

/* Steps: base, a check, left and right. The check sees base back, and neither of the others. */
START_TEST(test_check_between)
{
    char command[512];
    prepare();
    const char *const first[] = {"base"}, *const then[] = {"left", "right"};
    (void)snprintf(command, sizeof(command),
                   "grep -q one= %s/base/data && grep -q lost= %s/left/data && exit %d", t.dir,
                   t.dir, _i == 0 ? 0 : 5);
    struct restore_step steps[] = {
        {.kind = RESTORE_STEP_COMPONENTS, .components = first, .component_count = 1},
        {.kind = RESTORE_STEP_CHECK, .command = command, .timeout_ms = 30000},
        {.kind = RESTORE_STEP_COMPONENTS, .components = then, .component_count = 2},
    };
    struct restore_options options = {.set = set, .steps = steps, .step_count = 3};
    if (_i == 0) {
        ASSERT_OK(restore(&options), err);
        ck_assert(runtest_holds(&t, "left", "one=1\n"));
        ck_assert(runtest_holds(&t, "top", "lost=all\n"));
    } else {
        ASSERT_FAILS(restore(&options), ORCH_E_FAILED, err,
                     "step 2 failed, later steps were not begun: command");
        ck_assert(runtest_holds(&t, "base", "one=1\n"));
        ck_assert(runtest_holds(&t, "left", "lost=all\n"));
        ck_assert_uint_eq(result.verified, 1);
        ck_assert_str_eq(state_of("left"), "pending");
    }
    finish();
}
END_TEST

/* A check after a failed component is not run: it would judge something half restored. */
START_TEST(test_check_after_a_failure)
{
    char command[256];
    prepare();
    runtest_script(&t, "right", "restore failed\n");
    (void)snprintf(command, sizeof(command), "touch %s/ran", t.dir);
    struct restore_step steps[] = {
        {.kind = RESTORE_STEP_COMPONENTS},
        {.kind = RESTORE_STEP_CHECK, .command = command, .timeout_ms = 30000},
    };
    struct restore_options options = {.set = set, .steps = steps, .step_count = 2};
    ck_assert_int_eq(restore(&options), ORCH_E_FAILED);
    ck_assert(runtest_told(&t, "step 2 is left out, since a component failed before it"));
    CLEANUP_FREE char *ran = folder_read(t.dir, "ran");
    ck_assert_ptr_null(ran);
    finish();
}
END_TEST

/* ---- the future ---- */

/* What another component of the run will bring counts for a check, unless it goes elsewhere. */
START_TEST(test_future_file)
{
    static const char *const targets[] = {"base.path=/tmp/elsewhere"};
    prepare();
    runtest_script(&t, "top", _i == 2 ? "check future=none\n" : "check future=one\n");
    struct restore_options options = runtest_options();
    const char *const alone[] = {"top", "base"};
    struct restore_step step = {.components = alone, .component_count = 2};
    options.steps = &step;
    options.dry_run = true;
    options.targets = targets;
    options.target_count = _i == 1;
    /* `top` itself has an object of that name too; then it is its own that answers. */
    runtest_data(&t, "base", "one=from base\n");
    runtest_data(&t, "top", "other=x\n");
    runtest_backup(&t, set);
    ASSERT_OK(restore(&options), err);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, _i == 0 ? "top future from base" : "top future (none)"),
                      1);
    finish();
}
END_TEST

/* ---- what is asked for ---- */

static const struct {
    const char *set;
    const char *components[3];
    int32_t rc;
    const char *says;
} requests[] = {
    {"latest", {"nothing"}, ORCH_E_CONFIG, "there is no component \"nothing\""},
    {"latest", {"top", "top"}, ORCH_E_CONFIG, "component \"top\" is named twice"},
    {"19700101_000000", {"top"}, ORCH_E_NOT_FOUND, "19700101_000000"},
    {"", {"top"}, ORCH_E_NOT_FOUND, ""},
};

START_TEST(test_requests)
{
    prepare();
    struct restore_step step = {.components = requests[_i].components};
    while (requests[_i].components[step.component_count] != NULL) {
        step.component_count++;
    }
    struct restore_options options = {.set = requests[_i].set, .steps = &step, .step_count = 1};
    ASSERT_FAILS(restore(&options), requests[_i].rc, err, requests[_i].says);
    ck_assert_ptr_null(result.document);
    assert_untouched();
    finish();
}
END_TEST

START_TEST(test_a_step_of_all_stands_alone)
{
    prepare();
    const char *const one[] = {"base"};
    struct restore_step steps[] = {{.components = one, .component_count = 1}, {.components = NULL}};
    struct restore_options options = {.set = set, .steps = steps, .step_count = 2};
    ASSERT_FAILS(restore(&options), ORCH_E_CONFIG, err, "it stands alone");
    assert_untouched();
    finish();
}
END_TEST

/* A set in which a component failed: "latest" passes over it; by name it is refused with the cause.
 */
START_TEST(test_a_component_that_failed)
{
    struct backup_options partial = {.type = "full"};
    struct backup_result taken;
    prepare();
    runtest_script(&t, "top", "backup failed 1\n");
    ck_assert_int_eq(backup_run(&t.ctx, &partial, &taken, &err), ORCH_E_FAILED);
    const char *const one[] = {"top"};
    struct restore_step step = {.components = one, .component_count = 1};
    struct restore_options options = {.set = taken.set->id, .steps = &step, .step_count = 1};
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err,
                 "(the script says failed); choose another");
    options.set = "latest";
    ASSERT_OK(restore(&options), err);
    ck_assert_str_eq(result.set_id, set);
    backup_result_clear(&taken);
    finish();
}
END_TEST

START_TEST(test_a_set_without_the_component)
{
    struct backup_options one_only = {.type = "full", .component_count = 1};
    struct backup_result taken;
    prepare();
    const char *const base[] = {"base"}, *const both[] = {"base", "top"};
    one_only.components = base;
    ASSERT_OK(backup_run(&t.ctx, &one_only, &taken, &err), err);
    struct restore_step step = {.components = both, .component_count = 2};
    struct restore_options options = {.set = taken.set->id, .steps = &step, .step_count = 1};
    ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err, "does not hold component \"top\"");
    options.set = "latest"; /* the newest that holds both */
    ASSERT_OK(restore(&options), err);
    ck_assert_str_eq(result.set_id, set);
    backup_result_clear(&taken);
    finish();
}
END_TEST

/* The configuration has lost a component that the set holds, or gives it to another plugin. */
START_TEST(test_a_changed_configuration)
{
    prepare();
    CLEANUP_FREE char *text = folder_read(t.dir, "conf.d/main.conf");
    char *top = strstr(text, "  top:");
    CLEANUP_BUFFER struct buffer changed = BUFFER_INIT;
    if (_i == 0) {
        memcpy(top, "  new:", 6);
        buffer_text(&changed, text);
    } else {
        char *end = strstr(top, "scripted\"") + strlen("scripted");
        buffer_printf(&changed, "%.*s-empty%s", (int)(end - text), text, end);
    }
    folder_write(t.dir, "conf.d/main.conf", buffer_string(&changed));
    runtest_reopen(&t);
    struct restore_options options = runtest_options();
    if (_i == 0) {
        ASSERT_FAILS(restore(&options), ORCH_E_NOT_FOUND, err, "has no good part of new");
        options.set = set;
        ASSERT_FAILS(restore(&options), ORCH_E_CONFIG, err, "holds component \"top\", which");
    } else {
        ASSERT_FAILS(restore(&options), ORCH_E_REFUSED, err,
                     "the part was made by plugin scripted, the component is configured with "
                     "scripted-empty");
    }
    assert_untouched();
    finish();
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("restore");
    TCase *tests = tcase_create("restore");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_all_come_back);
    tcase_add_test(tests, test_dry_run);
    tcase_add_loop_test(tests, test_refused, 0, (int)COUNT_OF(refusals));
    tcase_add_test(tests, test_warnings_do_not_stop);
    tcase_add_test(tests, test_allow_incompatible);
    tcase_add_loop_test(tests, test_damaged_repository, 0, 3);
    tcase_add_test(tests, test_target_is_busy);
    tcase_add_test(tests, test_confirmation);
    tcase_add_loop_test(tests, test_dependants_are_skipped, 0, (int)COUNT_OF(failures));
    tcase_add_loop_test(tests, test_writers_go_on, 0, 3);
    tcase_add_test(tests, test_settling_that_fails_is_a_warning);
    tcase_add_test(tests, test_all_fail);
    tcase_add_loop_test(tests, test_check_between, 0, 2);
    tcase_add_test(tests, test_check_after_a_failure);
    tcase_add_loop_test(tests, test_future_file, 0, 3);
    tcase_add_loop_test(tests, test_requests, 0, (int)COUNT_OF(requests));
    tcase_add_test(tests, test_a_step_of_all_stands_alone);
    tcase_add_test(tests, test_a_component_that_failed);
    tcase_add_test(tests, test_a_set_without_the_component);
    tcase_add_loop_test(tests, test_a_changed_configuration, 0, 2);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
