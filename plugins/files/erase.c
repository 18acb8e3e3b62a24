/*
 * erase.c: see erase.h.
 *
 * The deepest folder is emptied of everything but folders, then entered one by one; a folder that
 * is done is removed from its parent. Only the deepest descriptors stay open; a parent that was
 * closed is found again by "..".
 */
#include "erase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "listing.h"
#include "name.h"
#include "open.h"

#define OPEN_FRAMES 48u

struct frame {
    int fd;
    dev_t dev;
    ino_t ino;
    struct listing listing; /* its folders */
    size_t next;
    char base[256];
};

struct eraser {
    struct frame *frames;
    size_t depth;
    size_t capacity;
};

int erase_is_mount_point(int fd)
{
    struct statx info;
    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &info) != 0) {
        return 0;
    }
    return (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0 &&
           (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static int32_t fail(struct orch_error *err, int error, const char *act, const char *base)
{
    char shown[NAME_SHOWN_MAX];
    return orch_fail_errno(err, error, "cannot %s %s", act, name_shown(shown, base, strlen(base)));
}

/* Opens a folder to empty it, changing its mode when that is in the way. */
static int open_writable(int dir_fd, const char *base)
{
    int fd = open_folder_at(dir_fd, base);
    if (fd < 0 && errno == EACCES && fchmodat(dir_fd, base, 0700, 0) == 0) {
        fd = open_folder_at(dir_fd, base);
    }
    return fd;
}

static int32_t push(struct eraser *eraser, int dir_fd, const char *base, struct orch_error *err)
{
    CLEANUP_FD int fd = open_writable(dir_fd, base);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return fail(err, errno, "open the folder", base);
    }
    const struct frame *first = eraser->frames;
    if ((eraser->depth > 0 && st.st_dev != first->dev) || erase_is_mount_point(fd)) {
        char shown[NAME_SHOWN_MAX];
        return orch_fail(err, ORCH_E_BUSY,
                         "a file system is mounted at %s, which was to be removed: unmount it",
                         name_shown(shown, base, strlen(base)));
    }
    if (eraser->depth == eraser->capacity) {
        size_t capacity = eraser->capacity == 0 ? 16 : eraser->capacity * 2;
        struct frame *frames = reallocarray(eraser->frames, capacity, sizeof(*frames));
        if (frames == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for %zu folders", capacity);
        }
        eraser->frames = frames;
        eraser->capacity = capacity;
    }
    if (eraser->depth >= OPEN_FRAMES) {
        struct frame *old = &eraser->frames[eraser->depth - OPEN_FRAMES];
        if (old->fd >= 0) {
            (void)close(old->fd);
            old->fd = -1;
        }
    }
    struct frame *frame = &eraser->frames[eraser->depth++];
    *frame = (struct frame){.fd = steal_fd(&fd), .dev = st.st_dev, .ino = st.st_ino};
    memcpy(frame->base, base, strlen(base) + 1);
    return ORCH_OK;
}

/* Removes an entry that is no folder; keeps folders in the listing. */
static int32_t empty_of_files(struct frame *frame, struct orch_error *err)
{
    int error = listing_read(&frame->listing, frame->fd, NULL, NULL);
    if (error != 0) {
        return fail(err, error, "list the folder", frame->base);
    }
    if (frame->listing.count > 0 && faccessat(frame->fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        (void)fchmod(frame->fd, 0700);
    }
    size_t kept = 0;
    for (size_t i = 0; i < frame->listing.count; i++) {
        struct listing_item item = frame->listing.items[i];
        const char *base = listing_name(&frame->listing, &item);
        if (item.is_descent) {
            frame->listing.items[kept++] = item;
        } else if (!item.is_folder && unlinkat(frame->fd, base, 0) != 0 && errno != ENOENT) {
            return fail(err, errno, "remove", base);
        }
    }
    frame->listing.count = kept;
    return ORCH_OK;
}

static int32_t pop(struct eraser *eraser, int dir_fd, struct orch_error *err)
{
    struct frame *frame = &eraser->frames[eraser->depth - 1];
    struct frame *parent = eraser->depth > 1 ? frame - 1 : NULL;
    if (parent != NULL && parent->fd < 0) {
        struct stat st;
        parent->fd = open_folder_at(frame->fd, "..");
        if (parent->fd < 0 || fstat(parent->fd, &st) != 0 || st.st_ino != parent->ino) {
            return orch_fail(err, ORCH_E_CHANGED, "the folder %s was moved while it was removed",
                             parent->base);
        }
    }
    int32_t rc = ORCH_OK;
    if (unlinkat(parent == NULL ? dir_fd : parent->fd, frame->base, AT_REMOVEDIR) != 0 &&
        errno != ENOENT) {
        rc = fail(err, errno, "remove the folder", frame->base);
    }
    (void)close(frame->fd);
    listing_free(&frame->listing);
    eraser->depth--;
    return rc;
}

static int32_t erase_folder(struct eraser *eraser, int dir_fd, const char *base,
                            struct orch_error *err)
{
    int32_t rc = push(eraser, dir_fd, base, err);
    if (rc == ORCH_OK) {
        rc = empty_of_files(&eraser->frames[0], err);
    }
    while (rc == ORCH_OK && eraser->depth > 0) {
        struct frame *frame = &eraser->frames[eraser->depth - 1];
        if (frame->next == frame->listing.count) {
            rc = pop(eraser, dir_fd, err);
            continue;
        }
        char child[256];
        const char *name = listing_name(&frame->listing, &frame->listing.items[frame->next++]);
        memcpy(child, name, strlen(name) + 1);
        rc = push(eraser, frame->fd, child, err);
        if (rc == ORCH_OK) {
            rc = empty_of_files(&eraser->frames[eraser->depth - 1], err);
        }
    }
    return rc;
}

int32_t erase_at(int dir_fd, const char *base, struct orch_error *err)
{
    struct stat st;
    if (fstatat(dir_fd, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? ORCH_OK : fail(err, errno, "look at", base);
    }
    if (!S_ISDIR(st.st_mode)) {
        return unlinkat(dir_fd, base, 0) == 0 || errno == ENOENT ? ORCH_OK
                                                                 : fail(err, errno, "remove", base);
    }
    struct eraser eraser = {0};
    int32_t rc = erase_folder(&eraser, dir_fd, base, err);
    while (eraser.depth > 0) {
        struct frame *frame = &eraser.frames[--eraser.depth];
        if (frame->fd >= 0) {
            (void)close(frame->fd);
        }
        listing_free(&frame->listing);
    }
    free(eraser.frames);
    return rc;
}

int32_t erase_path(const char *path, struct orch_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash[1] == 0) {
        return orch_fail(err, ORCH_E_INVALID, "cannot remove \"%s\"", path);
    }
    CLEANUP_FREE char *parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (parent == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    CLEANUP_FD int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ORCH_OK : orch_fail_errno(err, errno, "cannot open %s", parent);
    }
    return erase_at(fd, slash + 1, err);
}
