/*
 * backup.c: see backup.h. The order that makes it safe: lease, index, freeze, stream, packs
 * durable, index durable, new packs read back, parts durable, manifest, lease checked again.
 */
#include "run/backup.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "engine/check.h"
#include "engine/lease.h"
#include "engine/runlog.h"
#include "run/backup_job.h"
#include "run/parallel.h"

/* A backup under way. */
struct backup {
    struct run_context *ctx;
    const struct backup_options *options;
    struct backup_result *result;
    struct lease *lease;
    struct runlog *log;
    struct index *index;
    struct writer *writer;
    struct set_list sets;
    struct graph *graph; /* of the components taken */
    struct backup_job *jobs;
    size_t job_count;
    struct set *set;
};

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
            return orch_fail(err, ORCH_E_CONFIG, "there is no component \"%s\" in %s",
                             o->components[i], config->dir);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[k], component->name) == 0) {
                return orch_fail(err, ORCH_E_CONFIG, "component \"%s\" is named twice",
                                 component->name);
            }
        }
        names[i] = component->name;
        b->jobs[i].ctx = b->ctx;
        b->jobs[i].component = component;
        b->jobs[i].type = o->type;
        b->job_count = i + 1;
    }
    return graph_subset(config->graph, names, count, &b->graph, err);
}

/* The newest good part of the component, in the base set or anywhere. */
static int32_t find_earlier(struct backup *b, struct backup_job *job, const struct set *base,
                            struct orch_error *err)
{
    for (size_t i = 0; i < b->sets.count; i++) {
        const struct set *set = b->sets.sets[i];
        if (base != NULL && set != base) {
            continue;
        }
        const struct set_component *found = set_component_find(set, job->component->name);
        if (found == NULL || !found->good || strcmp(found->plugin, job->component->plugin) != 0) {
            continue;
        }
        int32_t rc = part_load(b->ctx->repo, found->part, &job->earlier, err);
        if (rc == ORCH_OK || base != NULL) {
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

static int32_t choose_earlier(struct backup *b, struct orch_error *err)
{
    if (strcmp(b->options->type, "incremental") != 0) {
        return ORCH_OK;
    }
    int32_t rc = set_list_load(b->ctx->repo, list_damaged, b, &b->sets, err);
    const struct set *base = NULL;
    if (rc == ORCH_OK && b->options->base != NULL) {
        rc = set_find(&b->sets, b->options->base, NULL, 0, &base, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < b->job_count; i++) {
        rc = find_earlier(b, &b->jobs[i], base, err);
        if (rc == ORCH_OK && b->jobs[i].earlier == NULL) {
            report_text(b->ctx->report, REPORT_NOTE, b->jobs[i].component->name,
                        "no earlier set holds it: everything is read");
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
    report_text(b->ctx->report, REPORT_PHASE, NULL, "probing %zu components", b->job_count);
    int32_t rc = run_jobs(b, -1, NULL, backup_job_prepare, err);
    if (rc == ORCH_OK) {
        report_text(b->ctx->report, REPORT_PHASE, NULL, "freezing");
        rc = for_stages(b, NULL, backup_job_freeze, err);
    }
    crash_point(CRASH_BACKUP_FROZEN);
    if (rc == ORCH_OK) {
        report_text(b->ctx->report, REPORT_PHASE, NULL, "streaming");
        rc = run_jobs(b, -1, wants_early, backup_job_stream, err);
    }
    if (rc == ORCH_OK) {
        rc = for_stages(b, wants_stream, backup_job_stream, err);
    }
    if (rc == ORCH_OK) {
        rc = retry_jobs(b, err);
    }
    return rc;
}

/* ---- proving and sealing ---- */

struct proof {
    struct backup *backup;
    char first[ORCH_ERROR_MESSAGE_MAX];
};

static void proof_finding(void *ctx, const struct check_finding *finding)
{
    struct proof *proof = ctx;
    report_text(proof->backup->ctx->report, REPORT_FAILURE, finding->component, "%s: %s",
                finding->file == NULL ? "repository" : finding->file, finding->problem);
    if (proof->first[0] == 0) {
        (void)snprintf(proof->first, sizeof(proof->first), "%.200s: %.700s",
                       finding->file == NULL ? "repository" : finding->file, finding->problem);
    }
}

static int32_t prove(struct backup *b, enum check_level level, const char *const *sets,
                     const char *const *packs, struct orch_error *err)
{
    struct proof proof = {.backup = b};
    struct check_options options = {
        .level = level,
        .set_ids = sets,
        .packs = packs,
        .jobs = b->ctx->repository->jobs,
        .finding = proof_finding,
        .ctx = &proof,
    };
    struct check_result found = {0};
    int32_t rc = check_repository(b->ctx->repo, &options, &found, err);
    if (rc == ORCH_OK && found.findings > 0) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "what was just written does not verify: %s",
                       proof.first);
    }
    b->result->verified_bytes += found.bytes_read;
    return rc;
}

static bool level_at_least(const struct backup *b, const char *level)
{
    static const char *const order[] = {"none", "manifest", "index", "data"};
    size_t have = 0, want = 0;
    for (size_t i = 0; i < 4; i++) {
        have = strcmp(order[i], b->ctx->repository->verify) == 0 ? i : have;
        want = strcmp(order[i], level) == 0 ? i : want;
    }
    return have >= want;
}

static int32_t seal_packs(struct backup *b, struct orch_error *err)
{
    int32_t rc = writer_finish(b->writer, err);
    if (rc == ORCH_OK && level_at_least(b, "data")) {
        static const char *const no_sets[] = {NULL};
        report_text(b->ctx->report, REPORT_PHASE, NULL, "reading new packs back");
        rc = prove(b, CHECK_DATA, no_sets, writer_packs(b->writer), err);
    }
    return rc;
}

static char **copy_names(char *const *names)
{
    size_t n = 0;
    while (names != NULL && names[n] != NULL) {
        n++;
    }
    char **list = calloc(n + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < n; i++) {
        list[i] = strdup(names[i]);
    }
    return list;
}

static void fill_component(struct set_component *out, const struct backup_job *job)
{
    (void)snprintf(out->name, sizeof(out->name), "%s", job->component->name);
    (void)snprintf(out->plugin, sizeof(out->plugin), "%s", job->component->plugin);
    out->depends_on = copy_names(job->component->depends_on);
    out->good = job->streamed && !job->failed;
    if (!out->good) {
        (void)snprintf(out->error, sizeof(out->error), "%s", job->error.message);
        return;
    }
    (void)snprintf(out->part, sizeof(out->part), "%s", job->part.id);
    out->consistency = job->part.consistency;
    out->items = job->part.content.objects + job->part.content.records;
    out->size_bytes = job->part.content.object_bytes + job->part.content.record_bytes;
}

static void note_freezes(struct set *set, const struct backup_job *job)
{
    int64_t last = set->first_freeze_ns + set->skew_ns;
    int64_t at = job->part.frozen_ns;
    if (set->first_freeze_ns == 0) {
        set->first_freeze_ns = last = at;
    }
    set->first_freeze_ns = at < set->first_freeze_ns ? at : set->first_freeze_ns;
    last = at > last ? at : last;
    set->skew_ns = last - set->first_freeze_ns;
}

static int32_t build_set(struct backup *b, int64_t started_ns, struct orch_error *err)
{
    struct set *set = calloc(1, sizeof(*set));
    b->set = set;
    if (set != NULL) {
        set->components = calloc(b->job_count, sizeof(*set->components));
    }
    if (set == NULL || set->components == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a manifest");
    }
    (void)snprintf(set->type, sizeof(set->type), "%s", b->options->type);
    (void)snprintf(set->label, sizeof(set->label), "%s",
                   b->options->label == NULL ? "" : b->options->label);
    (void)snprintf(set->run_id, sizeof(set->run_id), "%s", b->result->run_id);
    (void)snprintf(set->program_version, sizeof(set->program_version), "%s", ORCHESTRATE_VERSION);
    (void)gethostname(set->host, sizeof(set->host) - 1);
    set->started_ns = started_ns;
    set->state = SET_COMPLETED;
    for (size_t i = 0; i < b->job_count; i++) {
        struct backup_job *job = &b->jobs[i];
        if (job->failed || !job->streamed) {
            set->state = SET_PARTIAL;
        } else {
            crash_point(CRASH_PART_BEFORE);
            int32_t rc = part_store(b->ctx->repo, &job->part, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            crash_point(CRASH_PART_STORED);
            note_freezes(set, job);
        }
        fill_component(&set->components[i], job);
        set->component_count = i + 1;
    }
    return ORCH_OK;
}

/* Parts durable, lease still ours, manifest, lease still ours, set complete. */
static int32_t seal_set(struct backup *b, int64_t started_ns, struct orch_error *err)
{
    int32_t rc = build_set(b, started_ns, err);
    if (rc == ORCH_OK) {
        rc = storage_barrier(b->ctx->storage, err);
    }
    if (rc == ORCH_OK) {
        rc = lease_check(b->lease, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_point(CRASH_SET_BEFORE);
    b->set->finished_ns = clock_wall_ns();
    rc = set_store(b->ctx->repo, b->set, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_point(CRASH_SET_STORED);
    rc = lease_check(b->lease, err);
    if (rc == ORCH_OK && level_at_least(b, "manifest")) {
        const char *sets[] = {b->set->id, NULL};
        report_text(b->ctx->report, REPORT_PHASE, NULL, "verifying set %s", b->set->name);
        rc = prove(b, level_at_least(b, "index") ? CHECK_INDEX : CHECK_MANIFEST, sets, NULL, err);
    }
    if (rc != ORCH_OK) {
        /* It was put but must not count: withdraw it. */
        char name[64];
        struct orch_error ignored = ORCH_ERROR_INIT;
        (void)snprintf(name, sizeof(name), "sets/%s", b->set->name);
        if (storage_remove(b->ctx->storage, name, &ignored) != ORCH_OK) {
            report_text(b->ctx->report, REPORT_FAILURE, NULL, "set %s could not be withdrawn: %s",
                        b->set->name, ignored.message);
        }
        return orch_wrap(err, "set %s was withdrawn", b->set->name);
    }
    crash_point(CRASH_BACKUP_VERIFIED);
    b->result->verified = b->ctx->repository->verify;
    return ORCH_OK;
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
        (void)json_object_set_new(json, "error", json_string(job->error.message));
        (void)json_object_set_new(json, "code", json_string(orch_error_name(job->error.code)));
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

static int32_t start(struct backup *b, struct orch_error *err)
{
    struct backup_result *result = b->result;
    int32_t rc = id_new(result->run_id, err);
    if (rc == ORCH_OK) {
        rc = choose_components(b, err);
    }
    if (rc == ORCH_OK) {
        rc = lease_take(b->ctx->repo, result->run_id, "backup", &b->lease, err);
    }
    if (rc == ORCH_OK) {
        crash_point(CRASH_BACKUP_LEASED);
        rc = runlog_start(b->ctx->repo, result->run_id, "backup", &b->log, err);
    }
    if (rc == ORCH_OK) {
        rc = context_open_index(b->ctx, &b->index, err);
    }
    if (rc == ORCH_OK) {
        rc = choose_earlier(b, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct writer_options options = {.jobs = b->ctx->repository->jobs};
    rc = codec_parse(b->ctx->repository->compression, &options.codec, &options.level, err);
    if (rc == ORCH_OK) {
        rc = writer_open(b->ctx->repo, b->index, &options, &b->writer, err);
    }
    return rc;
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
        rc = seal_packs(b, err);
    }
    if (rc == ORCH_OK) {
        rc = seal_set(b, started_ns, err);
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
            (void)json_object_set_new(details, "error", json_string(err->message));
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
    rc = finish(&b, rc, err);
    if (b.writer != NULL) {
        result->stored_bytes = writer_stored_bytes(b.writer);
    }
    writer_close(b.writer);
    index_close(b.index);
    set_list_free(&b.sets);
    graph_free(b.graph);
    free(b.jobs);
    result->elapsed_ms = clock_monotonic_ms() - start_ms;
    if (rc != ORCH_OK) {
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
