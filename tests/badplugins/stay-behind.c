/* stay-behind.c: leaves children behind that hold every descriptor, after a backup that succeeds
 * or, with "crash", one that does not. `path` is a fifo whose writing end they hold. */
#include "bad.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    int fd = open(bad->path, O_WRONLY);
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            (void)signal(SIGTERM, SIG_IGN);
            for (;;) {
                (void)pause();
            }
        }
    }
    if (write(fd, "!", 1) != 1 || strcmp(bad->how, "crash") == 0) {
        abort();
    }
    (void)close(fd);
    return bad_send(bad->host, "only", "content", err);
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER,    BAD_COMMON,
                                                    .name = "stay-behind", .probe = bad_probe,
                                                    .backup = backup,      .restore = bad_restore};
