/* target_lock.c: see target_lock.h. */
#include "run/target_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/cleanup.h"
#include "run/context.h"

static int32_t fail_busy(int fd, const char *component, struct orch_error *err)
{
    /* Whoever lets us share is only reading. */
    bool reading = flock(fd, LOCK_SH | LOCK_NB) == 0;
    return orch_fail(err, ORCH_E_BUSY,
                     "component \"%s\" is being %s by another process; wait for it to end, or stop "
                     "it",
                     component, reading ? "backed up" : "restored");
}

static int32_t lock(const struct config *config, const char *component, int how,
                    struct target_locks *locks, struct orch_error *err)
{
    CLEANUP_FREE char *path = NULL;
    int32_t rc = context_state_path(config, "locks", component, &path, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int *grown = realloc(locks->fds, (locks->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a lock");
    }
    locks->fds = grown;
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot open lock %s", path);
    }
    if (flock(fd, how | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? fail_busy(fd, component, err)
                                    : orch_fail_errno(err, errno, "cannot lock %s", path);
    }
    locks->fds[locks->count++] = steal_fd(&fd);
    return ORCH_OK;
}

int32_t target_lock(const struct config *config, const char *component, struct target_locks *locks,
                    struct orch_error *err)
{
    return lock(config, component, LOCK_EX, locks, err);
}

int32_t target_lock_shared(const struct config *config, const char *component,
                           struct target_locks *locks, struct orch_error *err)
{
    return lock(config, component, LOCK_SH, locks, err);
}

void target_unlock_all(struct target_locks *locks)
{
    for (size_t i = 0; i < locks->count; i++) {
        (void)close(locks->fds[i]);
    }
    free(locks->fds);
    *locks = (struct target_locks){0};
}
