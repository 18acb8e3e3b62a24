/* cmd_backup.c: takes a set. */
#include "cli/output.h"
#include "run/backup.h"

static int run(struct cli *cli)
{
    struct backup_options options = {
        .components = cli->arguments,
        .component_count = cli->argument_count,
        .type = cli_has(cli, "type") ? cli_value(cli, "type") : "full",
        .label = cli_value(cli, "label"),
        .base = cli_value(cli, "base"),
    };
    return output_backup(cli, &options);
}

static const struct cli_flag flags[] = {
    {"type", "T", false, "full (default): read everything; incremental: read what changed"},
    {"label", "L", false, "a word to find the set by"},
    {"base", "SET", false, "incremental: compare with this set, not with the newest"},
    {"complete", "SET", false, "take failed components again into a partial set (a later version)"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_backup = {
    .name = "backup",
    .arguments = "[COMPONENT…]",
    .summary = "take a set of all components, or of those named",
    .details = "All components are frozen first, consumers before what they depend on, and then "
               "streamed. Only what\nthe repository lacks is stored. New data is read back before "
               "the set counts (verify = \"data\").\n\n"
               "  orchestrate backup\n"
               "  orchestrate backup --type incremental --label nightly\n"
               "  orchestrate backup app-db sessions",
    .flags = flags,
    .max_arguments = 4096,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
