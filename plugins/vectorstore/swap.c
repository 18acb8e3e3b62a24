/* swap.c: see swap.h. */
#include "swap.h"

#include "cleanup.h"
#include "digest.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* One act: the full paths for the journal, and the names in the open folder. */
struct act {
    int dir;
    const char *base;
    char aside[256];
    char target_path[NAMES_PATH_MAX * 2];
    char aside_path[NAMES_PATH_MAX * 2];
};

static int32_t sync_folder(int dir, const char *path, struct orch_error *err)
{
    return fsync(dir) == 0 ? ORCH_OK
                           : orch_fail_errno(err, errno, "cannot sync the folder of %s", path);
}

static int there(int dir, const char *base, struct stat *st)
{
    return fstatat(dir, base, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int32_t begin(struct swap *swap, const char *name, struct act *act, struct orch_error *err)
{
    int32_t rc = names_open_parent(swap->root, name, 0, &act->dir, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    act->base = names_base(name);
    rc = names_aside(act->base, swap->restore->run_id, act->aside, err);
    (void)snprintf(act->target_path, sizeof(act->target_path), "%s/%s", swap->self->settings.path,
                   name);
    (void)snprintf(act->aside_path, sizeof(act->aside_path), "%s/%.*s%s", swap->self->settings.path,
                   (int)(act->base - name), name, act->aside);
    return rc;
}

/*
 * Gives what is at the target the aside name too, or instead. A second link leaves no moment in
 * which readers find nothing; where there are no links (folders, some file systems), a rename.
 */
static int32_t set_aside(const struct act *act, const struct stat *st, struct orch_error *err)
{
    if (!S_ISDIR(st->st_mode) && linkat(act->dir, act->base, act->dir, act->aside, 0) == 0) {
        return ORCH_OK;
    }
    if (renameat2(act->dir, act->base, act->dir, act->aside, RENAME_NOREPLACE) == 0) {
        return ORCH_OK;
    }
    if (errno == EINVAL && renameat(act->dir, act->base, act->dir, act->aside) == 0) {
        return ORCH_OK; /* no such flag on this file system; the caller saw that nothing is there */
    }
    return orch_fail_errno(err, errno, "cannot set %s aside", act->target_path);
}

/* On a later attempt a file that an earlier one has put there is no original to be kept. */
static int is_ours(const struct swap *swap, const struct swap_item *item, const struct act *act)
{
    char digest[DIGEST_TEXT];
    uint64_t size = 0;
    if (swap->restore->attempt <= 1 || item->kind != 'f') {
        return 0;
    }
    CLEANUP_FD int fd = openat(act->dir, act->base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && digest_fd(fd, NULL, NULL, digest, &size, NULL) == ORCH_OK &&
           strcmp(digest, item->digest) == 0;
}

static int32_t swap_in(struct swap *swap, const struct swap_item *item, struct act *act,
                       struct orch_error *err)
{
    const struct orch_host *host = swap->self->host;
    struct stat st, old;
    char fresh[256];
    int32_t rc = names_new(act->base, swap->restore->run_id, fresh, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int keep = there(act->dir, act->base, &st) && !there(act->dir, act->aside, &old) &&
               !is_ours(swap, item, act);
    rc = host->intent(host->ctx, "rename", act->target_path, keep ? act->aside_path : NULL, err);
    if (rc == ORCH_OK && keep) {
        rc = set_aside(act, &st, err);
    }
    if (rc == ORCH_OK && renameat(act->dir, fresh, act->dir, act->base) != 0) {
        rc = orch_fail_errno(err, errno, "cannot rename the restored %s into place",
                             act->target_path);
    }
    if (rc == ORCH_OK) {
        rc = sync_folder(act->dir, act->target_path, err);
    }
    return rc != ORCH_OK ? rc : host->done(host->ctx, "rename", act->target_path, err);
}

static int32_t swap_one(struct swap *swap, const struct swap_item *item, struct orch_error *err)
{
    struct act *act = calloc(1, sizeof(*act));
    if (act == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to rename files");
    }
    act->dir = -1;
    int32_t rc = begin(swap, item->name, act, err);
    if (rc == ORCH_OK) {
        rc = swap_in(swap, item, act, err);
    }
    if (act->dir >= 0) {
        (void)close(act->dir);
    }
    free(act);
    return rc;
}

int32_t swap_all(struct swap *swap, struct orch_error *err)
{
    for (size_t i = 0; i < swap->count; i++) {
        if (swap->items[i].kind != 'd') {
            int32_t rc = swap_one(swap, &swap->items[i], err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    return ORCH_OK;
}

/* ---- what the part does not have -------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct swap_item *x = a;
    const struct swap_item *y = b;
    return strcmp(x->name, y->name);
}

static int in_part(const struct swap *swap, const char *name)
{
    struct swap_item key = {.name = (char *)(uintptr_t)name};
    return swap->count > 0 && bsearch(&key, swap->items, swap->count, sizeof(key), by_name) != NULL;
}

static int32_t extra(struct swap *swap, const struct tree_entry *entry, struct orch_error *err)
{
    const struct orch_host *host = swap->self->host;
    struct act *act = calloc(1, sizeof(*act));
    struct stat old;
    if (act == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to rename files");
    }
    act->dir = -1;
    int32_t rc = begin(swap, entry->name, act, err);
    if (rc == ORCH_OK && there(act->dir, act->aside, &old)) {
        /* Made anew since an earlier attempt set its namesake aside: neither may be lost. */
        orch_log(host, ORCH_LOG_WARNING, "%s is not in the backup and is left where it is",
                 act->target_path);
    } else if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "rename", act->target_path, act->aside_path, err);
        if (rc == ORCH_OK && renameat(act->dir, act->base, act->dir, act->aside) != 0) {
            rc = orch_fail_errno(err, errno, "cannot set %s aside", act->target_path);
        }
        if (rc == ORCH_OK) {
            rc = sync_folder(act->dir, act->target_path, err);
        }
        if (rc == ORCH_OK) {
            rc = host->done(host->ctx, "rename", act->target_path, err);
        }
    }
    if (act->dir >= 0) {
        (void)close(act->dir);
    }
    free(act);
    return rc;
}

static int below(const char *name, const char *folder)
{
    size_t len = folder == NULL ? 0 : strlen(folder);
    return len > 0 && strncmp(name, folder, len) == 0 && name[len] == '/';
}

int32_t swap_extras(struct swap *swap, struct orch_error *err)
{
    const struct settings *settings = &swap->self->settings;
    struct tree tree;
    int32_t rc = tree_read(swap->self->host, settings->path, settings->excludes,
                           settings->exclude_count, 0, &tree, err);
    const char *gone = NULL; /* a folder that went aside with all in it */
    for (size_t i = 0; rc == ORCH_OK && i < tree.count; i++) {
        const struct tree_entry *entry = &tree.entries[i];
        if (in_part(swap, entry->name) || below(entry->name, gone)) {
            continue;
        }
        if (entry->kind == 'd' && settings->exclude_count > 0) {
            continue; /* it may hold what is excluded, which is not ours to move */
        }
        rc = extra(swap, entry, err);
        gone = entry->kind == 'd' ? entry->name : gone;
    }
    tree_clear(&tree);
    return rc;
}

/* ---- metadata --------------------------------------------------------------------------- */

int32_t swap_apply_meta(int fd, const struct meta *meta, const char *name, struct orch_error *err)
{
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = meta->mtime_ns / 1000000000, .tv_nsec = meta->mtime_ns % 1000000000}};
    if (times[1].tv_nsec < 0) {
        times[1].tv_nsec += 1000000000;
        times[1].tv_sec--;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s", name);
    }
    /* Owner first: changing it takes set-id bits away. An ordinary user keeps what is his. */
    if ((st.st_uid != meta->uid || st.st_gid != meta->gid) &&
        fchown(fd, meta->uid, meta->gid) != 0 && geteuid() == 0) {
        return orch_fail_errno(err, errno, "cannot give %s back its owner", name);
    }
    if (fchmod(fd, meta->mode) != 0) {
        return orch_fail_errno(err, errno, "cannot give %s back its mode", name);
    }
    return futimens(fd, times) == 0
               ? ORCH_OK
               : orch_fail_errno(err, errno, "cannot give %s back its time", name);
}

int32_t swap_folders(struct swap *swap, struct orch_error *err)
{
    for (size_t i = swap->count; i > 0; i--) {
        const struct swap_item *item = &swap->items[i - 1];
        if (item->kind != 'd' || (swap->restore->select_count > 0 && item->existed)) {
            continue;
        }
        CLEANUP_FD int dir = -1;
        int32_t rc = names_open_parent(swap->root, item->name, 0, &dir, err);
        if (rc == ORCH_E_NOT_FOUND && swap->restore->select_count > 0) {
            continue; /* nothing in it was chosen */
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        CLEANUP_FD int fd =
            openat(dir, names_base(item->name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && swap->restore->select_count > 0) {
            continue;
        }
        if (fd < 0) {
            return orch_fail_errno(err, errno, "cannot open folder %s", item->name);
        }
        rc = swap_apply_meta(fd, item->meta, item->name, err);
        rc = rc != ORCH_OK ? rc : sync_folder(fd, item->name, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}
