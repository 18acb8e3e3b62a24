/* swap.h: the one instant at which loaded databases and old ones change places. */
#ifndef REDIS_SWAP_H
#define REDIS_SWAP_H

#include "place.h"

/*
 * Swaps every job's spare with its target, all in one transaction, which also moves the markers.
 * Fails without effect when a spare is no longer this run's. `conn` is used for this alone.
 */
int32_t swap_run(struct conn *conn, const char *run_id, const struct place *place,
                 struct orch_error *err) ORCH_CHECKED;

#endif
