/*
 * removal.h: takes sets out of a repository: by retention (prune), or by name (delete). What they
 * alone needed is deleted by a prune.
 */
#ifndef CORE_RUN_REMOVAL_H
#define CORE_RUN_REMOVAL_H

#include "engine/prune.h"
#include "run/context.h"
#include "run/retention.h"

#define REMOVAL_WAIT_MS 150000 /* longer than a lease lives: a host that died is not in the way */

struct removal_options {
    /* What is kept: the first rule that fits a set holds for it. A set that none fits is kept, and
     * without any rule every set is. */
    const struct config_retention *rules;
    size_t rule_count;
    /* Judge these sets alone: of this label ("": without one; NULL: any), of exactly these
     * components (NULL: any). */
    const char *label;
    const char *const *components; /* zero-terminated */
    uint32_t repack_above;         /* as in prune_options */
    int64_t wait_ms;
    bool dry_run;
};

struct removal_result {
    struct prune_result prune;
    json_t *sets; /* array, newest first: id, name, label, components, started, size_bytes,
                     stored_bytes, keep, reason */
    uint64_t packs_waiting; /* PRUNE_MARKED: condemned, to be deleted by a later prune */
    int64_t elapsed_ms;
};

/* Applies the rules and collects what no set needs. ORCH_OK also when others were at work and data
 * is left for the next prune (result->prune.state); ORCH_E_BUSY: another prune is at work, and
 * nothing was done. Clear `result` in every case. */
int32_t removal_prune(struct run_context *ctx, const struct removal_options *options,
                      struct removal_result *result, struct orch_error *err) ORCH_CHECKED;
void removal_result_clear(struct removal_result *result);

/* Sets that are named by the user, to be deleted. */
struct removal_plan {
    struct set_list sets;     /* all of the repository */
    const struct set **going; /* of `sets`: in the order in which they were named, each once */
    size_t count;
    json_t *described; /* of those that go: as in removal_result, without keep and reason */
    json_t *
        protected_sets; /* of those, the newest completed or verified of their group: {name, reason}
                         */
};

/* Finds them. ORCH_E_NOT_FOUND, or what set_find says. Clear `plan` in every case. */
int32_t removal_plan_make(struct run_context *ctx, const char *const *names, size_t count,
                          struct removal_plan *plan, struct orch_error *err) ORCH_CHECKED;
void removal_plan_clear(struct removal_plan *plan);
/* What a prune would free once they are gone. Changes nothing. */
int32_t removal_plan_estimate(struct run_context *ctx, const struct removal_plan *plan,
                              struct prune_result *result, struct orch_error *err) ORCH_CHECKED;
/* Removes the sets; their data goes with the next prune. *removed: how many went, also when it
 * fails. */
int32_t removal_delete(struct run_context *ctx, const struct removal_plan *plan, size_t *removed,
                       struct orch_error *err) ORCH_CHECKED;

#endif
