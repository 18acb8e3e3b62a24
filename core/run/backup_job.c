/* backup_job.c: see backup_job.h. */
#include "run/backup_job.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/content.h"

#define PROGRESS_EVERY_MS 200
#define SLEEP_NS (50 * 1000000)

static void job_failed(struct backup_job *job, const struct orch_error *why)
{
    job->failed = true;
    job->error = *why;
    text_clean(job->error.message, sizeof(job->error.message));
    report_text(job->ctx->report, REPORT_FAILURE, job->component->name, "%s", why->message);
    log_debug(job->component->name, "failed: %s", why->message);
}

void backup_job_prepare(void *item)
{
    struct backup_job *job = item;
    struct orch_error err = ORCH_ERROR_INIT;
    if (atomic_load(job->given_up)) {
        return;
    }
    report_text(job->ctx->report, REPORT_COMPONENT, job->component->name, "probing");
    job->part.started_ns = clock_wall_ns();
    if (context_open_worker(job->ctx, job->component, job->rate.bytes_per_second, &job->worker,
                            &err) != ORCH_OK) {
        job_failed(job, &err);
        return;
    }
    if (atomic_load(job->given_up)) {
        return;
    }
    job->probe = (struct orch_probe){.struct_size = (uint32_t)sizeof(job->probe),
                                     .items = ORCH_SIZE_UNKNOWN,
                                     .size_bytes = ORCH_SIZE_UNKNOWN};
    if (worker_probe(job->worker, &job->probe, &err) != ORCH_OK) {
        (void)orch_wrap(&err, "the probe failed, nothing was read");
        job_failed(job, &err);
    }
}

void backup_job_freeze(void *item)
{
    struct backup_job *job = item;
    if (job->failed) {
        return;
    }
    struct orch_error err = ORCH_ERROR_INIT;
    report_text(job->ctx->report, REPORT_COMPONENT, job->component->name, "freezing");
    job->freeze = (struct orch_freeze){.struct_size = (uint32_t)sizeof(job->freeze)};
    int32_t rc = ORCH_OK;
    /* A fuzzy backup reads from now on, so the instant before the call is the safe one. */
    job->part.frozen_ns = clock_wall_ns();
    rc = worker_freeze(job->worker, &job->freeze, &err);
    if (rc != ORCH_OK) {
        job_failed(job, &err);
        return;
    }
    log_debug(job->component->name, "frozen: consistency %u%s%s", job->freeze.consistency,
              job->freeze.cost[0] != 0 ? ", cost: " : "", job->freeze.cost);
}

static void tell_progress(struct backup_job *job, int64_t now_ms)
{
    job->reported_ms = now_ms;
    struct report_event progress = {
        .kind = REPORT_PROGRESS,
        .component = job->component->name,
        .items = job->items,
        .bytes = job->bytes,
        .total_items = job->probe.items == ORCH_SIZE_UNKNOWN ? 0 : job->probe.items,
        .total_bytes = job->probe.size_bytes == ORCH_SIZE_UNKNOWN ? 0 : job->probe.size_bytes,
    };
    report_send(job->ctx->report, &progress);
}

/* Holds the stream back until `bytes` are paid for; the worker can be ahead by what it may read
 * ahead, no more. In short sleeps, so that a cancel is seen. */
static int32_t hold_back(struct backup_job *job, uint64_t bytes, struct orch_error *err)
{
    int64_t now = clock_monotonic_ns();
    int64_t until = rate_take(&job->rate, bytes, now);
    for (; now < until; now = clock_monotonic_ns()) {
        int64_t left = until - now < SLEEP_NS ? until - now : SLEEP_NS;
        struct timespec pause = {.tv_nsec = (long)left};
        (void)nanosleep(&pause, NULL);
        if (context_cancelled(job->ctx)) {
            return orch_fail(err, ORCH_E_CANCELLED, "the run was cancelled");
        }
        if (clock_monotonic_ms() - job->reported_ms >= PROGRESS_EVERY_MS) {
            tell_progress(job, clock_monotonic_ms());
        }
    }
    return ORCH_OK;
}

/* The sink between worker and part_writer: counts, keeps to the rate, and stops when the run is
 * cancelled. */
static int32_t sink_put(void *ctx, const struct orch_event *event, struct orch_error *err)
{
    struct backup_job *job = ctx;
    int32_t rc = ORCH_OK;
    switch (event->type) {
    case ORCH_EVENT_DATA:
        job->bytes += event->data_len;
        rc = job->rate.bytes_per_second > 0 ? hold_back(job, event->data_len, err) : ORCH_OK;
        break;
    case ORCH_EVENT_OBJECT:
    case ORCH_EVENT_RECORD:
    case EVENT_UNCHANGED:
        job->items++;
        break;
    default:
        break;
    }
    int64_t now = clock_monotonic_ms();
    if (rc == ORCH_OK && now - job->reported_ms >= PROGRESS_EVERY_MS) {
        tell_progress(job, now);
        if (context_cancelled(job->ctx)) {
            rc = orch_fail(err, ORCH_E_CANCELLED, "the run was cancelled");
        }
    }
    return rc == ORCH_OK ? part_writer_put(job->part_writer, event, err) : rc;
}

static int32_t earlier_next(void *ctx, struct orch_event *event, struct orch_error *err)
{
    return content_next(ctx, event, err);
}

static void close_content(struct content_reader **slot)
{
    content_close(*slot);
}

static int32_t stream(struct backup_job *job, struct orch_error *err)
{
    CLEANUP(close_content) struct content_reader *reader = NULL;
    struct event_source source = {0};
    bool compare =
        job->earlier != NULL && (job->component->info->capabilities & ORCH_CAP_TOKENS) != 0;
    int32_t rc = ORCH_OK;
    if (compare) {
        rc = content_open(job->ctx->repo, job->index, job->earlier,
                          CONTENT_ENTRIES_ONLY | CONTENT_FOR_EARLIER, &reader, err);
        source = (struct event_source){.ctx = reader, .next = earlier_next};
    }
    if (rc == ORCH_OK) {
        rc = part_writer_open(job->writer, compare ? job->earlier : NULL, &job->part_writer, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (compare) {
        part_writer_trust(job->part_writer, reader);
    }
    struct event_sink sink = {.ctx = job, .put = sink_put};
    struct worker_done done = {0};
    rc = worker_backup(job->worker, compare ? &source : NULL, &sink, &done, err);
    if (rc == ORCH_OK) {
        rc = part_writer_finish(job->part_writer, &job->part.content, &job->part.stats, err);
    }
    return rc;
}

/* A source that had items and gave none has not been backed up. */
static int32_t check_empty(const struct backup_job *job, struct orch_error *err)
{
    const struct part_content *content = &job->part.content;
    uint64_t items = content->objects + content->records;
    if (items > 0) {
        return ORCH_OK;
    }
    if (job->probe.items != ORCH_SIZE_UNKNOWN && job->probe.items > 0) {
        return orch_fail(err, ORCH_E_EMPTY,
                         "nothing came out of a source in which the probe saw %llu items",
                         (unsigned long long)job->probe.items);
    }
    if ((job->component->info->capabilities & ORCH_CAP_EMPTY_OK) == 0) {
        return orch_fail(err, ORCH_E_EMPTY,
                         "the source is empty; a backup of nothing is not taken for a backup");
    }
    return ORCH_OK;
}

static int32_t fill_part(struct backup_job *job, struct orch_error *err)
{
    struct part *part = &job->part;
    const struct plugin_info *info = job->component->info;
    (void)snprintf(part->component, sizeof(part->component), "%s", job->component->name);
    (void)snprintf(part->plugin, sizeof(part->plugin), "%s", info->name);
    (void)snprintf(part->plugin_version, sizeof(part->plugin_version), "%s", info->version);
    part->data_format = info->data_format;
    (void)snprintf(part->type, sizeof(part->type), "%s", job->type);
    (void)snprintf(part->earlier, sizeof(part->earlier), "%s",
                   job->earlier != NULL ? job->earlier->id : "");
    part->consistency = job->freeze.consistency;
    (void)snprintf(part->source_version, sizeof(part->source_version), "%s", job->probe.version);
    (void)snprintf(part->source_identity, sizeof(part->source_identity), "%s", job->probe.identity);
    part->facts_json = strdup(worker_facts(job->worker));
    if (part->facts_json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for facts");
    }
    return ORCH_OK;
}

void backup_job_stream(void *item)
{
    struct backup_job *job = item;
    if (job->failed) {
        return;
    }
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_error late = ORCH_ERROR_INIT;
    int64_t start = clock_monotonic_ms();
    report_text(job->ctx->report, REPORT_COMPONENT, job->component->name, "streaming");
    int32_t rc = stream(job, &err);
    /* The handle is let go whatever happened; that this fails is a failure of its own. */
    if (worker_thaw(job->worker, &late) != ORCH_OK && rc == ORCH_OK) {
        err = late;
        rc = orch_wrap(&err, "the point-in-time handle could not be let go");
    }
    if (rc == ORCH_OK) {
        rc = check_empty(job, &err);
    }
    if (rc == ORCH_OK) {
        rc = fill_part(job, &err);
    }
    if (worker_close(steal_ptr(&job->worker), &late) != ORCH_OK && rc == ORCH_OK) {
        err = late;
        rc = err.code;
    }
    part_writer_close(steal_ptr(&job->part_writer));
    job->part.finished_ns = clock_wall_ns();
    job->elapsed_ms = clock_monotonic_ms() - start;
    if (rc != ORCH_OK) {
        job_failed(job, &err);
        return;
    }
    job->streamed = true;
    struct report_event done = {
        .kind = REPORT_COMPONENT,
        .component = job->component->name,
        .text = "streamed",
        .items = job->part.content.objects + job->part.content.records,
        .bytes = job->part.content.object_bytes + job->part.content.record_bytes,
    };
    report_send(job->ctx->report, &done);
}

void backup_job_release(struct backup_job *job)
{
    if (job->worker != NULL) {
        struct orch_error ignored = ORCH_ERROR_INIT;
        if (worker_close(steal_ptr(&job->worker), &ignored) != ORCH_OK) {
            log_debug(job->component->name, "while ending: %s", ignored.message);
        }
    }
    part_writer_close(steal_ptr(&job->part_writer));
}

bool backup_job_may_retry(const struct backup_job *job)
{
    if (!job->failed || context_cancelled(job->ctx)) {
        return false;
    }
    switch (job->error.code) {
    case ORCH_E_UNREACHABLE:
    case ORCH_E_TIMEOUT:
    case ORCH_E_BUSY:
    case ORCH_E_CHANGED:
    case ORCH_E_CRASHED:
    case ORCH_E_IO:
        return true;
    default:
        return false;
    }
}

void backup_job_clear(struct backup_job *job)
{
    backup_job_release(job);
    part_clear(&job->part);
    part_free(job->earlier);
    job->earlier = NULL;
}
