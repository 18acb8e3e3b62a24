/* removal.c: see removal.h. */
#include "run/removal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/codec.h"
#include "engine/mark.h"
#include "engine/proof.h"
#include "run/ledger.h"

/* ---- what is known of sets ---- */

/* What its backup added, by its parts. One that cannot be read counts for nothing: told. */
static uint64_t stored_bytes(const struct run_context *ctx, const struct set *set)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < set->component_count; i++) {
        CLEANUP(part_cleanup) struct part *part = NULL;
        struct orch_error why = ORCH_ERROR_INIT;
        if (!set->components[i].good) {
            continue;
        }
        if (part_load(ctx->repo, set->components[i].part, &part, &why) == ORCH_OK) {
            sum += part->stats.bytes_stored;
        } else {
            report_text(ctx->report, REPORT_WARNING, set->components[i].name,
                        "what set %s stored is not known: %s", set->name, why.message);
        }
    }
    return sum;
}

static bool is_verified(const struct run_context *ctx, const struct set *set)
{
    struct proof proof;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = proof_load(ctx->repo, set->id, &proof, &why);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        report_text(ctx->report, REPORT_WARNING, NULL, "how set %s was verified is not known: %s",
                    set->name, why.message);
    }
    return rc == ORCH_OK && proof_is_full(&proof);
}

static json_t *describe(const struct set *set, uint64_t stored)
{
    json_t *components = json_array();
    char started[21];
    uint64_t size = 0;
    for (size_t i = 0; i < set->component_count; i++) {
        (void)json_array_append_new(components, json_string(set->components[i].name));
        size += set->components[i].size_bytes;
    }
    clock_iso(set->started_ns, started);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I}", "id", set->id, "name",
                     set->name, "type", set->type, "state",
                     set->state == SET_COMPLETED ? "completed" : "partial", "label", set->label,
                     "components", components, "started", started, "started_ns",
                     (json_int_t)set->started_ns, "size_bytes", (json_int_t)size, "stored_bytes",
                     (json_int_t)stored);
}

/* ---- rules ---- */

static struct retention_policy policy_of(const struct config_retention *rule)
{
    return (struct retention_policy){.keep_last = rule->keep_last,
                                     .keep_hourly = rule->keep_hourly,
                                     .keep_daily = rule->keep_daily,
                                     .keep_weekly = rule->keep_weekly,
                                     .keep_monthly = rule->keep_monthly,
                                     .keep_yearly = rule->keep_yearly,
                                     .max_age_ms = rule->max_age_ms,
                                     .max_count = rule->max_count,
                                     .max_size_bytes = rule->max_size_bytes};
}

/* Names are given once each: as many, and each there. */
static bool fits(const struct set *set, const char *label, const char *const *components)
{
    size_t count = 0;
    if (label != NULL && strcmp(label, set->label) != 0) {
        return false;
    }
    for (; components != NULL && components[count] != NULL; count++) {
        if (set_component_find(set, components[count]) == NULL) {
            return false;
        }
    }
    return components == NULL || count == set->component_count;
}

/* A prune at the moment of its choice. */
struct choice {
    const struct run_context *ctx;
    const struct removal_options *options;
    json_t *sets;
    json_t *gone;      /* names, for the audit */
    json_t *gone_sets; /* as they were described */
    bool dry_run;
};

/* What each set is judged by: the number of a rule, or one of these. */
#define RULE_NONE SIZE_MAX
#define RULE_NOT_ASKED (SIZE_MAX - 1)

static size_t rule_for(const struct removal_options *o, const struct set *set)
{
    if (!fits(set, o->label, o->components)) {
        return RULE_NOT_ASKED;
    }
    for (size_t i = 0; i < o->rule_count; i++) {
        const struct config_retention *rule = &o->rules[i];
        if (fits(set, rule->label, (const char *const *)rule->components)) {
            return i;
        }
    }
    return RULE_NONE;
}

/* Sets of one group fit the same rules, so that a rule is applied to whole groups. */
static int32_t decide_by(const struct config_retention *rule, size_t number, const size_t *rules,
                         const struct set_list *sets, const struct retention_fact *facts,
                         struct retention_decision *out, struct orch_error *err)
{
    size_t n = 0;
    struct retention_policy policy = policy_of(rule);
    CLEANUP_FREE struct set **some = calloc(sets->count + 1, sizeof(*some));
    CLEANUP_FREE struct retention_fact *their = calloc(sets->count + 1, sizeof(*their));
    CLEANUP_FREE struct retention_decision *said = calloc(sets->count + 1, sizeof(*said));
    if (some == NULL || their == NULL || said == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
    }
    for (size_t i = 0; i < sets->count; i++) {
        if (rules[i] == number) {
            some[n] = sets->sets[i];
            their[n++] = facts[i];
        }
    }
    struct set_list list = {some, n};
    int32_t rc = retention_decide(&policy, &list, their, clock_wall_ns(), said, err);
    n = 0;
    for (size_t i = 0; rc == ORCH_OK && i < sets->count; i++) {
        if (rules[i] == number) {
            out[i] = said[n++];
        }
    }
    return rc;
}

static void keep_for(struct retention_decision *decision, const char *reason)
{
    decision->keep = true;
    (void)snprintf(decision->reason, sizeof(decision->reason), "%s", reason);
}

static int32_t decide(const struct choice *c, const struct set_list *sets,
                      const struct retention_fact *facts, struct retention_decision *out,
                      struct orch_error *err)
{
    const struct removal_options *o = c->options;
    CLEANUP_FREE size_t *rules = calloc(sets->count + 1, sizeof(*rules));
    if (rules == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
    }
    for (size_t i = 0; i < sets->count; i++) {
        rules[i] = rule_for(o, sets->sets[i]);
        if (rules[i] == RULE_NOT_ASKED) {
            keep_for(&out[i], "not asked about");
        } else if (rules[i] == RULE_NONE) {
            keep_for(&out[i], o->rule_count == 0 ? "no rule is given" : "no rule is for it");
        }
    }
    int32_t rc = ORCH_OK;
    for (size_t k = 0; rc == ORCH_OK && k < o->rule_count; k++) {
        rc = decide_by(&o->rules[k], k, rules, sets, facts, out, err);
    }
    return rc;
}

/* prune_options.choose */
static int32_t choose(void *ctx, const struct set_list *sets, bool *remove, struct orch_error *err)
{
    struct choice *c = ctx;
    CLEANUP_FREE struct retention_fact *facts = calloc(sets->count + 1, sizeof(*facts));
    CLEANUP_FREE struct retention_decision *said = calloc(sets->count + 1, sizeof(*said));
    if (facts == NULL || said == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
    }
    for (size_t i = 0; i < sets->count; i++) {
        facts[i].stored_bytes = stored_bytes(c->ctx, sets->sets[i]);
        facts[i].verified = is_verified(c->ctx, sets->sets[i]);
    }
    int32_t rc = decide(c, sets, facts, said, err);
    (void)json_array_clear(c->sets); /* a prune that begins again asks again */
    for (size_t i = 0; rc == ORCH_OK && i < sets->count; i++) {
        json_t *json = describe(sets->sets[i], facts[i].stored_bytes);
        (void)json_object_set_new(json, "keep", json_boolean(said[i].keep));
        (void)json_object_set_new(json, "reason", json_string(said[i].reason));
        (void)json_array_append_new(c->sets, json);
        remove[i] = !said[i].keep;
    }
    return rc;
}

/* ---- what a prune tells ---- */

static bool on_stop(void *ctx)
{
    const struct choice *c = ctx;
    return context_cancelled(c->ctx);
}

static void on_phase(void *ctx, const char *text)
{
    const struct choice *c = ctx;
    report_text(c->ctx->report, REPORT_PHASE, NULL, "%s", text);
}

static const char *text_of(const json_t *set, const char *key)
{
    return json_string_value(json_object_get(set, key));
}

static json_t *find_described(const json_t *sets, const char *id)
{
    size_t i = 0;
    json_t *set = NULL;
    json_array_foreach(sets, i, set)
    {
        if (strcmp(text_of(set, "id"), id) == 0) {
            return set;
        }
    }
    return NULL;
}

static json_int_t started_ns(const json_t *set)
{
    return json_integer_value(json_object_get(set, "started_ns"));
}

/* A prune that began again has judged what was still there: what it had removed before is told
 * too, in its place. */
static void tell_all_gone(const struct choice *c)
{
    size_t i = 0;
    json_t *set = NULL;
    json_array_foreach(c->gone_sets, i, set)
    {
        size_t at = 0;
        if (find_described(c->sets, text_of(set, "id")) != NULL) {
            continue;
        }
        while (at < json_array_size(c->sets) &&
               started_ns(json_array_get(c->sets, at)) > started_ns(set)) {
            at++;
        }
        (void)json_array_insert(c->sets, at, set);
    }
}

/* Another prune was in the way to the end: of this one, or of a second begin of it. */
static int32_t fail_busy(const struct prune_result *prune, struct orch_error *err)
{
    const struct lease_seen *blocked = &prune->blocked;
    char done[96] = "nothing was done";
    if (prune->sets_removed > 0) {
        (void)snprintf(done, sizeof(done),
                       "%llu sets were removed, and their data goes with the next prune",
                       (unsigned long long)prune->sets_removed);
    }
    return orch_fail(err, ORCH_E_BUSY,
                     "another prune is at work (run %.8s on host %s, pid %lld): %s; wait until it "
                     "has ended, or give a longer --wait",
                     blocked->run_id, blocked->host, (long long)blocked->pid, done);
}

static void on_removed(void *ctx, const struct set *set)
{
    struct choice *c = ctx;
    struct orch_error why = ORCH_ERROR_INIT;
    if (c->dry_run) {
        return;
    }
    json_t *described = find_described(c->sets, set->id);
    if (described != NULL) {
        (void)json_array_append(c->gone_sets, described);
    }
    (void)json_array_append_new(c->gone, json_string(set->name));
    report_text(c->ctx->report, REPORT_NOTE, NULL, "set %s is removed", set->name);
    if (proof_remove(c->ctx->repo, set->id, &why) != ORCH_OK) {
        report_text(c->ctx->report, REPORT_WARNING, NULL, "%s", why.message);
    }
}

static void on_waiting(void *ctx, const struct lease_seen *lease)
{
    const struct choice *c = ctx;
    report_text(c->ctx->report, REPORT_NOTE, NULL, "waiting for %s %.8s (host %s, pid %lld)",
                lease->work, lease->run_id, lease->host, (long long)lease->pid);
}

static void on_warning(void *ctx, const char *text)
{
    const struct choice *c = ctx;
    report_text(c->ctx->report, REPORT_WARNING, NULL, "%s", text);
}

/* Everything of a prune but what is chosen. */
static int32_t fill_options(struct choice *c, struct prune_options *o, struct orch_error *err)
{
    const struct run_context *ctx = c->ctx;
    *o = (struct prune_options){.dry_run = true,
                                .cache_dir = context_cache_dir(ctx),
                                .writer = {.jobs = context_jobs(ctx)},
                                .stop = on_stop,
                                .phase = on_phase,
                                .removed = on_removed,
                                .waiting = on_waiting,
                                .warning = on_warning,
                                .ctx = c};
    return codec_parse(ctx->repository->compression, &o->writer.codec, &o->writer.level, err);
}

static void audit(const struct run_context *ctx, const char *command, json_t *sets,
                  const char *run_id)
{
    struct orch_error why = ORCH_ERROR_INIT;
    json_t *entry = json_pack("{s:s, s:s, s:O, s:s}", "what", command, "repository",
                              ctx->repository->name, "sets", sets, "run", run_id);
    if (ledger_append(ctx->config, LEDGER_AUDIT, entry, &why) != ORCH_OK) {
        report_text(ctx->report, REPORT_WARNING, NULL, "the audit trail is incomplete: %s",
                    why.message);
    }
}

/* How many packs are condemned and still there to be deleted. */
static uint64_t count_waiting(const struct run_context *ctx)
{
    struct mark_list marks = {0};
    struct orch_error ignored = ORCH_ERROR_INIT;
    uint64_t packs = 0;
    if (mark_list_load(ctx->repo, &marks, &ignored) == ORCH_OK) {
        for (size_t i = 0; i < marks.count; i++) {
            packs += marks.marks[i].pack_count;
        }
    }
    mark_list_clear(&marks);
    return packs;
}

int32_t removal_prune(struct run_context *ctx, const struct removal_options *options,
                      struct removal_result *result, struct orch_error *err)
{
    *result = (struct removal_result){.sets = json_array()};
    struct choice c = {.ctx = ctx,
                       .options = options,
                       .sets = result->sets,
                       .gone = json_array(),
                       .gone_sets = json_array(),
                       .dry_run = options->dry_run};
    struct prune_options prune;
    int64_t start = clock_monotonic_ms();
    int32_t rc = fill_options(&c, &prune, err);
    if (rc == ORCH_OK) {
        prune.choose = choose;
        prune.dry_run = options->dry_run;
        prune.repack_above = options->repack_above;
        prune.wait_ms = options->wait_ms;
        rc = prune_run(ctx->repo, &prune, &result->prune, err);
    }
    if (rc == ORCH_OK && result->prune.state == PRUNE_BUSY) {
        rc = fail_busy(&result->prune, err);
    } else if (rc == ORCH_OK && result->prune.state == PRUNE_MARKED) {
        result->packs_waiting = count_waiting(ctx);
    }
    if (json_array_size(c.gone) > 0) { /* also of a prune that failed later on */
        audit(ctx, "prune", c.gone, result->prune.run_id);
    }
    tell_all_gone(&c);
    json_decref(c.gone_sets);
    json_decref(c.gone);
    result->elapsed_ms = clock_monotonic_ms() - start;
    return rc;
}

void removal_result_clear(struct removal_result *result)
{
    json_decref(result->sets);
    *result = (struct removal_result){0};
}

/* ---- sets by name ---- */

static void on_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    const struct run_context *run = ctx;
    report_text(run->report, REPORT_WARNING, NULL, "%s cannot be read: %s", name, why->message);
}

static bool goes(const struct removal_plan *plan, const struct set *set)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->going[i] == set) {
            return true;
        }
    }
    return false;
}

/* Those that retention would keep in any case: a limit of one set lets go of all others. */
static int32_t find_protected(const struct run_context *ctx, struct removal_plan *plan,
                              struct orch_error *err)
{
    const struct retention_policy one = {.max_count = 1};
    CLEANUP_FREE struct retention_fact *facts = calloc(plan->sets.count + 1, sizeof(*facts));
    CLEANUP_FREE struct retention_decision *said = calloc(plan->sets.count + 1, sizeof(*said));
    if (facts == NULL || said == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to judge the sets");
    }
    for (size_t i = 0; i < plan->sets.count; i++) {
        facts[i].verified = is_verified(ctx, plan->sets.sets[i]);
    }
    int32_t rc = retention_decide(&one, &plan->sets, facts, clock_wall_ns(), said, err);
    for (size_t i = 0; rc == ORCH_OK && i < plan->sets.count; i++) {
        const struct set *set = plan->sets.sets[i];
        if (said[i].keep && goes(plan, set)) {
            (void)json_array_append_new(
                plan->protected_sets,
                json_pack("{s:s, s:s}", "name", set->name, "reason", said[i].reason));
        }
    }
    return rc;
}

int32_t removal_plan_make(struct run_context *ctx, const char *const *names, size_t count,
                          struct removal_plan *plan, struct orch_error *err)
{
    *plan = (struct removal_plan){.described = json_array(), .protected_sets = json_array()};
    plan->going = calloc(count + 1, sizeof(*plan->going));
    if (plan->going == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of sets");
    }
    int32_t rc = set_list_load(ctx->repo, on_damaged, ctx, &plan->sets, err);
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        const struct set *set = NULL;
        rc = set_find(&plan->sets, names[i], NULL, 0, &set, err);
        if (rc == ORCH_OK && !goes(plan, set)) {
            plan->going[plan->count++] = set;
            (void)json_array_append_new(plan->described, describe(set, stored_bytes(ctx, set)));
        }
    }
    return rc == ORCH_OK ? find_protected(ctx, plan, err) : rc;
}

void removal_plan_clear(struct removal_plan *plan)
{
    set_list_free(&plan->sets);
    free((void *)plan->going);
    json_decref(plan->described);
    json_decref(plan->protected_sets);
    *plan = (struct removal_plan){0};
}

/* An estimate, and what would be gone. */
struct estimate {
    struct choice choice; /* the first member: prune's callbacks take it for that */
    const struct removal_plan *plan;
};

static int32_t choose_named(void *ctx, const struct set_list *sets, bool *remove,
                            struct orch_error *err)
{
    const struct estimate *e = ctx;
    (void)err;
    for (size_t i = 0; i < sets->count; i++) {
        for (size_t k = 0; k < e->plan->count; k++) {
            remove[i] = remove[i] || strcmp(sets->sets[i]->id, e->plan->going[k]->id) == 0;
        }
    }
    return ORCH_OK;
}

int32_t removal_plan_estimate(struct run_context *ctx, const struct removal_plan *plan,
                              struct prune_result *result, struct orch_error *err)
{
    struct estimate e = {.choice = {.ctx = ctx, .dry_run = true}, .plan = plan};
    struct prune_options prune;
    int32_t rc = fill_options(&e.choice, &prune, err);
    if (rc == ORCH_OK) {
        prune.choose = choose_named;
        prune.ctx = &e;
        prune.wait_ms = -1;
        rc = prune_run(ctx->repo, &prune, result, err);
    }
    return rc;
}

int32_t removal_delete(struct run_context *ctx, const struct removal_plan *plan, size_t *removed,
                       struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    json_t *gone = json_array();
    *removed = 0;
    while (rc == ORCH_OK && *removed < plan->count) {
        const struct set *set = plan->going[*removed];
        struct orch_error why = ORCH_ERROR_INIT;
        rc = prune_remove_set(ctx->repo, set, err);
        if (rc != ORCH_OK) {
            break;
        }
        (*removed)++;
        (void)json_array_append_new(gone, json_string(set->name));
        if (proof_remove(ctx->repo, set->id, &why) != ORCH_OK) {
            report_text(ctx->report, REPORT_WARNING, NULL, "%s", why.message);
        }
    }
    if (*removed > 0) {
        audit(ctx, "delete", gone, "");
    }
    json_decref(gone);
    return rc;
}
