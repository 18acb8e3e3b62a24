/* cmd_restore.c: recovers all of a set, or some components of it. */
#include <string.h>

#include "cli/output.h"
#include "cli/values.h"

static int32_t check(struct cli *cli, struct orch_error *err)
{
    const char *strategy = cli_value(cli, "strategy");
    if (strategy != NULL &&
        (strcmp(strategy, "merge-preserve") == 0 || strcmp(strategy, "merge-overwrite") == 0)) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "strategy \"%s\" is not built yet; it comes in a later version", strategy);
    }
    if (strategy != NULL && strcmp(strategy, "replace") != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "there is no strategy \"%s\"; choose replace",
                         strategy);
    }
    if (cli_has(cli, "select")) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "--select is not built yet; it comes in a later version");
    }
    if (cli_has(cli, "resume") && cli_has(cli, "restart")) {
        return orch_fail(err, ORCH_E_CONFIG, "--resume goes on, --restart gives up: choose one");
    }
    return ORCH_OK;
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct restore_step step = {
        .kind = RESTORE_STEP_COMPONENTS,
        .components = cli->arguments + 1,
        .component_count = cli->argument_count - 1,
    };
    struct restore_options options = {
        .set = cli->arguments[0],
        .steps = &step,
        .step_count = 1,
        .dry_run = cli_has(cli, "dry-run"),
        .resume = cli_has(cli, "resume"),
        .restart = cli_has(cli, "restart"),
        .allow_incompatible = cli_has(cli, "allow-incompatible"),
    };
    const char **targets = cli_values(cli, "target", &options.target_count);
    options.targets = targets;
    int32_t rc = check(cli, &err);
    if (rc == ORCH_OK) {
        rc = values_jobs(cli, &err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < options.target_count; i++) {
        rc = config_override(cli->run.config, targets[i], &err);
    }
    if (rc == ORCH_OK) {
        rc = output_confirmation(cli, &options, &err);
    }
    int code = rc == ORCH_OK ? output_restore_into(cli, &options, NULL) : cli_fail(cli, &err);
    free(targets);
    return code;
}

static const struct cli_flag flags[] = {
    {"dry-run", NULL, false, "preflight and show every step; change nothing"},
    {"yes", NULL, false, "do not ask (needed when not at a terminal)"},
    {"target", "C.O=V", true, "restore component C with its option O set to V: elsewhere"},
    {"resume", NULL, false, "go on with an unfinished restore of the same set and components"},
    {"restart", NULL, false, "give up an unfinished restore; what it set aside stays"},
    {"allow-incompatible", NULL, false, "turn refusals about compatibility into warnings; audited"},
    VALUES_JOBS_FLAG,
    {"strategy", "S", false, "replace (default); the merge strategies come later"},
    {"select", "PATTERN", true, "single items (a later version)"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_restore = {
    .name = "restore",
    .arguments = "SET [COMPONENT…]",
    .summary = "recover all components of a set, or those named",
    .details =
        "Every component is checked before anything is touched; a refusal stops the whole "
        "run (exit code 4).\nThen stage by stage, in the order of the dependencies: restore, "
        "verify, go on. The old state is set\naside until verification has passed.\n\n"
        "  orchestrate restore latest --dry-run\n"
        "  orchestrate restore latest kb --yes\n"
        "  orchestrate restore 20260131_120000 uploads --target uploads.root=/tmp/look",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 4096,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
