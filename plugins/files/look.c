/* look.c: see look.h. */
#include "look.h"

#include <errno.h>
#include <fcntl.h>

int look_at(int dir_fd, const char *base, struct xattr_reader *reader, struct stat *st,
            struct bytes *xattrs)
{
    size_t before = xattrs->len;
    if (fstatat(dir_fd, base, st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno;
    }
    int error = reader == NULL ? 0 : xattr_read(reader, dir_fd, base, xattrs);
    if (error != 0) {
        xattrs->len = before;
    }
    return error == ENOTSUP ? 0 : error; /* as /proc and others */
}
