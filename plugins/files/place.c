/* place.c: see place.h. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"

int32_t place_make_folders(const char *path, mode_t mode, struct orch_error *err)
{
    CLEANUP_FREE char *copy = strdup(path);
    if (copy == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    for (char *at = copy + 1;; at++) {
        char kept = *at;
        if (kept != '/' && kept != 0) {
            continue;
        }
        *at = 0;
        if (copy[1] != 0 && mkdir(copy, mode) != 0 && errno != EEXIST) {
            return orch_fail_errno(err, errno, "cannot create the folder %s", copy);
        }
        *at = kept;
        if (kept == 0) {
            return ORCH_OK;
        }
    }
}

int32_t place_look(const char *path, struct place *place, struct orch_error *err)
{
    *place = (struct place){0};
    char *at = strdup(path);
    if (at == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    struct stat st;
    for (;;) {
        char *slash = strrchr(at, '/');
        slash[slash == at ? 1 : 0] = 0; /* the folder above */
        if (stat(at, &st) == 0) {
            break;
        }
        if (errno != ENOENT || strcmp(at, "/") == 0) {
            int32_t rc = orch_fail_errno(err, errno, "cannot look at %s", at);
            free(at);
            return rc;
        }
    }
    struct statvfs vfs;
    if (!S_ISDIR(st.st_mode) || statvfs(at, &vfs) != 0) {
        int32_t rc = orch_fail_errno(err, S_ISDIR(st.st_mode) ? errno : ENOTDIR,
                                     "cannot restore below %s", at);
        free(at);
        return rc;
    }
    place->existing = at;
    place->dev = st.st_dev;
    place->free_bytes = (uint64_t)vfs.f_bavail * (uint64_t)vfs.f_frsize;
    place->free_inodes = vfs.f_files == 0 ? UINT64_MAX : (uint64_t)vfs.f_favail;
    place->writable = faccessat(AT_FDCWD, at, W_OK | X_OK, AT_EACCESS) == 0;
    place->has_xattrs = listxattr(at, NULL, 0) >= 0 || errno != ENOTSUP;
    return ORCH_OK;
}

/* Undoes the \ooo of /proc/self/mountinfo in place. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in != 0; in++) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' &&
            in[3] >= '0' && in[3] <= '7') {
            *out++ = (char)(((in[1] - '0') << 6) | ((in[2] - '0') << 3) | (in[3] - '0'));
            in += 3;
        } else {
            *out++ = *in;
        }
    }
    *out = 0;
}

char *place_mount_below(const char *path)
{
    CLEANUP_FREE char *real = realpath(path, NULL);
    FILE *file = real == NULL ? NULL : fopen("/proc/self/mountinfo", "re");
    if (file == NULL) {
        return NULL;
    }
    size_t len = strcmp(real, "/") == 0 ? 0 : strlen(real);
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    char *found = NULL;
    while (found == NULL && getline(&line, &size, file) > 0) {
        /* id, parent, device, root, mount point */
        char *at = line;
        for (int i = 0; i < 4 && at != NULL; i++) {
            at = strchr(at, ' ');
            at = at == NULL ? NULL : at + 1;
        }
        if (at == NULL) {
            continue;
        }
        at[strcspn(at, " \n")] = 0;
        unescape(at);
        if (strncmp(at, real, len) == 0 && at[len] == '/' && at[len + 1] != 0) {
            found = strdup(at);
        }
    }
    (void)fclose(file);
    return found;
}

int place_sync(int dir_fd)
{
    /* EINVAL: a file system that does not sync folders, and need not. */
    return fsync(dir_fd) == 0 || errno == EINVAL ? 0 : errno;
}
