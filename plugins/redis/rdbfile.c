/* rdbfile.c: writing files that must be whole or not there. */
#include "rdbfile.h"

#include "bytes.h"
#include "cleanup.h"
#include "rdb_atom.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <orchestrate/plugin.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FLUSH_AT (1u << 20)

struct rdbfile {
    const struct crc64 *crc;
    struct bytes out;
    uint64_t checksum;
    int64_t db; /* selected, or -1 */
    int fd;
    char path[PATH_MAX];
    char temp[PATH_MAX];
};

static int32_t write_all(int fd, const void *data, size_t len, const char *path,
                         struct orch_error *err)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t put = write(fd, p, len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return orch_fail_errno(err, errno, "cannot write %s", path);
        }
        p += put;
        len -= (size_t)put;
    }
    return ORCH_OK;
}

static int32_t open_temp(const char *path, char temp[PATH_MAX], int *fd, struct orch_error *err)
{
    int len = snprintf(temp, PATH_MAX, "%s.tmp", path);
    if (len < 0 || len >= PATH_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "the path %s is too long", path);
    }
    if (unlink(temp) != 0 && errno != ENOENT) {
        return orch_fail_errno(err, errno, "cannot remove %s", temp);
    }
    *fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return *fd < 0 ? orch_fail_errno(err, errno, "cannot create %s", temp) : ORCH_OK;
}

static int32_t sync_folder_of(const char *path, struct orch_error *err)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        return ORCH_OK;
    }
    slash[slash == folder ? 1 : 0] = '\0';
    CLEANUP_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return orch_fail_errno(err, errno, "cannot sync the folder %s", folder);
    }
    return ORCH_OK;
}

/* Syncs, closes and renames; the descriptor is closed in any case. */
static int32_t settle_file(int fd, const char *temp, const char *path, struct orch_error *err)
{
    int failed = fsync(fd) != 0 ? errno : 0;
    if (close(fd) != 0 && failed == 0) {
        failed = errno;
    }
    if (failed != 0) {
        return orch_fail_errno(err, failed, "cannot write %s to disk", temp);
    }
    if (rename(temp, path) != 0) {
        return orch_fail_errno(err, errno, "cannot rename %s to %s", temp, path);
    }
    return sync_folder_of(path, err);
}

int32_t rdbfile_small(const char *path, const void *data, size_t len, struct orch_error *err)
{
    char temp[PATH_MAX];
    int fd = -1;
    int32_t rc = open_temp(path, temp, &fd, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = write_all(fd, data, len, temp, err);
    if (rc != ORCH_OK) {
        (void)close(fd);
        (void)unlink(temp);
        return rc;
    }
    return settle_file(fd, temp, path, err);
}

int32_t rdbfile_folder(const char *path, struct orch_error *err)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof(part), "%s", path);
    if (len <= 0 || len >= PATH_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "the work folder's path is empty or too long");
    }
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return orch_fail_errno(err, errno, "cannot make the folder %s", part);
        }
        *at = kept;
        if (kept == '\0') {
            return ORCH_OK;
        }
    }
}

static int32_t flush(struct rdbfile *file, size_t above, struct orch_error *err)
{
    if (file->out.len <= above) {
        return ORCH_OK;
    }
    file->checksum = crc64_update(file->crc, file->checksum, file->out.data, file->out.len);
    int32_t rc = write_all(file->fd, file->out.data, file->out.len, file->temp, err);
    bytes_clear(&file->out);
    return rc;
}

int32_t rdbfile_begin(const struct crc64 *crc, const char *path, uint32_t version,
                      struct rdbfile **out, struct orch_error *err)
{
    char head[16];
    struct rdbfile *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory");
    }
    file->crc = crc;
    file->db = -1;
    file->fd = -1;
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    int len = snprintf(head, sizeof(head), "REDIS%04u", version % 10000);
    int32_t rc = open_temp(path, file->temp, &file->fd, err);
    if (rc == ORCH_OK) {
        rc = bytes_append(&file->out, head, (size_t)len, err);
    }
    if (rc != ORCH_OK) {
        rdbfile_abandon(file);
        return rc;
    }
    *out = file;
    return ORCH_OK;
}

static int32_t put_byte(struct rdbfile *file, uint8_t byte, struct orch_error *err)
{
    return bytes_append(&file->out, &byte, 1, err);
}

static int32_t put_expiry(struct rdbfile *file, int64_t expires_ms, struct orch_error *err)
{
    uint64_t little = htole64((uint64_t)expires_ms);
    if (expires_ms == ORCH_NO_EXPIRY) {
        return ORCH_OK;
    }
    int32_t rc = put_byte(file, 252, err);
    return rc == ORCH_OK ? bytes_append(&file->out, &little, 8, err) : rc;
}

int32_t rdbfile_key(struct rdbfile *file, const struct rdb_event *key, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    if (file->db != (int64_t)key->db) {
        rc = put_byte(file, 254, err);
        if (rc == ORCH_OK) {
            rc = rdb_atom_put_length(&file->out, key->db, err);
        }
        file->db = (int64_t)key->db;
    }
    if (rc == ORCH_OK) {
        rc = put_expiry(file, key->expires_ms, err);
    }
    if (rc == ORCH_OK) {
        rc = put_byte(file, (uint8_t)key->type, err);
    }
    if (rc == ORCH_OK) {
        rc = rdb_atom_put_string(&file->out, key->key, key->key_len, err);
    }
    if (rc == ORCH_OK) {
        rc = bytes_append(&file->out, key->value, key->value_len, err);
    }
    return rc == ORCH_OK ? flush(file, FLUSH_AT, err) : rc;
}

int32_t rdbfile_function(struct rdbfile *file, const struct rdb_event *library,
                         struct orch_error *err)
{
    int32_t rc = put_byte(file, 245, err);
    if (rc == ORCH_OK) {
        rc = rdb_atom_put_string(&file->out, library->value, library->value_len, err);
    }
    return rc == ORCH_OK ? flush(file, FLUSH_AT, err) : rc;
}

int32_t rdbfile_end(struct rdbfile *file, struct orch_error *err)
{
    int32_t rc = put_byte(file, 255, err);
    if (rc == ORCH_OK) {
        rc = flush(file, 0, err);
    }
    uint64_t checksum = htole64(file->checksum);
    if (rc == ORCH_OK) {
        rc = write_all(file->fd, &checksum, sizeof(checksum), file->temp, err);
    }
    if (rc == ORCH_OK) {
        rc = settle_file(file->fd, file->temp, file->path, err);
        file->fd = -1;
    }
    rdbfile_abandon(file); /* the temporary name is gone when all went well */
    return rc;
}

void rdbfile_abandon(struct rdbfile *file)
{
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    if (file->temp[0] != '\0') {
        (void)unlink(file->temp);
    }
    bytes_free(&file->out);
    free(file);
}
