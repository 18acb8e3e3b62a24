/*
 * directory_put.c: how the directory driver writes a file, and sweeps up what killed writers left.
 *
 * The order is create, write, fsync, close, rename, fsync of the folder. A writer holds a lock on
 * its temporary file until that has its name, so that a sweeper on the same host never takes a live
 * one. Temporary files bear a piece of the kernel's boot id: locks tell for sure who is dead among
 * the processes of one kernel, and of others only what is a day old is taken.
 *
 * Small pieces are gathered in an aligned block. Once a file has filled one, blocks go to the disk
 * past the page cache (O_DIRECT) where the file system allows it: packs are not read again soon,
 * and a backup must not push the application's own data out of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "storage/directory_impl.h"
#include "storage/storage.h"

#define PUT_BLOCK_BYTES ((size_t)1 << 20)
#define PUT_ALIGNMENT 4096u
/* How old an abandoned temporary file must be; long enough for hosts whose locks we do not see. */
#define PUT_STALE_NS (INT64_C(24) * 3600 * 1000000000)

struct directory_put {
    struct directory *directory;
    int fd;
    int lock_fd;    /* the same file, once `fd` is closed; or -1 */
    bool direct;    /* the descriptor is in O_DIRECT mode */
    bool no_direct; /* and should not be */
    uint8_t *block; /* PUT_BLOCK_BYTES, aligned */
    size_t filled;  /* bytes of `block` that are not written yet */
    uint64_t written;
    char temporary[112];
    char name[STORAGE_NAME_MAX + 1];
};

/* Is it of a process under this kernel? Then its lock tells whether that lives. */
static bool put_of_our_kernel(const struct directory *directory, const char *name)
{
    size_t len = strlen(directory->boot);
    return len > 1 && strncmp(name, directory->boot, len) == 0 && name[len] == '-';
}

/* Removes one temporary file if its writer is gone, and for others' kernels if it is a day old. */
static void put_sweep_one(const struct directory *directory, int folder_fd, const char *name)
{
    CLEANUP_FD int fd =
        openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return;
    }
    int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if ((!put_of_our_kernel(directory, name) && clock_wall_ns() - mtime_ns <= PUT_STALE_NS) ||
        flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return;
    }
    char path[STORAGE_NAME_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/%.200s", DIRECTORY_TEMPORARY, name);
    powerloss_remove(directory->powerloss, path);
    if (unlinkat(folder_fd, name, 0) == 0) {
        log_info("storage", "removed %s/%s, which a killed process had left", DIRECTORY_TEMPORARY,
                 name);
    }
}

static void put_sweep(const struct directory *directory)
{
    int fd = openat(directory->root_fd, DIRECTORY_TEMPORARY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            put_sweep_one(directory, dirfd(dir), entry->d_name);
        }
    }
}

/* Locks a file that was made a moment ago. False: a sweeper was faster, and it is gone. */
static bool put_lock(int fd)
{
    struct stat st;
    int failed = flock(fd, LOCK_EX | LOCK_NB);
    /* A file system without locks has no sweepers either. */
    return !(failed != 0 && errno == EWOULDBLOCK) && (fstat(fd, &st) != 0 || st.st_nlink > 0);
}

static int32_t put_create(struct directory_put *put, struct orch_error *err)
{
    struct directory *directory = put->directory;
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    int32_t rc = id_random(random, sizeof random, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    hex_encode(random, sizeof random, hex);
    (void)snprintf(put->temporary, sizeof put->temporary, "%s/%s-%ld-%llu-%s", DIRECTORY_TEMPORARY,
                   directory->boot, (long)getpid(),
                   (unsigned long long)atomic_fetch_add(&directory->puts, 1), hex);
    rc = folders_make_above(directory->folders, put->temporary, err);
    if (rc == ORCH_OK) {
        rc = folders_make_above(directory->folders, put->name, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    powerloss_create(directory->powerloss, put->temporary);
    put->fd = fault_create(directory->fault, put->name, directory->root_fd, put->temporary,
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW);
    if (put->fd < 0) {
        return orch_fail_errno(err, errno, "cannot create a temporary file in %s/%s for %s",
                               directory->path, DIRECTORY_TEMPORARY, put->name);
    }
    return ORCH_OK;
}

/* Opens a temporary file under a name that no other writer has. */
static int32_t put_open(struct directory_put *put, struct orch_error *err)
{
    int32_t rc = put_create(put, err);
    while (rc == ORCH_OK && !put_lock(put->fd)) {
        (void)close(steal_fd(&put->fd));
        rc = put_create(put, err);
    }
    if (rc == ORCH_OK) {
        crash_point(CRASH_PUT_CREATED);
    }
    return rc;
}

int32_t directory_put_begin(void *impl, const char *name, void **out, struct orch_error *err)
{
    struct directory *directory = impl;
    if (!atomic_flag_test_and_set(&directory->swept)) {
        put_sweep(directory);
    }
    struct directory_put *put = calloc(1, sizeof *put);
    if (put == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to store %s", name);
    }
    put->directory = directory;
    put->fd = put->lock_fd = -1;
    (void)snprintf(put->name, sizeof put->name, "%s", name);
    int32_t rc = put_open(put, err);
    if (rc != ORCH_OK) {
        free(put);
        return rc;
    }
    *out = put;
    return ORCH_OK;
}

/* Turns O_DIRECT on or off; a file system that has none is remembered. */
static void put_set_direct(struct directory_put *put, bool direct)
{
    if (put->direct == direct || (direct && put->no_direct)) {
        return;
    }
    int flags = fcntl(put->fd, F_GETFL);
    int wanted = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    if (flags >= 0 && fcntl(put->fd, F_SETFL, wanted) == 0) {
        put->direct = direct;
    } else {
        put->no_direct = true;
    }
}

/* Writes what `block` holds. */
static int32_t put_flush(struct directory_put *put, struct orch_error *err)
{
    size_t len = put->filled;
    if (len == 0) {
        return ORCH_OK;
    }
    put->filled = 0;
    size_t done = 0;
    put_set_direct(put, len == PUT_BLOCK_BYTES);
    while (done < len) {
        ssize_t n =
            fault_write(put->directory->fault, put->name, put->fd, put->block + done, len - done);
        if (n >= 0) {
            done += (size_t)n;
            if (put->direct && done % PUT_ALIGNMENT != 0) {
                put_set_direct(put, false); /* a short write left us off the alignment */
            }
            continue;
        }
        if (errno == EINVAL && put->direct) {
            put->no_direct = true;
            put_set_direct(put, false);
            continue;
        }
        if (errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot write %s/%s", put->directory->path,
                                   put->name);
        }
    }
    if (!put->direct && len == PUT_BLOCK_BYTES) {
        /* Let the disk work while the next block is made, so that the fsync is short. */
        (void)sync_file_range(put->fd, (off_t)put->written, (off_t)len, SYNC_FILE_RANGE_WRITE);
    }
    put->written += len;
    return ORCH_OK;
}

int32_t directory_put_data(void *handle, const void *data, size_t len, struct orch_error *err)
{
    struct directory_put *put = handle;
    const uint8_t *bytes = data;
    if (put->block == NULL) {
        void *block = NULL;
        if (posix_memalign(&block, PUT_ALIGNMENT, PUT_BLOCK_BYTES) != 0) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to store %s", put->name);
        }
        put->block = block;
    }
    while (len > 0) {
        size_t room = PUT_BLOCK_BYTES - put->filled;
        size_t step = len < room ? len : room;
        memcpy(put->block + put->filled, bytes, step);
        put->filled += step;
        bytes += step;
        len -= step;
        if (put->filled == PUT_BLOCK_BYTES) {
            int32_t rc = put_flush(put, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
    }
    return ORCH_OK;
}

static void put_free(struct directory_put *put)
{
    if (put->lock_fd >= 0) {
        (void)close(put->lock_fd);
    }
    free(put->block);
    free(put);
}

void directory_put_abort(void *handle)
{
    struct directory_put *put = handle;
    struct directory *directory = put->directory;
    if (put->fd >= 0) {
        (void)close(put->fd);
    }
    powerloss_remove(directory->powerloss, put->temporary);
    (void)unlinkat(directory->root_fd, put->temporary, 0);
    put_free(put);
}

/* The content is on the disk, and the descriptor closed, when this succeeds. */
static int32_t put_settle(struct directory_put *put, struct orch_error *err)
{
    const struct directory *directory = put->directory;
    int32_t rc = put_flush(put, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    crash_point(CRASH_PUT_WRITTEN);
    int synced = fault_sync(directory->fault, put->name, put->fd);
    if (synced < 0) {
        return orch_fail_errno(err, errno, "cannot sync %s/%s", directory->path, put->name);
    }
    if (synced == 0) {
        powerloss_synced(directory->powerloss, put->temporary, put->written);
    }
    crash_point(CRASH_PUT_SYNCED);
    put->lock_fd = fcntl(put->fd, F_DUPFD_CLOEXEC, 0); /* the lock lives as long as either */
    if (close(steal_fd(&put->fd)) != 0) {
        return orch_fail_errno(err, errno, "cannot close %s/%s", directory->path, put->name);
    }
    return ORCH_OK;
}

/* rename(2) that refuses to replace; 0 or an errno. */
static int put_rename_absent(const struct directory_put *put)
{
    int root_fd = put->directory->root_fd;
    if (fault_rename(put->directory->fault, put->name, root_fd, put->temporary, put->name,
                     RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    /* A file system without that flag: a hard link is as atomic. */
    if (linkat(root_fd, put->temporary, root_fd, put->name, 0) != 0) {
        return errno;
    }
    (void)unlinkat(root_fd, put->temporary, 0);
    return 0;
}

static int32_t put_rename(struct directory_put *put, bool if_absent, struct orch_error *err)
{
    const struct directory *directory = put->directory;
    int os = 0;
    powerloss_rename(directory->powerloss, put->temporary, put->name);
    if (if_absent) {
        os = put_rename_absent(put);
    } else if (fault_rename(directory->fault, put->name, directory->root_fd, put->temporary,
                            put->name, 0) != 0) {
        os = errno;
    }
    if (os == 0) {
        return ORCH_OK;
    }
    powerloss_rename_refused(directory->powerloss, put->temporary, put->name);
    if (os == EEXIST) {
        return orch_fail(err, ORCH_E_EXISTS, "%s/%s exists already", directory->path, put->name);
    }
    return orch_fail_errno(err, os, "cannot rename %s/%s to %s", directory->path, put->temporary,
                           put->name);
}

int32_t directory_put_commit(void *handle, uint32_t flags, struct orch_error *err)
{
    struct directory_put *put = handle;
    struct directory *directory = put->directory;
    bool if_absent = (flags & STORAGE_IF_ABSENT) != 0;
    int32_t rc = put_settle(put, err);
    if (rc == ORCH_OK) {
        rc = put_rename(put, if_absent, err);
    }
    if (rc != ORCH_OK) {
        directory_put_abort(put);
        return rc;
    }
    crash_point(CRASH_PUT_RENAMED);
    handles_forget(directory->handles, put->name);
    rc = folders_changed(directory->folders, put->name, err);
    if (rc == ORCH_OK && (flags & STORAGE_DURABLE) != 0) {
        rc = folders_sync_above(directory->folders, put->name, err);
    }
    if (rc != ORCH_OK && if_absent) {
        powerloss_remove(directory->powerloss, put->name);
        (void)unlinkat(directory->root_fd, put->name, 0);
    }
    put_free(put);
    return rc;
}
