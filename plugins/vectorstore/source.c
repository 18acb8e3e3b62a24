/* source.c: see source.h. */
#include "source.h"

#include "cleanup.h"
#include "names.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>

#define TRIES 3
#define AT_REST_NS INT64_C(2000000000) /* coarser than any file system's clock */

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* Every file is held open: ask for as many descriptors as are allowed. */
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A clone without a name, on the folder's file system; -1 when that cannot be had. */
static int clone_of(int root, int fd)
{
    int clone = openat(root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (clone >= 0 && ioctl(clone, FICLONE, fd) != 0) {
        (void)close(clone);
        return -1;
    }
    return clone;
}

/* Opens (and clones) all files. ORCH_E_NOT_FOUND: one vanished meanwhile. */
static int32_t hold(struct source *source, struct orch_error *err)
{
    int try_clone = 1;
    source->cloned = 1;
    for (size_t i = 0; i < source->tree.count; i++) {
        struct tree_entry *entry = &source->tree.entries[i];
        struct source_file *file = &source->files[i];
        if (entry->kind != 'f') {
            continue;
        }
        int32_t rc = names_open(source->tree.root, entry->name, &file->fd, err);
        if (rc != ORCH_OK && (err->os_errno == EMFILE || err->os_errno == ENFILE)) {
            source->cloned = 0;
            continue; /* opened when its turn comes, and compared with what it is now */
        }
        if (rc == ORCH_E_EXISTS) {
            rc = ORCH_E_NOT_FOUND; /* replaced by something else meanwhile */
        }
        if (rc == ORCH_OK && fstat(file->fd, &entry->st) != 0) {
            rc = orch_fail_errno(err, errno, "cannot look at %s", entry->name);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        int clone = try_clone ? clone_of(source->tree.root, file->fd) : -1;
        try_clone = clone >= 0;
        source->cloned = source->cloned && clone >= 0;
        if (clone >= 0) {
            (void)close(file->fd);
            file->fd = clone;
            file->cloned = 1;
        }
    }
    return ORCH_OK;
}

static void let_go(struct source *source)
{
    for (size_t i = 0; source->files != NULL && i < source->tree.count; i++) {
        if (source->files[i].fd >= 0) {
            (void)close(source->files[i].fd);
        }
    }
    free(source->files);
    source->files = NULL;
    tree_clear(&source->tree);
}

/* One try. *again: something moved between the first and the last look. */
static int32_t take_once(const struct orch_host *host, const struct settings *settings,
                         struct source *source, int *again, struct orch_error *err)
{
    struct timespec now;
    struct tree behind;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    source->taken_ns = ns_of(&now);
    int32_t rc = tree_read(host, settings->path, settings->excludes, settings->exclude_count, 0,
                           &source->tree, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    source->files = calloc(source->tree.count, sizeof(*source->files));
    if (source->files == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of files");
    }
    for (size_t i = 0; i < source->tree.count; i++) {
        source->files[i].fd = -1;
    }
    rc = hold(source, err);
    *again = rc == ORCH_E_NOT_FOUND;
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = tree_read(host, settings->path, settings->excludes, settings->exclude_count, 0, &behind,
                   err);
    if (rc == ORCH_OK) {
        source->stable = tree_equal(&source->tree, &behind);
        *again = !source->stable;
        tree_clear(&behind);
    }
    return rc;
}

int32_t source_take(const struct orch_host *host, const struct settings *settings,
                    struct source **out, struct orch_error *err)
{
    struct source *source = calloc(1, sizeof(*source));
    int32_t rc = ORCH_OK;
    *out = NULL;
    if (source == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of files");
    }
    source->tree.root = -1;
    source->path = settings->path;
    allow_many_files();
    for (int i = 0; i < TRIES; i++) {
        int again = 0;
        let_go(source);
        rc = take_once(host, settings, source, &again, err);
        if (!again) {
            break;
        }
    }
    if (rc == ORCH_E_NOT_FOUND && source->files != NULL) {
        rc = orch_fail(err, ORCH_E_CHANGED,
                       "files below %s keep vanishing while they are opened (%d tries); stop the "
                       "writers during the backup, or exclude what they make",
                       settings->path, TRIES);
    }
    if (rc == ORCH_OK) {
        rc = stores_find(&source->tree, settings, &source->stores, err);
    }
    if (rc != ORCH_OK) {
        source_free(source);
        return rc;
    }
    *out = source;
    return ORCH_OK;
}

void source_free(struct source *source)
{
    if (source != NULL) {
        stores_clear(&source->stores);
        let_go(source);
        free(source);
    }
}

static int32_t changed(const struct source *source, size_t entry, struct orch_error *err)
{
    return orch_fail(
        err, ORCH_E_CHANGED,
        "%s/%s changed in place while it was read; let its writer replace it by rename, "
        "or stop it during the backup",
        source->path, source->tree.entries[entry].name);
}

int32_t source_fd(const struct source *source, size_t entry, int *fd, int *own,
                  struct orch_error *err)
{
    *own = -1;
    *fd = source->files[entry].fd;
    if (*fd >= 0) {
        return ORCH_OK;
    }
    int32_t rc = names_open(source->tree.root, source->tree.entries[entry].name, own, err);
    if (rc == ORCH_E_NOT_FOUND || rc == ORCH_E_EXISTS) {
        return changed(source, entry, err);
    }
    *fd = *own;
    return rc != ORCH_OK ? rc : source_same(source, entry, *fd, err);
}

int32_t source_same(const struct source *source, size_t entry, int fd, struct orch_error *err)
{
    const struct stat *then = &source->tree.entries[entry].st;
    struct stat now;
    if (source->files[entry].cloned) {
        return ORCH_OK; /* nobody else can reach a clone */
    }
    if (fstat(fd, &now) != 0) {
        return orch_fail_errno(err, errno, "cannot look at %s/%s", source->path,
                               source->tree.entries[entry].name);
    }
    /* Being replaced by rename takes a link away and moves ctime; the content stays. */
    int replaced = now.st_nlink < then->st_nlink;
    if (now.st_ino != then->st_ino || now.st_size != then->st_size ||
        ns_of(&now.st_mtim) != ns_of(&then->st_mtim) ||
        (!replaced && ns_of(&now.st_ctim) != ns_of(&then->st_ctim))) {
        return changed(source, entry, err);
    }
    return ORCH_OK;
}

struct orch_token source_token(const struct source *source, size_t entry)
{
    const struct stat *st = &source->tree.entries[entry].st;
    return (struct orch_token){.size_bytes = (uint64_t)st->st_size,
                               .mtime_ns = ns_of(&st->st_mtim),
                               .ctime_ns = ns_of(&st->st_ctim),
                               .inode = (uint64_t)st->st_ino};
}

int source_settled(const struct source *source, size_t entry)
{
    const struct stat *st = &source->tree.entries[entry].st;
    return ns_of(&st->st_mtim) + AT_REST_NS < source->taken_ns &&
           ns_of(&st->st_ctim) + AT_REST_NS < source->taken_ns;
}
