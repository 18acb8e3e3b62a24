/* aside.c: see aside.h. A copy is made under a temporary name and renamed when it is whole, so that
 * half a copy is never taken for the original. */
#include "aside.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int32_t l1_aside_name(const struct l1_instance *self, const struct orch_restore *restore,
                      char *name, size_t size, struct orch_error *err)
{
    int n = snprintf(name, size, "%s.orch-aside-%.8s", self->path, restore->run_id);
    return n < 0 || (size_t)n >= size
               ? orch_fail(err, ORCH_E_INVALID, "the path %s is too long", self->path)
               : ORCH_OK;
}

/* A cache's folder holds plain files only. */
static int32_t remove_folder(const char *path, struct orch_error *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? ORCH_OK : orch_fail_errno(err, errno, "cannot open %s", path);
    }
    int32_t rc = ORCH_OK;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(dir), e->d_name, 0) != 0 && errno != ENOENT) {
            rc = orch_fail_errno(err, errno, "cannot remove %s/%s", path, e->d_name);
        }
    }
    (void)closedir(dir);
    if (rc == ORCH_OK && rmdir(path) != 0 && errno != ENOENT) {
        rc = orch_fail_errno(err, errno, "cannot remove %s", path);
    }
    return rc;
}

static int32_t copy_aside(struct l1_instance *self, const char *aside, struct orch_error *err)
{
    char temporary[4200];
    (void)snprintf(temporary, sizeof(temporary), "%s.half", aside);
    int32_t rc = remove_folder(temporary, err);
    if (rc == ORCH_OK) {
        rc = orch_l1_copy(self->cache, temporary, err);
    }
    if (rc == ORCH_OK && rename(temporary, aside) != 0) {
        rc = orch_fail_errno(err, errno, "cannot rename %s to %s", temporary, aside);
    }
    return rc == ORCH_OK ? ORCH_OK : orch_wrap(err, "the old cache could not be set aside");
}

int32_t l1_aside_keep(struct l1_instance *self, const char *aside, struct orch_error *err)
{
    if (access(self->path, F_OK) != 0 || access(aside, F_OK) == 0) {
        return ORCH_OK;
    }
    int32_t rc = orch_l1_open_existing(self->path, &self->cache, err);
    if (rc == ORCH_OK) {
        rc = copy_aside(self, aside, err);
        orch_l1_close(self->cache);
        self->cache = NULL;
        return rc;
    }
    orch_log(self->host, ORCH_LOG_WARNING, "the old cache cannot be opened (%s); it is moved to %s",
             err->message, aside);
    rc = self->host->intent(self->host->ctx, "rename", self->path, aside, err);
    if (rc == ORCH_OK && rename(self->path, aside) != 0) {
        rc = orch_fail_errno(err, errno, "cannot rename %s to %s", self->path, aside);
    }
    return rc == ORCH_OK ? self->host->done(self->host->ctx, "rename", self->path, err) : rc;
}

int32_t l1_aside_drop(const char *aside, struct orch_error *err)
{
    return remove_folder(aside, err);
}
