/*
 * journal.h: what a restore is about to do and has done, on disk before it is done.
 *
 * File STATE/journals/RUN.jsonl: one JSON object a line, each synced before the call returns. The
 * first line holds the request (what was asked for) and the resolved plan with its hash. The file
 * is locked while its run is at work, so that a run is never resumed twice at once. Once it is
 * finished it is put away: STATE/journals/finished/RUN.jsonl, which nobody reads again.
 */
#ifndef CORE_RUN_JOURNAL_H
#define CORE_RUN_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/id.h"
#include "plan/config.h"

struct journal;

/* Where one component stands, as the journal tells it. */
struct journal_component {
    char name[64];
    uint32_t attempts; /* begun so far */
    bool verified;
    bool settled;
};

/* Starts the journal of a new run. `request` and `resolved` are borrowed. */
int32_t journal_create(const struct config *config, const char *run_id, const json_t *request,
                       const json_t *resolved, struct journal **out,
                       struct orch_error *err) ORCH_CHECKED;

/* Opens the newest unfinished journal with the same request. ORCH_E_NOT_FOUND when there is none;
 * ORCH_E_BUSY when its run is at work. */
int32_t journal_resume(const struct config *config, const json_t *request, struct journal **out,
                       struct orch_error *err) ORCH_CHECKED;

/* Run ids of unfinished journals that touch one of `components`: *text is new memory, "" for none.
 */
int32_t journal_unfinished(const struct config *config, const char *const *components, size_t count,
                           char **text, struct orch_error *err) ORCH_CHECKED;
/* Marks the unfinished journals that touch one of `components` as abandoned. */
int32_t journal_abandon(const struct config *config, const char *const *components, size_t count,
                        struct orch_error *err) ORCH_CHECKED;

const char *journal_run_id(const struct journal *journal);
const json_t *journal_resolved(const struct journal *journal);
/* Where the component stands; zeroes for one that was not begun. */
struct journal_component journal_component(struct journal *journal, const char *name);
/* Whether check step number `step` (from 0) is recorded as passed. */
bool journal_step_passed(struct journal *journal, size_t step);

/* Appends {event, component, …details}, synced. Takes over `details` (an object or NULL) in any
 * case. Thread-safe. The events that count: "begun", "intent", "done", "applied", "verified",
 * "settled", "failed", "step-passed", "finished". */
int32_t journal_append(struct journal *journal, const char *event, const char *component,
                       json_t *details, struct orch_error *err) ORCH_CHECKED;

void journal_close(struct journal *journal); /* NULL is fine */

#endif
