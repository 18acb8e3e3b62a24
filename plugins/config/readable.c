/* readable.c: see readable.h. */
#include "readable.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include <orchestrate/support.h>

#include "aside.h"
#include "files/cleanup.h"
#include "files/facts.h"
#include "files/name.h"
#include "files/open.h"
#include "files/walk.h"

struct unreadable {
    const struct orch_host *host;
    uint64_t count;
    int os_errno; /* of the first */
    char first[NAME_SHOWN_MAX];
};

static void count_one(struct unreadable *unreadable, const uint8_t *name, size_t len, int os_errno)
{
    if (unreadable->count++ == 0) {
        (void)name_shown(unreadable->first, name, len);
        unreadable->os_errno = os_errno;
    }
}

static int32_t on_entry(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct unreadable *unreadable = ctx;
    if (unreadable->host->cancelled(unreadable->host->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    if (!S_ISREG(entry->st->st_mode)) {
        return ORCH_OK;
    }
    CLEANUP_FD int fd = open_file_at(entry->dir_fd, entry->base);
    if (fd < 0 && errno != ENOENT) {
        count_one(unreadable, entry->name, entry->name_len, errno);
    }
    return ORCH_OK;
}

static int32_t on_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                       struct orch_error *err)
{
    (void)err;
    if (what == WALK_UNREADABLE) {
        count_one(ctx, name, len, os_errno);
    }
    return ORCH_OK;
}

/* Walks as the copy does: all paths, but what the backup excludes. */
static int32_t look_at_live(const struct config *config, const char *facts_json,
                            struct unreadable *unreadable, struct orch_error *err)
{
    struct patterns *exclude = NULL;
    int32_t rc = facts_exclude(facts_json, &exclude, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct walk_options options = {.roots = &config->roots,
                                   .exclude = exclude,
                                   .want_xattrs = 1,
                                   .missing_root_ok = 1,
                                   .skip_temporary = 1};
    struct walk_visitor visitor = {.ctx = unreadable, .entry = on_entry, .note = on_note};
    rc = walk_roots(&options, &visitor, err);
    patterns_free(exclude);
    return rc;
}

static int32_t has_aside(const struct config *config, const char *run_id, int *found,
                         struct orch_error *err)
{
    struct aside_paths paths;
    struct stat st;
    int32_t rc = aside_paths_open(config, run_id, &paths, err);
    if (rc == ORCH_OK) {
        *found = lstat(paths.aside, &st) == 0;
        aside_paths_close(&paths);
    }
    return rc;
}

/* The walk itself failed, and so would the copy. */
static int32_t judge_failure(const struct config *config, const struct orch_error *why,
                             struct orch_error *err)
{
    if (why->code == ORCH_E_NOMEM || why->code == ORCH_E_CANCELLED) {
        *err = *why;
        return why->code;
    }
    return orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "target-not-readable", NULL, err,
                      "the old files cannot be copied aside before they are replaced: %s",
                      why->message);
}

int32_t readable_judge(const struct config *config, const struct orch_restore *restore,
                       struct orch_error *err)
{
    struct unreadable unreadable = {.host = config->host};
    int done = 0;
    int32_t rc = has_aside(config, restore->run_id, &done, err);
    if (rc != ORCH_OK || done) {
        return rc;
    }
    struct orch_error why = ORCH_ERROR_INIT;
    if (look_at_live(config, restore->facts_json, &unreadable, &why) != ORCH_OK) {
        return judge_failure(config, &why, err);
    }
    if (unreadable.count == 0) {
        return ORCH_OK;
    }
    return orch_judge(config->host, ORCH_VERDICT_REFUSE, 0, "target-not-readable", unreadable.first,
                      err,
                      "the old files are copied aside before they are replaced, but %" PRIu64
                      " of them cannot be read (%s first: %s): make them readable or move them "
                      "away, or run the restore as a user who may read them, such as root",
                      unreadable.count, unreadable.first, strerror(unreadable.os_errno));
}
