/*
 * restore.c: restore, verify and settle of configuration files.
 *
 * Stage everything, copy what is live aside, then install entry by entry; if that fails, or the
 * check command does, the same installation puts the copy back.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "aside.h"
#include "command.h"
#include "config.h"
#include "files/build.h"
#include "files/crash.h"
#include "files/erase.h"
#include "files/facts.h"
#include "files/measure.h"
#include "files/place.h"
#include "install.h"

/* -- restore -- */

static int32_t stage(struct config *config, const struct aside_paths *paths, struct orch_error *err)
{
    struct build_target *targets = NULL;
    struct build *build = NULL;
    int32_t rc = place_make_folders(config->work_dir, 0700, err);
    if (rc == ORCH_OK) {
        rc = erase_path(paths->stage, err);
    }
    if (rc == ORCH_OK) {
        rc = aside_targets(config, paths->stage, &targets, err);
    }
    if (rc == ORCH_OK) {
        rc = build_new(&config->roots, targets, &build, err);
    }
    if (rc == ORCH_OK) {
        rc = build_from_host(build, config->host, err);
    }
    if (rc == ORCH_OK) {
        const struct apply_report *report = build_report(build);
        config->restored = 1;
        config->owners_lost = atomic_load(&report->owners);
        config->xattrs_lost = atomic_load(&report->xattrs);
    }
    build_free(build);
    aside_targets_free(config, targets);
    return rc;
}

/* Makes the live roots look like the tree below `prefix`. Roots that are not in the backup stay. */
static int32_t install_from(struct config *config, const char *prefix, const char *facts_json,
                            const struct patterns *exclude, const char *run, struct orch_error *err)
{
    struct roots from;
    int32_t rc = aside_roots(config, prefix, &from, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct apply_report report = {0};
    for (size_t i = 0; i < config->roots.count && rc == ORCH_OK; i++) {
        struct install install = {.host = config->host,
                                  .from = &from.items[i],
                                  .to = &config->roots.items[i],
                                  .exclude = exclude,
                                  .run = run,
                                  .report = &report};
        if (facts_have_path(facts_json, install.to)) {
            rc = install_root(&install, err);
        }
    }
    config->xattrs_lost += atomic_load(&report.xattrs);
    roots_close(&from);
    return rc;
}

static int32_t restore_with(struct config *config, const struct orch_restore *restore,
                            const struct aside_paths *paths, struct orch_error *err)
{
    const struct orch_host *host = config->host;
    const char *target = config->roots.items[0].path;
    struct patterns *exclude = NULL;
    int32_t rc = facts_exclude(restore->facts_json, &exclude, err);
    if (rc == ORCH_OK) {
        rc = stage(config, paths, err);
    }
    crash_here("config-staged");
    if (rc == ORCH_OK) {
        rc = aside_make(config, paths, exclude, err);
    }
    crash_here("config-aside-made");
    if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "replace", target, paths->aside, err);
    }
    if (rc == ORCH_OK) {
        rc = install_from(config, paths->stage, restore->facts_json, exclude, paths->run, err);
    }
    crash_here("config-installed");
    if (rc == ORCH_OK) {
        rc = host->done(host->ctx, "replace", target, err);
    }
    if (rc == ORCH_OK) {
        rc = erase_path(paths->stage, err);
    }
    patterns_free(exclude);
    return rc;
}

int32_t config_restore(struct config *config, const struct orch_restore *restore,
                       struct orch_error *err)
{
    if (restore->strategy != ORCH_STRATEGY_REPLACE || restore->select_count > 0) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "the config plugin restores whole paths by the strategy replace only");
    }
    struct aside_paths paths;
    int32_t rc = aside_paths_open(config, restore->run_id, &paths, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = restore_with(config, restore, &paths, err);
    aside_paths_close(&paths);
    return rc;
}

/* -- verify -- */

/* Differences that could not be avoided by who restores, or where. */
static uint32_t lenience(const struct config *config)
{
    uint32_t bits = 0;
    /* An instance that did not restore cannot know what an ordinary user had to leave out. */
    int unknown = !config->restored && geteuid() != 0;
    if (unknown || config->owners_lost > 0) {
        bits |= (1u << TALLY_OWNERS) | (1u << TALLY_MODES);
    }
    if (unknown || config->xattrs_lost > 0) {
        bits |= 1u << TALLY_XATTRS;
    }
    return bits;
}

static int32_t verify_files(const struct config *config, const struct orch_restore *restore,
                            struct orch_error *err)
{
    struct tally_sums expected;
    struct tally_sums found;
    struct roots roots = {0};
    struct patterns *exclude = NULL;
    int32_t rc = tally_from_facts(restore->facts_json, &expected, err);
    if (rc == ORCH_OK) {
        rc = facts_roots(restore->facts_json, &config->roots, &roots, err);
    }
    if (rc == ORCH_OK) {
        rc = facts_exclude(restore->facts_json, &exclude, err);
    }
    if (rc == ORCH_OK) {
        struct measure measure = {
            .host = config->host, .roots = &roots, .exclude = exclude, .skip_temporary = 1};
        rc = measure_trees(&measure, &found, err);
    }
    if (rc == ORCH_OK) {
        rc = tally_judge(&expected, &found, lenience(config),
                         "only root can set them all, on a file system that has them", config->host,
                         err);
    }
    patterns_free(exclude);
    free(roots.items);
    return rc;
}

static int32_t verify_command(const struct config *config, struct orch_error *err)
{
    if (config->check_command == NULL) {
        return ORCH_OK;
    }
    if (config->is_scratch) {
        orch_log(config->host, ORCH_LOG_INFO,
                 "a drill does not run the check command, which may look at the live files");
        return ORCH_OK;
    }
    struct bytes paths CLEANUP_BYTES = {0};
    for (size_t i = 0; i < config->roots.count; i++) {
        if ((i > 0 && bytes_add_text(&paths, ":") != 0) ||
            bytes_add_text(&paths, config->roots.items[i].path) != 0) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the check command");
        }
    }
    if (bytes_add(&paths, "", 1) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the check command");
    }
    struct command_result result;
    int32_t rc = command_run(config->host, config->check_command, (const char *)paths.data,
                             config->check_timeout_ms, &result, err);
    if (rc != ORCH_OK || result.good) {
        return rc;
    }
    return orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "check-command", NULL, err,
                      "the check command %s%s%s; the old files are put back", result.how,
                      result.tail[0] != 0 ? ": " : "", result.tail);
}

int32_t config_verify(struct config *config, const struct orch_restore *restore,
                      struct orch_error *err)
{
    int32_t rc = verify_files(config, restore, err);
    return rc == ORCH_OK ? verify_command(config, err) : rc;
}

/* -- settle -- */

static int32_t roll_back(struct config *config, const struct orch_restore *restore,
                         const struct aside_paths *paths, struct orch_error *err)
{
    struct stat st;
    if (lstat(paths->aside, &st) != 0) {
        return ORCH_OK; /* nothing live was touched */
    }
    struct patterns *exclude = NULL;
    int32_t rc = facts_exclude(restore->facts_json, &exclude, err);
    if (rc == ORCH_OK) {
        rc = install_from(config, paths->aside, restore->facts_json, exclude, paths->run, err);
    }
    patterns_free(exclude);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "the old files could not be put back; they are in %s", paths->aside);
    }
    orch_log(config->host, ORCH_LOG_WARNING, "the old files were put back; a copy stays in %s",
             paths->aside);
    return ORCH_OK;
}

int32_t config_settle(struct config *config, const struct orch_restore *restore, uint32_t outcome,
                      struct orch_error *err)
{
    struct aside_paths paths;
    int32_t rc = aside_paths_open(config, restore->run_id, &paths, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (outcome == ORCH_SETTLE_VERIFIED) {
        rc = aside_prune(&paths, config->aside_keep, err);
    } else {
        rc = roll_back(config, restore, &paths, err);
    }
    if (rc == ORCH_OK) {
        rc = erase_path(paths.stage, err);
    }
    aside_paths_close(&paths);
    return rc;
}
