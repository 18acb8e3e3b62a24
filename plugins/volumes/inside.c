/*
 * inside.c: see swap.h: the way inside, for roots that cannot be renamed.
 *
 * Order: make the aside, move the old children into it, write the "moved" mark, move the new
 * children up. Before the mark every child is old (or new under its temporary name); after it every
 * child is this run's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/cleanup.h"
#include "files/crash.h"
#include "files/erase.h"
#include "files/listing.h"
#include "files/place.h"
#include "swap.h"

struct inside {
    int fd; /* of the root */
    const struct root *root;
    char fresh[256];
    char aside[256];
    char moved[256];
};

static int32_t inside_open(struct inside *inside, const struct root *root, const char *run,
                           struct orch_error *err)
{
    inside->root = root;
    name_temporary(inside->fresh, "", "new", run);
    name_temporary(inside->aside, "", "aside", run);
    name_temporary(inside->moved, "", "moved", run);
    inside->fd = open(root->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (inside->fd < 0 || fstat(inside->fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot open %s", root->path);
    }
    /* Its owner may have made it read-only; commit and settle set the mode that it should have. */
    if (faccessat(inside->fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        (void)fchmod(inside->fd, (st.st_mode & 07777) | 0700);
    }
    return ORCH_OK;
}

int32_t swap_inside_prepare(struct swap *swap, struct build_target *target, struct orch_error *err)
{
    struct inside inside;
    int32_t rc = inside_open(&inside, swap->root, swap->run, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = erase_at(inside.fd, inside.fresh, err);
    (void)close(inside.fd);
    if (rc != ORCH_OK) {
        return rc;
    }
    memcpy(target->base, inside.fresh, sizeof(target->base));
    target->parent = strdup(swap->root->path);
    return target->parent != NULL ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
}

static int keep_children(void *ctx, const char *base, size_t len, int is_folder)
{
    (void)ctx;
    (void)len;
    (void)is_folder;
    return !name_is_temporary(base, 1);
}

/* A folder that its owner may not write cannot change parents: it is made writable for the move. */
static int move_child(int from, int to, const char *base)
{
    struct stat st;
    if (renameat(from, base, to, base) == 0) {
        return 0;
    }
    if (errno != EACCES || fstatat(from, base, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISDIR(st.st_mode) || fchmodat(from, base, (st.st_mode & 07777) | 0700, 0) != 0) {
        return errno;
    }
    int error = renameat(from, base, to, base) == 0 ? 0 : errno;
    (void)fchmodat(error == 0 ? to : from, base, st.st_mode & 07777, 0);
    return error;
}

/* Moves each child of folder `from` (but temporary ones) into `to`; to < 0: removes it. */
static int32_t each_child(const struct inside *inside, int from, int to, struct orch_error *err)
{
    struct listing listing = {0};
    int32_t rc = ORCH_OK;
    int error = lseek(from, 0, SEEK_SET) == 0 ? 0 : errno; /* it may have been listed before */
    if (error == 0) {
        error = listing_read(&listing, from, keep_children, NULL);
    }
    if (error != 0) {
        rc = orch_fail_errno(err, error, "cannot list %s", inside->root->path);
    }
    for (size_t i = 0; i < listing.count && rc == ORCH_OK; i++) {
        if (listing.items[i].is_descent) {
            continue;
        }
        const char *base = listing_name(&listing, &listing.items[i]);
        if (to < 0) {
            rc = erase_at(from, base, err);
            continue;
        }
        error = move_child(from, to, base);
        if (error != 0) {
            char shown[NAME_SHOWN_MAX];
            rc = orch_fail_errno(err, error, "cannot move %s within %s",
                                 name_shown(shown, base, strlen(base)), inside->root->path);
        }
    }
    listing_free(&listing);
    return rc;
}

/* The aside looks to others like the folder whose children it keeps. */
static int32_t open_aside(const struct inside *inside, int *aside, struct orch_error *err)
{
    struct stat st;
    int made = mkdirat(inside->fd, inside->aside, 0700) == 0;
    if (!made && errno != EEXIST) {
        return orch_fail_errno(err, errno, "cannot create %s in %s", inside->aside,
                               inside->root->path);
    }
    *aside = openat(inside->fd, inside->aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*aside < 0) {
        return orch_fail_errno(err, errno, "cannot open %s in %s", inside->aside,
                               inside->root->path);
    }
    if (made && fstat(inside->fd, &st) == 0 && fchown(*aside, st.st_uid, st.st_gid) == 0) {
        (void)fchmod(*aside, st.st_mode & 07777);
    }
    return ORCH_OK;
}

/* Moves what was live into the aside, unless an earlier attempt has; then clears its result. */
static int32_t clear_root(const struct inside *inside, struct orch_error *err)
{
    if (faccessat(inside->fd, inside->moved, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return each_child(inside, inside->fd, -1, err);
    }
    CLEANUP_FD int aside = -1;
    int32_t rc = open_aside(inside, &aside, err);
    if (rc == ORCH_OK) {
        rc = each_child(inside, inside->fd, aside, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_here("inside-cleared");
    int error = place_sync(aside);
    CLEANUP_FD int mark = error == 0 ? openat(inside->fd, inside->moved,
                                              O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)
                                     : -1;
    if (error == 0 && (mark < 0 || fsync(mark) != 0)) {
        error = errno;
    }
    error = error == 0 ? place_sync(inside->fd) : error;
    return error == 0 ? ORCH_OK : orch_fail_errno(err, error, "cannot sync %s", inside->root->path);
}

static int32_t move_up(const struct inside *inside, struct build *build, size_t index,
                       struct orch_error *err)
{
    CLEANUP_FD int fresh =
        openat(inside->fd, inside->fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fresh < 0) {
        return orch_fail_errno(err, errno, "cannot open %s in %s", inside->fresh,
                               inside->root->path);
    }
    /* It has its final mode by now, which may be read-only to its owner. */
    (void)fchmod(fresh, 0700);
    crash_here("inside-moving-up");
    int32_t rc = each_child(inside, fresh, inside->fd, err);
    if (rc == ORCH_OK && unlinkat(inside->fd, inside->fresh, AT_REMOVEDIR) != 0) {
        rc = orch_fail_errno(err, errno, "cannot remove %s in %s", inside->fresh,
                             inside->root->path);
    }
    if (rc == ORCH_OK) {
        rc = build_apply_root(build, index, inside->fd, inside->root->path, err);
    }
    int error = rc == ORCH_OK ? place_sync(inside->fd) : 0;
    return error == 0 ? rc : orch_fail_errno(err, error, "cannot sync %s", inside->root->path);
}

int32_t swap_inside_commit(struct swap *swap, struct build *build, size_t index,
                           struct orch_error *err)
{
    const struct orch_host *host = swap->host;
    const struct root *root = swap->root;
    if (build_root_kind(build, index) != META_KIND_FOLDER) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "%s is a mount point, or its folder may not be written, and the backup "
                         "holds a file there: restore to another place with the option root",
                         root->path);
    }
    struct inside inside;
    int32_t rc = inside_open(&inside, root, swap->run, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_FREE char *aside = NULL;
    if (syncfs(inside.fd) != 0) {
        rc = orch_fail_errno(err, errno, "cannot sync the restored %s", root->path);
    } else if (asprintf(&aside, "%s/%s", root->path, inside.aside) < 0) {
        aside = NULL;
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "replace", root->path, aside, err);
    }
    crash_here("inside-intended");
    if (rc == ORCH_OK) {
        rc = clear_root(&inside, err);
    }
    crash_here("inside-moved");
    if (rc == ORCH_OK) {
        rc = move_up(&inside, build, index, err);
    }
    crash_here("inside-replaced");
    (void)close(inside.fd);
    return rc == ORCH_OK ? host->done(host->ctx, "replace", root->path, err) : rc;
}

int32_t swap_inside_settle(const struct root *root, const char *run, uint32_t outcome,
                           struct orch_error *err)
{
    struct stat st;
    if (lstat(root->path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return ORCH_OK;
    }
    struct inside inside;
    int32_t rc = inside_open(&inside, root, run, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = erase_at(inside.fd, inside.fresh, err);
    if (rc == ORCH_OK && outcome == ORCH_SETTLE_VERIFIED) {
        rc = erase_at(inside.fd, inside.aside, err);
        if (rc == ORCH_OK && unlinkat(inside.fd, inside.moved, 0) != 0 && errno != ENOENT) {
            rc = orch_fail_errno(err, errno, "cannot remove %s in %s", inside.moved, root->path);
        }
    }
    /* The removals touched the folder's time, which was restored before. */
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
    struct stat now = st;
    if (fstat(inside.fd, &now) == 0 &&
        (now.st_mtim.tv_sec != st.st_mtim.tv_sec || now.st_mtim.tv_nsec != st.st_mtim.tv_nsec)) {
        (void)futimens(inside.fd, times);
    }
    if ((now.st_mode & 07777) != (st.st_mode & 07777)) {
        (void)fchmod(inside.fd, st.st_mode & 07777);
    }
    (void)close(inside.fd);
    return rc;
}
