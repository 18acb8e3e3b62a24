/*
 * libraries.h: function libraries of a target: set aside, replaced in one step, put back.
 */
#ifndef REDIS_LIBRARIES_H
#define REDIS_LIBRARIES_H

#include "load.h"
#include "state.h"

/*
 * Replaces the server's libraries with those that were loaded: all of them when the part is one of
 * all databases, else those of the same name. The old ones go to state->functions, once. FUNCTION
 * RESTORE takes all or nothing. *changed tells whether anything was done.
 */
int32_t libraries_apply(const struct redis *redis, struct conn *conn, const struct server *server,
                        const struct facts *facts, const struct load *load,
                        const struct state *state, int *changed,
                        struct orch_error *err) ORCH_CHECKED;
/* Puts the old ones back from state->functions. */
int32_t libraries_put_back(struct conn *conn, const struct state *state,
                           struct orch_error *err) ORCH_CHECKED;

#endif
