/* file.c: see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int32_t file_write_all(int fd, const void *data, size_t len, const char *what,
                       struct orch_error *err)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return orch_fail_errno(err, errno, "cannot write %s", what);
        }
        p += n;
        len -= (size_t)n;
    }
    return ORCH_OK;
}

int32_t file_pread_all(int fd, void *data, size_t len, uint64_t offset, const char *what,
                       struct orch_error *err)
{
    uint8_t *p = data;
    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)offset);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return orch_fail_errno(err, errno, "cannot read %s", what);
        }
        if (n == 0) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "%s is cut short: it ends at byte %llu, %zu bytes early", what,
                             (unsigned long long)offset, len);
        }
        p += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return ORCH_OK;
}

int32_t file_read(const char *path, size_t max, struct buffer *out, struct orch_error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot open %s", path);
    }
    size_t total = 0;
    for (;;) {
        uint8_t *space = buffer_reserve(out, 65536);
        if (space == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", path);
        }
        ssize_t n = read(fd, space, 65536);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return orch_fail_errno(err, errno, "cannot read %s", path);
        }
        if (n == 0) {
            return ORCH_OK;
        }
        out->len += (size_t)n;
        total += (size_t)n;
        if (total > max) {
            return orch_fail(err, ORCH_E_INVALID, "%s is larger than %zu bytes", path, max);
        }
    }
}

int32_t file_sync_dir(const char *path, struct orch_error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot open folder %s", path);
    }
    if (fsync(fd) != 0) {
        return orch_fail_errno(err, errno, "cannot sync folder %s", path);
    }
    return ORCH_OK;
}

static int32_t write_synced(int fd, const void *data, size_t len, const char *path,
                            struct orch_error *err)
{
    int32_t rc = file_write_all(fd, data, len, path, err);
    if (rc == ORCH_OK && fsync(fd) != 0) {
        rc = orch_fail_errno(err, errno, "cannot sync %s", path);
    }
    if (close(fd) != 0 && rc == ORCH_OK) {
        rc = orch_fail_errno(err, errno, "cannot close %s", path);
    }
    return rc;
}

int32_t file_replace(const char *path, const void *data, size_t len, mode_t mode,
                     struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer temporary = BUFFER_INIT;
    CLEANUP_BUFFER struct buffer folder = BUFFER_INIT;
    buffer_printf(&temporary, "%s.XXXXXX", path);
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        buffer_text(&folder, ".");
    } else {
        buffer_append(&folder, path, slash == path ? 1 : (size_t)(slash - path));
    }
    char *name = buffer_string(&temporary);
    char *dir = buffer_string(&folder);
    if (name == NULL || dir == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to write %s", path);
    }
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot create %s", name);
    }
    int32_t rc = ORCH_OK;
    if (fchmod(fd, mode) != 0) {
        rc = orch_fail_errno(err, errno, "cannot set the mode of %s", name);
        (void)close(fd);
    } else {
        rc = write_synced(fd, data, len, name, err);
    }
    if (rc == ORCH_OK && rename(name, path) != 0) {
        rc = orch_fail_errno(err, errno, "cannot rename %s to %s", name, path);
    }
    if (rc != ORCH_OK) {
        (void)unlink(name);
        return rc;
    }
    return file_sync_dir(dir, err);
}

int32_t file_make_dirs(const char *path, mode_t mode, struct orch_error *err)
{
    if (path[0] == 0) {
        return orch_fail(err, ORCH_E_INVALID, "a folder to make has no name");
    }
    CLEANUP_FREE char *copy = strdup(path);
    if (copy == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to make %s", path);
    }
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != 0) {
            continue;
        }
        char end = *p;
        *p = 0;
        if (mkdir(copy, mode) != 0 && errno != EEXIST) {
            return orch_fail_errno(err, errno, "cannot make folder %s", copy);
        }
        *p = end;
        if (end == 0) {
            break;
        }
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return orch_fail(err, ORCH_E_EXISTS, "%s exists and is not a folder", path);
    }
    return ORCH_OK;
}

char *file_join(const char *dir, const char *name)
{
    struct buffer b = BUFFER_INIT;
    buffer_printf(&b, "%s/%s", dir, name);
    if (buffer_string(&b) == NULL) {
        buffer_free(&b);
        return NULL;
    }
    return (char *)b.data;
}
