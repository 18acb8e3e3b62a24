/*
 * runlog.h: the events of a run, sealed and append-only. Files runs/ID/N, N from 1.
 */
#ifndef CORE_ENGINE_RUNLOG_H
#define CORE_ENGINE_RUNLOG_H

#include "engine/repo.h"

#define RUN_PENDING "pending"
#define RUN_IN_PROGRESS "in-progress"
#define RUN_COMPLETED "completed"
#define RUN_PARTIAL "partial"
#define RUN_FAILED "failed"
#define RUN_CANCELLED "cancelled"

struct runlog;

/* Starts the log of run `run_id` with a first event {state: in-progress, kind, host, pid}; a run
 * that is taken up again continues its numbers. A log may be used from several threads. */
int32_t runlog_start(struct repo *repo, const char *run_id, const char *kind, struct runlog **out,
                     struct orch_error *err) ORCH_CHECKED;
/* Appends an event; takes over the reference of `details` (an object, or NULL), also on failure.
 * `component` may be NULL. */
int32_t runlog_event(struct runlog *log, const char *event, const char *component, json_t *details,
                     struct orch_error *err) ORCH_CHECKED;
/* Appends the last event, durably, and frees the log (also on failure). */
int32_t runlog_finish(struct runlog *log, const char *state, json_t *details,
                      struct orch_error *err) ORCH_CHECKED;

/* Runs known to the repository, newest first: an array of {id, kind, state, started, finished,
 * events, started_ns, finished_ns}; times as text ("2026-01-31T12:00:00Z") and in ns, null for a
 * run without an end. A run whose last event is not an end, and whose lease is gone (or stale, see
 * lease_list), shows as failed. A damaged log is logged and left out. */
int32_t runlog_list(struct repo *repo, json_t **out, struct orch_error *err) ORCH_CHECKED;

/* All events of a run, in order: an array of {number, at, at_ns, event, component, details}.
 * ORCH_E_CORRUPT when one is damaged, missing or does not follow the one before it. */
int32_t runlog_read(struct repo *repo, const char *run_id, json_t **out,
                    struct orch_error *err) ORCH_CHECKED;

#endif
