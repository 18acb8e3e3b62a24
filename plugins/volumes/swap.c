/* swap.c: see swap.h. The way beside, and the choice between the two. */
#include "swap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/cleanup.h"
#include "files/crash.h"
#include "files/erase.h"
#include "files/place.h"

/* The folder that the root is in, and the names in it. */
struct beside {
    int parent;
    const struct root *root;
    char fresh[256]; /* the new tree */
    char aside[256];
    char mark[256];
};

/* What the mark says. */
struct mark {
    int present;
    int had_original;
    uint64_t ino; /* of the original; a live inode is not given out twice */
};

static int32_t beside_open(struct beside *beside, const struct root *root, const char *run,
                           struct orch_error *err)
{
    beside->root = root;
    name_temporary(beside->fresh, root->base, "new", run);
    name_temporary(beside->aside, root->base, "aside", run);
    name_temporary(beside->mark, root->base, "mark", run);
    beside->parent = open(root->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return beside->parent >= 0 ? ORCH_OK
                               : orch_fail_errno(err, errno, "cannot open %s", root->parent);
}

static void beside_close(struct beside *beside)
{
    if (beside->parent >= 0) {
        (void)close(beside->parent);
    }
}

/* 1 and its inode when `base` is there, 0 when not. */
static int look(const struct beside *beside, const char *base, uint64_t *ino)
{
    struct stat st;
    if (fstatat(beside->parent, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    *ino = (uint64_t)st.st_ino;
    return 1;
}

static int32_t sync_parent(const struct beside *beside, struct orch_error *err)
{
    int error = place_sync(beside->parent);
    return error == 0 ? ORCH_OK
                      : orch_fail_errno(err, error, "cannot sync %s", beside->root->parent);
}

static int32_t rename_to(const struct beside *beside, const char *from, const char *to,
                         struct orch_error *err)
{
    if (renameat(beside->parent, from, beside->parent, to) != 0) {
        return orch_fail_errno(err, errno, "cannot rename %s to %s in %s", from, to,
                               beside->root->parent);
    }
    return ORCH_OK;
}

/* -- the mark: "orch-mark 1 INODE\n", or 0 0 when there was no original -- */

/* A mark that is cut short was never relied on: it counts as none. */
static void mark_read(const struct beside *beside, struct mark *mark)
{
    *mark = (struct mark){0};
    CLEANUP_FD int fd = openat(beside->parent, beside->mark, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[64] = "";
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    int had = 0;
    uint64_t ino = 0;
    if (n > 0 && text[n - 1] == '\n' && sscanf(text, "orch-mark %d %" SCNu64, &had, &ino) == 2) {
        *mark = (struct mark){.present = 1, .had_original = had != 0, .ino = ino};
    }
}

static int32_t mark_write(const struct beside *beside, const struct mark *mark,
                          struct orch_error *err)
{
    char text[64];
    int len =
        snprintf(text, sizeof(text), "orch-mark %d %" PRIu64 "\n", mark->had_original, mark->ino);
    CLEANUP_FD int fd = openat(beside->parent, beside->mark,
                               O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)len) != len || fsync(fd) != 0 ||
        close(steal_fd(&fd)) != 0) {
        return orch_fail_errno(err, errno, "cannot write %s in %s", beside->mark,
                               beside->root->parent);
    }
    return sync_parent(beside, err);
}

/* A crash between exchange and renaming left the original under the new tree's name. */
static int32_t rescue_original(const struct beside *beside, struct orch_error *err)
{
    struct mark mark;
    uint64_t ino = 0;
    mark_read(beside, &mark);
    if (!mark.present || !mark.had_original || !look(beside, beside->fresh, &ino) ||
        ino != mark.ino) {
        return ORCH_OK;
    }
    int32_t rc = rename_to(beside, beside->fresh, beside->aside, err);
    return rc == ORCH_OK ? sync_parent(beside, err) : rc;
}

static int32_t beside_prepare(struct swap *swap, struct build_target *target,
                              struct orch_error *err)
{
    struct beside beside;
    int32_t rc = place_make_folders(swap->root->parent, 0755, err);
    if (rc == ORCH_OK) {
        rc = beside_open(&beside, swap->root, swap->run, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = rescue_original(&beside, err);
    if (rc == ORCH_OK) {
        rc = erase_at(beside.parent, beside.fresh, err);
    }
    beside_close(&beside);
    if (rc != ORCH_OK) {
        return rc;
    }
    memcpy(target->base, beside.fresh, sizeof(target->base));
    target->parent = strdup(swap->root->parent);
    return target->parent != NULL ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
}

/* Exchanges the two names; *done 0: the file system cannot, nothing happened. */
static int32_t exchange(const struct beside *beside, int *done, struct orch_error *err)
{
    if (crash_no_exchange()) {
        *done = 0;
        return ORCH_OK;
    }
    *done = renameat2(beside->parent, beside->fresh, beside->parent, beside->root->base,
                      RENAME_EXCHANGE) == 0;
    if (!*done && errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
        return orch_fail_errno(err, errno, "cannot exchange %s with the restored %s",
                               beside->root->path, beside->fresh);
    }
    return ORCH_OK;
}

/* Makes the new tree live. The original goes aside, an earlier result of this run goes away. */
static int32_t replace(const struct beside *beside, int live, int is_original,
                       struct orch_error *err)
{
    const char *base = beside->root->base;
    if (!live) {
        return rename_to(beside, beside->fresh, base, err);
    }
    int done = 0;
    int32_t rc = exchange(beside, &done, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_here("swap-exchanged");
    if (done && is_original) {
        return rename_to(beside, beside->fresh, beside->aside, err);
    }
    if (done) {
        return erase_at(beside->parent, beside->fresh, err);
    }
    /* Two steps, then: between them nothing is live, and the next attempt goes on from there. */
    rc = is_original ? rename_to(beside, base, beside->aside, err)
                     : erase_at(beside->parent, base, err);
    crash_here("swap-moved-aside");
    return rc == ORCH_OK ? rename_to(beside, beside->fresh, base, err) : rc;
}

static int32_t beside_commit_open(const struct swap *swap, const struct beside *beside,
                                  struct orch_error *err)
{
    const struct orch_host *host = swap->host;
    const struct root *root = swap->root;
    if (syncfs(beside->parent) != 0) {
        return orch_fail_errno(err, errno, "cannot sync the restored %s", root->path);
    }
    crash_here("swap-built");
    struct mark mark;
    uint64_t ino = 0;
    uint64_t ignored = 0;
    mark_read(beside, &mark);
    int live = look(beside, root->base, &ino);
    int has_aside = look(beside, beside->aside, &ignored);
    int is_original =
        live && !has_aside && (!mark.present || (mark.had_original && mark.ino == ino));
    int32_t rc = ORCH_OK;
    if (!mark.present && !has_aside) {
        mark = (struct mark){.had_original = is_original, .ino = ino};
        rc = mark_write(beside, &mark, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_here("swap-marked");
    CLEANUP_FREE char *aside = NULL;
    if (asprintf(&aside, "%s/%s", strcmp(root->parent, "/") == 0 ? "" : root->parent,
                 beside->aside) < 0) {
        aside = NULL;
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    rc = host->intent(host->ctx, "replace", root->path, is_original ? aside : NULL, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_here("swap-intended");
    rc = replace(beside, live, is_original, err);
    if (rc == ORCH_OK) {
        rc = sync_parent(beside, err);
    }
    crash_here("swap-replaced");
    return rc == ORCH_OK ? host->done(host->ctx, "replace", root->path, err) : rc;
}

static int32_t beside_commit(const struct swap *swap, struct orch_error *err)
{
    struct beside beside;
    int32_t rc = beside_open(&beside, swap->root, swap->run, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = beside_commit_open(swap, &beside, err);
    beside_close(&beside);
    return rc;
}

static int32_t beside_settle(const struct root *root, const char *run, uint32_t outcome,
                             struct orch_error *err)
{
    struct beside beside;
    if (access(root->parent, F_OK) != 0) {
        return ORCH_OK; /* nothing was ever made */
    }
    int32_t rc = beside_open(&beside, root, run, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = rescue_original(&beside, err);
    if (rc == ORCH_OK) {
        rc = erase_at(beside.parent, beside.fresh, err);
    }
    if (rc == ORCH_OK && outcome == ORCH_SETTLE_VERIFIED) {
        rc = erase_at(beside.parent, beside.aside, err);
        /* The mark last: while it is there, a crash in between is understood. */
        if (rc == ORCH_OK && unlinkat(beside.parent, beside.mark, 0) != 0 && errno != ENOENT) {
            rc = orch_fail_errno(err, errno, "cannot remove %s in %s", beside.mark, root->parent);
        }
    }
    beside_close(&beside);
    return rc;
}

/* -- the choice -- */

int swap_must_be_inside(const struct root *root)
{
    struct stat st;
    struct stat parent;
    if (lstat(root->path, &st) != 0 || stat(root->parent, &parent) != 0) {
        return 0;
    }
    CLEANUP_FD int fd = open(root->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (st.st_dev != parent.st_dev || erase_is_mount_point(fd))) {
        return 1;
    }
    return faccessat(AT_FDCWD, root->parent, W_OK | X_OK, AT_EACCESS) != 0;
}

int32_t swap_prepare_as(struct swap *swap, int inside, struct build_target *target,
                        struct orch_error *err)
{
    swap->inside = inside;
    return inside ? swap_inside_prepare(swap, target, err) : beside_prepare(swap, target, err);
}

int32_t swap_prepare(struct swap *swap, const struct orch_host *host, const struct root *root,
                     const char *run_id, struct build_target *target, struct orch_error *err)
{
    *swap = (struct swap){.host = host, .root = root};
    int32_t rc = name_run(swap->run, run_id, err);
    return rc == ORCH_OK ? swap_prepare_as(swap, swap_must_be_inside(root), target, err) : rc;
}

int32_t swap_commit(struct swap *swap, struct build *build, size_t index, struct orch_error *err)
{
    return swap->inside ? swap_inside_commit(swap, build, index, err) : beside_commit(swap, err);
}

int32_t swap_settle(const struct root *root, const char *run_id, uint32_t outcome,
                    struct orch_error *err)
{
    char run[NAME_RUN_LEN + 1];
    int32_t rc = name_run(run, run_id, err);
    if (rc == ORCH_OK) {
        rc = swap_inside_settle(root, run, outcome, err);
    }
    return rc == ORCH_OK ? beside_settle(root, run, outcome, err) : rc;
}
