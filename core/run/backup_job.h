/* backup_job.h: one component's share of a backup run. Internal to run/. */
#ifndef CORE_RUN_BACKUP_JOB_H
#define CORE_RUN_BACKUP_JOB_H

#include <stdatomic.h>

#include "engine/set.h"
#include "engine/writer.h"
#include "run/context.h"
#include "run/rate.h"

struct backup_job {
    struct run_context *ctx;
    const struct config_component *component;
    struct index *index;
    struct writer *writer;
    const char *type;
    struct rate rate;
    const atomic_bool *given_up; /* the run has failed elsewhere: no source is asked any more */
    struct part *earlier;        /* owned; NULL: everything is read */

    struct worker *worker;
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct part part; /* filled as the job goes on */
    bool streamed;    /* `part` has its content */
    bool failed;
    struct orch_error error;
    int64_t elapsed_ms;
    int64_t reported_ms;
    uint64_t bytes, items;
    struct part_writer *part_writer;
};

/* The three phases, each of which does nothing for a job that has failed. void *: a backup_job. */
void backup_job_prepare(void *job); /* start, open, probe */
void backup_job_freeze(void *job);
void backup_job_stream(void *job); /* backup, thaw, close; catalogue written */
/* Ends what is left of the worker, whatever the state. */
void backup_job_release(struct backup_job *job);
/* Frees all that it owns. */
void backup_job_clear(struct backup_job *job);
/* A failure that may pass by itself: worth another try. */
bool backup_job_may_retry(const struct backup_job *job);

#endif
