/* restore.c: see restore.h. Resolve, preflight, confirm; then restore_stages.c does the work;
 * record. */
#include "run/restore.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/text.h"
#include "engine/check.h"
#include "run/ledger.h"
#include "run/parallel.h"
#include "run/reading.h"
#include "run/restore_impl.h"

/* ---- resolving, or picking up where an earlier attempt stopped ---- */

static int32_t pick_up(struct restore *r, char set_text[128], struct orch_error *err)
{
    (void)snprintf(set_text, 128, "%s", r->options->set);
    if (!r->options->resume) {
        return id_new(r->result->run_id, err);
    }
    json_t *request = restore_plan_request(r->options);
    int32_t rc = journal_resume(r->ctx->config, request, &r->journal, err);
    json_decref(request);
    if (rc != ORCH_OK) {
        return rc;
    }
    const char *set = json_string_value(json_object_get(journal_resolved(r->journal), "set"));
    if (set == NULL) {
        return orch_fail(err, ORCH_E_CORRUPT, "the journal of run %s names no set",
                         journal_run_id(r->journal));
    }
    r->resumed = true;
    (void)snprintf(set_text, 128, "%s", set);
    (void)snprintf(r->result->run_id, sizeof(r->result->run_id), "%s", journal_run_id(r->journal));
    return ORCH_OK;
}

static int32_t same_plan(struct restore *r, struct orch_error *err)
{
    static const struct {
        const char *key, *says;
    } sides[] = {
        {"config", "the configuration was changed"},
        {"steps", "the plan was changed"},
        {"targets", "the --target options are others"},
        {"components", "the set's parts are others"},
    };
    const char *says = "it is another repository or set";
    const json_t *then = r->resumed ? journal_resolved(r->journal) : NULL;
    if (then == NULL || json_equal(then, r->plan.resolved)) {
        return ORCH_OK;
    }
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
        if (!json_equal(json_object_get(then, sides[i].key),
                        json_object_get(r->plan.resolved, sides[i].key))) {
            says = sides[i].says;
            break;
        }
    }
    return orch_fail(err, ORCH_E_REFUSED,
                     "run %s cannot be resumed: %s since it began; undo that, or start anew with "
                     "--restart, which leaves what was set aside where it is",
                     r->result->run_id, says);
}

/* Without --resume, an unfinished restore of the same components is not silently overrun: what it
 * set aside may be the only original. */
static int32_t check_unfinished(struct restore *r, struct orch_error *err)
{
    if (r->resumed || r->options->dry_run) {
        return ORCH_OK;
    }
    CLEANUP_FREE const char **names = calloc(r->plan.job_count + 1, sizeof(*names));
    CLEANUP_FREE char *runs = NULL;
    if (names == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a restore");
    }
    for (size_t i = 0; i < r->plan.job_count; i++) {
        names[i] = r->plan.jobs[i].component->name;
    }
    int32_t rc = journal_unfinished(r->ctx->config, names, r->plan.job_count, &runs, err);
    if (rc != ORCH_OK || runs[0] == 0) {
        return rc;
    }
    if (!r->options->restart) {
        return orch_fail(err, ORCH_E_REFUSED,
                         "an earlier restore of these components did not finish (run %s); go on "
                         "with it by --resume, or give it up by --restart (what it set aside stays "
                         "where it is)",
                         runs);
    }
    return journal_abandon(r->ctx->config, names, r->plan.job_count, err);
}

static int32_t prepare(struct restore *r, struct orch_error *err)
{
    char set_text[128];
    int32_t rc = pick_up(r, set_text, err);
    if (rc == ORCH_OK) {
        rc = reading_lease(r->ctx, r->result->run_id, "restore", &r->lease, err);
    }
    if (rc == ORCH_OK) {
        rc = context_open_index(r->ctx, r->lease, false, &r->index, err);
    }
    if (rc == ORCH_OK) {
        rc = restore_plan_make(r->ctx, r->options, set_text, r->index, &r->plan, err);
    }
    if (rc == ORCH_OK) {
        rc = same_plan(r, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)snprintf(r->result->set_id, sizeof(r->result->set_id), "%s", r->plan.set->id);
    (void)snprintf(r->result->set_name, sizeof(r->result->set_name), "%s", r->plan.set->name);
    for (size_t i = 0; i < r->plan.job_count; i++) {
        struct restore_job *job = &r->plan.jobs[i];
        memcpy(job->run_id, r->result->run_id, sizeof(job->run_id));
        if (r->journal != NULL) {
            struct journal_component before = journal_component(r->journal, job->component->name);
            job->journal = r->journal;
            job->verified = before.verified;
            job->settled = before.settled;
        }
    }
    return ORCH_OK;
}

static int32_t estimate_all(struct restore *r, struct orch_error *err)
{
    json_t *history = NULL;
    int32_t rc = ledger_read(r->ctx->config, LEDGER_HISTORY, &history, err);
    for (size_t i = 0; rc == ORCH_OK && i < r->plan.job_count; i++) {
        struct restore_job *job = &r->plan.jobs[i];
        const struct part_content *content = &job->part->content;
        job->estimate = estimate_restore(history, job->component->name,
                                         content->object_bytes + content->record_bytes);
    }
    json_decref(history);
    return rc;
}

/* ---- preflight ---- */

/* A file that is damaged somewhere in the repository must not keep an intact set from coming back:
 * only what it hurts of this set refuses, and that names the component. */
static void integrity_finding(void *ctx, const struct check_finding *finding)
{
    struct restore *r = ctx;
    if (finding->component == NULL) {
        report_text(r->ctx->report, REPORT_WARNING, NULL, "integrity: %s: %s",
                    finding->file == NULL ? "repository" : finding->file, finding->problem);
        return;
    }
    for (size_t i = 0; i < r->plan.job_count; i++) {
        struct restore_job *job = &r->plan.jobs[i];
        if (strcmp(finding->component, job->component->name) != 0) {
            continue;
        }
        job->refused = true;
        if (job->refusal[0] == 0) {
            (void)snprintf(job->refusal, sizeof(job->refusal), "integrity: %.200s: %.600s",
                           finding->file != NULL     ? finding->file
                           : finding->object != NULL ? finding->object
                                                     : "repository",
                           finding->problem);
        }
        report_text(r->ctx->report, REPORT_FAILURE, job->component->name, "%s", job->refusal);
    }
}

static int32_t check_integrity(struct restore *r, struct orch_error *err)
{
    const char *sets[] = {r->plan.set->id, NULL};
    struct check_options options = {
        .level = CHECK_INDEX,
        .cache_dir = r->ctx->config->cache_dir,
        .trust_cache = true,
        .set_ids = sets,
        .finding = integrity_finding,
        .ctx = r,
    };
    struct check_result found = {0};
    return check_repository(r->ctx->repo, &options, &found, err);
}

static int32_t preflight(struct restore *r, struct orch_error *err)
{
    report_text(r->ctx->report, REPORT_PHASE, NULL, "preflight of %zu components from set %s",
                r->plan.job_count, r->plan.set->name);
    int32_t rc = check_integrity(r, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_FREE void **items = calloc(r->plan.job_count + 1, sizeof(*items));
    if (items == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a restore");
    }
    for (size_t i = 0; i < r->plan.job_count; i++) {
        items[i] = &r->plan.jobs[i];
    }
    parallel_run(items, r->plan.job_count, restore_job_check);
    if (context_cancelled(r->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "the run was cancelled; nothing was touched");
    }
    for (size_t i = 0; i < r->plan.job_count; i++) {
        const struct restore_job *job = &r->plan.jobs[i];
        if (job->refused && !job->verified) {
            return orch_fail(err, ORCH_E_REFUSED, "preflight refused, nothing was touched: %s: %s",
                             job->component->name, job->refusal);
        }
    }
    crash_point(CRASH_RESTORE_PREFLIGHTED);
    return ORCH_OK;
}

/* ---- consent and records ---- */

static int32_t consent(struct restore *r, struct orch_error *err)
{
    if (r->options->confirm == NULL) {
        return ORCH_OK;
    }
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "This replaces");
    for (size_t i = 0; i < r->plan.job_count; i++) {
        const struct restore_job *job = &r->plan.jobs[i];
        if (!job->verified) {
            buffer_printf(&text, "%s %s", i == 0 ? "" : ",", job->component->name);
        }
    }
    buffer_printf(&text, " by what set %s holds.", r->plan.set->name);
    const char *summary = buffer_string(&text);
    if (summary == NULL || !r->options->confirm(r->options->confirm_ctx, summary)) {
        return orch_fail(err, ORCH_E_CANCELLED, "not confirmed; nothing was touched");
    }
    return ORCH_OK;
}

static int32_t audit_overrides(struct restore *r, struct orch_error *err)
{
    for (size_t i = 0; i < r->plan.job_count; i++) {
        const struct restore_job *job = &r->plan.jobs[i];
        for (size_t k = 0; k < job->verdicts.count; k++) {
            const struct worker_verdict *v = &job->verdicts.items[k];
            bool overridden = job->overridden > 0 && (v->flags & ORCH_VERDICT_OVERRIDABLE) != 0;
            if (!overridden && (v->flags & ORCH_VERDICT_AUDIT) == 0) {
                continue;
            }
            json_t *entry =
                json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "what",
                          overridden ? "allow-incompatible" : "verdict", "run", r->result->run_id,
                          "set", r->plan.set->id, "component", job->component->name, "code",
                          text_json(v->code), "message", text_json(v->message));
            int32_t rc = ledger_append(r->ctx->config, LEDGER_AUDIT, entry, err);
            if (rc != ORCH_OK) {
                return orch_wrap(err, "nothing was touched: the audit trail cannot be written");
            }
        }
    }
    return ORCH_OK;
}

/* From here on the target may change: locks first, then the journal. */
static int32_t begin(struct restore *r, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < r->plan.job_count; i++) {
        rc = target_lock(r->ctx->config, r->plan.jobs[i].component->name, &r->locks, err);
    }
    if (rc == ORCH_OK) {
        rc = check_unfinished(r, err);
    }
    if (rc == ORCH_OK) {
        rc = audit_overrides(r, err);
    }
    if (rc == ORCH_OK && !r->resumed) {
        rc = journal_create(r->ctx->config, r->result->run_id, r->plan.request, r->plan.resolved,
                            &r->journal, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_point(CRASH_RESTORE_JOURNALLED);
    for (size_t i = 0; i < r->plan.job_count; i++) {
        r->plan.jobs[i].journal = r->journal;
    }
    return ORCH_OK;
}

/* ---- the end ---- */

static void count_outcome(struct restore *r)
{
    for (size_t i = 0; i < r->plan.job_count; i++) {
        const struct restore_job *job = &r->plan.jobs[i];
        if (job->verified && !job->failed) {
            r->result->verified++;
        } else {
            r->result->failed++;
        }
    }
}

static int32_t record(struct restore *r, int32_t rc, struct orch_error *err)
{
    const char *state = "completed";
    struct orch_error late = ORCH_ERROR_INIT;
    if (rc == ORCH_OK && r->result->failed > 0) {
        const struct restore_job *first = NULL;
        for (size_t i = 0; first == NULL && i < r->plan.job_count; i++) {
            first = r->plan.jobs[i].failed ? &r->plan.jobs[i] : NULL;
        }
        rc = orch_fail(err, ORCH_E_FAILED, "%zu of %zu components did not come back (%s: %.600s)",
                       r->result->failed, r->plan.job_count,
                       first == NULL ? "?" : first->component->name,
                       first == NULL ? "" : first->error.message);
    }
    if (rc != ORCH_OK) {
        state = rc == ORCH_E_CANCELLED    ? "cancelled"
                : r->result->verified > 0 ? "partial"
                                          : "failed";
    }
    json_t *components = json_object();
    for (size_t i = 0; i < r->plan.job_count; i++) {
        (void)json_object_set_new(components, r->plan.jobs[i].component->name,
                                  restore_job_json(&r->plan.jobs[i]));
    }
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "run", r->result->run_id, "set",
                  r->plan.set->id, "set_name", r->plan.set->name, "state", state, "elapsed_ms",
                  (json_int_t)r->result->elapsed_ms, "components", components);
    if (rc != ORCH_OK) {
        (void)json_object_set_new(entry, "error", text_json(err->message));
    }
    if (ledger_append(r->ctx->config, LEDGER_HISTORY, entry, &late) != ORCH_OK) {
        report_text(r->ctx->report, REPORT_WARNING, NULL, "the history has no record of this: %s",
                    late.message);
    }
    /* A run with something left to do stays unfinished, so that --resume finds it. */
    if (rc == ORCH_OK) {
        rc = journal_append(r->journal, "finished", NULL, json_pack("{s:s}", "state", state), err);
        crash_point(CRASH_RESTORE_FINISHED);
    }
    return rc;
}

/* Steps, their stages and what is known of each component, for --dry-run and --json. */
static json_t *document(const struct restore *r)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < r->plan.step_count; i++) {
        const struct restore_plan_step *step = &r->plan.steps[i];
        if (step->graph == NULL) {
            (void)json_array_append_new(
                steps, json_pack("{s:o}", "check", text_json(step->step->command)));
            continue;
        }
        json_t *stages = json_array();
        for (size_t s = 0; s < graph_stages(step->graph); s++) {
            size_t count = 0;
            const char *const *names = graph_stage(step->graph, s, &count);
            json_t *stage = json_array();
            for (size_t k = 0; k < count; k++) {
                (void)json_array_append_new(stage, json_string(names[k]));
            }
            (void)json_array_append_new(stages, stage);
        }
        (void)json_array_append_new(steps, json_pack("{s:o}", "restore", stages));
    }
    json_t *components = json_array();
    for (size_t i = 0; i < r->plan.job_count; i++) {
        (void)json_array_append_new(components, restore_job_json(&r->plan.jobs[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "run", r->result->run_id, "set",
                     r->result->set_id, "set_name", r->result->set_name, "dry_run",
                     (int)r->options->dry_run, "steps", steps, "components", components);
}

static int32_t work(struct restore *r, int64_t start_ms, struct orch_error *err)
{
    int32_t rc = prepare(r, err);
    if (rc == ORCH_OK) {
        rc = estimate_all(r, err);
    }
    if (rc == ORCH_OK) {
        rc = preflight(r, err);
    }
    if (rc == ORCH_OK && r->options->dry_run) {
        return ORCH_OK;
    }
    if (rc == ORCH_OK) {
        rc = consent(r, err);
    }
    if (rc == ORCH_OK) {
        rc = begin(r, err);
    }
    if (rc != ORCH_OK) {
        r->result->refused = rc == ORCH_E_REFUSED;
        return rc;
    }
    rc = restore_stages_run(r, err);
    count_outcome(r);
    r->result->elapsed_ms = clock_monotonic_ms() - start_ms;
    return record(r, rc, err);
}

int32_t restore_run(struct run_context *ctx, const struct restore_options *options,
                    struct restore_result *result, struct orch_error *err)
{
    *result = (struct restore_result){0};
    struct restore r = {.ctx = ctx, .options = options, .result = result};
    int64_t start_ms = clock_monotonic_ms();
    int32_t rc = work(&r, start_ms, err);
    result->elapsed_ms = clock_monotonic_ms() - start_ms;
    if (rc != ORCH_OK) {
        text_clean(err->message, sizeof(err->message));
    }
    if (r.plan.resolved != NULL) {
        result->document = document(&r);
    }
    restore_plan_clear(&r.plan);
    journal_close(r.journal);
    target_unlock_all(&r.locks);
    index_close(r.index);
    lease_end(r.lease);
    return rc;
}

void restore_result_clear(struct restore_result *result)
{
    json_decref(result->document);
    *result = (struct restore_result){0};
}
