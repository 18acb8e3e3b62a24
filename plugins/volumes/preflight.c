/* preflight.c: what `check` judges before a volume is restored. Touches nothing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "files/cleanup.h"
#include "files/facts.h"
#include "files/judge.h"
#include "files/name.h"
#include "files/noted.h"
#include "files/place.h"
#include "files/tally.h"
#include "files/walk.h"
#include "swap.h"
#include "volumes.h"

struct preflight {
    const struct volumes *volumes;
    const struct orch_host *host;
    struct tally_sums sums;
    struct roots roots; /* those that the part holds */
};

static int32_t refuse(const struct preflight *preflight, const char *code, const char *subject,
                      struct orch_error *err, const char *message)
{
    return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, code, subject, err, "%s", message);
}

/* What is live at a root's place, and whether it can be moved away. */
static int32_t judge_live(const struct preflight *preflight, const struct root *root,
                          const struct place *place, struct orch_error *err)
{
    struct stat st;
    if (lstat(root->path, &st) != 0) {
        if (errno != ENOENT) {
            return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-unreachable",
                              root->path, err, "cannot look at %s: %s", root->path,
                              strerror(errno));
        }
        return place->writable
                   ? ORCH_OK
                   : orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-not-writable",
                                root->path, err, "%s may not be written, so %s cannot be made",
                                place->existing, root->path);
    }
    if (S_ISLNK(st.st_mode)) {
        return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-symlink", root->path,
                          err, "%s is a symbolic link now: put what it points to into paths",
                          root->path);
    }
    int inside = swap_must_be_inside(root);
    if (inside && !S_ISDIR(st.st_mode)) {
        return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-not-replaceable",
                          root->path, err,
                          "%s is a file that is mounted alone or in a folder that may not be "
                          "written: it cannot be replaced in one step",
                          root->path);
    }
    if (inside && faccessat(AT_FDCWD, root->path, W_OK | X_OK, AT_EACCESS) != 0 &&
        st.st_uid != geteuid()) {
        return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-not-writable",
                          root->path, err, "%s may not be written", root->path);
    }
    CLEANUP_FREE char *mount = S_ISDIR(st.st_mode) ? place_mount_below(root->path) : NULL;
    if (mount != NULL) {
        return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-holds-mount", mount, err,
                          "a file system is mounted at %s, inside %s, and would be moved away with "
                          "the old files: unmount it, or make it a component of its own",
                          mount, root->path);
    }
    return ORCH_OK;
}

static int32_t judge_root(const struct preflight *preflight, const struct root *root,
                          const struct place *place, struct orch_error *err)
{
    if (strcmp(root->path, "/") == 0) {
        return refuse(preflight, "target-is-root", "/", err,
                      "/ cannot be replaced while it is in use: restore to another place with the "
                      "option root");
    }
    int refused = 0;
    int32_t rc = judge_work_dir(preflight->host, root, preflight->volumes->work_dir, &refused, err);
    if (rc == ORCH_OK && !refused) {
        rc = judge_live(preflight, root, place, err);
    }
    if (rc == ORCH_OK && preflight->sums.xattrs > 0 && !place->has_xattrs) {
        rc = orch_judge(preflight->host, ORCH_VERDICT_WARN, 0, "no-xattrs", root->path, err,
                        "the backup holds extended attributes or ACLs, which the file system of %s "
                        "does not have",
                        place->existing);
    }
    return rc;
}

/* Old and new files lie side by side until the new ones are verified. */
static int32_t judge_space(const struct preflight *preflight, const struct root *root,
                           const struct place *place, int is_only_system, struct orch_error *err)
{
    const struct tally_sums *sums = &preflight->sums;
    uint64_t entries = sums->files + sums->folders + sums->symlinks + sums->devices + sums->fifos;
    int lacks_bytes = place->free_bytes < sums->data_bytes;
    int lacks_inodes = place->free_inodes < entries;
    if (!lacks_bytes && !lacks_inodes) {
        return ORCH_OK;
    }
    /* With several file systems nothing says how the sum divides; with one it is plain. */
    return orch_judge(preflight->host, is_only_system ? ORCH_VERDICT_REFUSE : ORCH_VERDICT_WARN,
                      ORCH_VERDICT_OVERRIDABLE, "no-space", root->path, err,
                      "the backup needs %" PRIu64 " bytes and %" PRIu64
                      " inodes beside the files that are there until it is verified; at %s are "
                      "%" PRIu64 " and %" PRIu64 " free",
                      sums->data_bytes, entries, place->existing, place->free_bytes,
                      place->free_inodes);
}

static int32_t judge_roots(const struct preflight *preflight, struct orch_error *err)
{
    size_t count = preflight->roots.count;
    struct place *places = calloc(count + 1, sizeof(*places));
    if (places == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
    }
    int32_t rc = ORCH_OK;
    int only = 1;
    for (size_t i = 0; i < count && rc == ORCH_OK; i++) {
        struct orch_error why = ORCH_ERROR_INIT;
        const char *path = preflight->roots.items[i].path;
        if (place_look(path, &places[i], &why) != ORCH_OK) {
            rc = orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "target-unreachable", path,
                            err, "%s", why.message);
        } else if (i > 0 && places[i].dev != places[0].dev) {
            only = 0;
        }
    }
    for (size_t i = 0; i < count && rc == ORCH_OK; i++) {
        if (places[i].existing == NULL) {
            continue;
        }
        const struct root *root = &preflight->roots.items[i];
        rc = judge_root(preflight, root, &places[i], err);
        if (rc == ORCH_OK && (i == 0 || !only)) {
            rc = judge_space(preflight, root, &places[i], only, err);
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(places[i].existing);
    }
    free(places);
    return rc;
}

static int32_t judge_rights(const struct preflight *preflight, struct orch_error *err)
{
    if (geteuid() == 0) {
        return ORCH_OK;
    }
    if (preflight->sums.devices > 0) {
        return orch_judge(preflight->host, ORCH_VERDICT_REFUSE, 0, "needs-root", NULL, err,
                          "the backup holds %" PRIu64
                          " device nodes, which only root can make: run the restore as root",
                          preflight->sums.devices);
    }
    return orch_judge(preflight->host, ORCH_VERDICT_WARN, 0, "owners-not-restored", NULL, err,
                      "not running as root: files get the current user as their owner");
}

/* -- live files that the backup left out, and that a replacement loses -- */

struct excluded {
    uint64_t seen;
    char first[NAME_SHOWN_MAX];
};

#define EXCLUDED_LOOKS_MAX 1000000u

static int32_t on_entry(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    (void)entry;
    struct excluded *excluded = ctx;
    return ++excluded->seen < EXCLUDED_LOOKS_MAX
               ? ORCH_OK
               : orch_fail(err, ORCH_E_EXISTS, "looked at enough files");
}

static int32_t on_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                       struct orch_error *err)
{
    (void)os_errno;
    struct excluded *excluded = ctx;
    if (what != WALK_EXCLUDED) {
        return ORCH_OK;
    }
    (void)name_shown(excluded->first, name, len);
    return orch_fail(err, ORCH_E_EXISTS, "found one");
}

static int32_t judge_excluded(const struct preflight *preflight, const char *facts_json,
                              struct orch_error *err)
{
    struct patterns *exclude = NULL;
    int32_t rc = facts_exclude(facts_json, &exclude, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct excluded excluded = {0};
    if (patterns_count(exclude) > 0) {
        struct walk_options options = {
            .roots = &preflight->roots, .exclude = exclude, .missing_root_ok = 1};
        struct walk_visitor visitor = {.ctx = &excluded, .entry = on_entry, .note = on_note};
        struct orch_error ignored = ORCH_ERROR_INIT;
        /* Only what it came across counts; a folder that cannot be read is no matter here. */
        rc = walk_roots(&options, &visitor, &ignored);
        rc = ORCH_OK;
    }
    patterns_free(exclude);
    if (excluded.first[0] != 0) {
        rc = orch_judge(preflight->host, ORCH_VERDICT_WARN, 0, "excluded-files-lost",
                        excluded.first, err,
                        "files that the backup excludes are there now (%s, say) and go with the "
                        "old tree: copy them away if they are needed",
                        excluded.first);
    }
    return rc;
}

/* The same for files that the backup noted as unreadable. */
static int32_t judge_noted(const struct preflight *preflight, const char *facts_json,
                           struct orch_error *err)
{
    struct noted noted;
    int32_t rc = noted_live(facts_json, &preflight->roots, &noted, err);
    if (rc != ORCH_OK || noted.live == 0) {
        return rc;
    }
    return orch_judge(preflight->host, ORCH_VERDICT_WARN, 0, "noted-files-lost", noted.first, err,
                      "files that the backup could not read are there now (%s%" PRIu64
                      " of them, %s first) and go with the old tree: copy them away if they are "
                      "needed",
                      noted.more ? "at least " : "", noted.live, noted.first);
}

int32_t volumes_preflight(const struct volumes *volumes, const struct orch_restore *restore,
                          struct orch_error *err)
{
    struct preflight preflight = {.volumes = volumes, .host = volumes->host};
    int32_t rc = judge_request(preflight.host, restore, "volumes", VOLUMES_FORMAT, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct orch_error why = ORCH_ERROR_INIT;
    if (tally_from_facts(restore->facts_json, &preflight.sums, &why) != ORCH_OK) {
        return refuse(&preflight, "facts", NULL, err, why.message);
    }
    rc = judge_paths(preflight.host, restore->facts_json, &volumes->roots, err);
    if (rc == ORCH_OK) {
        rc = facts_roots(restore->facts_json, &volumes->roots, &preflight.roots, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_rights(&preflight, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_roots(&preflight, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_excluded(&preflight, restore->facts_json, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_noted(&preflight, restore->facts_json, err);
    }
    free(preflight.roots.items);
    return rc;
}
