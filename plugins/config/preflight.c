/* preflight.c: what `check` judges before configuration files are restored. Touches nothing. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "config.h"
#include "files/facts.h"
#include "files/judge.h"
#include "files/noted.h"
#include "files/place.h"
#include "files/tally.h"
#include "readable.h"

static int32_t judge_space(const struct config *config, const char *path, uint64_t need,
                           struct orch_error *err)
{
    struct place place;
    struct orch_error why = ORCH_ERROR_INIT;
    if (place_look(path, &place, &why) != ORCH_OK) {
        return orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "target-unreachable", path, err,
                          "%s", why.message);
    }
    int32_t rc = ORCH_OK;
    if (place.free_bytes < need) {
        rc = orch_judge(config->host, ORCH_VERDICT_REFUSE, ORCH_VERDICT_OVERRIDABLE, "no-space",
                        path, err, "%" PRIu64 " bytes are needed at %s, %" PRIu64 " are free", need,
                        place.existing, place.free_bytes);
    }
    free(place.existing);
    return rc;
}

static int32_t judge_target(const struct config *config, const struct root *root, uint64_t need,
                            struct orch_error *err)
{
    int refused = 0;
    int32_t rc = judge_work_dir(config->host, root, config->work_dir, &refused, err);
    struct stat st;
    int live = lstat(root->path, &st) == 0;
    if (rc == ORCH_OK && live && S_ISLNK(st.st_mode)) {
        rc = orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "target-symlink", root->path, err,
                        "%s is a symbolic link now: put what it points to into paths", root->path);
    }
    struct place place;
    struct orch_error why = ORCH_ERROR_INIT;
    if (rc != ORCH_OK || place_look(root->path, &place, &why) != ORCH_OK) {
        return rc != ORCH_OK ? rc
                             : orch_judge(config->host, ORCH_VERDICT_REFUSE, 0,
                                          "target-unreachable", root->path, err, "%s", why.message);
    }
    int is_folder = live && S_ISDIR(st.st_mode);
    const char *written = is_folder ? root->path : place.existing;
    if (faccessat(AT_FDCWD, written, W_OK | X_OK, AT_EACCESS) != 0 &&
        !(is_folder && st.st_uid == geteuid())) {
        rc = orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "target-not-writable", root->path,
                        err, "%s may not be written", written);
    }
    free(place.existing);
    return rc == ORCH_OK ? judge_space(config, root->path, need, err) : rc;
}

/* Files that the backup noted as unreadable are removed like others that it does not have: only the
 * copy keeps them. */
static int32_t judge_noted(const struct config *config, const char *facts_json,
                           struct orch_error *err)
{
    struct noted noted;
    int32_t rc = noted_live(facts_json, &config->roots, &noted, err);
    if (rc != ORCH_OK || noted.live == 0) {
        return rc;
    }
    return orch_judge(config->host, ORCH_VERDICT_WARN, 0, "noted-files-lost", noted.first, err,
                      "files that the backup could not read are there now (%s%" PRIu64
                      " of them, %s first) and are removed; a copy stays in %s/aside only for as "
                      "long as aside_keep = %" PRId64 " lets it: copy them away if they are needed",
                      noted.more ? "at least " : "", noted.live, noted.first, config->work_dir,
                      config->aside_keep);
}

/* What becomes of the live files: set aside, some of them for good. */
static int32_t judge_aside(const struct config *config, const struct orch_restore *restore,
                           uint64_t need, struct orch_error *err)
{
    if (config->work_dir == NULL) {
        return orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "no-work-dir", NULL, err,
                          "there is no work folder in which the old files can be set aside");
    }
    int32_t rc = judge_space(config, config->work_dir, need, err);
    if (rc == ORCH_OK) {
        rc = readable_judge(config, restore, err);
    }
    return rc == ORCH_OK ? judge_noted(config, restore->facts_json, err) : rc;
}

int32_t config_check(const struct config *config, const struct orch_restore *restore,
                     struct orch_error *err)
{
    int32_t rc = judge_request(config->host, restore, "config", CONFIG_FORMAT, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct tally_sums sums;
    struct orch_error why = ORCH_ERROR_INIT;
    if (tally_from_facts(restore->facts_json, &sums, &why) != ORCH_OK) {
        return orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "facts", NULL, err, "%s",
                          why.message);
    }
    rc = judge_paths(config->host, restore->facts_json, &config->roots, err);
    if (rc == ORCH_OK) {
        rc = judge_aside(config, restore, sums.bytes * 2, err);
    }
    if (rc == ORCH_OK && geteuid() != 0) {
        rc = orch_judge(config->host, ORCH_VERDICT_WARN, 0, "owners-not-restored", NULL, err,
                        "not running as root: files get the current user as their owner");
    }
    for (size_t i = 0; i < config->roots.count && rc == ORCH_OK; i++) {
        if (facts_have_path(restore->facts_json, &config->roots.items[i])) {
            rc = judge_target(config, &config->roots.items[i], sums.bytes, err);
        }
    }
    return rc;
}
