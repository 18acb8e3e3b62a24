/* unknown-need.c: cannot do without a host feature that no host has. */
#include "bad.h"

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER, BAD_COMMON,           .name = "unknown-need", .needs = UINT64_C(1) << 63,
    .probe = bad_probe, .backup = bad_backup, .restore = bad_restore};
