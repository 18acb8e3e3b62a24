/* restore_impl.h: a restore under way, which restore.c prepares and records and restore_stages.c
 * carries out. Internal to run/. */
#ifndef CORE_RUN_RESTORE_IMPL_H
#define CORE_RUN_RESTORE_IMPL_H

#include "engine/lease.h"
#include "run/restore_plan.h"
#include "run/target_lock.h"
struct restore {
    struct run_context *ctx;
    const struct restore_options *options;
    struct restore_result *result;
    struct lease *lease;
    struct index *index;
    struct restore_plan plan;
    struct journal *journal;
    struct target_locks locks;
    bool resumed;
};

/* Every step that is left. ORCH_OK also when components failed: each job says how it ended.
 * Otherwise the run was cancelled, or a check or the journal failed, and later steps were not
 * begun. */
int32_t restore_stages_run(struct restore *r, struct orch_error *err) ORCH_CHECKED;

#endif
