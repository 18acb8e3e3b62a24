/* restore_stages.c: the steps of a confirmed restore, stage by stage, and the checks between them.
 */
#include "base/crash.h"
#include "run/parallel.h"
#include "run/restore_impl.h"
#include "run/shell.h"

/* The failed or skipped component that `job` depends on, or NULL. */
static const char *blocked_by(const struct restore *r, const struct restore_job *job)
{
    for (size_t i = 0; i < r->plan.job_count; i++) {
        const struct restore_job *other = &r->plan.jobs[i];
        if ((other->failed || other->skipped) &&
            graph_depends(r->ctx->config->graph, job->component->name, other->component->name)) {
            return other->component->name;
        }
    }
    return NULL;
}

static int32_t run_stage(struct restore *r, const char *const *names, size_t count,
                         struct orch_error *err)
{
    CLEANUP_FREE void **items = calloc(count + 1, sizeof(*items));
    if (items == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a stage");
    }
    size_t work = 0;
    for (size_t i = 0; i < count; i++) {
        struct restore_job *job = restore_plan_job(&r->plan, names[i]);
        const char *blocker = blocked_by(r, job);
        if (job->verified) {
            report_text(r->ctx->report, REPORT_NOTE, names[i], "verified by an earlier attempt");
            if (!job->settled) {
                restore_job_settle(job);
            }
        } else if (blocker != NULL) {
            job->skipped = true;
            report_text(r->ctx->report, REPORT_FAILURE, names[i],
                        "not restored: it depends on %s, which failed", blocker);
        } else {
            items[work++] = job;
        }
    }
    parallel_run(items, work, restore_job_execute);
    crash_point(CRASH_RESTORE_STAGE_ENDED);
    if (context_cancelled(r->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED,
                         "the restore was cancelled; go on with it by --resume");
    }
    return ORCH_OK;
}

static int32_t run_components(struct restore *r, const struct graph *graph, size_t step,
                              struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    size_t stages = graph_stages(graph);
    for (size_t s = 0; rc == ORCH_OK && s < stages; s++) {
        size_t count = 0;
        const char *const *names = graph_stage(graph, s, &count);
        CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
        for (size_t i = 0; i < count; i++) {
            buffer_printf(&text, "%s%s", i == 0 ? "" : ", ", names[i]);
        }
        const char *list = buffer_string(&text);
        report_text(r->ctx->report, REPORT_PHASE, NULL, "step %zu of %zu, stage %zu of %zu: %s",
                    step + 1, r->plan.step_count, s + 1, stages, list == NULL ? "" : list);
        rc = run_stage(r, names, count, err);
    }
    return rc;
}

static bool any_failed(const struct restore *r)
{
    for (size_t i = 0; i < r->plan.job_count; i++) {
        if (r->plan.jobs[i].failed || r->plan.jobs[i].skipped) {
            return true;
        }
    }
    return false;
}

static int32_t run_check(struct restore *r, const struct restore_step *step, size_t number,
                         struct orch_error *err)
{
    if (journal_step_passed(r->journal, number)) {
        report_text(r->ctx->report, REPORT_NOTE, NULL, "step %zu passed in an earlier attempt",
                    number + 1);
        return ORCH_OK;
    }
    report_text(r->ctx->report, REPORT_PHASE, NULL, "step %zu of %zu: check: %s", number + 1,
                r->plan.step_count, step->command);
    char run[64], set[64], name[64];
    (void)snprintf(run, sizeof(run), "ORCHESTRATE_RUN=%s", r->result->run_id);
    (void)snprintf(set, sizeof(set), "ORCHESTRATE_SET=%s", r->result->set_id);
    (void)snprintf(name, sizeof(name), "ORCHESTRATE_SET_NAME=%s", r->result->set_name);
    const char *facts[] = {run, set, name, NULL};
    int32_t rc = shell_run(step->command, facts, step->timeout_ms, r->ctx->cancel, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "step %zu failed, later steps were not begun", number + 1);
    }
    json_t *details = json_pack("{s:I}", "step", (json_int_t)number);
    return journal_append(r->journal, "step-passed", NULL, details, err);
}

int32_t restore_stages_run(struct restore *r, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < r->plan.step_count; i++) {
        const struct restore_plan_step *step = &r->plan.steps[i];
        if (step->graph != NULL) {
            rc = run_components(r, step->graph, i, err);
        } else if (any_failed(r)) {
            report_text(r->ctx->report, REPORT_WARNING, NULL,
                        "step %zu is left out, since a component failed before it: %s", i + 1,
                        step->step->command);
        } else {
            rc = run_check(r, step->step, i, err);
        }
    }
    return rc;
}
