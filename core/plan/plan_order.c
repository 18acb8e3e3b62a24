/*
 * plan_order.c: a plan's restore steps against the dependency graph.
 *
 * A component comes back once, and not before a later step brings back what it depends on. What no
 * step restores does not matter: it is taken to be there.
 */
#include "plan/plan_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

/* The step (counted from 1) that restores each component, 0 for none. */
static int32_t assign_steps(const struct config *config, const struct plan *plan, size_t *step_of,
                            struct orch_error *err)
{
    for (size_t s = 0; s < plan->step_count; s++) {
        const struct plan_step *step = &plan->steps[s];
        if (step->kind != PLAN_RESTORE) {
            continue;
        }
        bool all = step->components[0] == NULL;
        for (size_t i = 0; all ? i < config->component_count : step->components[i] != NULL; i++) {
            size_t c = i;
            if (!all) {
                c = (size_t)(config_component(config, step->components[i]) - config->components);
            }
            if (step_of[c] != 0) {
                return orch_fail(err, ORCH_E_CONFIG,
                                 "%s:%d: %s is restored twice: by this step and by the one at line "
                                 "%d%s",
                                 plan->file, step->line, config->components[c].name,
                                 plan->steps[step_of[c] - 1].line,
                                 all ? " (a restore step without components restores all)" : "");
            }
            step_of[c] = s + 1;
        }
    }
    return ORCH_OK;
}

/* "kb -> cache -> app-db": how `from` depends on `to`, by declared dependencies. */
static void append_path(const struct config *config, size_t from, const char *to, struct buffer *b)
{
    const struct config_component *at = &config->components[from];
    buffer_printf(b, "%s", at->name);
    while (strcmp(at->name, to) != 0) {
        const struct config_component *next = NULL;
        for (size_t i = 0; at->depends_on[i] != NULL && next == NULL; i++) {
            const char *name = at->depends_on[i];
            if (strcmp(name, to) == 0 || graph_depends(config->graph, name, to)) {
                next = config_component(config, name);
            }
        }
        if (next == NULL) {
            return;
        }
        buffer_printf(b, " -> %s", next->name);
        at = next;
    }
}

/* Walks what component `c` depends on, and finds the first that a later step restores; its index,
 * or SIZE_MAX. `seen` marks by c + 1. */
static size_t find_later(const struct config *config, const size_t *step_of, size_t c, size_t *seen,
                         size_t *stack)
{
    size_t depth = 0;
    stack[depth++] = c;
    while (depth > 0) {
        char *const *names = config->components[stack[--depth]].depends_on;
        for (size_t i = 0; names[i] != NULL; i++) {
            size_t other = (size_t)(config_component(config, names[i]) - config->components);
            if (seen[other] == c + 1) {
                continue;
            }
            if (step_of[other] > step_of[c]) {
                return other;
            }
            seen[other] = c + 1;
            stack[depth++] = other;
        }
    }
    return SIZE_MAX;
}

static int32_t fail_order(const struct config *config, const struct plan *plan,
                          const size_t *step_of, size_t c, size_t other, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer way = BUFFER_INIT;
    const char *provider = config->components[other].name;
    append_path(config, c, provider, &way);
    const char *text = buffer_string(&way);
    return orch_fail(err, ORCH_E_CONFIG,
                     "%s:%d: this step restores %s before the step at line %d restores %s, which "
                     "it depends on (%s); put %s into this step or an earlier one",
                     plan->file, plan->steps[step_of[c] - 1].line, config->components[c].name,
                     plan->steps[step_of[other] - 1].line, provider, text == NULL ? "…" : text,
                     provider);
}

/* Restore and check steps are one recovery: one preflight for all before anything is touched, one
 * journal to resume. A step of another kind between them would cut it in two. */
static int32_t check_together(const struct plan *plan, struct orch_error *err)
{
    const struct plan_step *cut = NULL; /* the first other step behind a restore */
    bool restored = false;
    for (size_t s = 0; s < plan->step_count; s++) {
        const struct plan_step *step = &plan->steps[s];
        if (step->kind == PLAN_RESTORE && cut != NULL) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "%s:%d: all restore steps of a plan stand together, since they are "
                             "checked together before anything is touched; the step at line %d "
                             "stands between: move it, or make two plans",
                             plan->file, step->line, cut->line);
        }
        restored = restored || step->kind == PLAN_RESTORE;
        bool other = step->kind == PLAN_BACKUP || step->kind == PLAN_VERIFY;
        cut = restored && other && cut == NULL ? step : cut;
    }
    return ORCH_OK;
}

int32_t plan_order_check(const struct config *config, const struct plan *plan,
                         struct orch_error *err)
{
    size_t n = config->component_count;
    CLEANUP_FREE size_t *step_of = calloc(n + 1, sizeof(*step_of));
    CLEANUP_FREE size_t *seen = calloc(n + 1, sizeof(*seen));
    CLEANUP_FREE size_t *stack = calloc(n + 1, sizeof(*stack));
    if (step_of == NULL || seen == NULL || stack == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the plan");
    }
    int32_t rc = assign_steps(config, plan, step_of, err);
    for (size_t c = 0; rc == ORCH_OK && c < n; c++) {
        size_t other = step_of[c] == 0 ? SIZE_MAX : find_later(config, step_of, c, seen, stack);
        if (other != SIZE_MAX) {
            rc = fail_order(config, plan, step_of, c, other, err);
        }
    }
    return rc != ORCH_OK ? rc : check_together(plan, err);
}
