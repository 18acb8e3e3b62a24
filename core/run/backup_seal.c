/*
 * backup_seal.c: makes a set of what was streamed, and proves it: packs durable and read back,
 * parts durable, lease still ours, manifest, lease still ours, set verified.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "engine/check.h"
#include "engine/mark.h"
#include "engine/proof.h"
#include "run/backup_impl.h"

/* What was written is read back. */
struct reading {
    struct backup *backup;
    const char *const *packs; /* these must be whole; NULL: what the set needs must be */
    uint64_t failures;
    char first[ORCH_ERROR_MESSAGE_MAX];
};

/* Damage that lies elsewhere in the repository is told, but does not keep the next set from being
 * taken. What it hurts of the set at hand is a finding of its own, which names the set. */
static bool concerns_us(const struct reading *back, const struct check_finding *finding)
{
    if (back->packs == NULL) {
        return finding->set != NULL;
    }
    for (size_t i = 0; finding->file != NULL && back->packs[i] != NULL; i++) {
        if (strcmp(back->packs[i], finding->file) == 0) {
            return true;
        }
    }
    return false;
}

static void read_finding(void *ctx, const struct check_finding *finding)
{
    struct reading *back = ctx;
    if (!concerns_us(back, finding)) {
        if (back->packs == NULL) { /* the reading of packs has seen the same: once is enough */
            report_text(back->backup->ctx->report, REPORT_WARNING, NULL,
                        "damage elsewhere in the repository: %s: %s; run \"orchestrate verify\"",
                        finding->file == NULL ? "repository" : finding->file, finding->problem);
        }
        return;
    }
    back->failures++;
    report_text(back->backup->ctx->report, REPORT_FAILURE, finding->component, "%s: %s",
                finding->file == NULL ? "repository" : finding->file, finding->problem);
    if (back->first[0] == 0) {
        (void)snprintf(back->first, sizeof(back->first), "%.200s: %.700s",
                       finding->file == NULL ? "repository" : finding->file, finding->problem);
    }
}

static int32_t prove(struct backup *b, enum check_level level, const char *const *sets,
                     const char *const *packs, struct orch_error *err)
{
    struct reading back = {.backup = b, .packs = packs};
    struct check_options options = {
        .level = level,
        .trust_cache = true,
        .set_ids = sets,
        .packs = packs,
        .jobs = context_jobs(b->ctx),
        .cache_dir = context_cache_dir(b->ctx),
        .finding = read_finding,
        .ctx = &back,
    };
    struct check_result found = {0};
    int32_t rc = check_repository(b->ctx->repo, &options, &found, err);
    if (rc == ORCH_OK && back.failures > 0) {
        rc =
            orch_fail(err, ORCH_E_CORRUPT, "what was just written does not verify: %s", back.first);
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

int32_t backup_seal_packs(struct backup *b, struct orch_error *err)
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
    (void)snprintf(set->base, sizeof(set->base), "%s", b->base == NULL ? "" : b->base->id);
    (void)snprintf(set->run_id, sizeof(set->run_id), "%s", b->result->run_id);
    (void)snprintf(set->lease, sizeof(set->lease), "%s", lease_id(b->lease));
    (void)snprintf(set->program_version, sizeof(set->program_version), "%s", ORCHESTRATE_VERSION);
    (void)gethostname(set->host, sizeof(set->host) - 1);
    (void)snprintf(set->lease, sizeof(set->lease), "%s", lease_id(b->lease));
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

struct later {
    const char *name; /* of our set */
    char found[32];
};

static int32_t keep_later(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *err)
{
    struct later *later = ctx;
    char base[32];
    (void)stat;
    (void)err;
    set_name_of_file(name, base);
    /* Digits and "_" alone: two sets of one second differ behind them. */
    size_t len = strspn(later->name, "0123456789_");
    if (strncmp(base, later->name, len) > 0 && strcmp(base, later->found) > 0) {
        (void)snprintf(later->found, sizeof(later->found), "%s", base);
    }
    return ORCH_OK;
}

/* Sets are ordered by the time in their names: a clock that went back hides this one. */
static void warn_of_later(struct backup *b)
{
    struct later later = {.name = b->set->name};
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (storage_list(b->ctx->storage, "sets", keep_later, &later, &ignored) == ORCH_OK &&
        later.found[0] != 0) {
        report_text(b->ctx->report, REPORT_WARNING, NULL,
                    "set %s bears a later time than this one: a clock is or was wrong, and "
                    "\"latest\" is not set %s",
                    later.found, b->set->name);
    }
}

/* What was stored has been read back: recorded as the backup's own proof. That it cannot be
 * recorded takes nothing from the set. */
static void store_proof(struct backup *b)
{
    struct orch_error why = ORCH_ERROR_INIT;
    struct proof proof = {.good = true, .own = true, .at_ns = clock_wall_ns()};
    proof.level = level_at_least(b, "data")    ? CHECK_DATA
                  : level_at_least(b, "index") ? CHECK_INDEX
                                               : CHECK_MANIFEST;
    (void)snprintf(proof.set, sizeof(proof.set), "%s", b->set->id);
    (void)snprintf(proof.run_id, sizeof(proof.run_id), "%s", b->result->run_id);
    (void)snprintf(proof.host, sizeof(proof.host), "%s", b->set->host);
    if (proof_store(b->ctx->repo, &proof, &why) != ORCH_OK) {
        report_text(b->ctx->report, REPORT_WARNING, NULL,
                    "that the set was verified could not be recorded: %s", why.message);
    }
}

/*
 * The lease was lost behind the manifest's back. Whether the set counts is decided once: it does
 * when somebody who gave up on the lease has kept it (a prune may have removed an older set because
 * of it since), and it never will when this is said first.
 */
static int32_t settle(struct backup *b, struct orch_error *lost)
{
    struct orch_error why = ORCH_ERROR_INIT;
    bool kept = false;
    if (lapsed_withdraw(b->ctx->repo, lease_id(b->lease), b->set->id, &kept, &why) != ORCH_OK) {
        report_text(b->ctx->report, REPORT_FAILURE, NULL,
                    "whether set %s counts could not be settled: %s", b->set->name, why.message);
    }
    if (!kept) {
        return ORCH_E_TIMEOUT;
    }
    report_text(b->ctx->report, REPORT_WARNING, NULL,
                "set %s was complete when others gave up on this backup, and counts: %s",
                b->set->name, lost->message);
    return ORCH_OK;
}

/* It was put but must not count. */
static void withdraw(struct backup *b)
{
    char name[SET_FILE_NAME];
    struct orch_error why = ORCH_ERROR_INIT;
    set_file_name(b->set, name);
    if (storage_remove(b->ctx->storage, name, &why) != ORCH_OK ||
        storage_barrier(b->ctx->storage, &why) != ORCH_OK) {
        report_text(b->ctx->report, REPORT_FAILURE, NULL, "set %s could not be withdrawn: %s",
                    b->set->name, why.message);
    }
}

int32_t backup_seal_set(struct backup *b, int64_t started_ns, struct orch_error *err)
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
    if (rc != ORCH_OK) {
        rc = settle(b, err);
    }
    if (rc == ORCH_OK && level_at_least(b, "manifest")) {
        const char *sets[] = {b->set->id, NULL};
        report_text(b->ctx->report, REPORT_PHASE, NULL, "verifying set %s", b->set->name);
        rc = prove(b, level_at_least(b, "index") ? CHECK_INDEX : CHECK_MANIFEST, sets, NULL, err);
    }
    if (rc != ORCH_OK) {
        withdraw(b);
        return orch_wrap(err, "set %s was withdrawn", b->set->name);
    }
    crash_point(CRASH_BACKUP_VERIFIED);
    if (level_at_least(b, "manifest")) {
        store_proof(b);
    }
    warn_of_later(b);
    b->result->verified = b->ctx->repository->verify;
    return ORCH_OK;
}
