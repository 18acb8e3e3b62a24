/* restore_job.c: see restore_job.h. */
#include "run/restore_job.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/content.h"

#define PROGRESS_EVERY_MS 200
#define FUTURE_FILE_MAX (4u << 20)
#define WRITERS_STAND "the data is back and verified, but its writers could not be started"

static struct orch_restore request_of(const struct restore_job *job, uint32_t attempt)
{
    const struct part_content *content = &job->part->content;
    return (struct orch_restore){
        .struct_size = (uint32_t)sizeof(struct orch_restore),
        .strategy = ORCH_STRATEGY_REPLACE,
        .attempt = attempt,
        .data_format = job->part->data_format,
        .run_id = job->run_id,
        .facts_json = job->part->facts_json,
        .items = content->objects + content->records,
        .size_bytes = content->object_bytes + content->record_bytes,
    };
}

/* ---- services ---- */

static int32_t service_intent(void *ctx, const char *action, const char *target, const char *aside,
                              struct orch_error *err)
{
    struct restore_job *job = ctx;
    json_t *details = json_pack("{s:o, s:o, s:o?}", "action", text_json(action), "target",
                                text_json(target), "aside", text_json(aside));
    int32_t rc = journal_append(job->journal, "intent", job->component->name, details, err);
    if (rc == ORCH_OK) {
        crash_point(CRASH_RESTORE_INTENT);
    }
    return rc;
}

static int32_t service_done(void *ctx, const char *action, const char *target,
                            struct orch_error *err)
{
    struct restore_job *job = ctx;
    json_t *details =
        json_pack("{s:o, s:o}", "action", text_json(action), "target", text_json(target));
    int32_t rc = journal_append(job->journal, "done", job->component->name, details, err);
    if (rc == ORCH_OK) {
        crash_point(CRASH_RESTORE_DONE);
    }
    return rc;
}

/* The file as another component of this run will bring it. One that a --target sends elsewhere does
 * not bring it. */
static int32_t service_future_file(void *ctx, const char *path, struct buffer *out,
                                   struct orch_error *err)
{
    const struct restore_job *job = ctx;
    for (size_t i = 0; i < job->peer_count; i++) {
        const struct restore_job *peer = &job->peers[i];
        if (peer->moved || peer->part == NULL) {
            continue;
        }
        int32_t rc = content_read_object(peer->ctx->repo, peer->index, peer->part, path,
                                         strlen(path), FUTURE_FILE_MAX, out, err);
        if (rc != ORCH_E_NOT_FOUND) {
            return rc;
        }
    }
    return orch_fail(err, ORCH_E_NOT_FOUND, "no component of this run brings %s", path);
}

/* ---- preflight ---- */

static void refuse(struct restore_job *job, const char *code, const char *message)
{
    job->refused = true;
    if (job->refusal[0] == 0) {
        (void)snprintf(job->refusal, sizeof(job->refusal), "%.80s: %.900s", code, message);
    }
}

static void judge(struct restore_job *job)
{
    for (size_t i = 0; i < job->verdicts.count; i++) {
        struct worker_verdict *v = &job->verdicts.items[i];
        if (v->severity == ORCH_VERDICT_REFUSE && job->allow_incompatible &&
            (v->flags & ORCH_VERDICT_OVERRIDABLE) != 0) {
            v->severity = ORCH_VERDICT_WARN;
            job->overridden++;
            report_text(job->ctx->report, REPORT_WARNING, job->component->name,
                        "OVERRIDDEN by --allow-incompatible: %s: %s", v->code, v->message);
            continue;
        }
        enum report_kind kind = REPORT_NOTE;
        if (v->severity == ORCH_VERDICT_WARN) {
            kind = REPORT_WARNING;
        } else if (v->severity == ORCH_VERDICT_REFUSE) {
            kind = REPORT_FAILURE;
            refuse(job, v->code, v->message);
        }
        report_text(job->ctx->report, kind, job->component->name, "%s%s%s%s: %s", v->code,
                    v->subject == NULL ? "" : " (", v->subject == NULL ? "" : v->subject,
                    v->subject == NULL ? "" : ")", v->message);
    }
}

static int32_t check_format(const struct restore_job *job, struct orch_error *err)
{
    const struct plugin_info *info = job->component->info;
    const struct part *part = job->part;
    if (strcmp(part->plugin, info->name) != 0) {
        return orch_fail(err, ORCH_E_INCOMPATIBLE,
                         "the part was made by plugin %s, the component is configured with %s",
                         part->plugin, info->name);
    }
    if (part->data_format < info->data_format_oldest || part->data_format > info->data_format) {
        return orch_fail(err, ORCH_E_VERSION,
                         "the part has data format %u, plugin %s %s reads %u to %u; install a "
                         "version that reads it",
                         part->data_format, info->name, info->version, info->data_format_oldest,
                         info->data_format);
    }
    return ORCH_OK;
}

static int32_t ask_plugin(struct restore_job *job, struct orch_error *err)
{
    CLEANUP(worker_cleanup) struct worker *worker = NULL;
    int32_t rc = context_open_worker(job->ctx, job->component, 0, &worker, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct worker_services services = {.ctx = job, .future_file = service_future_file};
    struct orch_restore request = request_of(job, 1);
    rc = worker_check(worker, &request, &services, &job->verdicts, err);
    struct orch_error late = ORCH_ERROR_INIT;
    if (worker_close(steal_ptr(&worker), &late) != ORCH_OK && rc == ORCH_OK) {
        *err = late;
        rc = late.code;
    }
    return rc;
}

void restore_job_check(void *item)
{
    struct restore_job *job = item;
    if (job->verified) {
        return;
    }
    struct orch_error err = ORCH_ERROR_INIT;
    report_text(job->ctx->report, REPORT_COMPONENT, job->component->name, "checking");
    int32_t rc = check_format(job, &err);
    if (rc == ORCH_OK) {
        rc = ask_plugin(job, &err);
    }
    if (rc != ORCH_OK) {
        refuse(job, orch_error_name(rc), err.message);
        report_text(job->ctx->report, REPORT_FAILURE, job->component->name, "%s", err.message);
        return;
    }
    judge(job);
    log_debug(job->component->name, "preflight: %zu verdicts, %s", job->verdicts.count,
              job->refused ? "refused" : "go");
}

/* ---- execution ---- */

static int32_t count_next(void *ctx, struct orch_event *event, struct orch_error *err);

struct feed {
    struct restore_job *job;
    struct content_reader *reader;
};

static int32_t count_next(void *ctx, struct orch_event *event, struct orch_error *err)
{
    struct feed *feed = ctx;
    struct restore_job *job = feed->job;
    int32_t rc = content_next(feed->reader, event, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (event->type == ORCH_EVENT_DATA || event->type == ORCH_EVENT_HOLE) {
        job->bytes += event->data_len;
    } else if (event->type == ORCH_EVENT_ITEM_END) {
        job->items++;
    }
    int64_t now = clock_monotonic_ms();
    if (now - job->reported_ms >= PROGRESS_EVERY_MS) {
        const struct part_content *content = &job->part->content;
        job->reported_ms = now;
        struct report_event progress = {
            .kind = REPORT_PROGRESS,
            .component = job->component->name,
            .items = job->items,
            .bytes = job->bytes,
            .total_items = content->objects + content->records,
            .total_bytes = content->object_bytes + content->record_bytes,
        };
        report_send(job->ctx->report, &progress);
        if (context_cancelled(job->ctx)) {
            return orch_fail(err, ORCH_E_CANCELLED, "the run was cancelled");
        }
    }
    return ORCH_OK;
}

static int32_t apply(struct restore_job *job, struct worker *worker,
                     const struct orch_restore *request, struct orch_error *err)
{
    struct feed feed = {.job = job};
    int32_t rc = content_open(job->ctx->repo, job->index, job->part,
                              CONTENT_JOBS(context_jobs(job->ctx)), &feed.reader, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct event_source source = {.ctx = &feed, .next = count_next};
    struct worker_services services = {
        .ctx = job,
        .intent = service_intent,
        .done = service_done,
    };
    struct worker_done done = {0};
    report_text(job->ctx->report, REPORT_COMPONENT, job->component->name, "restoring");
    rc = worker_restore(worker, request, &source, &services, &done, err);
    content_close(feed.reader);
    if (rc == ORCH_OK && done.items != request->items) {
        rc = orch_fail(err, ORCH_E_FAILED, "the plugin took %llu items of %llu",
                       (unsigned long long)done.items, (unsigned long long)request->items);
    }
    return rc;
}

static int32_t prove(struct restore_job *job, struct worker *worker,
                     const struct orch_restore *request, struct orch_error *err)
{
    struct worker_verdicts verdicts = {0};
    report_text(job->ctx->report, REPORT_COMPONENT, job->component->name, "verifying");
    int32_t rc = worker_verify(worker, request, &verdicts, err);
    for (size_t i = 0; rc == ORCH_OK && i < verdicts.count; i++) {
        const struct worker_verdict *v = &verdicts.items[i];
        if (v->severity == ORCH_VERDICT_REFUSE) {
            rc = orch_fail(err, ORCH_E_FAILED, "verification failed: %s: %s", v->code, v->message);
        } else if (v->severity == ORCH_VERDICT_WARN) {
            report_text(job->ctx->report, REPORT_WARNING, job->component->name, "%s: %s", v->code,
                        v->message);
        }
    }
    worker_verdicts_free(&verdicts);
    return rc;
}

static int32_t end_attempt(struct restore_job *job, struct worker *worker,
                           const struct orch_restore *request, uint32_t outcome,
                           struct orch_error *err)
{
    struct worker_services services = {.ctx = job, .intent = service_intent, .done = service_done};
    return worker_settle(worker, request, outcome, &services, err);
}

static int32_t settle(struct restore_job *job, struct worker *worker,
                      const struct orch_restore *request, struct orch_error *err)
{
    int32_t rc = end_attempt(job, worker, request, ORCH_SETTLE_VERIFIED, err);
    if (rc == ORCH_OK) {
        rc = journal_append(job->journal, "settled", job->component->name, NULL, err);
    }
    if (rc == ORCH_OK) {
        job->settled = true;
        crash_point(CRASH_RESTORE_SETTLED);
    }
    return rc;
}

/* Restore and verify between quiesce and resume; the writers go on whatever happened. */
static int32_t replace(struct restore_job *job, struct worker *worker,
                       const struct orch_restore *request, struct orch_error *err)
{
    int32_t rc = worker_quiesce(worker, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "writers could not be stopped, nothing was touched");
    }
    rc = apply(job, worker, request, err);
    if (rc == ORCH_OK) {
        crash_point(CRASH_RESTORE_APPLIED);
        rc = journal_append(job->journal, "applied", job->component->name, NULL, err);
    }
    if (rc == ORCH_OK) {
        rc = prove(job, worker, request, err);
    }
    if (rc == ORCH_OK) {
        rc = journal_append(job->journal, "verified", job->component->name, NULL, err);
    }
    if (rc == ORCH_OK) {
        job->verified = true;
        crash_point(CRASH_RESTORE_VERIFIED);
    }
    struct orch_error late = ORCH_ERROR_INIT;
    if (worker_resume(worker, &late) != ORCH_OK && rc == ORCH_OK) {
        *err = late;
        rc = orch_wrap(err, WRITERS_STAND);
    }
    return rc;
}

static int32_t execute(struct restore_job *job, struct orch_error *err)
{
    struct journal_component before = journal_component(job->journal, job->component->name);
    struct orch_restore request = request_of(job, before.attempts + 1);
    json_t *details = json_pack("{s:I}", "attempt", (json_int_t)request.attempt);
    int32_t rc = journal_append(job->journal, "begun", job->component->name, details, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_point(CRASH_RESTORE_COMPONENT_STARTED);
    CLEANUP(worker_cleanup) struct worker *worker = NULL;
    rc = context_open_worker(job->ctx, job->component, 0, &worker, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = replace(job, worker, &request, err);
    struct orch_error late = ORCH_ERROR_INIT;
    if (job->verified && rc == ORCH_OK) {
        if (settle(job, worker, &request, &late) != ORCH_OK) {
            report_text(job->ctx->report, REPORT_WARNING, job->component->name,
                        "verified, but what was set aside could not be let go: %s", late.message);
        }
    } else if (job->verified) {
        /* Its writers stand still: it stays unsettled, so that --resume starts them. */
        log_debug(job->component->name, "left unsettled");
    } else if (end_attempt(job, worker, &request, ORCH_SETTLE_FAILED, &late) != ORCH_OK) {
        log_debug(job->component->name, "settling the failure: %s", late.message);
    }
    if (worker_close(steal_ptr(&worker), &late) != ORCH_OK && rc == ORCH_OK) {
        *err = late;
        rc = late.code;
    }
    return rc;
}

static void job_failed(struct restore_job *job, const struct orch_error *why)
{
    struct orch_error late = ORCH_ERROR_INIT;
    job->failed = true;
    job->error = *why;
    json_t *details = json_pack("{s:o}", "error", text_json(why->message));
    if (journal_append(job->journal, "failed", job->component->name, details, &late) != ORCH_OK) {
        log_warning(job->component->name, "%s", late.message);
    }
    report_text(job->ctx->report, REPORT_FAILURE, job->component->name, "%s", why->message);
}

void restore_job_execute(void *item)
{
    struct restore_job *job = item;
    struct orch_error err = ORCH_ERROR_INIT;
    int64_t start = clock_monotonic_ms();
    int32_t rc = execute(job, &err);
    job->elapsed_ms = clock_monotonic_ms() - start;
    if (rc != ORCH_OK) {
        job_failed(job, &err);
        return;
    }
    struct report_event done = {.kind = REPORT_COMPONENT,
                                .component = job->component->name,
                                .text = "restored and verified",
                                .items = job->items,
                                .bytes = job->bytes};
    report_send(job->ctx->report, &done);
}

void restore_job_settle(void *item)
{
    struct restore_job *job = item;
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_restore request = request_of(job, 1);
    CLEANUP(worker_cleanup) struct worker *worker = NULL;
    int32_t rc = context_open_worker(job->ctx, job->component, 0, &worker, &err);
    if (rc == ORCH_OK) {
        rc = worker_resume(worker, &err);
    }
    if (rc != ORCH_OK) {
        (void)orch_wrap(&err, WRITERS_STAND);
        job_failed(job, &err);
        return;
    }
    if (settle(job, worker, &request, &err) != ORCH_OK) {
        report_text(job->ctx->report, REPORT_WARNING, job->component->name,
                    "verified, but what was set aside could not be let go: %s", err.message);
    }
}

void restore_job_clear(struct restore_job *job)
{
    worker_verdicts_free(&job->verdicts);
    part_free(job->part);
    job->part = NULL;
}

static json_t *verdicts_json(const struct worker_verdicts *verdicts)
{
    static const char *const severities[] = {"go", "warn", "refuse"};
    json_t *list = json_array();
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct worker_verdict *v = &verdicts->items[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:o, s:o?, s:o}", "severity",
                                                    severities[v->severity <= 2 ? v->severity : 2],
                                                    "code", text_json(v->code), "subject",
                                                    text_json(v->subject), "message",
                                                    text_json(v->message)));
    }
    return list;
}

json_t *restore_job_json(const struct restore_job *job)
{
    const char *state = "pending";
    if (job->verified && !job->failed) {
        state = "verified";
    } else if (job->failed) {
        state = "failed";
    } else if (job->skipped) {
        state = "skipped";
    } else if (job->refused) {
        state = "refused";
    }
    const struct part_content *content = &job->part->content;
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "component", job->component->name,
                  "plugin", job->component->plugin, "state", state, "items",
                  (json_int_t)(content->objects + content->records), "size_bytes",
                  (json_int_t)(content->object_bytes + content->record_bytes), "elapsed_ms",
                  (json_int_t)job->elapsed_ms, "overridden", (json_int_t)job->overridden,
                  "verdicts", verdicts_json(&job->verdicts));
    (void)json_object_set_new(json, "estimated_ms", json_integer(job->estimate.ms));
    (void)json_object_set_new(json, "estimate",
                              json_string(job->estimate.measured ? "measured" : "guessed"));
    const char *error = job->failed ? job->error.message : job->refusal;
    if (error[0] != 0) {
        (void)json_object_set_new(json, "error", text_json(error));
    }
    return json;
}
