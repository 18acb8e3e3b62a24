/* other-abi.c: built for another ABI major. */
#include "bad.h"

ORCH_EXPORT const struct orch_plugin orch_plugin = {.magic = ORCH_PLUGIN_MAGIC,
                                                    .abi_major = ORCH_ABI_MAJOR + 1,
                                                    .abi_minor = 0,
                                                    .struct_size = sizeof(struct orch_plugin),
                                                    .option_size = sizeof(struct orch_option),
                                                    BAD_COMMON,
                                                    .name = "other-abi",
                                                    .probe = bad_probe,
                                                    .backup = bad_backup,
                                                    .restore = bad_restore};
