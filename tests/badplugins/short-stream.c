/* short-stream.c: ends its stream early and calls that success. */
#include "bad.h"

#include <unistd.h>

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    int32_t rc = bad_send(bad->host, "first", "content", err);
    if (rc == ORCH_OK && strcmp(bad->how, "exit") == 0) {
        _exit(0);
    }
    if (rc == ORCH_OK && strcmp(bad->how, "exit-three") == 0) {
        _exit(3);
    }
    if (rc == ORCH_OK) {
        rc = bad_begin(bad->host, "second", err);
    }
    return rc == ORCH_OK ? bad->host->write(bad->host->ctx, "half", 4, err) : rc;
}

/* Takes one event and says that all is well. */
static int32_t restore(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    const struct bad *bad = instance;
    struct orch_event event = {.struct_size = sizeof(event)};
    (void)restore;
    return bad->host->next(bad->host->ctx, &event, err);
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER,     BAD_COMMON,
                                                    .name = "short-stream", .probe = bad_probe,
                                                    .backup = backup,       .restore = restore};
