/*
 * context.h: what every run needs: the configuration, the opened repository, where plugins are,
 * who watches, and whether somebody asked to stop.
 */
#ifndef CORE_RUN_CONTEXT_H
#define CORE_RUN_CONTEXT_H

#include <stdbool.h>

#include "engine/index.h"
#include "engine/lease.h"
#include "engine/mark.h"
#include "engine/repo.h"
#include "plan/config.h"
#include "plugin/worker.h"
#include "report/report.h"

struct run_context {
    struct config *config;
    const struct config_repository *repository;
    struct storage *storage;
    struct repo *repo;
    const char *plugin_path; /* --plugin-path, or NULL */
    bool in_process;
    uint32_t jobs;              /* threads; 0: as the repository is configured */
    struct report *report;      /* or NULL */
    const volatile int *cancel; /* or NULL */
};

/* Opens the repository called `name` (NULL: the only one) of ctx->config, checks it against what
 * this client remembers, and remembers it. */
int32_t context_open_repository(struct run_context *ctx, const char *name,
                                struct orch_error *err) ORCH_CHECKED;
/* Creates the repository instead. Remembers it too. */
int32_t context_create_repository(struct run_context *ctx, const char *name,
                                  struct orch_error *err) ORCH_CHECKED;
void context_close_repository(struct run_context *ctx);

/* Where caches lie, made when missing; NULL when it cannot be had, which is told. */
const char *context_cache_dir(const struct run_context *ctx);

/* How many threads compress, fetch or read; 0: one per core. Needs ctx->repository. */
uint32_t context_jobs(const struct run_context *ctx);

/* A worker for the component with its options opened. `rate_limit`: bytes per second that a backup
 * shall not exceed, so that it does not read far ahead of it either; 0: none. */
int32_t context_open_worker(const struct run_context *ctx, const struct config_component *component,
                            int64_t rate_limit, struct worker **out,
                            struct orch_error *err) ORCH_CHECKED;

/* Reads the marks, and says in the lease (NULL: there is none) that they are obeyed from here on.
 * One that is damaged fails a writer; who only reads is warned, and none is obeyed then.
 * Clear `marks` in every case. */
int32_t context_obey_marks(const struct run_context *ctx, struct lease *lease, bool writing,
                           struct mark_list *marks, struct orch_error *err) ORCH_CHECKED;

/*
 * The index, opened in the order of docs/prune-protocol.md: the lease is there, then the marks are
 * read and acknowledged in it, then the segments. What the marks condemn is shunned. `lease` NULL:
 * the repository could not be written. `writing`: packs that are lost count as absent. A damaged
 * segment is a warning in the report.
 */
int32_t context_open_index(const struct run_context *ctx, struct lease *lease, bool writing,
                           struct index **out, struct orch_error *err) ORCH_CHECKED;

bool context_cancelled(const struct run_context *ctx);

/* STATE_DIR/FOLDER/NAME (STATE_DIR/NAME when `folder` is NULL) in new memory; makes the folders
 * (0700) when they are missing. */
int32_t context_state_path(const struct config *config, const char *folder, const char *name,
                           char **out, struct orch_error *err) ORCH_CHECKED;

#endif
