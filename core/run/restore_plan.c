/* restore_plan.c: see restore_plan.h. */
#include "run/restore_plan.h"

#include <string.h>

#include "base/text.h"
#include "engine/proof.h"

static json_t *text_array(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, text_json(texts[i]));
    }
    return list;
}

static json_t *step_json(const struct restore_step *step)
{
    if (step->kind == RESTORE_STEP_CHECK) {
        return json_pack("{s:o}", "check", text_json(step->command));
    }
    return json_pack("{s:o}", "restore", text_array(step->components, step->component_count));
}

json_t *restore_plan_request(const struct restore_options *options)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < options->step_count; i++) {
        (void)json_array_append_new(steps, step_json(&options->steps[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:s?}", "set", text_json(options->set), "steps", steps,
                     "targets", text_array(options->targets, options->target_count), "plan",
                     options->plan_hash);
}

struct restore_job *restore_plan_job(struct restore_plan *plan, const char *component)
{
    for (size_t i = 0; i < plan->job_count; i++) {
        if (strcmp(plan->jobs[i].component->name, component) == 0) {
            return &plan->jobs[i];
        }
    }
    return NULL;
}

/* The names the steps speak of; room is left for those of every configured component. */
static int32_t collect_names(const struct run_context *ctx, const struct restore_options *options,
                             const char ***names, size_t *count, struct orch_error *err)
{
    const struct config *config = ctx->config;
    size_t capacity = config->component_count;
    for (size_t i = 0; i < options->step_count; i++) {
        capacity += options->steps[i].component_count;
    }
    *count = 0;
    *names = calloc(capacity + 1, sizeof(**names));
    if (*names == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a restore");
    }
    for (size_t i = 0; i < options->step_count; i++) {
        const struct restore_step *step = &options->steps[i];
        for (size_t k = 0; k < step->component_count; k++) {
            if (config_component(config, step->components[k]) == NULL) {
                return config_fail_component(config, step->components[k], err);
            }
            for (size_t m = 0; m < *count; m++) {
                if (strcmp((*names)[m], step->components[k]) == 0) {
                    return orch_fail(err, ORCH_E_CONFIG, "component \"%s\" is named twice",
                                     step->components[k]);
                }
            }
            (*names)[(*count)++] = step->components[k];
        }
    }
    return ORCH_OK;
}

static bool steps_name_all(const struct restore_options *options)
{
    for (size_t i = 0; i < options->step_count; i++) {
        if (options->steps[i].kind == RESTORE_STEP_COMPONENTS &&
            options->steps[i].component_count == 0) {
            return true;
        }
    }
    return false;
}

/* All are asked for: "latest" is then the newest set that holds all that is configured, and not the
 * last set of a single component. */
static void names_of_config(const struct config *config, const char **names, size_t *count)
{
    for (size_t i = 0; i < config->component_count; i++) {
        names[i] = config->components[i].name;
    }
    *count = config->component_count;
}

/* With "all", what the set holds decides; a component of the set that is no longer configured is
 * named, not silently dropped. */
static int32_t names_of_set(const struct run_context *ctx, const struct set *set,
                            const char ***names, size_t *count, struct orch_error *err)
{
    free(*names);
    *names = calloc(set->component_count + 1, sizeof(**names));
    *count = 0;
    if (*names == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a restore");
    }
    for (size_t i = 0; i < set->component_count; i++) {
        const char *name = set->components[i].name;
        if (config_component(ctx->config, name) == NULL) {
            return orch_fail(
                err, ORCH_E_CONFIG,
                "set %s holds component \"%s\", which %s does not configure; configure "
                "it, or name the components to restore",
                set->name, name, ctx->config->dir);
        }
        (*names)[(*count)++] = name;
    }
    return ORCH_OK;
}

/* Is this --target for an option of the component? */
static bool is_target_of(const char *target, const char *component)
{
    size_t len = strlen(component);
    return strncmp(target, component, len) == 0 && target[len] == '.';
}

static bool is_moved(const struct restore_options *options, const char *component)
{
    for (size_t i = 0; i < options->target_count; i++) {
        if (is_target_of(options->targets[i], component)) {
            return true;
        }
    }
    return false;
}

/* What is said of a component that is not restored would send another one to its place. */
static int32_t check_targets(const struct restore_options *options, const struct restore_plan *plan,
                             struct orch_error *err)
{
    for (size_t i = 0; i < options->target_count; i++) {
        const char *target = options->targets[i];
        bool restored = false;
        for (size_t j = 0; j < plan->job_count; j++) {
            restored = restored || is_target_of(target, plan->jobs[j].component->name);
        }
        if (!restored) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "--target %s is for a component that is not restored here; name it "
                             "among the components, or leave the option out",
                             target);
        }
    }
    return ORCH_OK;
}

static int32_t check_places(const struct run_context *ctx, const struct restore_plan *plan,
                            struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < plan->job_count; i++) {
        rc = config_check_places(ctx->config, plan->jobs[i].component, err);
    }
    return rc;
}

/* Whole components may still be in it, so it is no reason to refuse. */
static void warn_of_damage(const struct run_context *ctx, const struct set *set)
{
    struct proof proof;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (proof_load(ctx->repo, set->id, &proof, &ignored) == ORCH_OK && !proof.good) {
        report_text(ctx->report, REPORT_WARNING, NULL,
                    "set %s was found damaged when it was last verified; \"orchestrate verify %s\" "
                    "tells what is hurt, \"orchestrate list\" which sets are not",
                    set->name, set->name);
    }
}

static int32_t make_jobs(struct run_context *ctx, const struct restore_options *options,
                         struct index *index, const char *const *names, size_t count,
                         struct restore_plan *plan, struct orch_error *err)
{
    plan->jobs = calloc(count == 0 ? 1 : count, sizeof(*plan->jobs));
    if (plan->jobs == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a restore");
    }
    for (size_t i = 0; i < count; i++) {
        const struct set_component *held = set_component_find(plan->set, names[i]);
        if (held == NULL) {
            return orch_fail(err, ORCH_E_REFUSED, "set %s does not hold component \"%s\"",
                             plan->set->name, names[i]);
        }
        if (!held->good) {
            return orch_fail(err, ORCH_E_REFUSED,
                             "component \"%s\" failed when set %s was taken (%.300s); choose "
                             "another set",
                             names[i], plan->set->name, held->error);
        }
        struct restore_job *job = &plan->jobs[i];
        job->ctx = ctx;
        job->component = config_component(ctx->config, names[i]);
        job->index = index;
        job->allow_incompatible = options->allow_incompatible;
        job->moved = is_moved(options, names[i]);
        plan->job_count = i + 1;
        int32_t rc = part_load(ctx->repo, held->part, &job->part, err);
        if (rc != ORCH_OK) {
            return orch_wrap(err, "component \"%s\" of set %s", names[i], plan->set->name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        plan->jobs[i].peers = plan->jobs;
        plan->jobs[i].peer_count = count;
    }
    return ORCH_OK;
}

static int32_t make_steps(struct run_context *ctx, const struct restore_options *options,
                          const char *const *names, size_t count, struct restore_plan *plan,
                          struct orch_error *err)
{
    plan->steps = calloc(options->step_count, sizeof(*plan->steps));
    if (plan->steps == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a restore");
    }
    for (size_t i = 0; i < options->step_count; i++) {
        const struct restore_step *step = &options->steps[i];
        plan->steps[i].step = step;
        plan->step_count = i + 1;
        if (step->kind == RESTORE_STEP_CHECK) {
            continue;
        }
        bool all = step->component_count == 0;
        int32_t rc = graph_subset(ctx->config->graph, all ? names : step->components,
                                  all ? count : step->component_count, &plan->steps[i].graph, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static void resolve(const struct run_context *ctx, const struct restore_options *options,
                    struct restore_plan *plan)
{
    json_t *components = json_object();
    for (size_t i = 0; i < plan->job_count; i++) {
        (void)json_object_set_new(components, plan->jobs[i].component->name,
                                  json_string(plan->jobs[i].part->id));
    }
    json_t *steps = json_array();
    for (size_t i = 0; i < plan->step_count; i++) {
        json_t *step = plan->steps[i].graph == NULL ? step_json(plan->steps[i].step)
                                                    : graph_json(plan->steps[i].graph);
        (void)json_array_append_new(steps, step);
    }
    plan->resolved =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "repository", repo_id(ctx->repo), "set",
                  plan->set->id, "components", components, "steps", steps, "targets",
                  text_array(options->targets, options->target_count), "config", ctx->config->hash);
}

/* Manifests that cannot be read: told, and the newest of them remembered. */
struct unreadable {
    struct run_context *ctx;
    char newest[32];
};

static void on_unreadable(void *ctx, const char *name, const struct orch_error *why)
{
    struct unreadable *unreadable = ctx;
    char base[32];
    set_name_of_file(name, base);
    report_text(unreadable->ctx->report, REPORT_WARNING, NULL, "%s cannot be read: %s", name,
                why->message);
    if (strcmp(base, unreadable->newest) > 0) {
        (void)snprintf(unreadable->newest, sizeof(unreadable->newest), "%s", base);
    }
}

/* The set asked for. "latest" must not quietly become an older one than it was. */
static int32_t choose_set(struct run_context *ctx, const char *text, const char *const *names,
                          size_t count, struct restore_plan *plan, struct orch_error *err)
{
    struct unreadable unreadable = {.ctx = ctx};
    int32_t rc = set_list_load(ctx->repo, on_unreadable, &unreadable, &plan->sets, err);
    if (rc == ORCH_OK) {
        rc = set_find(&plan->sets, text, names, count, &plan->set, err);
    }
    if (rc == ORCH_OK && strcmp(text, "latest") == 0 &&
        strcmp(unreadable.newest, plan->set->name) > 0) {
        return orch_fail(err, ORCH_E_REFUSED,
                         "set %s is newer than %s, the latest that can be read, but is damaged; "
                         "to restore the older one, name it",
                         unreadable.newest, plan->set->name);
    }
    return rc;
}

int32_t restore_plan_make(struct run_context *ctx, const struct restore_options *options,
                          const char *set_text, struct index *index, struct restore_plan *plan,
                          struct orch_error *err)
{
    CLEANUP_FREE const char **names = NULL;
    size_t count = 0;
    *plan = (struct restore_plan){.request = restore_plan_request(options)};
    int32_t rc = collect_names(ctx, options, &names, &count, err);
    bool all = steps_name_all(options);
    if (rc == ORCH_OK && all && count > 0) {
        rc =
            orch_fail(err, ORCH_E_CONFIG,
                      "a restore step without components restores all of the set: it stands alone");
    }
    if (rc == ORCH_OK && all) {
        names_of_config(ctx->config, names, &count);
    }
    if (rc == ORCH_OK) {
        rc = choose_set(ctx, set_text, names, count, plan, err);
    }
    if (rc == ORCH_OK) { /* a set may have come since the segments were listed */
        rc = index_refresh(index, err);
    }
    if (rc == ORCH_OK && all) {
        rc = names_of_set(ctx, plan->set, &names, &count, err);
    }
    if (rc == ORCH_OK) {
        rc = make_jobs(ctx, options, index, names, count, plan, err);
    }
    if (rc == ORCH_OK) {
        warn_of_damage(ctx, plan->set);
        rc = check_targets(options, plan, err);
    }
    if (rc == ORCH_OK) {
        rc = check_places(ctx, plan, err);
    }
    if (rc == ORCH_OK) {
        rc = make_steps(ctx, options, names, count, plan, err);
    }
    if (rc == ORCH_OK) {
        resolve(ctx, options, plan);
    }
    return rc;
}

void restore_plan_clear(struct restore_plan *plan)
{
    for (size_t i = 0; i < plan->job_count; i++) {
        restore_job_clear(&plan->jobs[i]);
    }
    for (size_t i = 0; i < plan->step_count; i++) {
        graph_free(plan->steps[i].graph);
    }
    free(plan->jobs);
    free(plan->steps);
    set_list_free(&plan->sets);
    json_decref(plan->request);
    json_decref(plan->resolved);
    *plan = (struct restore_plan){0};
}
