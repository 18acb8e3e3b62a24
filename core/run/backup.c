/* backup.c: see backup.h. Lease, index, freeze, stream; then backup_seal.c makes the set. */
#include "run/backup.h"

#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/text.h"
#include "run/backup_impl.h"
#include "run/journal.h"
#include "run/parallel.h"

/* The level of zstd for snapshots. Measured over 260 MB of mixed files, beside none at all: level 1
 * takes 0.34 s of a core more and stores 37% less, -5 takes 0.22 s and 30%, -20 takes 0.13 s and
 * 22%: about what writing and reading back those bytes costs on a disk of 1 GB/s. */
#define SNAPSHOT_LEVEL (-20)

/* ---- which components, and what they are compared with ---- */

static int32_t choose_components(struct backup *b, struct orch_error *err)
{
    const struct config *config = b->ctx->config;
    const struct backup_options *o = b->options;
    size_t count = o->component_count == 0 ? config->component_count : o->component_count;
    if (count == 0) {
        return orch_fail(err, ORCH_E_CONFIG, "no components are configured in %s", config->dir);
    }
    CLEANUP_FREE const char **names = calloc(count, sizeof(*names));
    b->jobs = calloc(count, sizeof(*b->jobs));
    if (names == NULL || b->jobs == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a backup");
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_component *component = o->component_count == 0
                                                       ? &config->components[i]
                                                       : config_component(config, o->components[i]);
        if (component == NULL) {
            return config_fail_component(config, o->components[i], err);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[k], component->name) == 0) {
                return orch_fail(err, ORCH_E_CONFIG, "component \"%s\" is named twice",
                                 component->name);
            }
        }
        struct orch_error place = ORCH_ERROR_INIT;
        if (config_check_places(config, component, &place) != ORCH_OK) {
            report_text(b->ctx->report, REPORT_WARNING, component->name, "%s", place.message);
        }
        names[i] = component->name;
        b->jobs[i].ctx = b->ctx;
        b->jobs[i].given_up = &b->given_up;
        b->jobs[i].component = component;
        b->jobs[i].type = o->type;
        b->jobs[i].rate.bytes_per_second = rate_lower(o->rate_limit, component->rate_limit);
        b->job_count = i + 1;
    }
    return graph_subset(config->graph, names, count, &b->graph, err);
}

static bool is_type(const struct backup *b, const char *type)
{
    return strcmp(b->options->type, type) == 0;
}

/* The newest good part of the component that the type of this backup compares with; in the base set
 * whatever its type. */
static int32_t find_earlier(struct backup *b, struct backup_job *job, struct orch_error *err)
{
    for (size_t i = 0; i < b->sets.count; i++) {
        const struct set *set = b->sets.sets[i];
        bool wanted = b->base != NULL
                          ? set == b->base
                          : !is_type(b, "differential") || strcmp(set->type, "full") == 0;
        if (!wanted) {
            continue;
        }
        const struct set_component *found = set_component_find(set, job->component->name);
        if (found == NULL || !found->good || strcmp(found->plugin, job->component->plugin) != 0) {
            continue;
        }
        int32_t rc = part_load(b->ctx->repo, found->part, &job->earlier, err);
        if (rc == ORCH_OK || b->base != NULL) {
            return rc;
        }
        report_text(b->ctx->report, REPORT_WARNING, job->component->name,
                    "the part in set %s cannot be compared with: %s", set->name, err->message);
    }
    return ORCH_OK;
}

static void list_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    const struct backup *b = ctx;
    report_text(b->ctx->report, REPORT_WARNING, NULL, "%s is damaged: %s", name, why->message);
}

/* The sets there are, and the base among them, if one was asked for. Before the index is opened,
 * which then has all that they hold. */
static int32_t list_sets(struct backup *b, struct orch_error *err)
{
    if (!is_type(b, "incremental") && !is_type(b, "differential")) {
        return ORCH_OK;
    }
    int32_t rc = set_list_load(b->ctx->repo, list_damaged, b, &b->sets, err);
    if (rc == ORCH_OK && b->options->base != NULL) {
        rc = set_find(&b->sets, b->options->base, NULL, 0, &b->base, err);
    }
    return rc;
}

static int32_t choose_earlier(struct backup *b, struct orch_error *err)
{
    if (!is_type(b, "incremental") && !is_type(b, "differential")) {
        return ORCH_OK;
    }
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < b->job_count; i++) {
        rc = find_earlier(b, &b->jobs[i], err);
        if (rc == ORCH_OK && b->jobs[i].earlier != NULL) {
            index_expect(b->index, b->jobs[i].earlier->content.objects);
        } else if (rc == ORCH_OK) {
            report_text(b->ctx->report, REPORT_NOTE, b->jobs[i].component->name,
                        "no earlier %s holds it: everything is read",
                        is_type(b, "differential") ? "full backup" : "set");
        }
    }
    return rc;
}

/* ---- phases over the jobs ---- */

/* Runs `work` on those jobs of recovery stage `stage` (-1: of all) that `want` (NULL: any). */
static int32_t run_jobs(struct backup *b, int stage, bool (*want)(const struct backup_job *),
                        void (*work)(void *), struct orch_error *err)
{
    CLEANUP_FREE void **items = calloc(b->job_count, sizeof(*items));
    if (items == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a backup");
    }
    size_t count = 0;
    for (size_t i = 0; i < b->job_count; i++) {
        struct backup_job *job = &b->jobs[i];
        bool here = stage < 0 || graph_stage_of(b->graph, job->component->name) == stage;
        if (here && (want == NULL || want(job))) {
            items[count++] = job;
        }
    }
    parallel_run(items, count, work);
    if (context_cancelled(b->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "the backup was cancelled; there is no new set");
    }
    return ORCH_OK;
}

static bool wants_early(const struct backup_job *job)
{
    return !job->failed && !job->streamed && (job->freeze.flags & ORCH_FREEZE_COSTLY) != 0;
}

static bool wants_stream(const struct backup_job *job)
{
    return !job->failed && !job->streamed;
}

/* Consumers before what they depend on: recovery stages backwards. */
static int32_t for_stages(struct backup *b, bool (*want)(const struct backup_job *),
                          void (*work)(void *), struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t s = graph_stages(b->graph); rc == ORCH_OK && s > 0; s--) {
        rc = run_jobs(b, (int)s - 1, want, work, err);
    }
    return rc;
}

/* Another try, alone, for what failed for a reason that may pass. */
static int32_t retry_jobs(struct backup *b, struct orch_error *err)
{
    for (size_t i = 0; i < b->job_count; i++) {
        struct backup_job *job = &b->jobs[i];
        for (uint32_t n = 0; n < job->component->retries && backup_job_may_retry(job); n++) {
            report_text(b->ctx->report, REPORT_WARNING, job->component->name,
                        "trying again (%u of %u)", n + 1, job->component->retries);
            backup_job_release(job);
            part_clear(&job->part);
            job->part = (struct part){0};
            job->failed = false;
            job->bytes = job->items = 0;
            backup_job_prepare(job);
            backup_job_freeze(job);
            backup_job_stream(job);
        }
    }
    if (context_cancelled(b->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "the backup was cancelled; there is no new set");
    }
    return ORCH_OK;
}

static int32_t read_all(struct backup *b, struct orch_error *err)
{
    for (size_t i = 0; i < b->job_count; i++) {
        b->jobs[i].index = b->index;
        b->jobs[i].writer = b->writer;
    }
    report_text(b->ctx->report, REPORT_PHASE, NULL, "freezing");
    int32_t rc = for_stages(b, NULL, backup_job_freeze, err);
    crash_point(CRASH_BACKUP_FROZEN);
    if (rc == ORCH_OK) {
        report_text(b->ctx->report, REPORT_PHASE, NULL, "streaming");
        rc = run_jobs(b, -1, wants_early, backup_job_stream, err);
    }
    if (rc == ORCH_OK) { /* a snapshot is to be over soon: all side by side */
        rc = is_type(b, "snapshot") ? run_jobs(b, -1, wants_stream, backup_job_stream, err)
                                    : for_stages(b, wants_stream, backup_job_stream, err);
    }
    if (rc == ORCH_OK) {
        rc = retry_jobs(b, err);
    }
    return rc;
}

/* ---- the run ---- */

static json_t *job_json(const struct backup_job *job)
{
    const struct part *part = &job->part;
    static const char *const consistency[] = {"fuzzy", "snapshot", "quiesced"};
    bool good = job->streamed && !job->failed;
    json_t *json = json_pack("{s:s, s:s, s:s}", "component", job->component->name, "plugin",
                             job->component->plugin, "state", good ? "completed" : "failed");
    if (!good) {
        bool failed = job->error.code != ORCH_OK;
        (void)json_object_set_new(
            json, "error", json_string(failed ? job->error.message : "the run ended before it"));
        (void)json_object_set_new(
            json, "code",
            json_string(orch_error_name(failed ? job->error.code : ORCH_E_CANCELLED)));
        return json;
    }
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I}", "items",
        (json_int_t)(part->content.objects + part->content.records), "size_bytes",
        (json_int_t)(part->content.object_bytes + part->content.record_bytes), "items_unchanged",
        (json_int_t)part->stats.items_unchanged, "bytes_read", (json_int_t)part->stats.bytes_read,
        "bytes_reused", (json_int_t)part->stats.bytes_reused, "bytes_new",
        (json_int_t)part->stats.bytes_new, "bytes_stored", (json_int_t)part->stats.bytes_stored,
        "elapsed_ms", (json_int_t)job->elapsed_ms, "consistency",
        consistency[part->consistency <= 2 ? part->consistency : 0], "frozen_ns",
        (json_int_t)part->frozen_ns);
    (void)json_object_update(json, more);
    json_decref(more);
    return json;
}

/* What a restore has half put back is no state to fall back on: said, since somebody may want it.
 */
static int32_t warn_of_unfinished(struct backup *b, struct orch_error *err)
{
    CLEANUP_FREE const char **names = calloc(b->job_count + 1, sizeof(*names));
    CLEANUP_FREE char *runs = NULL;
    if (names == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a backup");
    }
    for (size_t i = 0; i < b->job_count; i++) {
        names[i] = b->jobs[i].component->name;
    }
    struct orch_error why = ORCH_ERROR_INIT;
    if (journal_unfinished(b->ctx->config, names, b->job_count, &runs, &why) != ORCH_OK) {
        report_text(b->ctx->report, REPORT_WARNING, NULL, "%s", why.message);
    } else if (runs[0] != 0) {
        report_text(b->ctx->report, REPORT_WARNING, NULL,
                    "a restore of these components did not finish (run %s): this set may hold what "
                    "is only half restored",
                    runs);
    }
    return ORCH_OK;
}

static int32_t probe_all(struct backup *b, struct orch_error *err)
{
    report_text(b->ctx->report, REPORT_PHASE, NULL, "probing %zu components", b->job_count);
    return run_jobs(b, -1, NULL, backup_job_prepare, err);
}

/* What has to be before anything is asked of a source. */
static int32_t begin(struct backup *b, struct orch_error *err)
{
    struct backup_result *result = b->result;
    int32_t rc = id_new(result->run_id, err);
    if (rc == ORCH_OK) {
        rc = choose_components(b, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < b->job_count; i++) {
        rc = target_lock_shared(b->ctx->config, b->jobs[i].component->name, &b->locks, err);
    }
    if (rc == ORCH_OK) {
        rc = warn_of_unfinished(b, err);
    }
    if (rc == ORCH_OK) {
        rc = lease_take(b->ctx->repo, result->run_id, "backup", &b->lease, err);
    }
    if (rc == ORCH_OK) {
        crash_point(CRASH_BACKUP_LEASED);
        rc = runlog_start(b->ctx->repo, result->run_id, "backup", &b->log, err);
    }
    return rc == ORCH_OK ? list_sets(b, err) : rc;
}

static int32_t open_writer(struct backup *b, struct orch_error *err)
{
    int32_t rc = context_open_index(b->ctx, b->lease, true, &b->index, err);
    if (rc == ORCH_OK) {
        rc = choose_earlier(b, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct writer_options options = {.jobs = context_jobs(b->ctx)};
    rc = codec_parse(b->ctx->repository->compression, &options.codec, &options.level, err);
    if (is_type(b, "snapshot") && options.codec != CODEC_NONE) {
        options.codec = CODEC_ZSTD;
        options.level = SNAPSHOT_LEVEL;
    }
    if (rc == ORCH_OK) {
        rc = writer_open(b->ctx->repo, b->index, &options, &b->writer, err);
    }
    return rc;
}

/* One of two things that are done side by side. */
struct half {
    struct backup *b;
    int32_t (*work)(struct backup *b, struct orch_error *err);
    int32_t rc;
    struct orch_error error;
};

static void half_work(void *item)
{
    struct half *half = item;
    half->rc = half->work(half->b, &half->error);
    if (half->rc != ORCH_OK) {
        atomic_store(&half->b->given_up, true);
    }
}

/* To probe a source takes its time, and so does it to read the index of a repository. */
static int32_t start(struct backup *b, struct orch_error *err)
{
    int32_t rc = begin(b, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct half probe = {.b = b, .work = probe_all, .error = ORCH_ERROR_INIT};
    struct half writer = {.b = b, .work = open_writer, .error = ORCH_ERROR_INIT};
    parallel_run((void *[]){&probe, &writer}, 2, half_work);
    const struct half *failed = writer.rc != ORCH_OK ? &writer : &probe;
    if (failed->rc != ORCH_OK) {
        *err = failed->error;
    }
    return failed->rc;
}

static size_t good_jobs(const struct backup *b)
{
    size_t good = 0;
    for (size_t i = 0; i < b->job_count; i++) {
        good += b->jobs[i].streamed && !b->jobs[i].failed;
    }
    return good;
}

static int32_t work(struct backup *b, int64_t started_ns, struct orch_error *err)
{
    int32_t rc = start(b, err);
    if (rc == ORCH_OK) {
        rc = read_all(b, err);
    }
    if (rc == ORCH_OK && good_jobs(b) == 0) {
        rc = b->job_count == 1
                 ? orch_fail(err, ORCH_E_FAILED, "%s: %s", b->jobs[0].component->name,
                             b->jobs[0].error.message)
                 : orch_fail(err, ORCH_E_FAILED, "every component failed; there is no new set");
    }
    if (rc == ORCH_OK) {
        rc = backup_seal_packs(b, err);
    }
    if (rc == ORCH_OK) {
        rc = backup_seal_set(b, started_ns, err);
    }
    return rc;
}

/* The run's last event, and everything freed. */
static int32_t finish(struct backup *b, int32_t rc, struct orch_error *err)
{
    const char *state = RUN_COMPLETED;
    if (rc != ORCH_OK) {
        state = rc == ORCH_E_CANCELLED ? RUN_CANCELLED : RUN_FAILED;
    } else if (b->set->state == SET_PARTIAL) {
        state = RUN_PARTIAL;
    }
    if (b->log != NULL) {
        struct orch_error late = ORCH_ERROR_INIT;
        json_t *details = json_pack("{s:O}", "components", b->result->components);
        if (rc == ORCH_OK) {
            (void)json_object_set_new(details, "set", json_string(b->set->id));
        } else {
            (void)json_object_set_new(details, "error", text_json(err->message));
        }
        if (runlog_finish(b->log, state, details, &late) != ORCH_OK) {
            report_text(b->ctx->report, REPORT_WARNING, NULL, "the run's log is incomplete: %s",
                        late.message);
        }
    }
    lease_end(b->lease);
    crash_point(CRASH_BACKUP_LEASE_ENDED);
    return rc;
}

int32_t backup_run(struct run_context *ctx, const struct backup_options *options,
                   struct backup_result *result, struct orch_error *err)
{
    *result = (struct backup_result){.components = json_array()};
    struct backup b = {.ctx = ctx, .options = options, .result = result};
    int64_t started_ns = clock_wall_ns();
    int64_t start_ms = clock_monotonic_ms();
    int32_t rc = work(&b, started_ns, err);
    for (size_t i = 0; i < b.job_count; i++) {
        (void)json_array_append_new(result->components, job_json(&b.jobs[i]));
        backup_job_clear(&b.jobs[i]);
    }
    if (b.writer != NULL) {
        result->stored_bytes = writer_stored_bytes(b.writer);
    }
    writer_close(b.writer); /* it may store what is left of the index: under the lease */
    rc = finish(&b, rc, err);
    index_close(b.index);
    set_list_free(&b.sets);
    target_unlock_all(&b.locks);
    graph_free(b.graph);
    free(b.jobs);
    result->elapsed_ms = clock_monotonic_ms() - start_ms;
    if (rc != ORCH_OK) {
        text_clean(err->message, sizeof(err->message));
        set_free(b.set);
        return rc;
    }
    result->set = b.set;
    if (b.set->state == SET_PARTIAL) {
        return orch_fail(err, ORCH_E_FAILED, "set %s is partial: some components failed",
                         b.set->name);
    }
    return ORCH_OK;
}

void backup_result_clear(struct backup_result *result)
{
    json_decref(result->components);
    set_free(result->set);
    *result = (struct backup_result){0};
}
