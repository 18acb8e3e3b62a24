/* target_lock.h: runs that write one target exclude each other, by a lock file per component in the
 * state folder, held by the process: it ends with it. */
#ifndef CORE_RUN_TARGET_LOCK_H
#define CORE_RUN_TARGET_LOCK_H

#include "plan/config.h"

struct target_locks {
    int *fds;
    size_t count;
};

/* ORCH_E_BUSY names the component that somebody else is restoring. */
int32_t target_lock(const struct config *config, const char *component, struct target_locks *locks,
                    struct orch_error *err) ORCH_CHECKED;
void target_unlock_all(struct target_locks *locks);

#endif
