/*
 * notes_restore.c: check, restore, verify and settle.
 *
 * A restore builds the whole folder under a temporary name beside the live one and then swaps the
 * two by rename: at no instant is the live folder half old and half new. The old one is set aside
 * until verification has passed. Both names come from the run's id, so that a second attempt of the
 * same run finds what the first one left.
 */
#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct names {
    char fresh[4200]; /* being filled */
    char aside[4200]; /* the old folder */
    char spent[4200]; /* what an earlier attempt of this run had put in place */
};

static int32_t make_names(const struct notes *notes, const char *run_id, struct names *names,
                          struct orch_error *err)
{
    const char *base = notes->path;
    if (strlen(base) + strlen(run_id) + 32 > sizeof(names->fresh)) {
        return orch_fail(err, ORCH_E_INVALID, "the path %s is too long", base);
    }
    (void)snprintf(names->fresh, sizeof(names->fresh), "%s.orchestrate-%s.new", base, run_id);
    (void)snprintf(names->aside, sizeof(names->aside), "%s.orchestrate-%s.old", base, run_id);
    (void)snprintf(names->spent, sizeof(names->spent), "%s.orchestrate-%s.tmp", base, run_id);
    return ORCH_OK;
}

/* Removes a flat folder; none is fine. */
static int32_t remove_folder(const char *path, struct orch_error *err)
{
    struct notes_list list;
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return ORCH_OK;
    }
    int32_t rc = notes_list_load(path, &list, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; folder >= 0 && i < list.count; i++) {
        (void)unlinkat(folder, list.names[i], 0);
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    notes_list_free(&list);
    return rmdir(path) == 0 ? ORCH_OK : orch_fail_errno(err, errno, "cannot remove %s", path);
}

/* ---- check: before anything is touched ---- */

/* The folder that holds ours. */
static void parent_of(const char *path, char *parent, size_t size)
{
    (void)snprintf(parent, size, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent) {
        (void)snprintf(parent, size, "/");
    } else {
        *slash = 0;
    }
}

int32_t notes_check(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    const struct notes *notes = instance;
    char parent[4200];
    parent_of(notes->path, parent, sizeof(parent));
    if (restore->strategy != ORCH_STRATEGY_REPLACE) {
        return orch_judge(notes->host, ORCH_VERDICT_REFUSE, 0, "strategy", NULL, err,
                          "notes can only be replaced as a whole: use --strategy replace");
    }
    if (access(parent, W_OK | X_OK) != 0) {
        return orch_judge(notes->host, ORCH_VERDICT_REFUSE, 0, "target-not-writable", parent, err,
                          "%s cannot be written (%s): make it, or run as a user who may", parent,
                          strerror(errno));
    }
    struct statvfs fs;
    if (statvfs(parent, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < restore->size_bytes) {
        return orch_judge(notes->host, ORCH_VERDICT_REFUSE, 0, "no-space", parent, err,
                          "%s has %llu bytes free, but %llu are needed", parent,
                          (unsigned long long)fs.f_bavail * fs.f_frsize,
                          (unsigned long long)restore->size_bytes);
    }
    return ORCH_OK; /* no verdict means: go */
}

/* ---- restore ---- */

/* A part is data from elsewhere: a name must not lead out of the folder. */
static int name_is_safe(const struct orch_object *object, char *name, size_t size)
{
    if (object->name_len >= size || memchr(object->name, '/', object->name_len) != NULL ||
        memchr(object->name, 0, object->name_len) != NULL) {
        return 0;
    }
    memcpy(name, object->name, object->name_len);
    name[object->name_len] = 0;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int32_t write_all(int fd, const uint8_t *data, uint64_t len, const char *name,
                         struct orch_error *err)
{
    while (len > 0) {
        ssize_t n = write(fd, data, (size_t)len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail_errno(err, errno, "cannot write %s", name);
        }
        data += n;
        len -= (uint64_t)n;
    }
    return ORCH_OK;
}

/* The DATA and HOLE events of one object, up to its ITEM_END. */
static int32_t fill_file(const struct notes *notes, int fd, const char *name,
                         struct orch_error *err)
{
    const struct orch_host *host = notes->host;
    for (;;) {
        struct orch_event event = {.struct_size = sizeof(event)};
        int32_t rc = host->next(host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (event.type == ORCH_EVENT_ITEM_END) {
            return ORCH_OK;
        }
        if (event.type == ORCH_EVENT_DATA) {
            rc = write_all(fd, event.data, event.data_len, name, err);
        } else if (event.type == ORCH_EVENT_HOLE) {
            off_t end = lseek(fd, (off_t)event.data_len, SEEK_CUR);
            rc = end >= 0 && ftruncate(fd, end) == 0
                     ? ORCH_OK
                     : orch_fail_errno(err, errno, "cannot write %s", name);
        } else {
            rc = orch_fail(err, ORCH_E_CORRUPT, "an unexpected event inside %s", name);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* `object` lives until the next call of next(): what is needed later is taken out of it first. */
static int32_t restore_file(const struct notes *notes, int folder, const struct orch_object *object,
                            struct orch_error *err)
{
    char name[256];
    if (!name_is_safe(object, name, sizeof(name)) || object->meta_len != NOTES_META_BYTES) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "the part holds an object that no backup of notes made");
    }
    mode_t mode = notes_get_mode(object->meta) & 07777;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = object->mtime_ns / 1000000000, .tv_nsec = object->mtime_ns % 1000000000}};
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot make %s", name);
    }
    int32_t rc = fill_file(notes, fd, name, err);
    if (rc == ORCH_OK &&
        (fchmod(fd, mode) != 0 || futimens(fd, times) != 0 || (notes->durable && fsync(fd) != 0))) {
        rc = orch_fail_errno(err, errno, "cannot finish %s", name);
    }
    if (close(fd) != 0 && rc == ORCH_OK) {
        rc = orch_fail_errno(err, errno, "cannot close %s", name);
    }
    return rc;
}

static int32_t fill_folder(const struct notes *notes, int folder, struct orch_error *err)
{
    const struct orch_host *host = notes->host;
    for (;;) {
        struct orch_event event = {.struct_size = sizeof(event)};
        int32_t rc = host->next(host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (event.type ==
            ORCH_EVENT_END) { /* only now is everything there, and known to be right */
            return fsync(folder) == 0 ? ORCH_OK
                                      : orch_fail_errno(err, errno, "cannot sync the folder");
        }
        if (event.type != ORCH_EVENT_OBJECT) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "notes are objects; the part holds something else");
        }
        rc = restore_file(notes, folder, &event.object, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* Puts the new folder in the place of the live one. */
static int32_t swap(const struct notes *notes, const struct names *names, struct orch_error *err)
{
    const struct orch_host *host = notes->host;
    /* What stands there is the user's old state, unless an earlier attempt set that aside already.
     */
    int first = access(names->aside, F_OK) != 0;
    const char *away = first ? names->aside : names->spent;
    int32_t rc = host->intent(host->ctx, "rename", notes->path, away, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (rename(notes->path, away) != 0 && errno != ENOENT) {
        return orch_fail_errno(err, errno, "cannot set %s aside", notes->path);
    }
    if (rename(names->fresh, notes->path) != 0) {
        return orch_fail_errno(err, errno, "cannot put %s in place", notes->path);
    }
    rc = host->done(host->ctx, "rename", notes->path, err);
    return rc == ORCH_OK ? remove_folder(names->spent, err) : rc;
}

int32_t notes_restore(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    const struct notes *notes = instance;
    struct names names;
    int32_t rc = make_names(notes, restore->run_id, &names, err);
    /* An attempt starts from the part again: what an earlier one had begun goes away. */
    if (rc == ORCH_OK) {
        rc = remove_folder(names.fresh, err);
    }
    if (rc == ORCH_OK) {
        rc = remove_folder(names.spent, err);
    }
    if (rc == ORCH_OK && mkdir(names.fresh, 0755) != 0) {
        rc = orch_fail_errno(err, errno, "cannot make %s", names.fresh);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    int folder = open(names.fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return orch_fail_errno(err, errno, "cannot open %s", names.fresh);
    }
    struct stat live;
    if (stat(notes->path, &live) == 0) {
        (void)fchmod(folder, live.st_mode & 07777);
    }
    rc = fill_folder(notes, folder, err);
    (void)close(folder);
    return rc == ORCH_OK ? swap(notes, &names, err) : rc;
}

/* ---- verify and settle ---- */

/* Measures what is there now: counts and bytes must be those of the part. */
int32_t notes_verify(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    const struct notes *notes = instance;
    struct notes_list list;
    int32_t rc = notes_list_load(notes->path, &list, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (list.count != restore->items || list.bytes != restore->size_bytes) {
        rc =
            orch_judge(notes->host, ORCH_VERDICT_REFUSE, 0, "count", notes->path, err,
                       "%s holds %llu files with %llu bytes, but the part %llu with %llu",
                       notes->path, (unsigned long long)list.count, (unsigned long long)list.bytes,
                       (unsigned long long)restore->items, (unsigned long long)restore->size_bytes);
    }
    notes_list_free(&list);
    return rc;
}

int32_t notes_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                     struct orch_error *err)
{
    const struct notes *notes = instance;
    struct names names;
    int32_t rc = make_names(notes, restore->run_id, &names, err);
    if (rc == ORCH_OK) {
        rc = remove_folder(names.fresh, err);
    }
    if (rc == ORCH_OK) {
        rc = remove_folder(names.spent, err);
    }
    /* Only a verified restore lets go of the old state. */
    if (rc == ORCH_OK && outcome == ORCH_SETTLE_VERIFIED) {
        rc = remove_folder(names.aside, err);
    }
    return rc;
}
