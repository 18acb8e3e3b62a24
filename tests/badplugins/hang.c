/* hang.c: never returns, asks nobody whether it is cancelled, and ignores SIGTERM. `how` names the
 * callback that hangs (default: backup); "polite" hangs in backup, but stops at SIGTERM. With
 * `path`, a fifo, the end of the process shows there. */
#include "bad.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int32_t hang(const struct bad *bad)
{
    if (bad->path[0] != 0) {
        int fd = open(bad->path, O_WRONLY); /* open until the process ends */
        if (write(fd, "!", 1) != 1) {
            abort();
        }
    }
    if (strcmp(bad->how, "polite") != 0) {
        (void)signal(SIGTERM, SIG_IGN);
    }
    for (;;) {
        (void)pause();
    }
    return ORCH_OK;
}

static int32_t probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    const struct bad *bad = instance;
    return strcmp(bad->how, "probe") == 0 ? hang(bad) : bad_probe(instance, probe, err);
}

static int32_t thaw(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    (void)err;
    return strcmp(bad->how, "thaw") == 0 ? hang(bad) : ORCH_OK;
}

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    int32_t rc = bad_send(bad->host, "first", "content", err);
    return rc == ORCH_OK ? hang(bad) : rc;
}

static int32_t restore(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    (void)restore;
    (void)err;
    return hang(instance);
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER, BAD_COMMON,       .name = "hang",    .probe = probe,
    .thaw = thaw,       .backup = backup, .restore = restore};
