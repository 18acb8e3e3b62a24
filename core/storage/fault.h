/*
 * fault.h: the system calls of the directory driver, which can be made to fail in test builds.
 *
 * ORCHESTRATE_STORAGE_FAULT holds rules, divided by blanks: KIND, or KIND:FIELD=VALUE,FIELD=VALUE…
 * A rule that makes no sense fails the opening of the store. Kinds:
 *
 *   eio      the call fails with EIO. After a sync that failed so, the data is not safe, and a
 *            later sync that succeeds does not make it so, as on Linux.
 *   enospc   the call fails with ENOSPC
 *   short    a read or write does half of what was asked, and says so: no error, but go on
 *   cut      a read finds the file's end where there should be data
 *   lost     a sync reports success and is none: a power loss takes the data
 *   kill     the process dies of SIGKILL instead of making the call: as a crash point
 * (base/crash.h), but at a call on a certain file, however many others come before it
 *
 * Fields:
 *
 *   op=O      which calls, joined by "+": create mkdir write sync rename syncdir open read stat
 *             list remove; or put (the first six), get (open to list), all. Default: what the kind
 *             makes sense for; enospc: create, mkdir and write; eio: all.
 *   name=P    only files whose name in the store begins with P ("packs/"). While a file is written
 *             it counts as what it is going to be; a folder's name ends with "/", the root is "/".
 *   at=N      the first call that is hit, counted from 1 among those of this rule; default 1
 *   for=N     so many calls, or "all": every one from there on. Default 1; enospc: all
 *   p=N       instead of at and for: each call with a chance of N in 1,000,000
 *   seed=N    for p
 *   bytes=N   enospc only, instead of at and for: writes get N bytes in all, then the disk is full
 *   done=1    eio: the call is made all the same, and only then reports failure; kill: the process
 *             dies right after the call
 *
 * Calls are counted per open store. ORCHESTRATE_STORAGE_TRACE names a file that gets a line for
 * each call, "OP NAME", with " KIND" behind it when the call was hit.
 *
 * The functions are the system calls (see there), with the store's faults (NULL: none) and the name
 * that rules and the trace know the file by.
 */
#ifndef CORE_STORAGE_FAULT_H
#define CORE_STORAGE_FAULT_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <orchestrate/error.h>

struct fault;

/* fault_sync() says with this that the sync was none. */
#define FAULT_SYNC_LOST 1

#ifdef ORCHESTRATE_TEST_HOOKS

/* *out is NULL when the environment asks for nothing. */
int32_t fault_open(struct fault **out, struct orch_error *err) ORCH_CHECKED;
void fault_close(struct fault *fault); /* NULL is fine */

int fault_create(struct fault *fault, const char *name, int folder_fd, const char *path, int flags);
int fault_mkdir(struct fault *fault, const char *name, int folder_fd, const char *path);
ssize_t fault_write(struct fault *fault, const char *name, int fd, const void *data, size_t len);
/* Of a file; of a folder, whose name is given without "/". 0, -1 or FAULT_SYNC_LOST. */
int fault_sync(struct fault *fault, const char *name, int fd);
int fault_syncdir(struct fault *fault, const char *name, int fd);
/* renameat2 within one folder; `name` is that of `to`. */
int fault_rename(struct fault *fault, const char *name, int folder_fd, const char *from,
                 const char *to, unsigned flags);
int fault_open_file(struct fault *fault, const char *name, int folder_fd, const char *path,
                    int flags);
ssize_t fault_read(struct fault *fault, const char *name, int fd, void *data, size_t len,
                   off_t offset);
int fault_stat(struct fault *fault, const char *name, int folder_fd, const char *path,
               struct stat *out);
struct dirent *fault_list(struct fault *fault, const char *name, DIR *dir);
int fault_remove(struct fault *fault, const char *name, int folder_fd, const char *path);

#else

static inline int32_t fault_open(struct fault **out, struct orch_error *err)
{
    (void)err;
    *out = NULL;
    return ORCH_OK;
}
#define fault_close(fault) ((void)(fault))
#define fault_create(fault, name, folder_fd, path, flags) openat(folder_fd, path, flags, 0600)
#define fault_mkdir(fault, name, folder_fd, path) mkdirat(folder_fd, path, 0700)
#define fault_write(fault, name, fd, data, len) write(fd, data, len)
#define fault_sync(fault, name, fd) fsync(fd)
#define fault_syncdir(fault, name, fd) fsync(fd)
#define fault_rename(fault, name, folder_fd, from, to, flags)                                      \
    renameat2(folder_fd, from, folder_fd, to, flags)
#define fault_open_file(fault, name, folder_fd, path, flags) openat(folder_fd, path, flags)
#define fault_read(fault, name, fd, data, len, offset) pread(fd, data, len, offset)
#define fault_stat(fault, name, folder_fd, path, out) fstatat(folder_fd, path, out, 0)
#define fault_list(fault, name, dir) readdir(dir)
#define fault_remove(fault, name, folder_fd, path) unlinkat(folder_fd, path, 0)

#endif

#endif
