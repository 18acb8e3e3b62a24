/* indexfolder.c: see indexfolder.h. */
#include "engine/indexfolder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define LOCK_WAIT_MS 120000
#define NAME_PREFIX "index-"
#define BUILD_PREFIX "build-"
#define PRIVATE_PREFIX "orchestrate-index-"
#define PRIVATE_AGE_S 3600

struct indexfolder {
    char *path;
    char repo_id[ID_TEXT];
    int lock_fd;     /* -1: private */
    uint32_t newest; /* generation; 0: none */
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the index cache");
}

int32_t indexfolder_flock(int fd, int operation, int64_t ms, const char *name,
                          struct orch_error *err)
{
    int64_t deadline = clock_monotonic_ms() + ms;
    struct timespec pause = {.tv_nsec = 1000000};
    while (flock(fd, operation | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot lock %s", name);
        }
        if (clock_monotonic_ms() > deadline) {
            return orch_fail(err, ORCH_E_BUSY, "another process has kept %s locked for %lld s",
                             name, (long long)(ms / 1000));
        }
        (void)nanosleep(&pause, NULL);
        pause.tv_nsec = pause.tv_nsec < 50000000 ? pause.tv_nsec * 2 : pause.tv_nsec;
    }
    return ORCH_OK;
}

/* Shared memory over a network does not work. */
static bool is_remote(const char *path)
{
    static const uint32_t remote[] = {
        NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, V9FS_MAGIC,
        CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC, AFS_FS_MAGIC,     CODA_SUPER_MAGIC, NCP_SUPER_MAGIC};
    struct statfs fs;
    bool found = false;
    if (statfs(path, &fs) == 0) {
        for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
            found = found || (uint32_t)fs.f_type == remote[i];
        }
    }
    return found;
}

static int32_t check_folder(const char *path, struct orch_error *err)
{
    struct stat stat;
    if (lstat(path, &stat) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s", path);
    }
    if (!S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 022) != 0) {
        return orch_fail(err, ORCH_E_ACCESS,
                         "%s must be a folder of your own that nobody else may write", path);
    }
    if (is_remote(path)) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "%s lies on a network file system", path);
    }
    return ORCH_OK;
}

static struct indexfolder *folder_new(const char *repo_id, char *path)
{
    struct indexfolder *folder = calloc(1, sizeof(*folder));
    if (folder == NULL || path == NULL) {
        free(folder);
        free(path);
        return NULL;
    }
    folder->path = path;
    folder->lock_fd = -1;
    (void)strncpy(folder->repo_id, repo_id, sizeof(folder->repo_id) - 1);
    return folder;
}

static int32_t open_lock_file(struct indexfolder *folder, struct orch_error *err)
{
    CLEANUP_FREE char *name = file_join(folder->path, "lock");
    if (name == NULL) {
        return no_memory(err);
    }
    folder->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return folder->lock_fd >= 0 ? ORCH_OK : orch_fail_errno(err, errno, "cannot open %s", name);
}

int32_t indexfolder_open(const char *cache_dir, const char *repo_id, struct indexfolder **out,
                         struct orch_error *err)
{
    CLEANUP_FREE char *all = file_join(cache_dir, "index");
    struct indexfolder *folder = all == NULL ? NULL : folder_new(repo_id, file_join(all, repo_id));
    if (folder == NULL) {
        return no_memory(err);
    }
    int32_t rc = file_make_dirs(folder->path, 0700, err);
    if (rc == ORCH_OK) {
        rc = check_folder(folder->path, err);
    }
    if (rc == ORCH_OK) {
        rc = open_lock_file(folder, err);
    }
    if (rc != ORCH_OK) {
        indexfolder_close(folder);
        return rc;
    }
    *out = folder;
    return ORCH_OK;
}

static void remove_files(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "state", "users"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CLEANUP_FREE char *name = file_join(path, names[i]);
        if (name != NULL) {
            (void)unlink(name);
        }
    }
    (void)rmdir(path);
}

/* Removes a cache that nobody has open. */
static void remove_unused(const struct indexfolder *folder, const char *name)
{
    CLEANUP_FREE char *path = file_join(folder->path, name);
    CLEANUP_FREE char *users = path == NULL ? NULL : file_join(path, "users");
    if (users == NULL) {
        return;
    }
    CLEANUP_FD int fd = open(users, O_RDWR | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
        remove_files(path);
    }
}

/* Caches of processes that were killed in the moment between making and deleting them. */
static void sweep_private(const struct indexfolder *folder)
{
    CLEANUP_DIR DIR *dir = opendir(folder->path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct stat stat;
        if (strncmp(entry->d_name, PRIVATE_PREFIX, strlen(PRIVATE_PREFIX)) == 0 &&
            fstatat(dirfd(dir), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(stat.st_mode) && stat.st_uid == geteuid() &&
            time(NULL) - stat.st_mtime > PRIVATE_AGE_S) {
            remove_unused(folder, entry->d_name);
        }
    }
}

int32_t indexfolder_open_private(const char *repo_id, struct indexfolder **out,
                                 struct orch_error *err)
{
    const char *chosen = getenv("TMPDIR");
    /* Not /tmp first: it may be memory. */
    const char *const places[] = {chosen, "/var/tmp", "/tmp"};
    for (size_t i = chosen == NULL || chosen[0] != '/' ? 1 : 0; i < 3; i++) {
        if (access(places[i], W_OK | X_OK) == 0 && !is_remote(places[i])) {
            struct indexfolder *folder = folder_new(repo_id, strdup(places[i]));
            if (folder == NULL) {
                return no_memory(err);
            }
            sweep_private(folder);
            *out = folder;
            return ORCH_OK;
        }
    }
    return orch_fail(err, ORCH_E_ACCESS,
                     "there is no folder for temporary files that may be written; set TMPDIR");
}

struct indexfolder *indexfolder_copy(const struct indexfolder *folder, struct orch_error *err)
{
    struct indexfolder *copy = folder_new(folder->repo_id, strdup(folder->path));
    if (copy == NULL) {
        (void)no_memory(err);
        return NULL;
    }
    if (folder->lock_fd >= 0 && open_lock_file(copy, err) != ORCH_OK) {
        indexfolder_close(copy);
        return NULL;
    }
    return copy;
}

void indexfolder_close(struct indexfolder *folder)
{
    if (folder != NULL) {
        if (folder->lock_fd >= 0) {
            (void)close(folder->lock_fd);
        }
        free(folder->path);
        free(folder);
    }
}

int32_t indexfolder_lock(struct indexfolder *folder, struct orch_error *err)
{
    return folder->lock_fd < 0
               ? ORCH_OK
               : indexfolder_flock(folder->lock_fd, LOCK_EX, LOCK_WAIT_MS, folder->path, err);
}

void indexfolder_unlock(struct indexfolder *folder)
{
    if (folder->lock_fd >= 0) {
        (void)flock(folder->lock_fd, LOCK_UN);
    }
}

const char *indexfolder_path(const struct indexfolder *folder)
{
    return folder->path;
}

/* ---- generations --------------------------------------------------------------------------- */

/* The number in "index-N"; 0 for other names. */
static uint32_t generation_of(const char *name)
{
    char again[32];
    if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0) {
        return 0;
    }
    unsigned long number = strtoul(name + strlen(NAME_PREFIX), NULL, 10);
    (void)snprintf(again, sizeof(again), NAME_PREFIX "%lu", number);
    return number < UINT32_MAX && strcmp(again, name) == 0 ? (uint32_t)number : 0;
}

/* Finds the newest generation; removes the others, and what was being built when its process died,
 * for it held the lock. */
static int32_t scan(struct indexfolder *folder, struct orch_error *err)
{
    folder->newest = 0;
    for (int round = 0; round < 2; round++) {
        CLEANUP_DIR DIR *dir = opendir(folder->path);
        if (dir == NULL) {
            return orch_fail_errno(err, errno, "cannot list %s", folder->path);
        }
        struct dirent *entry;
        while ((entry = readdir(dir)) != NULL) {
            uint32_t generation = generation_of(entry->d_name);
            if (round == 0) {
                folder->newest = generation > folder->newest ? generation : folder->newest;
            } else if (strncmp(entry->d_name, BUILD_PREFIX, strlen(BUILD_PREFIX)) == 0 ||
                       (generation > 0 && generation < folder->newest)) {
                remove_unused(folder, entry->d_name);
            }
        }
    }
    return ORCH_OK;
}

int32_t indexfolder_newest(struct indexfolder *folder, struct indexcache **out,
                           struct orch_error *err)
{
    char name[32];
    *out = NULL;
    int32_t rc = folder->lock_fd < 0 ? ORCH_OK : scan(folder, err);
    if (rc != ORCH_OK || folder->newest == 0) {
        return rc;
    }
    (void)snprintf(name, sizeof(name), NAME_PREFIX "%u", folder->newest);
    CLEANUP_FREE char *path = file_join(folder->path, name);
    struct orch_error why = ORCH_ERROR_INIT;
    if (path == NULL) {
        return no_memory(err);
    }
    rc = indexcache_open(path, folder->repo_id, out, &why);
    if (rc == ORCH_E_CORRUPT) {
        log_info("index", "the index cache %s is made anew: %s", path, why.message);
        return ORCH_OK;
    }
    if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

int32_t indexfolder_begin(struct indexfolder *folder, struct indexcache **out,
                          struct orch_error *err)
{
    bool private = folder->lock_fd < 0;
    CLEANUP_FREE char *path =
        file_join(folder->path, private ? PRIVATE_PREFIX "XXXXXX" : BUILD_PREFIX "XXXXXX");
    if (path == NULL) {
        return no_memory(err);
    }
    if (mkdtemp(path) == NULL) {
        return orch_fail_errno(err, errno, "cannot make a folder in %s", folder->path);
    }
    int32_t rc = indexcache_create(path, folder->repo_id, out, err);
    if (rc == ORCH_OK && private) {
        indexcache_make_private(*out);
    }
    if (rc != ORCH_OK || private) {
        remove_files(path); /* what is open stays until it is closed */
    }
    return rc;
}

int32_t indexfolder_publish(struct indexfolder *folder, struct indexcache *cache,
                            struct orch_error *err)
{
    char name[32];
    if (indexcache_is_private(cache)) {
        return ORCH_OK;
    }
    (void)snprintf(name, sizeof(name), NAME_PREFIX "%u", folder->newest + 1);
    CLEANUP_FREE char *path = file_join(folder->path, name);
    if (path == NULL) {
        return no_memory(err);
    }
    if (rename(indexcache_path(cache), path) != 0) {
        return orch_fail_errno(err, errno, "cannot rename %s", indexcache_path(cache));
    }
    folder->newest++;
    return indexcache_moved(cache, path, err);
}

void indexfolder_sweep(struct indexfolder *folder)
{
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (folder->lock_fd >= 0 && scan(folder, &ignored) != ORCH_OK) {
        log_info("index", "%s", ignored.message);
    }
}
