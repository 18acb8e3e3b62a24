/*
 * restore.h: brings a system, or some components of it, back from a set.
 *
 * Resolve, preflight for every component of every step, confirm, then stage by stage: quiesce,
 * restore, verify, resume, settle; each act journalled before it is done.
 */
#ifndef CORE_RUN_RESTORE_H
#define CORE_RUN_RESTORE_H

#include "engine/set.h"
#include "run/context.h"

enum restore_step_kind { RESTORE_STEP_COMPONENTS, RESTORE_STEP_CHECK };

struct restore_step {
    enum restore_step_kind kind;
    const char *const *components; /* names */
    size_t component_count;        /* 0: all of the set */
    const char *command;           /* check: by /bin/sh -c, must exit with 0 */
    int64_t timeout_ms;
};

struct restore_options {
    const char *set; /* as the user named it; "latest" */
    const struct restore_step *steps;
    size_t step_count;
    const char *const *targets; /* --target texts, already applied to the configuration */
    size_t target_count;
    const char *plan_hash; /* of the plan file, or NULL */
    bool dry_run;
    bool resume;
    bool restart; /* give up an unfinished restore of the same components */
    bool allow_incompatible;
    /* Asks the user; NULL: yes. `summary` says what will be replaced. */
    bool (*confirm)(void *ctx, const char *summary);
    void *confirm_ctx;
};

struct restore_result {
    char run_id[ID_TEXT];
    char set_id[ID_TEXT];
    char set_name[32];
    json_t *document; /* steps, stages, components with verdicts, state, counts, times */
    size_t verified;  /* components that came back and passed verification */
    size_t failed;    /* components that did not, those not tried included */
    int64_t elapsed_ms;
    bool refused; /* by preflight; nothing was touched */
};

/*
 * ORCH_OK: all is back and verified (or, with dry_run, could be). ORCH_E_REFUSED: preflight said
 * no, nothing was touched. Otherwise some or all failed: see result. Clear `result` in every case.
 */
int32_t restore_run(struct run_context *ctx, const struct restore_options *options,
                    struct restore_result *result, struct orch_error *err) ORCH_CHECKED;
void restore_result_clear(struct restore_result *result);

#endif
