/* restore.c: builds new trees from the part, swaps them in, measures them, lets go of the old. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "files/build.h"
#include "files/facts.h"
#include "files/measure.h"
#include "swap.h"
#include "volumes.h"

/* One swap and target for each root, in the order of the roots. */
struct job {
    struct volumes *volumes;
    struct swap *swaps;
    struct build_target *targets;
    struct build *build;
};

static void job_close(struct job *job)
{
    build_free(job->build);
    for (size_t i = 0; job->targets != NULL && i < job->volumes->roots.count; i++) {
        free(job->targets[i].parent);
    }
    free(job->targets);
    free(job->swaps);
}

static int32_t job_open(struct job *job, const char *run_id, struct orch_error *err)
{
    const struct roots *roots = &job->volumes->roots;
    job->swaps = calloc(roots->count, sizeof(*job->swaps));
    job->targets = calloc(roots->count, sizeof(*job->targets));
    if (job->swaps == NULL || job->targets == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
    }
    int32_t rc = ORCH_OK;
    for (size_t i = 0; i < roots->count && rc == ORCH_OK; i++) {
        if (strcmp(roots->items[i].path, "/") == 0) {
            return orch_fail(err, ORCH_E_UNSUPPORTED,
                             "/ cannot be replaced while it is in use: restore to another place "
                             "with the option root");
        }
        rc = swap_prepare(&job->swaps[i], job->volumes->host, &roots->items[i], run_id,
                          &job->targets[i], err);
    }
    return rc == ORCH_OK ? build_new(roots, job->targets, &job->build, err) : rc;
}

static int32_t report_losses(struct volumes *volumes, const struct build *build)
{
    const struct apply_report *report = build_report(build);
    volumes->restored = 1;
    volumes->owners_lost = atomic_load(&report->owners);
    volumes->xattrs_lost = atomic_load(&report->xattrs);
    if (volumes->owners_lost > 0) {
        orch_log(volumes->host, ORCH_LOG_WARNING,
                 "%llu entries did not get their owner: that takes root",
                 (unsigned long long)volumes->owners_lost);
    }
    if (volumes->xattrs_lost > 0) {
        orch_log(volumes->host, ORCH_LOG_WARNING,
                 "%llu extended attributes or ACLs could not be set here",
                 (unsigned long long)volumes->xattrs_lost);
    }
    return ORCH_OK;
}

int32_t volumes_restore(struct volumes *volumes, const struct orch_restore *restore,
                        struct orch_error *err)
{
    if (restore->strategy != ORCH_STRATEGY_REPLACE || restore->select_count > 0) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "the volumes plugin restores whole paths by the strategy replace only");
    }
    struct job job = {.volumes = volumes};
    int32_t rc = job_open(&job, restore->run_id, err);
    if (rc == ORCH_OK) {
        rc = build_from_host(job.build, volumes->host, err);
    }
    if (rc == ORCH_OK) {
        rc = report_losses(volumes, job.build);
    }
    for (size_t i = 0; i < volumes->roots.count && rc == ORCH_OK; i++) {
        const struct root *root = &volumes->roots.items[i];
        if (build_root_kind(job.build, i) == 0) {
            orch_log(volumes->host, ORCH_LOG_WARNING, "%s is not in this backup and stays as it is",
                     root->path);
            continue;
        }
        rc = swap_commit(&job.swaps[i], job.build, i, err);
    }
    job_close(&job);
    return rc;
}

/* Differences that could not be avoided by who restores, or where. */
static uint32_t lenience(const struct volumes *volumes)
{
    uint32_t bits = 0;
    /* An instance that did not restore cannot know what an ordinary user had to leave out. */
    int unknown = !volumes->restored && geteuid() != 0;
    if (unknown || volumes->owners_lost > 0) {
        bits |= (1u << TALLY_OWNERS) | (1u << TALLY_MODES);
    }
    if (unknown || volumes->xattrs_lost > 0) {
        bits |= 1u << TALLY_XATTRS;
    }
    return bits;
}

int32_t volumes_verify(struct volumes *volumes, const struct orch_restore *restore,
                       struct orch_error *err)
{
    struct tally_sums expected;
    struct tally_sums found;
    struct roots roots = {0};
    int32_t rc = tally_from_facts(restore->facts_json, &expected, err);
    if (rc == ORCH_OK) {
        rc = facts_roots(restore->facts_json, &volumes->roots, &roots, err);
    }
    if (rc == ORCH_OK) {
        struct measure measure = {
            .host = volumes->host, .roots = &roots, .hard_links = 1, .special_files = 1};
        rc = measure_trees(&measure, &found, err);
    }
    if (rc == ORCH_OK) {
        rc = tally_judge(&expected, &found, lenience(volumes),
                         "only root can set them all, on a file system that has them",
                         volumes->host, err);
    }
    free(roots.items);
    return rc;
}

int32_t volumes_settle(struct volumes *volumes, const struct orch_restore *restore,
                       uint32_t outcome, struct orch_error *err)
{
    for (size_t i = 0; i < volumes->roots.count; i++) {
        int32_t rc = swap_settle(&volumes->roots.items[i], restore->run_id, outcome, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}
