/*
 * lease.h: who is at work in a repository. File leases/ID, renewed while the work goes on.
 *
 * A lease is judged by the reader's own monotonic clock: one that has not changed for longer than
 * its own time to live, as watched by this process, has lapsed. Nobody unlocks by hand.
 */
#ifndef CORE_ENGINE_LEASE_H
#define CORE_ENGINE_LEASE_H

#include "engine/repo.h"

struct lease;

/* Puts a lease (durably) and starts renewing it from a thread. `work` is "backup", "restore" … */
int32_t lease_take(struct repo *repo, const char *run_id, const char *work, struct lease **out,
                   struct orch_error *err) ORCH_CHECKED;
/* ORCH_E_TIMEOUT when it could not be renewed in time, by our monotonic clock. */
int32_t lease_check(struct lease *lease, struct orch_error *err) ORCH_CHECKED;
/* Stops the thread and removes the file. NULL is fine. */
void lease_end(struct lease *lease);

#endif
