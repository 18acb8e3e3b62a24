/* test_restore_refused.c: restore runs over scripted components that are refused, asked about, or
 * asked for wrongly. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restorebase.h"
#include "run/ledger.h"
#include "run/target_lock.h"

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
    rb_prepare();
    runtest_script(&rb_t, "top", refusals[_i].script);
    struct restore_options options = runtest_options();
    options.dry_run = _i % 2 == 1; /* a dry run says the same */
    ASSERT_FAILS(rb_restore(&options), ORCH_E_REFUSED, rb_err,
                 "preflight refused, nothing was touched: top: ");
    ck_assert_msg(strstr(rb_err.message, refusals[_i].says) != NULL, "%s", rb_err.message);
    ck_assert(rb_result.refused);
    ck_assert_uint_eq(rb_result.verified, 0);
    ck_assert_str_eq(rb_state_of("top"), "refused");
    ck_assert_str_eq(rb_state_of("base"), "pending");
    rb_assert_untouched();
    rb_finish();
}
END_TEST

/* The one entry of the audit. */
static void assert_audited(const char *what, const char *component, const char *code)
{
    json_t *audit = rb_ledger(LEDGER_AUDIT);
    ck_assert_uint_eq(json_array_size(audit), 1);
    const json_t *entry = json_array_get(audit, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "what")), what);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "component")), component);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "code")), code);
    json_decref(audit);
}

START_TEST(test_warnings_do_not_stop)
{
    rb_prepare();
    runtest_script(&rb_t, "top", "check warn\nverify warn\n");
    runtest_script(&rb_t, "base", "check audit\n");
    struct restore_options options = runtest_options();
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert(runtest_told(&rb_t, "warning top scripted (data): the script says warn"));
    assert_audited("verdict", "base", "scripted");
    rb_finish();
}
END_TEST

START_TEST(test_allow_incompatible)
{
    rb_prepare();
    struct restore_options options = runtest_options();
    options.allow_incompatible = true;
    runtest_script(&rb_t, "left", "check overridable\n");
    runtest_script(&rb_t, "right", "check refuse\n");
    /* A refusal that cannot be overridden still stops all, and then nothing is audited. */
    ASSERT_FAILS(rb_restore(&options), ORCH_E_REFUSED, rb_err,
                 "right: scripted: the script says refuse");
    rb_assert_untouched();
    json_t *audit = rb_ledger(LEDGER_AUDIT);
    ck_assert_uint_eq(json_array_size(audit), 0);
    json_decref(audit);
    runtest_script(&rb_t, "right", "");
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert(runtest_told(&rb_t, "OVERRIDDEN by --allow-incompatible"));
    assert_audited("allow-incompatible", "left", "scripted");
    rb_finish();
}
END_TEST

/* The part is damaged: found before anything is touched. */
START_TEST(test_damaged_repository)
{
    static const char *const folders[] = {"parts", "packs", "index"};
    char command[256];
    rb_prepare();
    (void)snprintf(command, sizeof(command), "find '%s/repo/%s' -type f -delete", rb_t.dir,
                   folders[_i]);
    ck_assert_int_eq(system(command), 0);
    runtest_reopen(&rb_t);
    struct restore_options options = runtest_options();
    int32_t rc = rb_restore(&options);
    ck_assert_msg(rc == ORCH_E_REFUSED || rc == ORCH_E_CORRUPT || rc == ORCH_E_NOT_FOUND, "%d %s",
                  (int)rc, rb_err.message);
    rb_assert_untouched();
    rb_finish();
}
END_TEST

/* Another process restores one of the components: nothing is begun. */
START_TEST(test_target_is_busy)
{
    rb_prepare();
    int ready[2], go[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct target_locks locks = {0};
        byte = target_lock(rb_t.ctx.config, "right", &locks, &rb_err) == ORCH_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1 || close(go[1]) != 0 || read(go[0], &byte, 1) != 0) {
            _exit(1);
        }
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'y');
    struct restore_options options = runtest_options();
    ASSERT_FAILS(rb_restore(&options), ORCH_E_BUSY, rb_err,
                 "\"right\" is being restored by another");
    rb_assert_untouched();
    int status = -1;
    (void)close(go[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ASSERT_OK(rb_restore(&options), rb_err);
    rb_finish();
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
    rb_prepare();
    struct restore_options options = runtest_options();
    options.confirm = answer;
    options.confirm_ctx = asked;
    ASSERT_FAILS(rb_restore(&options), ORCH_E_CANCELLED, rb_err,
                 "not confirmed; nothing was touched");
    ck_assert_msg(strncmp(asked, "This replaces base, left, right, top by what set ", 49) == 0,
                  "%s", asked);
    rb_assert_untouched();
    /* One component alone: the answer is yes. */
    const char *const one[] = {"top"};
    struct restore_step step = {.components = one, .component_count = 1};
    options.steps = &step;
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert_int_eq(strncmp(asked, "This replaces top by what set ", 30), 0);
    ck_assert(runtest_holds(&rb_t, "top", "one=1\n"));
    ck_assert(runtest_holds(&rb_t, "left", "lost=all\n"));
    rb_finish();
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
    rb_prepare();
    struct restore_step step = {.components = requests[_i].components};
    while (requests[_i].components[step.component_count] != NULL) {
        step.component_count++;
    }
    struct restore_options options = {.set = requests[_i].set, .steps = &step, .step_count = 1};
    ASSERT_FAILS(rb_restore(&options), requests[_i].rc, rb_err, requests[_i].says);
    ck_assert_ptr_null(rb_result.document);
    rb_assert_untouched();
    rb_finish();
}
END_TEST

/* What is said of a component that stays as it is; the other one would go to its own place. */
START_TEST(test_target_of_another)
{
    static const char *const targets[] = {"base.path=/tmp/elsewhere"};
    rb_prepare();
    const char *const one[] = {"top"};
    struct restore_step step = {.components = one, .component_count = 1};
    struct restore_options options = {
        .set = rb_set, .steps = &step, .step_count = 1, .targets = targets, .target_count = 1};
    ASSERT_FAILS(rb_restore(&options), ORCH_E_CONFIG, rb_err,
                 "--target base.path=/tmp/elsewhere is for a component that is not restored");
    rb_assert_untouched();
    rb_finish();
}
END_TEST

/* The repository would go with what is replaced. */
START_TEST(test_repository_in_the_way)
{
    rb_prepare();
    const char *const one[] = {"top"};
    CLEANUP_FREE char *target = NULL;
    ck_assert_int_ge(asprintf(&target, "top.path=%s/repo/packs", rb_t.dir), 0);
    const char *const targets[] = {target};
    struct restore_step step = {.components = one, .component_count = 1};
    struct restore_options options = {
        .set = rb_set, .steps = &step, .step_count = 1, .targets = targets, .target_count = 1};
    ASSERT_OK(config_override(rb_t.ctx.config, target, &rb_err), rb_err);
    ASSERT_FAILS(rb_restore(&options), ORCH_E_REFUSED, rb_err, "would be lost with it");
    rb_assert_untouched();
    rb_finish();
}
END_TEST

START_TEST(test_a_step_of_all_stands_alone)
{
    rb_prepare();
    const char *const one[] = {"base"};
    struct restore_step steps[] = {{.components = one, .component_count = 1}, {.components = NULL}};
    struct restore_options options = {.set = rb_set, .steps = steps, .step_count = 2};
    ASSERT_FAILS(rb_restore(&options), ORCH_E_CONFIG, rb_err, "it stands alone");
    rb_assert_untouched();
    rb_finish();
}
END_TEST

/* A set in which a component failed: "latest" passes over it; by name it is refused with the cause.
 */
START_TEST(test_a_component_that_failed)
{
    struct backup_options partial = {.type = "full"};
    struct backup_result taken;
    rb_prepare();
    runtest_script(&rb_t, "top", "backup failed 1\n");
    ck_assert_int_eq(backup_run(&rb_t.ctx, &partial, &taken, &rb_err), ORCH_E_FAILED);
    const char *const one[] = {"top"};
    struct restore_step step = {.components = one, .component_count = 1};
    struct restore_options options = {.set = taken.set->id, .steps = &step, .step_count = 1};
    ASSERT_FAILS(rb_restore(&options), ORCH_E_REFUSED, rb_err,
                 "(the script says failed); choose another");
    options.set = "latest";
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert_str_eq(rb_result.set_id, rb_set);
    backup_result_clear(&taken);
    rb_finish();
}
END_TEST

START_TEST(test_a_set_without_the_component)
{
    struct backup_options one_only = {.type = "full", .component_count = 1};
    struct backup_result taken;
    rb_prepare();
    const char *const base[] = {"base"}, *const both[] = {"base", "top"};
    one_only.components = base;
    ASSERT_OK(backup_run(&rb_t.ctx, &one_only, &taken, &rb_err), rb_err);
    struct restore_step step = {.components = both, .component_count = 2};
    struct restore_options options = {.set = taken.set->id, .steps = &step, .step_count = 1};
    ASSERT_FAILS(rb_restore(&options), ORCH_E_REFUSED, rb_err, "does not hold component \"top\"");
    options.set = "latest"; /* the newest that holds both */
    ASSERT_OK(rb_restore(&options), rb_err);
    ck_assert_str_eq(rb_result.set_id, rb_set);
    backup_result_clear(&taken);
    rb_finish();
}
END_TEST

/* The configuration has lost a component that the set holds, or gives it to another plugin. */
START_TEST(test_a_changed_configuration)
{
    rb_prepare();
    CLEANUP_FREE char *text = folder_read(rb_t.dir, "conf.d/main.conf");
    char *top = strstr(text, "  top:");
    CLEANUP_BUFFER struct buffer changed = BUFFER_INIT;
    if (_i == 0) {
        memcpy(top, "  new:", 6);
        buffer_text(&changed, text);
    } else {
        char *end = strstr(top, "scripted\"") + strlen("scripted");
        buffer_printf(&changed, "%.*s-empty%s", (int)(end - text), text, end);
    }
    folder_write(rb_t.dir, "conf.d/main.conf", buffer_string(&changed));
    runtest_reopen(&rb_t);
    struct restore_options options = runtest_options();
    if (_i == 0) {
        ASSERT_FAILS(rb_restore(&options), ORCH_E_NOT_FOUND, rb_err, "has no good part of new");
        options.set = rb_set;
        ASSERT_FAILS(rb_restore(&options), ORCH_E_CONFIG, rb_err, "holds component \"top\", which");
    } else {
        ASSERT_FAILS(rb_restore(&options), ORCH_E_REFUSED, rb_err,
                     "the part was made by plugin scripted, the component is configured with "
                     "scripted-empty");
    }
    rb_assert_untouched();
    rb_finish();
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("restore_refused");
    TCase *tests = tcase_create("restore_refused");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_refused, 0, (int)COUNT_OF(refusals));
    tcase_add_test(tests, test_warnings_do_not_stop);
    tcase_add_test(tests, test_allow_incompatible);
    tcase_add_loop_test(tests, test_damaged_repository, 0, 3);
    tcase_add_test(tests, test_target_is_busy);
    tcase_add_test(tests, test_confirmation);
    tcase_add_loop_test(tests, test_requests, 0, (int)COUNT_OF(requests));
    tcase_add_test(tests, test_target_of_another);
    tcase_add_test(tests, test_repository_in_the_way);
    tcase_add_test(tests, test_a_step_of_all_stands_alone);
    tcase_add_test(tests, test_a_component_that_failed);
    tcase_add_test(tests, test_a_set_without_the_component);
    tcase_add_loop_test(tests, test_a_changed_configuration, 0, 2);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
