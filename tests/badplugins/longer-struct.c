/* longer-struct.c: from the future: a longer descriptor and longer options, which still load. */
#include "bad.h"

struct longer_option {
    struct orch_option option;
    const char *added;
};

struct longer_plugin {
    struct orch_plugin plugin;
    void (*added)(void);
    uint64_t more[16];
};

static void added(void)
{
}

static const struct longer_option longer_options[] = {
    {{"how", ORCH_OPTION_STRING, 0, "one", "Which variant."}, "new"},
    {{"path", ORCH_OPTION_PATH, 0, NULL, "What the test watches."}, "new"},
};

/* The symbol has another type here than in the header, as it would in a newer header. */
extern const struct longer_plugin longer __asm__("orch_plugin");
ORCH_EXPORT const struct longer_plugin longer = {
    .plugin = {.magic = ORCH_PLUGIN_MAGIC,
               .abi_major = ORCH_ABI_MAJOR,
               .abi_minor = ORCH_ABI_MINOR + 7,
               .struct_size = sizeof(struct longer_plugin),
               .option_size = sizeof(struct longer_option),
               .version = "0",
               .summary = "a newer plugin",
               .capabilities = ORCH_CAP_OBJECTS,
               .data_format = 1,
               .data_format_oldest = 1,
               .options = &longer_options[0].option,
               .option_count = 2,
               .name = "longer-struct",
               .open = bad_open,
               .close = bad_close,
               .probe = bad_probe,
               .backup = bad_backup,
               .check = bad_check,
               .restore = bad_restore,
               .verify = bad_check},
    .added = added,
    .more = {1, 2, 3},
};
