/* cmd_backup.c: takes a set. */
#include "cli/output.h"
#include "cli/values.h"
#include "run/backup.h"

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    const char *label = cli_value(cli, "label");
    struct backup_options options = {
        .components = cli->arguments,
        .component_count = cli->argument_count,
        .type = cli_has(cli, "type") ? cli_value(cli, "type") : "full",
        .label = label != NULL && label[0] != 0 ? label : NULL,
        .base = cli_value(cli, "base"),
    };
    int32_t rc = values_jobs(cli, &err);
    if (rc == ORCH_OK) {
        rc = values_rate(cli, "rate-limit", &options.rate_limit, &err);
    }
    return rc == ORCH_OK ? output_backup(cli, &options) : cli_fail(cli, &err);
}

static const struct cli_flag flags[] = {
    {"type", "T", false, "full (default), incremental, differential or snapshot; see above"},
    {"label", "L", false, "a text for \"list --label\" and retention: 1 to 100 bytes"},
    {"base", "SET", false, "incremental, differential: compare with this set instead"},
    {"rate-limit", "RATE", false, "read no source faster than this: 50MB/s"},
    VALUES_JOBS_FLAG,
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
               "  full          reads everything\n"
               "  incremental   reads what changed since the newest good backup of any type\n"
               "  differential  reads what changed since the newest full one\n"
               "  snapshot      reads everything, all components at once, with the fastest "
               "codec: the least\n                time and load on the source\n"
               "Each set restores by itself, whatever its type: there is no chain that could "
               "break.\n\n"
               "  orchestrate backup\n"
               "  orchestrate backup --type incremental --label nightly\n"
               "  orchestrate backup app-db sessions --rate-limit 20MB/s",
    .flags = flags,
    .max_arguments = 4096,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
