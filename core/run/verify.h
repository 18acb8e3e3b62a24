/* verify.h: proves a set, or the whole repository, and tells what is hurt. */
#ifndef CORE_RUN_VERIFY_H
#define CORE_RUN_VERIFY_H

#include "engine/check.h"
#include "run/context.h"

/* "manifest", "index", "data". "restore" comes with drills: ORCH_E_CONFIG. */
int32_t verify_level(const char *text, enum check_level *level,
                     struct orch_error *err) ORCH_CHECKED;

/*
 * `set` as the user names it, or NULL: the whole repository. *document: level, counts, findings (at
 * most 1000 of them, each also in the report) that hurt what was asked for, and those elsewhere.
 * ORCH_E_CORRUPT when what was asked for is hurt. Leaves a proof (engine/proof.h) of each set that
 * it covered.
 */
int32_t verify_run(struct run_context *ctx, const char *set, enum check_level level,
                   json_t **document, struct orch_error *err) ORCH_CHECKED;

#endif
