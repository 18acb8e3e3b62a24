/* verify.c: see verify.h. */
#include "run/verify.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/proof.h"
#include "run/reading.h"

#define FINDINGS_MAX 1000u
#define PROGRESS_EVERY_MS 200

static const char *const level_names[] = {"manifest", "index", "data"};

struct verify {
    struct run_context *ctx;
    struct set_list sets;
    const struct set *asked; /* of the list; NULL: the whole repository */
    bool *hurt;              /* one for each set of the list */
    json_t *findings;        /* what hurts what was asked for */
    json_t *elsewhere;       /* what does not */
    uint64_t hurts, others;  /* the arrays are capped, these are not */
    int64_t reported_ms;
};

int32_t verify_level(const char *text, enum check_level *level, struct orch_error *err)
{
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(level_names[i], text) == 0) {
            *level = (enum check_level)i;
            return ORCH_OK;
        }
    }
    if (strcmp(text, "restore") == 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "level \"restore\" is not built yet; it comes with "
                         "drills. Use \"data\" today");
    }
    return orch_fail(err, ORCH_E_CONFIG, "there is no level \"%s\"; choose manifest, index or data",
                     text);
}

/* A finding tells of the sets that it hurts by name. What hurts the repository's own configuration
 * hurts them all; a manifest that cannot be read is found under its file's name. */
static bool hurts_set(const struct check_finding *f, const struct set *set)
{
    char file[SET_FILE_NAME];
    if (f->set != NULL) {
        return strcmp(f->set, set->name) == 0;
    }
    set_file_name(set, file);
    return f->file != NULL && (strcmp(f->file, "config") == 0 || strcmp(f->file, file) == 0);
}

static void keep_finding(json_t *list, const struct check_finding *f)
{
    if (json_array_size(list) >= FINDINGS_MAX) {
        return;
    }
    (void)json_array_append_new(list, json_pack("{s:o?, s:s?, s:s?, s:o?, s:o}", "file",
                                                text_json(f->file), "set", f->set, "component",
                                                f->component, "object", text_json(f->object),
                                                "problem", text_json(f->problem)));
}

static void on_finding(void *ctx, const struct check_finding *f)
{
    struct verify *v = ctx;
    for (size_t i = 0; i < v->sets.count; i++) {
        v->hurt[i] = v->hurt[i] || hurts_set(f, v->sets.sets[i]);
    }
    bool ours = v->asked == NULL || hurts_set(f, v->asked);
    v->hurts += ours;
    v->others += !ours;
    report_text(
        v->ctx->report, ours ? REPORT_FAILURE : REPORT_WARNING, NULL, "%s%s%s%s%s%s%s%s: %s",
        ours ? "" : "damage elsewhere: ", f->file == NULL ? "repository" : f->file,
        f->set == NULL ? "" : ", set ", f->set == NULL ? "" : f->set,
        f->component == NULL ? "" : ", component ", f->component == NULL ? "" : f->component,
        f->object == NULL ? "" : ", object ", f->object == NULL ? "" : f->object, f->problem);
    keep_finding(ours ? v->findings : v->elsewhere, f);
}

static void on_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
    struct verify *v = ctx;
    int64_t now = clock_monotonic_ms();
    if (now - v->reported_ms < PROGRESS_EVERY_MS) {
        return;
    }
    v->reported_ms = now;
    struct report_event event = {.kind = REPORT_PROGRESS,
                                 .component = "repository",
                                 .bytes = done_bytes,
                                 .total_bytes = total_bytes};
    report_send(v->ctx->report, &event);
}

/* Another manifest that cannot be read; if it is the one that is asked for, it is not found. */
static void unreadable(void *ctx, const char *name, const struct orch_error *why)
{
    const struct run_context *run = ctx;
    report_text(run->report, REPORT_WARNING, NULL, "%s cannot be read: %s", name, why->message);
}

/* The sets that this run covers, as they are before it begins. */
static int32_t resolve(struct verify *v, const char *text, struct orch_error *err)
{
    int32_t rc = set_list_load(v->ctx->repo, unreadable, v->ctx, &v->sets, err);
    if (rc == ORCH_OK && text != NULL) {
        rc = set_find(&v->sets, text, NULL, 0, &v->asked, err);
    }
    v->hurt = calloc(v->sets.count + 1, sizeof(*v->hurt));
    if (rc == ORCH_OK && v->hurt == NULL) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory for a verification");
    }
    return rc;
}

/* Less than what was looked at before does not take its place, be it good or hurt; damage always
 * does, and more of it does not make that of a deeper look forgotten. */
static bool is_news(struct repo *repo, struct proof *proof)
{
    struct proof before;
    struct orch_error ignored = ORCH_ERROR_INIT;
    bool known = proof_load(repo, proof->set, &before, &ignored) == ORCH_OK;
    if (known && !proof->good && !before.good && before.level > proof->level) {
        proof->level = before.level;
    }
    return !known || !proof->good || proof->level >= before.level;
}

/* A proof that cannot be stored takes nothing from what was found: only told. */
static void store_proofs(struct verify *v, enum check_level level, const char *run_id)
{
    struct orch_error why = ORCH_ERROR_INIT;
    struct proof proof = {.level = level, .at_ns = clock_wall_ns()};
    (void)snprintf(proof.run_id, sizeof(proof.run_id), "%s", run_id);
    (void)gethostname(proof.host, sizeof(proof.host) - 1);
    for (size_t i = 0; i < v->sets.count; i++) {
        const struct set *set = v->sets.sets[i];
        if (v->asked != NULL && set != v->asked) {
            continue;
        }
        (void)snprintf(proof.set, sizeof(proof.set), "%s", set->id);
        proof.good = !v->hurt[i];
        proof.level = level;
        if (is_news(v->ctx->repo, &proof) && proof_store(v->ctx->repo, &proof, &why) != ORCH_OK) {
            report_text(v->ctx->report, REPORT_WARNING, NULL,
                        "that this was verified could not be recorded in the repository: %s",
                        why.message);
            return;
        }
    }
}

static json_t *describe(const struct verify *v, const char *level, const struct check_result *r,
                        int64_t elapsed_ms)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:I, s:O}",
                     "level", level, "set", v->asked == NULL ? "all" : v->asked->id, "sets",
                     (json_int_t)r->sets, "parts", (json_int_t)r->parts, "objects",
                     (json_int_t)r->objects, "records", (json_int_t)r->records, "chunks",
                     (json_int_t)r->chunks, "packs", (json_int_t)r->packs, "bytes_read",
                     (json_int_t)r->bytes_read, "elapsed_ms", (json_int_t)elapsed_ms,
                     "finding_count", (json_int_t)v->hurts, "findings", v->findings,
                     "elsewhere_count", (json_int_t)v->others, "elsewhere", v->elsewhere);
}

static int32_t verify(struct verify *v, const char *set, enum check_level level,
                      struct check_result *result, struct orch_error *err)
{
    char run_id[ID_TEXT];
    struct lease *lease = NULL;
    struct mark_list marks = {0};
    int32_t rc = id_new(run_id, err);
    if (rc == ORCH_OK) {
        rc = reading_lease(v->ctx, run_id, "verify", &lease, err);
    }
    if (rc == ORCH_OK) {
        rc = context_obey_marks(v->ctx, lease, false, &marks, err);
    }
    mark_list_clear(&marks);
    if (rc == ORCH_OK) {
        rc = resolve(v, set, err);
    }
    if (rc == ORCH_OK) {
        const char *ids[] = {v->asked == NULL ? NULL : v->asked->id, NULL};
        struct check_options options = {.level = level,
                                        .set_ids = v->asked == NULL ? NULL : ids,
                                        .jobs = context_jobs(v->ctx),
                                        .cache_dir = context_cache_dir(v->ctx),
                                        .finding = on_finding,
                                        .progress = on_progress,
                                        .ctx = v};
        rc = check_repository(v->ctx->repo, &options, result, err);
    }
    if (rc == ORCH_OK) {
        store_proofs(v, level, run_id);
    }
    lease_end(lease);
    return rc;
}

int32_t verify_run(struct run_context *ctx, const char *set, enum check_level level,
                   json_t **document, struct orch_error *err)
{
    struct verify v = {.ctx = ctx, .findings = json_array(), .elsewhere = json_array()};
    struct check_result result = {0};
    int64_t start = clock_monotonic_ms();
    int32_t rc = verify(&v, set, level, &result, err);
    if (rc == ORCH_OK) {
        *document = describe(&v, level_names[level], &result, clock_monotonic_ms() - start);
    }
    if (rc == ORCH_OK && v.hurts > 0) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "verification found %llu problem%s",
                       (unsigned long long)v.hurts, v.hurts == 1 ? "" : "s");
    }
    json_decref(v.findings);
    json_decref(v.elsewhere);
    set_list_free(&v.sets);
    free(v.hurt);
    return rc;
}
