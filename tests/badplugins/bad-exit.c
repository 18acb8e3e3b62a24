/* bad-exit.c: does everything right, and then its process ends with status 7. */
#include "bad.h"

#include <unistd.h>

static void at_exit(void)
{
    _exit(7);
}

static int32_t open_it(const struct orch_host *host, const struct orch_options *options,
                       void **instance, struct orch_error *err)
{
    return atexit(at_exit) == 0 ? bad_open(host, options, instance, err)
                                : orch_fail(err, ORCH_E_FAILED, "no atexit");
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,          .name = "bad-exit",   .version = "0",
    .summary = "bad at its end", .data_format = 1,     .data_format_oldest = 1,
    .options = bad_options,      .option_count = 2,    .open = open_it,
    .close = bad_close,          .check = bad_check,   .verify = bad_check,
    .probe = bad_probe,          .backup = bad_backup, .restore = bad_restore};
