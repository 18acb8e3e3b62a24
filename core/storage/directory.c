/* directory.c: the directory driver: opening, reading, listing, removing. Writing: directory_put.c.
 */
#include "storage/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "storage/directory_impl.h"

/* Deeper than any name can be; stops a loop of symbolic links. */
#define DIRECTORY_DEPTH 16

static uint32_t directory_capabilities(void *impl)
{
    (void)impl;
    return STORAGE_CAN_PUT_IF_ABSENT;
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Exactly `len` bytes; goes on after EINTR and short counts. */
static int32_t directory_pread(const struct directory *directory, int fd, const char *name,
                               void *data, size_t len, uint64_t offset, struct orch_error *err)
{
    uint8_t *p = data;
    while (len > 0) {
        ssize_t n =
            uncached_wanted(directory->uncached, fd, offset, len)
                ? uncached_read(directory->uncached, directory->fault, name, fd, p, len, offset)
                : fault_read(directory->fault, name, fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail_errno(err, errno, "cannot read %s/%s", directory->path, name);
        }
        if (n == 0) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "%s/%s is cut short: it ends at byte %llu, %zu bytes early",
                             directory->path, name, (unsigned long long)offset, len);
        }
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return ORCH_OK;
}

static int32_t directory_get(void *impl, const char *name, uint64_t offset, void *data, size_t len,
                             struct orch_error *err)
{
    struct directory *directory = impl;
    if (offset > INT64_MAX || len > INT64_MAX - offset) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s/%s is asked for bytes past any file's end",
                         directory->path, name);
    }
    int fd = -1;
    int os = handles_take(directory->handles, name, &fd);
    if (os != 0) {
        return orch_fail_errno(err, os, "cannot open %s/%s", directory->path, name);
    }
    int32_t rc = directory_pread(directory, fd, name, data, len, offset, err);
    handles_give(directory->handles, fd);
    return rc;
}

static int32_t directory_read(void *impl, const char *name, size_t max, struct buffer *out,
                              struct orch_error *err)
{
    const struct directory *directory = impl;
    CLEANUP_FD int fd = fault_open_file(directory->fault, name, directory->root_fd, name,
                                        O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot open %s/%s", directory->path, name);
    }
    if (!S_ISREG(st.st_mode)) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s/%s is no file", directory->path, name);
    }
    if ((uint64_t)st.st_size > max) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "%s/%s has %lld bytes where at most %zu make sense; it is damaged",
                         directory->path, name, (long long)st.st_size, max);
    }
    size_t size = (size_t)st.st_size;
    uint8_t *space = buffer_reserve(out, size + 1); /* of an empty file too, there is data */
    if (space == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", name);
    }
    int32_t rc = directory_pread(directory, fd, name, space, size, 0, err);
    if (rc == ORCH_OK) {
        out->len += size;
    }
    return rc;
}

static int32_t directory_stat(void *impl, const char *name, struct storage_stat *out,
                              struct orch_error *err)
{
    const struct directory *directory = impl;
    struct stat st;
    if (fault_stat(directory->fault, name, directory->root_fd, name, &st) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s/%s", directory->path, name);
    }
    if (!S_ISREG(st.st_mode)) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "%s/%s is no file", directory->path, name);
    }
    *out = (struct storage_stat){.size_bytes = (uint64_t)st.st_size, .mtime_ns = mtime_ns(&st)};
    return ORCH_OK;
}

/* One listing under way. */
struct walk {
    const struct directory *directory;
    int32_t (*each)(void *ctx, const char *name, const struct storage_stat *stat,
                    struct orch_error *err);
    void *ctx;
};

static int32_t walk_folder(const struct walk *walk, int fd, const char *folder, int depth,
                           struct orch_error *err);

static int32_t walk_entry(const struct walk *walk, int folder_fd, const char *folder,
                          const char *entry, int depth, struct orch_error *err)
{
    char name[STORAGE_NAME_MAX + 2];
    int len = snprintf(name, sizeof name, "%s%s%s", folder, folder[0] == '\0' ? "" : "/", entry);
    /* Foreign files, and what vanished since it was listed, are none of ours. */
    if (len < 0 || (size_t)len >= sizeof name || !storage_name_ok(name) ||
        strcmp(name, DIRECTORY_TEMPORARY) == 0) {
        return ORCH_OK;
    }
    struct stat st;
    if (fault_stat(walk->directory->fault, name, folder_fd, entry, &st) != 0) {
        return errno == ENOENT ? ORCH_OK
                               : orch_fail_errno(err, errno, "cannot look at %s/%s",
                                                 walk->directory->path, name);
    }
    if (S_ISREG(st.st_mode)) {
        struct storage_stat stat = {.size_bytes = (uint64_t)st.st_size, .mtime_ns = mtime_ns(&st)};
        return walk->each(walk->ctx, name, &stat, err);
    }
    if (!S_ISDIR(st.st_mode) || depth >= DIRECTORY_DEPTH) {
        return ORCH_OK;
    }
    int fd = openat(folder_fd, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT
                   ? ORCH_OK
                   : orch_fail_errno(err, errno, "cannot list %s/%s", walk->directory->path, name);
    }
    return walk_folder(walk, fd, name, depth + 1, err);
}

/* Takes over `fd`. */
static int32_t walk_folder(const struct walk *walk, int fd, const char *folder, int depth,
                           struct orch_error *err)
{
    CLEANUP_DIR DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int os = errno;
        (void)close(fd);
        return orch_fail_errno(err, os, "cannot list %s/%s", walk->directory->path, folder);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = fault_list(walk->directory->fault, folder, dir);
        if (entry == NULL) {
            return errno == 0 ? ORCH_OK
                              : orch_fail_errno(err, errno, "cannot list %s/%s",
                                                walk->directory->path, folder);
        }
        int32_t rc = walk_entry(walk, dirfd(dir), folder, entry->d_name, depth, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

static int32_t directory_list(void *impl, const char *prefix,
                              int32_t (*each)(void *ctx, const char *name,
                                              const struct storage_stat *stat,
                                              struct orch_error *err),
                              void *ctx, struct orch_error *err)
{
    struct walk walk = {.directory = impl, .each = each, .ctx = ctx};
    int fd = openat(walk.directory->root_fd, prefix[0] == '\0' ? "." : prefix,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT
                   ? ORCH_OK
                   : orch_fail_errno(err, errno, "cannot list %s/%s", walk.directory->path, prefix);
    }
    int32_t rc = folders_listed(walk.directory->folders, prefix, err);
    if (rc != ORCH_OK) {
        (void)close(fd);
        return rc;
    }
    return walk_folder(&walk, fd, prefix, 0, err);
}

static int32_t directory_remove(void *impl, const char *name, struct orch_error *err)
{
    struct directory *directory = impl;
    powerloss_remove(directory->powerloss, name);
    if (fault_remove(directory->fault, name, directory->root_fd, name) != 0) {
        int os = errno;
        powerloss_remove_refused(directory->powerloss, name);
        return orch_fail_errno(err, os, "cannot remove %s/%s", directory->path, name);
    }
    handles_forget(directory->handles, name);
    return folders_changed(directory->folders, name, err);
}

static int32_t directory_barrier(void *impl, struct orch_error *err)
{
    struct directory *directory = impl;
    return folders_sync_all(directory->folders, err);
}

static void directory_close(void *impl)
{
    struct directory *directory = impl;
    folders_free(directory->folders);
    handles_free(directory->handles);
    uncached_free(directory->uncached);
    powerloss_close(directory->powerloss);
    fault_close(directory->fault);
    if (directory->root_fd >= 0) {
        (void)close(directory->root_fd);
    }
    free(directory->path);
    free(directory);
}

static const struct storage_driver directory_driver = {
    .name = "directory",
    .capabilities = directory_capabilities,
    .put_begin = directory_put_begin,
    .put_data = directory_put_data,
    .put_commit = directory_put_commit,
    .put_abort = directory_put_abort,
    .get = directory_get,
    .stat = directory_stat,
    .list = directory_list,
    .remove = directory_remove,
    .barrier = directory_barrier,
    .close = directory_close,
    .read = directory_read,
};

/* Makes the folder at `path` and what is missing above it, each synced into its parent. */
static int32_t directory_create(const char *path, struct orch_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        return ORCH_OK;
    }
    CLEANUP_FREE char *parent = strdup(path);
    if (parent == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to make %s", path);
    }
    char *slash = strrchr(parent, '/');
    slash[slash == parent ? 1 : 0] = '\0';
    int32_t rc = directory_create(parent, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return orch_fail_errno(err, errno, "cannot make the repository's folder %s", path);
    }
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (file_sync_dir(parent, &ignored) == ORCH_E_IO) { /* not ours to read: nothing to do */
        return orch_fail_errno(err, ignored.os_errno, "cannot sync folder %s", parent);
    }
    return ORCH_OK;
}

/* Twelve digits of the running kernel's boot id. */
static void directory_read_boot(char boot[DIRECTORY_BOOT_TEXT])
{
    char text[40] = "";
    CLEANUP_FILE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    size_t len = 0;
    if (file != NULL && fgets(text, sizeof text, file) != NULL) {
        for (const char *p = text; *p != '\0' && len < DIRECTORY_BOOT_TEXT - 1; p++) {
            if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f')) {
                boot[len++] = *p;
            }
        }
    }
    if (len < DIRECTORY_BOOT_TEXT - 1) {
        boot[0] = '0';
        len = 1;
    }
    boot[len] = '\0';
}

/* The path without slashes at its end. */
static char *directory_path(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return strndup(path, len);
}

static int32_t directory_open_root(struct directory *directory, struct orch_error *err)
{
    directory->root_fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->root_fd >= 0) {
        return ORCH_OK;
    }
    if (errno == ENOENT) {
        return orch_fail(
            err, ORCH_E_NOT_FOUND,
            "the repository's folder %s does not exist; or is the configured url wrong, "
            "or its file system not mounted?",
            directory->path);
    }
    return orch_fail_errno(err, errno, "cannot open the repository's folder %s", directory->path);
}

int32_t directory_open(const char *path, bool create, const struct storage_driver **driver,
                       void **impl, struct orch_error *err)
{
    struct directory *directory = calloc(1, sizeof *directory);
    if (directory == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to open %s", path);
    }
    directory->root_fd = -1;
    directory_read_boot(directory->boot);
    int32_t rc = ORCH_OK;
    directory->path = directory_path(path);
    if (directory->path == NULL) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory to open %s", path);
    }
    if (rc == ORCH_OK && create) {
        rc = directory_create(directory->path, err);
    }
    if (rc == ORCH_OK) {
        rc = directory_open_root(directory, err);
    }
    if (rc == ORCH_OK) {
        rc = fault_open(&directory->fault, err);
    }
    if (rc == ORCH_OK) {
        directory->powerloss = powerloss_open(directory->path);
        directory->handles = handles_new(directory->root_fd, directory->fault);
        directory->uncached = uncached_new();
        rc = directory->handles != NULL && directory->uncached != NULL
                 ? folders_new(directory->root_fd, directory->path, directory->powerloss,
                               directory->fault, &directory->folders, err)
                 : orch_fail(err, ORCH_E_NOMEM, "no memory to open %s", path);
    }
    if (rc != ORCH_OK) {
        directory_close(directory);
        return rc;
    }
    *driver = &directory_driver;
    *impl = directory;
    return ORCH_OK;
}
