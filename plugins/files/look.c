/* look.c: see look.h. */
#include "look.h"

#include <errno.h>
#include <fcntl.h>

int look_at_xattrs(int dir_fd, const char *base, struct xattr_reader *reader, struct bytes *xattrs)
{
    size_t before = xattrs->len;
    int error = xattr_read(reader, dir_fd, base, xattrs);
    if (error != 0) {
        xattrs->len = before;
    }
    return error == ENOTSUP ? 0 : error; /* as /proc and others */
}

int look_at(const struct walk_options *options, int dir_fd, const char *base,
            struct xattr_reader *reader, struct stat *st, struct bytes *xattrs, int *missing)
{
    *missing = 0;
    if (fstatat(dir_fd, base, st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno;
    }
    if (!options->want_xattrs) {
        return 0;
    }
    *missing = S_ISREG(st->st_mode) && options->files_later != NULL &&
               atomic_load_explicit(options->files_later, memory_order_relaxed);
    return *missing ? 0 : look_at_xattrs(dir_fd, base, reader, xattrs);
}
