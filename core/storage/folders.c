/* folders.c: see folders.h. */
#include "storage/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* More than this many are forgotten when nothing is unsynced; it only costs some syncs again. */
#define FOLDERS_MAX 4096u

struct folder {
    char *name;       /* relative to the root; "" for the root itself */
    uint64_t changes; /* counts changes of its entries */
    uint64_t synced;  /* the count that the last fsync is known to cover */
    int broken;       /* the errno of a sync that failed, or 0 */
};

struct folders {
    int root_fd;
    const char *root_path;
    struct powerloss *powerloss;
    struct fault *fault;
    pthread_mutex_t lock; /* guards what follows */
    struct folder *list;
    size_t count;
    size_t capacity;
};

/* The length of the folder part of `name`; 0 for the root. */
static size_t folder_len(const char *name, size_t len)
{
    while (len > 0 && name[len - 1] != '/') {
        len--;
    }
    return len > 0 ? len - 1 : 0;
}

static struct folder *folders_find(struct folders *folders, const char *name, size_t len)
{
    for (size_t i = 0; i < folders->count; i++) {
        const char *known = folders->list[i].name;
        if (strncmp(known, name, len) == 0 && known[len] == '\0') {
            return &folders->list[i];
        }
    }
    return NULL;
}

/* Adds a folder; NULL when memory ran out. */
static struct folder *folders_add(struct folders *folders, const char *name, size_t len)
{
    if (folders->count == folders->capacity) {
        size_t capacity = folders->capacity == 0 ? 16 : folders->capacity * 2;
        struct folder *list = realloc(folders->list, capacity * sizeof *list);
        if (list == NULL) {
            return NULL;
        }
        folders->list = list;
        folders->capacity = capacity;
    }
    char *copy = strndup(name, len);
    if (copy == NULL) {
        return NULL;
    }
    struct folder *folder = &folders->list[folders->count++];
    *folder = (struct folder){.name = copy};
    return folder;
}

/* Forgets all but the root, if nothing waits for a sync. */
static void folders_shrink(struct folders *folders)
{
    for (size_t i = 0; i < folders->count; i++) {
        if (folders->list[i].changes != folders->list[i].synced) {
            return;
        }
    }
    while (folders->count > 1) {
        free(folders->list[--folders->count].name);
    }
}

int32_t folders_new(int root_fd, const char *root_path, struct powerloss *powerloss,
                    struct fault *fault, struct folders **out, struct orch_error *err)
{
    struct folders *folders = calloc(1, sizeof *folders);
    if (folders == NULL || folders_add(folders, "", 0) == NULL) {
        free(folders);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to open %s", root_path);
    }
    folders->root_fd = root_fd;
    folders->root_path = root_path;
    folders->powerloss = powerloss;
    folders->fault = fault;
    (void)pthread_mutex_init(&folders->lock, NULL);
    *out = folders;
    return ORCH_OK;
}

void folders_free(struct folders *folders)
{
    if (folders == NULL) {
        return;
    }
    for (size_t i = 0; i < folders->count; i++) {
        free(folders->list[i].name);
    }
    free(folders->list);
    (void)pthread_mutex_destroy(&folders->lock);
    free(folders);
}

/* The folder `name` (len bytes), known from now on, and made when missing unless `there` says that
 * it is not. Under the lock, so that nobody finds it made before the change of its parent is
 * counted. */
static int32_t folders_ensure(struct folders *folders, const char *name, size_t len, bool there,
                              struct orch_error *err)
{
    if (folders_find(folders, name, len) != NULL) {
        return ORCH_OK;
    }
    size_t parent_len = folder_len(name, len);
    int32_t rc = folders_ensure(folders, name, parent_len, there, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct folder *folder = folders_add(folders, name, len);
    if (folder == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a folder in %s", folders->root_path);
    }
    if (!there && fault_mkdir(folders->fault, folder->name, folders->root_fd, folder->name) == 0) {
        powerloss_made_folder(folders->powerloss, folder->name);
    } else if (!there && errno != EEXIST) {
        rc = orch_fail_errno(err, errno, "cannot make folder %s/%s", folders->root_path,
                             folder->name);
        free(folder->name);
        folders->count--;
        return rc;
    }
    folders_find(folders, name, parent_len)->changes++;
    return ORCH_OK;
}

int32_t folders_make_above(struct folders *folders, const char *name, struct orch_error *err)
{
    (void)pthread_mutex_lock(&folders->lock);
    if (folders->count > FOLDERS_MAX) {
        folders_shrink(folders);
    }
    int32_t rc = folders_ensure(folders, name, folder_len(name, strlen(name)), false, err);
    (void)pthread_mutex_unlock(&folders->lock);
    return rc;
}

/* Counts a change of the folder `name` (len bytes). */
static int32_t folders_count(struct folders *folders, const char *name, size_t len, bool there,
                             struct orch_error *err)
{
    (void)pthread_mutex_lock(&folders->lock);
    int32_t rc = folders_ensure(folders, name, len, there, err);
    if (rc == ORCH_OK) {
        folders_find(folders, name, len)->changes++;
    }
    (void)pthread_mutex_unlock(&folders->lock);
    return rc;
}

int32_t folders_changed(struct folders *folders, const char *name, struct orch_error *err)
{
    return folders_count(folders, name, folder_len(name, strlen(name)), false, err);
}

int32_t folders_listed(struct folders *folders, const char *name, struct orch_error *err)
{
    return folders_count(folders, name, strlen(name), true, err);
}

/* After a sync that failed nobody knows what the disk has, and the kernel calls it clean: another
 * try would succeed and prove nothing. */
static int32_t folders_sync_failed(struct folders *folders, const char *name, int os,
                                   struct orch_error *err)
{
    (void)pthread_mutex_lock(&folders->lock);
    struct folder *folder = folders_find(folders, name, strlen(name));
    if (folder != NULL) {
        folder->broken = os;
    }
    (void)pthread_mutex_unlock(&folders->lock);
    return orch_fail_errno(err, os, "cannot sync folder %s/%s", folders->root_path, name);
}

/* Syncs one folder if it has changes. The lock is not held while the disk works. */
static int32_t folders_sync(struct folders *folders, const char *name, size_t len,
                            struct orch_error *err)
{
    (void)pthread_mutex_lock(&folders->lock);
    const struct folder *folder = folders_find(folders, name, len);
    uint64_t changes = folder == NULL ? 0 : folder->changes;
    bool needed = folder != NULL && folder->changes != folder->synced;
    int broken = folder == NULL ? 0 : folder->broken;
    (void)pthread_mutex_unlock(&folders->lock);
    if (!needed) {
        return ORCH_OK;
    }
    CLEANUP_FREE char *path = strndup(name, len);
    if (path == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to sync a folder");
    }
    if (broken != 0) {
        return orch_fail_errno(err, broken, "an earlier sync of folder %s/%s failed",
                               folders->root_path, path);
    }
    CLEANUP_FD int fd =
        openat(folders->root_fd, len == 0 ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int synced = fd < 0 ? -1 : fault_syncdir(folders->fault, path, fd);
    if (synced < 0) {
        return folders_sync_failed(folders, path, errno, err);
    }
    if (synced == 0) {
        powerloss_synced_folder(folders->powerloss, path);
    }
    (void)pthread_mutex_lock(&folders->lock);
    struct folder *done = folders_find(folders, name, len);
    if (done != NULL && done->synced < changes) {
        done->synced = changes;
    }
    (void)pthread_mutex_unlock(&folders->lock);
    return ORCH_OK;
}

int32_t folders_sync_above(struct folders *folders, const char *name, struct orch_error *err)
{
    size_t len = strlen(name);
    int32_t rc;
    do {
        len = folder_len(name, len);
        rc = folders_sync(folders, name, len, err);
    } while (rc == ORCH_OK && len > 0);
    return rc;
}

int32_t folders_sync_all(struct folders *folders, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK; i++) {
        (void)pthread_mutex_lock(&folders->lock);
        bool more = i < folders->count;
        CLEANUP_FREE char *name = more ? strdup(folders->list[i].name) : NULL;
        (void)pthread_mutex_unlock(&folders->lock);
        if (!more) {
            break;
        }
        rc = name == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory to sync the repository")
                          : folders_sync(folders, name, strlen(name), err);
    }
    return rc;
}
