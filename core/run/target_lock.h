/* target_lock.h: a run that writes a target excludes all others on it, by a lock file per component
 * in the state folder, held by the process: it ends with it. */
#ifndef CORE_RUN_TARGET_LOCK_H
#define CORE_RUN_TARGET_LOCK_H

#include "plan/config.h"

struct target_locks {
    int *fds;
    size_t count;
};

/* For a restore. ORCH_E_BUSY names the component that somebody else restores or backs up. */
int32_t target_lock(const struct config *config, const char *component, struct target_locks *locks,
                    struct orch_error *err) ORCH_CHECKED;
/* For a backup, which must not take what a restore has half put back; backups do not exclude each
 * other. */
int32_t target_lock_shared(const struct config *config, const char *component,
                           struct target_locks *locks, struct orch_error *err) ORCH_CHECKED;
void target_unlock_all(struct target_locks *locks);

#endif
