/* null-deref.c: dereferences NULL in the middle of its backup. */
#include "bad.h"

static int32_t backup(void *instance, struct orch_error *err)
{
    const struct bad *bad = instance;
    volatile int32_t *volatile nowhere = NULL; /* both: else the store is optimised away */
    int32_t rc = bad_send(bad->host, "first", "content", err);
    (void)fprintf(stderr, "about to fall over\n");
    *nowhere = 1;
    return rc;
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {ORCH_PLUGIN_HEADER,   BAD_COMMON,
                                                    .name = "null-deref", .probe = bad_probe,
                                                    .backup = backup,     .restore = bad_restore};
