/* restore_plan.h: a restore made concrete: the set, the jobs, the steps and their stages. Internal
 * to run/. */
#ifndef CORE_RUN_RESTORE_PLAN_H
#define CORE_RUN_RESTORE_PLAN_H

#include "run/restore.h"
#include "run/restore_job.h"

struct restore_plan_step {
    const struct restore_step *step;
    struct graph *graph; /* of its components; NULL for a check */
};

struct restore_plan {
    struct set_list sets;
    const struct set *set; /* of the list */
    struct restore_job *jobs;
    size_t job_count;
    struct restore_plan_step *steps;
    size_t step_count;
    json_t *request;  /* what was asked for: the key of a resume */
    json_t *resolved; /* what it means: set, parts, steps, targets */
};

/* `set_text` is the user's, or an id when a run is resumed. Opens parts; `index` is borrowed. */
int32_t restore_plan_make(struct run_context *ctx, const struct restore_options *options,
                          const char *set_text, struct index *index, struct restore_plan *plan,
                          struct orch_error *err) ORCH_CHECKED;
void restore_plan_clear(struct restore_plan *plan);

/* The request alone, before anything is resolved. A new reference. */
json_t *restore_plan_request(const struct restore_options *options);

struct restore_job *restore_plan_job(struct restore_plan *plan, const char *component);

#endif
