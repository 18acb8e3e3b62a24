/* cmd_delete.c: removes sets by name. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/pruning.h"
#include "cli/render.h"

static int32_t check_protected(const struct cli *cli, const struct removal_plan *plan,
                               struct orch_error *err)
{
    const json_t *first = json_array_get(plan->protected_sets, 0);
    if (first == NULL || cli_has(cli, "force")) {
        return ORCH_OK;
    }
    return orch_fail(err, ORCH_E_REFUSED,
                     "set %s is the %s one of its components and label, and stays; to delete it "
                     "all the same, say --force",
                     json_string_value(json_object_get(first, "name")),
                     json_string_value(json_object_get(first, "reason")));
}

static void print_plan(const struct removal_plan *plan)
{
    size_t i;
    json_t *set;
    (void)printf("%zu set%s to be deleted:\n", plan->count, plan->count == 1 ? "" : "s");
    pruning_print_sets(plan->described, false);
    (void)fflush(stdout);
    json_array_foreach(plan->protected_sets, i, set)
    {
        (void)fprintf(stderr, "ATTENTION: set %s is the %s one of its group\n",
                      json_string_value(json_object_get(set, "name")),
                      json_string_value(json_object_get(set, "reason")));
    }
}

/* --yes, or a question at the terminal. *sure: the answer. */
static int32_t confirm(const struct cli *cli, bool *sure, struct orch_error *err)
{
    char answer[16] = "";
    *sure = cli_has(cli, "yes");
    if (*sure) {
        return ORCH_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "sets that are deleted do not come back: say --yes, or look first with "
                         "--dry-run");
    }
    progress_end();
    (void)fprintf(stderr, "They do not come back. Go on? Type yes: ");
    (void)fflush(stderr);
    *sure = fgets(answer, sizeof(answer), stdin) != NULL && strcmp(answer, "yes\n") == 0;
    return ORCH_OK;
}

static void emit(struct cli *cli, const struct removal_plan *plan, const char *state,
                 const struct prune_result *freed, size_t removed)
{
    json_t *json = json_pack("{s:s, s:O, s:O, s:I}", "state", state, "sets", plan->described,
                             "protected", plan->protected_sets, "removed", (json_int_t)removed);
    if (freed != NULL) {
        (void)json_object_set_new(json, "bytes_freed_by_prune",
                                  json_integer((json_int_t)freed->bytes_removed));
    }
    cli_print_json(cli, json);
}

static int dry_run(struct cli *cli, const struct removal_plan *plan)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct prune_result freed = {0};
    char size[RENDER_TEXT];
    int32_t rc = removal_plan_estimate(&cli->run, plan, &freed, &err);
    progress_end();
    if (rc != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        emit(cli, plan, "planned", &freed, 0);
    } else {
        (void)printf("Dry run: the next prune would free %s. Nothing was changed.\n",
                     render_size(freed.bytes_removed, size));
    }
    return EXIT_DONE;
}

static int remove_sets(struct cli *cli, const struct removal_plan *plan)
{
    struct orch_error err = ORCH_ERROR_INIT;
    size_t removed = 0;
    int32_t rc = removal_delete(&cli->run, plan, &removed, &err);
    progress_end();
    if (cli->json) {
        emit(cli, plan, rc == ORCH_OK ? "completed" : "failed", NULL, removed);
    } else if (removed > 0) {
        (void)printf("%zu set%s deleted; the next prune frees what %s alone needed\n", removed,
                     removed == 1 ? "" : "s", removed == 1 ? "it" : "they");
    }
    return rc == ORCH_OK ? EXIT_DONE : cli_fail(cli, &err);
}

static int run_plan(struct cli *cli, const struct removal_plan *plan)
{
    struct orch_error err = ORCH_ERROR_INIT;
    bool sure = false;
    bool only_look = cli_has(cli, "dry-run");
    if (!cli->json) {
        print_plan(plan);
    }
    if (only_look) {
        return dry_run(cli, plan);
    }
    if (check_protected(cli, plan, &err) != ORCH_OK || confirm(cli, &sure, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    if (!sure) {
        (void)orch_fail(&err, ORCH_E_CANCELLED, "nothing was deleted");
        return cli_fail(cli, &err);
    }
    return remove_sets(cli, plan);
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct removal_plan plan;
    int32_t rc = removal_plan_make(&cli->run, cli->arguments, cli->argument_count, &plan, &err);
    int code = rc == ORCH_OK ? run_plan(cli, &plan) : cli_fail(cli, &err);
    removal_plan_clear(&plan);
    return code;
}

static const struct cli_flag flags[] = {
    {"dry-run", NULL, false, "tell what would go, and what the next prune would free"},
    {"yes", NULL, false, "do not ask (needed when not at a terminal)"},
    {"force", NULL, false, "delete also the newest completed or verified set of its group"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_delete = {
    .name = "delete",
    .arguments = "SET…",
    .summary = "delete sets by name; their space is freed by the next prune",
    .details =
        "Shows what goes, and asks. The newest completed set of its components and label, and the "
        "newest that was\nverified at level data, are refused (exit code 4) unless --force is "
        "given. What the sets alone needed is\ndeleted by the next orchestrate prune.\n\n"
        "  orchestrate delete 20260131_120000 --dry-run\n"
        "  orchestrate delete 1f0a 20260131_120000 --yes",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 4096,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
