/* verify.c: see verify.h. */
#include "run/verify.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "run/reading.h"

#define FINDINGS_MAX 1000u
#define PROGRESS_EVERY_MS 200

struct verify {
    struct run_context *ctx;
    json_t *findings;
    int64_t reported_ms;
};

int32_t verify_level(const char *text, enum check_level *level, struct orch_error *err)
{
    static const char *const names[] = {"manifest", "index", "data"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
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

static void on_finding(void *ctx, const struct check_finding *f)
{
    struct verify *v = ctx;
    report_text(v->ctx->report, REPORT_FAILURE, NULL, "%s%s%s%s%s%s%s: %s",
                f->file == NULL ? "repository" : f->file, f->set == NULL ? "" : ", set ",
                f->set == NULL ? "" : f->set, f->component == NULL ? "" : ", component ",
                f->component == NULL ? "" : f->component, f->object == NULL ? "" : ", object ",
                f->object == NULL ? "" : f->object, f->problem);
    if (json_array_size(v->findings) >= FINDINGS_MAX) {
        return;
    }
    (void)json_array_append_new(
        v->findings, json_pack("{s:o?, s:s?, s:s?, s:o?, s:o}", "file", text_json(f->file), "set",
                               f->set, "component", f->component, "object", text_json(f->object),
                               "problem", text_json(f->problem)));
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

static int32_t resolve(struct run_context *ctx, const char *text, char id[ID_TEXT],
                       struct orch_error *err)
{
    struct set_list sets = {0};
    const struct set *set = NULL;
    int32_t rc = set_list_load(ctx->repo, unreadable, ctx, &sets, err);
    if (rc == ORCH_OK) {
        rc = set_find(&sets, text, NULL, 0, &set, err);
    }
    if (rc == ORCH_OK) {
        (void)snprintf(id, ID_TEXT, "%s", set->id);
    }
    set_list_free(&sets);
    return rc;
}

int32_t verify_run(struct run_context *ctx, const char *set, enum check_level level,
                   json_t **document, struct orch_error *err)
{
    static const char *const names[] = {"manifest", "index", "data"};
    struct verify v = {.ctx = ctx, .findings = json_array()};
    char run_id[ID_TEXT], id[ID_TEXT] = "";
    const char *ids[] = {id, NULL};
    struct lease *lease = NULL;
    struct check_result result = {0};
    int64_t start = clock_monotonic_ms();
    int32_t rc = id_new(run_id, err);
    if (rc == ORCH_OK) {
        rc = reading_lease(ctx, run_id, "verify", &lease, err);
    }
    if (rc == ORCH_OK && set != NULL) {
        rc = resolve(ctx, set, id, err);
    }
    if (rc == ORCH_OK) {
        struct check_options options = {.level = level,
                                        .set_ids = set == NULL ? NULL : ids,
                                        .jobs = ctx->repository->jobs,
                                        .finding = on_finding,
                                        .progress = on_progress,
                                        .ctx = &v};
        rc = check_repository(ctx->repo, &options, &result, err);
    }
    lease_end(lease);
    if (rc != ORCH_OK) {
        json_decref(v.findings);
        return rc;
    }
    *document =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "level",
                  names[level], "set", set == NULL ? "all" : id, "sets", (json_int_t)result.sets,
                  "parts", (json_int_t)result.parts, "objects", (json_int_t)result.objects,
                  "records", (json_int_t)result.records, "chunks", (json_int_t)result.chunks,
                  "packs", (json_int_t)result.packs, "bytes_read", (json_int_t)result.bytes_read,
                  "elapsed_ms", (json_int_t)(clock_monotonic_ms() - start), "finding_count",
                  (json_int_t)result.findings, "findings", v.findings);
    if (result.findings > 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "verification found %llu problem%s",
                         (unsigned long long)result.findings, result.findings == 1 ? "" : "s");
    }
    return ORCH_OK;
}
