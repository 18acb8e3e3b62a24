/* test_restore.c: restore runs over scripted components: order, failures, verification, checks.
 * What is refused is in test_restore_refused.c, what is resumed in test_resume.c. */
#include <stdio.h>
#include <stdlib.h>

#include "restorebase.h"
#include "run/ledger.h"

START_TEST(test_all_come_back)
{
    rb_prepare();
    struct restore_options options = runtest_options();
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert_uint_eq(rb_result.verified, 4);
    ck_assert_uint_eq(rb_result.failed, 0);
    ck_assert(!rb_result.refused);
    ck_assert_str_eq(rb_result.set_id, rb_set);
    CLEANUP_FREE char *log = runtest_log(&rb_t);
    for (size_t i = 0; i < 4; i++) {
        static const char *const acts[] = {"check",  "quiesce", "restore",
                                           "verify", "resume",  "settle-verified"};
        long last = -1;
        for (size_t k = 0; k < COUNT_OF(acts); k++) {
            char line[64];
            (void)snprintf(line, sizeof(line), "%s %s", rb_names[i], acts[k]);
            ck_assert_uint_eq(runtest_times(log, line), 1);
            ck_assert_int_gt(runtest_place(log, line), last);
            last = runtest_place(log, line);
        }
        ck_assert(runtest_holds(&rb_t, rb_names[i], "one=1\n"));
        ck_assert_str_eq(rb_state_of(rb_names[i]), "verified");
        ck_assert_str_eq(rb_error_of(rb_names[i]), "(none)");
    }
    /* Every check before the first act; a stage after the one before it has verified. */
    ck_assert_int_lt(runtest_place(log, "top check"), runtest_place(log, "base quiesce"));
    ck_assert_int_lt(runtest_place(log, "right check"), runtest_place(log, "base quiesce"));
    ck_assert_int_lt(runtest_place(log, "base verify"), runtest_place(log, "left quiesce"));
    ck_assert_int_lt(runtest_place(log, "base verify"), runtest_place(log, "right quiesce"));
    ck_assert_int_lt(runtest_place(log, "left verify"), runtest_place(log, "top quiesce"));
    ck_assert_int_lt(runtest_place(log, "right verify"), runtest_place(log, "top quiesce"));
    json_t *history = rb_ledger(LEDGER_HISTORY);
    ck_assert_uint_eq(json_array_size(history), 1);
    const json_t *entry = json_array_get(history, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "state")), "completed");
    ck_assert_str_eq(json_string_value(json_object_get(entry, "set")), rb_set);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "run")), rb_result.run_id);
    json_decref(history);
    ck_assert_uint_eq(folder_count(rb_t.dir, "repo/leases"), 0);
    /* And again: a restore that is over is in nobody's way. */
    ASSERT_OK(rb_restore(&options), rb_err);
    rb_finish();
}
END_TEST

START_TEST(test_dry_run)
{
    rb_prepare();
    struct restore_options options = runtest_options();
    options.dry_run = true;
    ASSERT_OK(rb_restore(&options), rb_err);
    const json_t *steps = json_object_get(rb_result.document, "steps");
    ck_assert_uint_eq(json_array_size(steps), 1);
    const json_t *stages = json_object_get(json_array_get(steps, 0), "restore");
    ck_assert_uint_eq(json_array_size(stages), 3);
    ck_assert_uint_eq(json_array_size(json_array_get(stages, 1)), 2);
    ck_assert_str_eq(rb_state_of("top"), "pending");
    rb_assert_untouched();
    rb_finish();
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
    rb_prepare();
    runtest_script(&rb_t, "left", failures[_i].script);
    struct restore_options options = runtest_options();
    ASSERT_FAILS(rb_restore(&options), ORCH_E_FAILED, rb_err,
                 "2 of 4 components did not come back (left: ");
    ck_assert_uint_eq(rb_result.verified, 2);
    ck_assert_uint_eq(rb_result.failed, 2);
    ck_assert(!rb_result.refused);
    ck_assert_str_eq(rb_state_of("left"), "failed");
    ck_assert_str_eq(rb_state_of("top"), "skipped");
    ck_assert_str_eq(rb_state_of("right"), "verified");
    ck_assert_msg(strstr(rb_error_of("left"), failures[_i].says) != NULL, "%s",
                  rb_error_of("left"));
    ck_assert(runtest_told(&rb_t, "failure top not restored: it depends on left, which failed"));
    ck_assert(runtest_holds(&rb_t, "left", failures[_i].replaced ? "one=1\n" : "lost=all\n"));
    ck_assert(runtest_holds(&rb_t, "top", "lost=all\n"));
    ck_assert(runtest_holds(&rb_t, "right", "one=1\n"));
    CLEANUP_FREE char *log = runtest_log(&rb_t);
    ck_assert_uint_eq(runtest_times(log, "top quiesce"), 0);
    ck_assert_uint_eq(runtest_times(log, "left settle-failed"), failures[_i].settled_failed);
    ck_assert_uint_eq(runtest_times(log, "left settle-verified"), 0);
    json_t *history = rb_ledger(LEDGER_HISTORY);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(history, 0), "state")),
                     "partial");
    json_decref(history);
    rb_finish();
}
END_TEST

/* What was stopped is started again, whatever becomes of the restore. */
START_TEST(test_writers_go_on)
{
    static const char *const scripts[] = {"restore failed\n", "verify failed\n", "verify refuse\n"};
    rb_prepare();
    runtest_script(&rb_t, "base", scripts[_i]);
    struct restore_options options = runtest_options();
    ck_assert_int_eq(rb_restore(&options), ORCH_E_FAILED);
    CLEANUP_FREE char *log = runtest_log(&rb_t);
    ck_assert_uint_eq(runtest_times(log, "base quiesce"), 1);
    ck_assert_uint_eq(runtest_times(log, "base resume"), 1);
    rb_finish();
}
END_TEST

START_TEST(test_settling_that_fails_is_a_warning)
{
    rb_prepare();
    runtest_script(&rb_t, "base", "settle-verified io\n");
    struct restore_options options = runtest_options();
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert(
        runtest_told(&rb_t, "warning base verified, but what was set aside could not be let go"));
    rb_finish();
}
END_TEST

START_TEST(test_all_fail)
{
    rb_prepare();
    runtest_script(&rb_t, "base", "restore bytes\n");
    struct restore_options options = runtest_options();
    ASSERT_FAILS(rb_restore(&options), ORCH_E_FAILED, rb_err,
                 "4 of 4 components did not come back");
    ck_assert_uint_eq(rb_result.verified, 0);
    /* The message is fit for JSON and for a terminal, also in the history. */
    ck_assert_int_eq(strncmp(rb_error_of("base"), "cannot read caf\\xe9", 18), 0);
    json_t *history = rb_ledger(LEDGER_HISTORY);
    const json_t *entry = json_array_get(history, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "state")), "failed");
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(entry, "error")), "caf\\xe9"));
    json_decref(history);
    rb_finish();
}
END_TEST

/* ---- check steps ---- */

/* Steps: base, a check, left and right. The check sees base back, and neither of the others. */
START_TEST(test_check_between)
{
    char command[512];
    rb_prepare();
    const char *const first[] = {"base"}, *const then[] = {"left", "right"};
    (void)snprintf(command, sizeof(command),
                   "grep -q one= %s/base/data && grep -q lost= %s/left/data && exit %d", rb_t.dir,
                   rb_t.dir, _i == 0 ? 0 : 5);
    struct restore_step steps[] = {
        {.kind = RESTORE_STEP_COMPONENTS, .components = first, .component_count = 1},
        {.kind = RESTORE_STEP_CHECK, .command = command, .timeout_ms = 30000},
        {.kind = RESTORE_STEP_COMPONENTS, .components = then, .component_count = 2},
    };
    struct restore_options options = {.set = rb_set, .steps = steps, .step_count = 3};
    if (_i == 0) {
        ASSERT_OK(rb_restore(&options), rb_err);
        ck_assert(runtest_holds(&rb_t, "left", "one=1\n"));
        ck_assert(runtest_holds(&rb_t, "top", "lost=all\n"));
    } else {
        ASSERT_FAILS(rb_restore(&options), ORCH_E_FAILED, rb_err,
                     "step 2 failed, later steps were not begun: command");
        ck_assert(runtest_holds(&rb_t, "base", "one=1\n"));
        ck_assert(runtest_holds(&rb_t, "left", "lost=all\n"));
        ck_assert_uint_eq(rb_result.verified, 1);
        ck_assert_str_eq(rb_state_of("left"), "pending");
    }
    rb_finish();
}
END_TEST

/* A check after a failed component is not run: it would judge something half restored. */
START_TEST(test_check_after_a_failure)
{
    char command[256];
    rb_prepare();
    runtest_script(&rb_t, "right", "restore failed\n");
    (void)snprintf(command, sizeof(command), "touch %s/ran", rb_t.dir);
    struct restore_step steps[] = {
        {.kind = RESTORE_STEP_COMPONENTS},
        {.kind = RESTORE_STEP_CHECK, .command = command, .timeout_ms = 30000},
    };
    struct restore_options options = {.set = rb_set, .steps = steps, .step_count = 2};
    ck_assert_int_eq(rb_restore(&options), ORCH_E_FAILED);
    ck_assert(runtest_told(&rb_t, "step 2 is left out, since a component failed before it"));
    CLEANUP_FREE char *ran = folder_read(rb_t.dir, "ran");
    ck_assert_ptr_null(ran);
    rb_finish();
}
END_TEST

/* ---- the future ---- */

/* What another component of the run will bring counts for a check, unless it goes elsewhere. */
START_TEST(test_future_file)
{
    static const char *const targets[] = {"base.path=/tmp/elsewhere"};
    rb_prepare();
    runtest_script(&rb_t, "top", _i == 2 ? "check future=none\n" : "check future=one\n");
    struct restore_options options = runtest_options();
    const char *const alone[] = {"top", "base"};
    struct restore_step step = {.components = alone, .component_count = 2};
    options.steps = &step;
    options.dry_run = true;
    options.targets = targets;
    options.target_count = _i == 1;
    /* `top` itself has an object of that name too; then it is its own that answers. */
    runtest_data(&rb_t, "base", "one=from base\n");
    runtest_data(&rb_t, "top", "other=x\n");
    runtest_backup(&rb_t, rb_set);
    ASSERT_OK(rb_restore(&options), rb_err);
    CLEANUP_FREE char *log = runtest_log(&rb_t);
    ck_assert_uint_eq(runtest_times(log, _i == 0 ? "top future from base" : "top future (none)"),
                      1);
    rb_finish();
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
    tcase_add_loop_test(tests, test_dependants_are_skipped, 0, (int)COUNT_OF(failures));
    tcase_add_loop_test(tests, test_writers_go_on, 0, 3);
    tcase_add_test(tests, test_settling_that_fails_is_a_warning);
    tcase_add_test(tests, test_all_fail);
    tcase_add_loop_test(tests, test_check_between, 0, 2);
    tcase_add_test(tests, test_check_after_a_failure);
    tcase_add_loop_test(tests, test_future_file, 0, 3);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
