/* cmd_run.c: carries out a plan file. */
#include <string.h>

#include "cli/output.h"
#include "cli/pruning.h"
#include "plan/plan.h"

static size_t count_names(char *const *names)
{
    size_t n = 0;
    while (names != NULL && names[n] != NULL) {
        n++;
    }
    return n;
}

/* Restore and check steps that follow each other are one restore: resolved once, one preflight. */
static int run_restore(struct cli *cli, const struct plan *plan, size_t first, size_t count,
                       json_t *results)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct restore_step *steps = calloc(count, sizeof(*steps));
    if (steps == NULL) {
        (void)orch_fail(&err, ORCH_E_NOMEM, "no memory for a plan");
        return output_fail(cli, &err, results);
    }
    for (size_t i = 0; i < count; i++) {
        const struct plan_step *from = &plan->steps[first + i];
        steps[i].kind = from->kind == PLAN_CHECK ? RESTORE_STEP_CHECK : RESTORE_STEP_COMPONENTS;
        steps[i].components = (const char *const *)from->components;
        steps[i].component_count = count_names(from->components);
        steps[i].command = from->command;
        steps[i].timeout_ms = from->timeout_ms;
    }
    struct restore_options options = {
        .set = plan->set,
        .steps = steps,
        .step_count = count,
        .plan_hash = plan->hash,
        .dry_run = cli_has(cli, "dry-run"),
        .resume = cli_has(cli, "resume"),
        .restart = cli_has(cli, "restart"),
        .allow_incompatible = cli_has(cli, "allow-incompatible"),
    };
    int code = EXIT_DONE;
    if (output_confirmation(cli, &options, &err) != ORCH_OK) {
        code = output_fail(cli, &err, results);
    } else {
        code = output_restore_into(cli, &options, results);
    }
    free(steps);
    return code;
}

static int run_backup(struct cli *cli, const struct plan_step *step, json_t *results)
{
    struct backup_options options = {
        .components = (const char *const *)step->components,
        .component_count = count_names(step->components),
        .type = step->type,
        .label = step->label,
    };
    return output_backup_into(cli, &options, results);
}

static int run_verify(struct cli *cli, const struct plan *plan, const struct plan_step *step,
                      json_t *results)
{
    struct orch_error err = ORCH_ERROR_INIT;
    enum check_level level = CHECK_DATA;
    if (step->level != NULL && verify_level(step->level, &level, &err) != ORCH_OK) {
        return output_fail(cli, &err, results);
    }
    return output_verify_into(cli, plan->set, level, results);
}

/* What the step says of rules, or what is configured. Its label and components say which sets are
 * judged in either case. */
static int run_prune(struct cli *cli, const struct plan_step *step, json_t *results)
{
    const struct config_repository *repository = cli->run.repository;
    bool own = config_retention_has_rule(&step->retention);
    struct removal_options options = {
        .rules = own ? &step->retention : repository->retention,
        .rule_count = own ? 1 : repository->retention_count,
        .label = step->retention.label,
        .components = (const char *const *)step->retention.components,
        .repack_above = step->repack_above,
        .wait_ms = step->wait_ms < 0 ? REMOVAL_WAIT_MS : step->wait_ms,
        .dry_run = cli_has(cli, "dry-run"),
    };
    return pruning_run(cli, &options, results);
}

static bool is_restore(const struct plan_step *step)
{
    return step->kind == PLAN_RESTORE || step->kind == PLAN_CHECK;
}

static int run_steps(struct cli *cli, const struct plan *plan, json_t *results)
{
    int code = EXIT_DONE;
    size_t i = 0;
    while (code == EXIT_DONE && i < plan->step_count) {
        const struct plan_step *step = &plan->steps[i];
        size_t count = 1;
        if (is_restore(step)) {
            while (i + count < plan->step_count && is_restore(&plan->steps[i + count])) {
                count++;
            }
            code = run_restore(cli, plan, i, count, results);
        } else if (step->kind == PLAN_PRUNE) {
            code = run_prune(cli, step, results);
        } else if (cli_has(cli, "dry-run")) {
            report_text(cli->run.report, REPORT_NOTE, NULL, "step %zu would %s", i + 1,
                        step->kind == PLAN_BACKUP ? "take a backup" : "verify");
        } else if (step->kind == PLAN_BACKUP) {
            code = run_backup(cli, step, results);
        } else {
            code = run_verify(cli, plan, step, results);
        }
        i += count;
    }
    if (code != EXIT_DONE && i < plan->step_count) {
        report_text(cli->run.report, REPORT_WARNING, NULL, "%zu later step%s not begun",
                    plan->step_count - i, plan->step_count - i == 1 ? " was" : "s were");
    }
    return code;
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP(plan_cleanup) struct plan *plan = NULL;
    int32_t rc = plan_load(cli->run.config, cli->arguments[0], &plan, &err);
    if (rc == ORCH_OK) {
        const char *repository = cli->repository != NULL ? cli->repository : plan->repository;
        rc = context_open_repository(&cli->run, repository, &err);
    }
    if (rc != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    json_t *results = cli->json ? json_array() : NULL;
    int code = run_steps(cli, plan, results);
    if (cli->json && !cli->document_printed) {
        cli_print_json(
            cli, json_pack("{s:s, s:i, s:O}", "plan", plan->name, "exit", code, "steps", results));
    }
    json_decref(results);
    return code;
}

static const struct cli_flag flags[] = {
    {"dry-run", NULL, false, "preflight and show every step; change nothing"},
    {"yes", NULL, false, "do not ask before a restore (needed when not at a terminal)"},
    {"resume", NULL, false, "go on with an unfinished recovery by the same plan"},
    {"restart", NULL, false, "give up an unfinished recovery; what it set aside stays"},
    {"allow-incompatible", NULL, false, "turn refusals about compatibility into warnings; audited"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_run = {
    .name = "run",
    .arguments = "PLAN",
    .summary = "carry out a plan file",
    .details = "PLAN is a name (CONFIG/plans/PLAN.plan) or a path. Steps run in their order; the "
               "first that fails ends the\nplan. See docs/plan-files.md.\n\n"
               "  orchestrate run recover --dry-run\n"
               "  orchestrate run recover --yes",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .needs = CLI_NEEDS_CONFIG,
    .run = run,
};
