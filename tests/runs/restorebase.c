/* restorebase.c: see restorebase.h. */
#include "restorebase.h"

#include <stdio.h>

#include "run/ledger.h"

struct runtest rb_t;
struct orch_error rb_err;
struct restore_result rb_result;
char rb_set[ID_TEXT];

static const char *const rb_four[] = {"base", "left: base", "right: base", "top: left", NULL};
const char *const rb_names[4] = {"base", "left", "right", "top"};

void rb_prepare(void)
{
    runtest_make(&rb_t, rb_four, NULL);
    runtest_backup(&rb_t, rb_set);
    for (size_t i = 0; i < 4; i++) {
        runtest_data(&rb_t, rb_names[i], "lost=all\n");
    }
}

int32_t rb_restore(const struct restore_options *options)
{
    restore_result_clear(&rb_result);
    rb_err = (struct orch_error)ORCH_ERROR_INIT;
    return restore_run(&rb_t.ctx, options, &rb_result, &rb_err);
}

void rb_finish(void)
{
    restore_result_clear(&rb_result);
    runtest_remove(&rb_t);
}

json_t *rb_ledger(const char *name)
{
    json_t *entries = NULL;
    ASSERT_OK(ledger_read(rb_t.ctx.config, name, &entries, &rb_err), rb_err);
    return entries;
}

const char *rb_state_of(const char *component)
{
    return runtest_member(json_object_get(rb_result.document, "components"), component, "state");
}

const char *rb_error_of(const char *component)
{
    return runtest_member(json_object_get(rb_result.document, "components"), component, "error");
}

void rb_assert_untouched(void)
{
    CLEANUP_FREE char *log = runtest_log(&rb_t);
    for (size_t i = 0; i < 4; i++) {
        static const char *const acts[] = {"quiesce", "restore", "settle-verified", "settle-failed",
                                           "resume"};
        ck_assert(runtest_holds(&rb_t, rb_names[i], "lost=all\n"));
        for (size_t k = 0; k < COUNT_OF(acts); k++) {
            char line[64];
            (void)snprintf(line, sizeof(line), "%s %s", rb_names[i], acts[k]);
            ck_assert_msg(runtest_times(log, line) == 0, "%s", line);
        }
    }
    ck_assert_uint_eq(folder_count(rb_t.dir, "state/journals"), 0);
    ck_assert_uint_eq(folder_count(rb_t.dir, "repo/leases"), 0);
    json_t *history = rb_ledger(LEDGER_HISTORY);
    ck_assert_uint_eq(json_array_size(history), 0);
    json_decref(history);
}
