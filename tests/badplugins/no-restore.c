/* no-restore.c: takes backups that nobody could ever restore. */
#include "bad.h"

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER, BAD_COMMON, .name = "no-restore", .probe = bad_probe, .backup = bad_backup};
