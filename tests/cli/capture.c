/* capture.c: see capture.h. */
#include "capture.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "folder.h"

static int redirect(int fd, const char *dir, const char *name)
{
    CLEANUP_FREE char *path = folder_path(dir, name);
    CLEANUP_FD int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int real = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    ck_assert_int_ge(real, 0);
    ck_assert_int_ge(dup2(file, fd), 0);
    return real;
}

void capture_start(struct capture *c, const char *dir)
{
    (void)fflush(NULL);
    c->dir = dir;
    c->out = redirect(STDOUT_FILENO, dir, "out");
    c->err = redirect(STDERR_FILENO, dir, "err");
}

void capture_stop(struct capture *c)
{
    (void)fflush(NULL);
    ck_assert_int_ge(dup2(c->out, STDOUT_FILENO), 0);
    ck_assert_int_ge(dup2(c->err, STDERR_FILENO), 0);
    (void)close(c->out);
    (void)close(c->err);
}
