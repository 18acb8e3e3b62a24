/* cmd_prune.c: applies retention, and collects what no set needs any more. */
#include "cli/pruning.h"
#include "cli/values.h"

#define COUNT_MAX 1000000

static int32_t check_limit(const struct cli *cli, const char *flag, int64_t limit,
                           struct orch_error *err)
{
    return cli_has(cli, flag) && limit == 0
               ? orch_fail(err, ORCH_E_CONFIG,
                           "--%s: a limit of 0 would take everything: give more", flag)
               : ORCH_OK;
}

/* The rule that the flags give. */
static int32_t take_rule(const struct cli *cli, struct config_retention *rule,
                         struct orch_error *err)
{
    const struct {
        const char *flag;
        int64_t *out;
    } counts[] = {
        {"keep-last", &rule->keep_last},       {"keep-hourly", &rule->keep_hourly},
        {"keep-daily", &rule->keep_daily},     {"keep-weekly", &rule->keep_weekly},
        {"keep-monthly", &rule->keep_monthly}, {"keep-yearly", &rule->keep_yearly},
        {"max-count", &rule->max_count},
    };
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < sizeof(counts) / sizeof(counts[0]); i++) {
        rc = values_number(cli, counts[i].flag, 1, COUNT_MAX, counts[i].out, err);
    }
    rc = rc != ORCH_OK ? rc : values_duration(cli, "max-age", &rule->max_age_ms, err);
    rc = rc != ORCH_OK ? rc : values_size(cli, "max-size", &rule->max_size_bytes, err);
    rc = rc != ORCH_OK ? rc : check_limit(cli, "max-age", rule->max_age_ms, err);
    return rc != ORCH_OK ? rc : check_limit(cli, "max-size", rule->max_size_bytes, err);
}

static int32_t take_options(struct cli *cli, struct config_retention *rule,
                            struct removal_options *o, struct orch_error *err)
{
    int64_t percent = 0;
    int32_t rc = take_rule(cli, rule, err);
    rc = rc != ORCH_OK ? rc : values_number(cli, "repack-above", 1, 100, &percent, err);
    rc = rc != ORCH_OK ? rc : values_duration(cli, "wait", &o->wait_ms, err);
    rc = rc != ORCH_OK ? rc : values_jobs(cli, err);
    o->repack_above = (uint32_t)percent;
    if (config_retention_has_rule(rule)) {
        o->rules = rule;
        o->rule_count = 1;
    } else {
        o->rules = cli->run.repository->retention;
        o->rule_count = cli->run.repository->retention_count;
    }
    return rc;
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct config_retention rule = {0};
    struct removal_options options = {.label = cli_value(cli, "label"),
                                      .wait_ms = REMOVAL_WAIT_MS,
                                      .dry_run = cli_has(cli, "dry-run")};
    size_t count = 0;
    const char **components = cli_values(cli, "component", &count);
    options.components = count == 0 ? NULL : components;
    int32_t rc = take_options(cli, &rule, &options, &err);
    int code = rc == ORCH_OK ? pruning_run(cli, &options, NULL) : cli_fail(cli, &err);
    free((void *)components);
    return code;
}

static const struct cli_flag flags[] = {
    {"keep-last", "N", false, "the newest N completed sets"},
    {"keep-hourly", "N", false, "the newest set of each of the last N hours that have one (UTC)"},
    {"keep-daily", "N", false, "the same by days"},
    {"keep-weekly", "N", false, "the same by weeks, from Monday"},
    {"keep-monthly", "N", false, "the same by months"},
    {"keep-yearly", "N", false, "the same by years"},
    {"max-age", "AGE", false, "remove what is older: 30d; also what a keep rule would hold"},
    {"max-count", "N", false, "remove what is beyond so many sets, the newest count first"},
    {"max-size", "SIZE", false, "remove what is beyond so much stored data: 10GB"},
    {"label", "L", false, "judge only sets with this label (\"\": without one)"},
    {"component", "C", true, "judge only sets of exactly these components"},
    {"repack-above", "PERCENT", false,
     "rewrite packs of which more is unused (default 30; 100: never)"},
    {"wait", "TIME", false, "how long to wait for backups at work before packs are deleted (150s)"},
    {"dry-run", NULL, false, "tell what would go, and why; change nothing"},
    VALUES_JOBS_FLAG,
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_prune = {
    .name = "prune",
    .arguments = "",
    .summary = "remove the sets that retention lets go, and the data that no set needs",
    .details =
        "What to keep stands in conf.d (retention of a repository) or is given here; options take "
        "the place of\nall that is configured. Rules add up: a set stays when one of them keeps "
        "it. Limits (--max-…) go before\nthem. Each holds for every group of sets by itself: those "
        "of the same components and the same label.\nWhatever the rules: the newest completed set "
        "of a group, and its newest verified one, are never removed.\nWithout any rule no set "
        "goes, and only data that no set needs is deleted.\n\n"
        "A prune runs beside backups and restores, on any host. It deletes nothing that one of "
        "them may need: where\nit would have to wait longer than --wait, it marks the data, and "
        "the next prune deletes it.\n\n"
        "  orchestrate prune --dry-run\n"
        "  orchestrate prune --keep-daily 14 --keep-weekly 8 --keep-monthly 12\n"
        "  orchestrate prune --label nightly --max-age 30d",
    .flags = flags,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
