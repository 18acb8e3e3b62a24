/*
 * apply.c: see apply.h.
 *
 * The order matters: a change of owner drops file capabilities and set-id bits, so it comes first;
 * an ACL changes the group bits of the mode, and the mode sets them right again; times come last.
 */
#include "apply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "xattr.h"

struct target {
    int fd; /* or -1: the name */
    int dir_fd;
    const char *base;
};

static int set_owner(const struct target *target, uid_t uid, gid_t gid)
{
    int rc = target->fd >= 0
                 ? fchown(target->fd, uid, gid)
                 : fchownat(target->dir_fd, target->base, uid, gid, AT_SYMLINK_NOFOLLOW);
    return rc == 0 ? 0 : errno;
}

/* EINVAL: an id that this user namespace does not have. */
static int is_refusal(int error)
{
    return error == EPERM || error == EACCES || error == EINVAL || error == ENOTSUP ||
           error == ENOSYS;
}

/* Sets what may be set. *mode loses the bits that would belong to another owner. */
static int apply_owner(const struct target *target, const struct meta *meta, uint32_t *mode,
                       struct apply_report *report)
{
    int error = set_owner(target, (uid_t)meta->uid, (gid_t)meta->gid);
    if (error == 0 || !is_refusal(error)) {
        return error;
    }
    int user_lost = (uid_t)meta->uid != geteuid();
    int group_lost = set_owner(target, (uid_t)-1, (gid_t)meta->gid) != 0;
    if (user_lost || group_lost) {
        atomic_fetch_add(&report->owners, 1);
    }
    if (user_lost) {
        *mode &= ~(uint32_t)S_ISUID;
    }
    if (group_lost) {
        *mode &= ~(uint32_t)S_ISGID;
    }
    return 0;
}

static int apply_xattrs(const struct target *target, const struct meta *meta,
                        struct apply_report *report)
{
    size_t at = 0;
    struct meta_xattr xattr;
    while (meta_xattr_next(meta->xattrs, meta->xattrs_len, &at, &xattr) > 0) {
        int error = xattr_set(target->fd, target->dir_fd, target->base, xattr.name, xattr.name_len,
                              xattr.value, xattr.value_len);
        if (error != 0 && !is_refusal(error)) {
            return error;
        }
        if (error != 0) {
            atomic_fetch_add(&report->xattrs, 1);
        }
    }
    return 0;
}

static int apply_mode(const struct target *target, uint32_t mode)
{
    int rc = target->fd >= 0 ? fchmod(target->fd, mode & 07777)
                             : fchmodat(target->dir_fd, target->base, mode & 07777, 0);
    return rc == 0 ? 0 : errno;
}

static int apply_time(const struct target *target, const struct meta *meta)
{
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)meta->mtime_s, .tv_nsec = (long)meta->mtime_ns},
    };
    int rc = target->fd >= 0 ? futimens(target->fd, times)
                             : utimensat(target->dir_fd, target->base, times, AT_SYMLINK_NOFOLLOW);
    return rc == 0 ? 0 : errno;
}

static int apply(const struct target *target, const struct meta *meta, struct apply_report *report,
                 const char **act)
{
    uint32_t mode = meta->mode;
    *act = "set the owner of";
    int error = apply_owner(target, meta, &mode, report);
    if (error == 0) {
        *act = "set an extended attribute of";
        error = apply_xattrs(target, meta, report);
    }
    if (error == 0 && !S_ISLNK(mode)) {
        *act = "set the mode of";
        error = apply_mode(target, mode);
    }
    if (error == 0) {
        *act = "set the time of";
        error = apply_time(target, meta);
    }
    return error;
}

int apply_to_fd(int fd, const struct meta *meta, struct apply_report *report, const char **act)
{
    struct target target = {.fd = fd, .dir_fd = -1};
    return apply(&target, meta, report, act);
}

int apply_to_name(int dir_fd, const char *base, const struct meta *meta,
                  struct apply_report *report, const char **act)
{
    struct target target = {.fd = -1, .dir_fd = dir_fd, .base = base};
    return apply(&target, meta, report, act);
}

static int has_xattr(const struct meta *meta, const char *name)
{
    size_t at = 0;
    struct meta_xattr xattr;
    while (meta_xattr_next(meta->xattrs, meta->xattrs_len, &at, &xattr) > 0) {
        if (xattr.name_len == strlen(name) && memcmp(xattr.name, name, xattr.name_len) == 0) {
            return 1;
        }
    }
    return 0;
}

void apply_shed_xattrs(int fd, const struct meta *meta)
{
    char list[4096];
    ssize_t len = flistxattr(fd, list, sizeof(list));
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1) {
        const char *name = list + at;
        if ((strncmp(name, "user.", 5) == 0 || strncmp(name, "system.posix_acl_", 17) == 0) &&
            !has_xattr(meta, name)) {
            (void)fremovexattr(fd, name);
        }
    }
}
