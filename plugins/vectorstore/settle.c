/*
 * settle.c: after the verification: what a restore set aside goes when all is well, and stays when
 * it is not. Found by the run's names, since another process may have made them.
 */
#include "instance.h"

#include "cleanup.h"
#include "names.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 80

static int32_t remove_any(int dir, const char *base, int depth, struct orch_error *err);

static int32_t remove_inside(int dir, const char *base, int depth, struct orch_error *err)
{
    int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP_DIR DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL) {
        int problem = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return orch_fail_errno(err, problem, "cannot open the folder set aside as %s", base);
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        int32_t rc = remove_any(dirfd(list), entry->d_name, depth + 1, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static int32_t remove_any(int dir, const char *base, int depth, struct orch_error *err)
{
    if (unlinkat(dir, base, 0) == 0 || errno == ENOENT) {
        return ORCH_OK;
    }
    if (errno != EISDIR && errno != EPERM) {
        return orch_fail_errno(err, errno, "cannot remove %s", base);
    }
    if (depth > DEPTH_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "folders below %s are nested too deep", base);
    }
    int32_t rc = remove_inside(dir, base, depth, err);
    if (rc == ORCH_OK && unlinkat(dir, base, AT_REMOVEDIR) != 0) {
        rc = orch_fail_errno(err, errno, "cannot remove %s", base);
    }
    return rc;
}

/* Removes one leftover and gives its folder back the time that the restore gave it. */
static int32_t let_go(int root, const char *name, struct orch_error *err)
{
    CLEANUP_FD int dir = -1;
    struct stat st;
    int32_t rc = names_open_parent(root, name, 0, &dir, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int known = fstat(dir, &st) == 0;
    rc = remove_any(dir, names_base(name), 0, err);
    if (rc == ORCH_OK && known) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
        int kept = futimens(dir, times);
        (void)kept; /* pleasant, and nothing more */
    }
    return rc;
}

int32_t settle_run(struct vectorstore *self, const struct orch_restore *restore, uint32_t outcome,
                   struct orch_error *err)
{
    struct tree tree;
    int32_t rc = tree_read(self->host, self->settings.path, NULL, 0, 1, &tree, err);
    if (rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK; /* the restore failed before it made the folder */
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    for (size_t i = 0; rc == ORCH_OK && i < tree.count; i++) {
        const char *base = names_base(tree.entries[i].name);
        if (names_is_new_of(base, restore->run_id) ||
            (outcome == ORCH_SETTLE_VERIFIED && names_is_aside_of(base, restore->run_id))) {
            rc = let_go(tree.root, tree.entries[i].name, err);
        }
    }
    tree_clear(&tree);
    return rc;
}
