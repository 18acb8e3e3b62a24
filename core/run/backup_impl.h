/* backup_impl.h: a backup under way, which backup.c reads and backup_seal.c seals. Internal to
 * run/. */
#ifndef CORE_RUN_BACKUP_IMPL_H
#define CORE_RUN_BACKUP_IMPL_H

#include "engine/lease.h"
#include "engine/runlog.h"
#include "run/backup.h"
#include "run/backup_job.h"
#include "run/target_lock.h"

struct backup {
    struct run_context *ctx;
    const struct backup_options *options;
    struct backup_result *result;
    struct lease *lease;
    struct runlog *log;
    struct index *index;
    struct writer *writer;
    struct set_list sets;
    const struct set *base; /* of the list: the one asked for, or NULL */
    struct graph *graph;    /* of the components taken */
    struct backup_job *jobs;
    size_t job_count;
    atomic_bool given_up;      /* there will be no writer: what is probed meanwhile need not be */
    struct target_locks locks; /* shared: no restore of these meanwhile */
    struct set *set;
};

/* Once every job has streamed or failed: packs and index durable, and new packs read back. */
int32_t backup_seal_packs(struct backup *b, struct orch_error *err) ORCH_CHECKED;
/* Stores parts and manifest, and verifies the set; a set that does not verify, or whose lease was
 * lost, is withdrawn. Fills b->set. */
int32_t backup_seal_set(struct backup *b, int64_t started_ns, struct orch_error *err) ORCH_CHECKED;

#endif
