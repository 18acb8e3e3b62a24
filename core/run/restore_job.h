/* restore_job.h: one component's share of a restore. Internal to run/. */
#ifndef CORE_RUN_RESTORE_JOB_H
#define CORE_RUN_RESTORE_JOB_H

#include "engine/part.h"
#include "run/context.h"
#include "run/estimate.h"
#include "run/journal.h"

struct restore_job {
    struct run_context *ctx;
    const struct config_component *component;
    struct index *index;
    struct part *part;       /* owned */
    struct journal *journal; /* NULL before the run is confirmed */
    char run_id[ID_TEXT];
    bool allow_incompatible;
    bool moved; /* a --target sends it elsewhere */

    /* all jobs of the run: where future files come from */
    const struct restore_job *peers;
    size_t peer_count;

    struct worker_verdicts verdicts; /* of the preflight */
    bool refused;
    size_t overridden; /* refusals that --allow-incompatible turned into warnings */
    char refusal[ORCH_ERROR_MESSAGE_MAX];

    bool verified, settled, failed, skipped;
    struct orch_error error;
    int64_t elapsed_ms;
    struct estimate estimate;
    uint64_t bytes, items;
    int64_t reported_ms;
};

/* Preflight: judges, touches nothing. void *: a restore_job. */
void restore_job_check(void *job);
/* quiesce, restore, verify, resume, settle. Journals. */
void restore_job_execute(void *job);
/* What is left for a component that an earlier attempt verified: its writers, which may still stand
 * still, and settling. */
void restore_job_settle(void *job);
void restore_job_clear(struct restore_job *job);
json_t *restore_job_json(const struct restore_job *job);

#endif
