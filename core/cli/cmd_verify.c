/* cmd_verify.c: proves a set, or the whole repository. */
#include "cli/output.h"
#include "cli/values.h"

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    enum check_level level = CHECK_DATA;
    const char *text = cli_value(cli, "level");
    if (values_jobs(cli, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    if (text != NULL && verify_level(text, &level, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    return output_verify_into(cli, cli->argument_count > 0 ? cli->arguments[0] : NULL, level, NULL);
}

static const struct cli_flag flags[] = {
    {"level", "L", false, "manifest, index or data (default)"},
    VALUES_JOBS_FLAG,
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_verify = {
    .name = "verify",
    .arguments = "[SET]",
    .summary = "prove a set, or the whole repository",
    .details = "  manifest  the manifests and parts open and are whole\n"
               "  index     and every chunk they need is known, and its pack has its length\n"
               "  data      and every byte is read back, opened, and its chunk's id is right\n\n"
               "Each problem is told with the file, and the sets, components and objects it hurts. "
               "Exit code 1 if any hurts\nwhat was asked for: SET, or anything at all. What "
               "was verified is recorded; list and show tell of it, and\nprune never removes "
               "the newest set that verified at level data.",
    .flags = flags,
    .max_arguments = 1,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
