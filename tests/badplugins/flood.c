/* flood.c: writes far too much to stderr and to the log, but does its work. */
#include "bad.h"

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    for (int i = 0; i < 20000; i++) {
        (void)fprintf(stderr, "line %d of a flood that says nothing at all\n", i);
    }
    for (int i = 0; i < 5000; i++) {
        (void)fprintf(stderr, "no line end ");
        bad->host->log(bad->host->ctx, ORCH_LOG_DEBUG, "\xff\xfe not \x01 text");
    }
    return bad_backup(instance, err);
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER, BAD_COMMON,
                                                    .name = "flood",    .probe = bad_probe,
                                                    .backup = backup,   .restore = bad_restore};
