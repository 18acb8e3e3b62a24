/* twice-option.c: declares an option twice. */
#include "bad.h"

static const struct orch_option twice[] = {
    {"size", ORCH_OPTION_SIZE, 0, NULL, "One."},
    {"size", ORCH_OPTION_SIZE, 0, NULL, "The same again."},
};

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER, .name = "twice-option",  .version = "0",        .summary = "bad options",
    .data_format = 1,   .data_format_oldest = 1, .options = twice,      .option_count = 2,
    .open = bad_open,   .close = bad_close,      .check = bad_check,    .verify = bad_check,
    .probe = bad_probe, .backup = bad_backup,    .restore = bad_restore};
