/*
 * state.h: what a restore leaves in the component's work folder, for a later attempt and for
 * people.
 *
 *     restore-RUN.json     how far it came, which spare databases it uses
 *     aside-RUN.rdb        the old keys, when they were set aside in a file
 *     functions-RUN.dump   the old function libraries, as FUNCTION DUMP gives them
 *
 * The databases' markers (mark.h) and the files' existence decide what an attempt does; the JSON
 * file says in addition that there once was something, so that a loss can be told.
 */
#ifndef REDIS_STATE_H
#define REDIS_STATE_H

#include "place.h"

#include <limits.h>

#define STATE_LOADING "loading"
#define STATE_SWAPPING "swapping" /* the swap may or may not have happened: the markers tell */
#define STATE_SWAPPED "swapped"
#define STATE_FLUSHING "flushing" /* in place: the old data is in the file */
#define STATE_LOADED "loaded"     /* in place, and complete */

struct state {
    char json[PATH_MAX];
    char aside[PATH_MAX];
    char functions[PATH_MAX];
};

/* The three paths of a run. ORCH_E_INVALID for a run id that is not hex, or a missing folder. */
int32_t state_paths(const struct redis *redis, const char *run_id, struct state *state,
                    struct orch_error *err) ORCH_CHECKED;
/* Writes restore-RUN.json, durably. */
int32_t state_save(const struct state *state, const struct redis *redis, const char *run_id,
                   const char *phase, const struct place *place,
                   struct orch_error *err) ORCH_CHECKED;
/* The phase that was saved last ("" for none). */
void state_phase(const struct state *state, char *phase, size_t size);
int state_exists(const char *path);
/* Removes all files of the run. */
void state_clear(const struct state *state);

#endif
