/* judge.c: see judge.h. */
#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "facts.h"
#include "name.h"

int32_t judge_request(const struct orch_host *host, const struct orch_restore *restore,
                      const char *plugin, uint32_t data_format, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (restore->strategy != ORCH_STRATEGY_REPLACE) {
        rc = orch_judge(host, ORCH_VERDICT_REFUSE, 0, "strategy", NULL, err,
                        "the %s plugin restores by the strategy replace only", plugin);
    }
    if (rc == ORCH_OK && restore->select_count > 0) {
        rc = orch_judge(host, ORCH_VERDICT_REFUSE, 0, "select", NULL, err,
                        "the %s plugin restores whole paths, not selected files: restore to "
                        "another place with --target COMPONENT.root=DIR and take them from there",
                        plugin);
    }
    if (rc == ORCH_OK && restore->data_format != data_format) {
        rc = orch_judge(host, ORCH_VERDICT_REFUSE, 0, "data-format", NULL, err,
                        "the part is of data format %u; this %s plugin reads %u",
                        restore->data_format, plugin, data_format);
    }
    return rc;
}

int32_t judge_paths(const struct orch_host *host, const char *facts_json, const struct roots *roots,
                    struct orch_error *err)
{
    CLEANUP_FREE char *missing = facts_path_missing(facts_json, roots);
    if (missing != NULL) {
        return orch_judge(host, ORCH_VERDICT_REFUSE, 0, "paths-differ", missing, err,
                          "the backup holds %s, which is not among the component's paths: add it "
                          "to restore this set",
                          missing);
    }
    for (size_t i = 0; i < roots->count; i++) {
        const struct root *root = &roots->items[i];
        if (facts_have_path(facts_json, root)) {
            continue;
        }
        int32_t rc = orch_judge(host, ORCH_VERDICT_WARN, 0, "path-not-in-set", root->path, err,
                                "%s is not in this backup and stays as it is", root->path);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static int lies_within(const char *inner, const char *outer)
{
    return name_is_within((const uint8_t *)inner, strlen(inner), outer, strlen(outer));
}

int32_t judge_work_dir(const struct orch_host *host, const struct root *root, const char *work_dir,
                       int *refused, struct orch_error *err)
{
    if (work_dir == NULL || work_dir[0] != '/') {
        return ORCH_OK;
    }
    CLEANUP_FREE char *work = NULL;
    int32_t rc = name_normalise(work_dir, &work, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (!lies_within(root->path, work) && !lies_within(work, root->path)) {
        return ORCH_OK;
    }
    *refused = 1;
    return orch_judge(host, ORCH_VERDICT_REFUSE, 0, "target-is-work-dir", root->path, err,
                      "%s and the folder in which orchestrate keeps its state (%s) lie inside each "
                      "other",
                      root->path, work);
}
