/* open.c: see open.h. */
#include "open.h"

#include <errno.h>
#include <fcntl.h>

/* O_NOATIME is for the owner and root: others get EPERM and try again without. */
static int open_quietly(int dir_fd, const char *base, int flags)
{
    int fd = openat(dir_fd, base, flags | O_NOATIME);
    return fd >= 0 || errno != EPERM ? fd : openat(dir_fd, base, flags);
}

int open_folder_at(int dir_fd, const char *base)
{
    return open_quietly(dir_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int open_file_at(int dir_fd, const char *base)
{
    return open_quietly(dir_fd, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}
