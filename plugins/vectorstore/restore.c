/*
 * restore.c: takes the part's objects, writes each under a temporary name beside its place, and
 * only when all are complete and right has them swapped in (swap.c).
 *
 * Names and metadata come from outside: a name that leads out of the folder, or through a symbolic
 * link, is refused.
 */
#include "instance.h"

#include "cleanup.h"
#include "digest.h"
#include "facts.h"
#include "swap.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One restore under way. */
struct job {
    struct swap swap;
    size_t room;
    const json_t *facts;
    /* the file being written */
    int fd;
    uint64_t at; /* bytes so far */
    struct digest *digest;
    int wanted; /* the current object is among those chosen */
};

static const struct orch_host *host_of(const struct job *job)
{
    return job->swap.self->host;
}

/* ---- the folder ------------------------------------------------------------------------- */

/* Makes the folder itself, and what is missing above it. */
static int32_t make_root(const char *path, int *root, struct orch_error *err)
{
    CLEANUP_FREE char *copy = strdup(path);
    if (copy == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
    }
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0755) != 0 && errno != EEXIST && errno != EACCES && errno != EROFS) {
            return orch_fail_errno(err, errno, "cannot make folder %s", copy);
        }
        *slash = '/';
    }
    if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
        return orch_fail_errno(err, errno, "cannot make folder %s", copy);
    }
    *root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *root >= 0 ? ORCH_OK : orch_fail_errno(err, errno, "cannot open folder %s", path);
}

/* ---- one object ------------------------------------------------------------------------- */

/* Adds the item; its name and metadata are copied. */
static int32_t add_item(struct job *job, const struct orch_object *object, struct swap_item **out,
                        struct orch_error *err)
{
    struct swap *swap = &job->swap;
    const char *name = (const char *)object->name;
    if (object->name == NULL || !names_valid(name, object->name_len)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part names a file outside of the folder: '%.*s'",
                         (int)(object->name_len < 200 ? object->name_len : 200),
                         name == NULL ? "" : name);
    }
    if (swap->count == job->room) {
        size_t room = job->room == 0 ? 64 : job->room * 2;
        struct swap_item *grown = realloc(swap->items, room * sizeof(*grown));
        if (grown == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of files");
        }
        swap->items = grown;
        job->room = room;
    }
    struct swap_item *item = &swap->items[swap->count];
    memset(item, 0, sizeof(*item));
    item->kind = (char)object->kind;
    item->name = strndup(name, object->name_len);
    item->meta = calloc(1, sizeof(*item->meta));
    swap->count++;
    if (item->name == NULL || item->meta == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of files");
    }
    if (swap->count > 1 && strcmp(swap->items[swap->count - 2].name, item->name) >= 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's files are out of order at %s",
                         item->name);
    }
    *out = item;
    return meta_read(object->meta, object->meta_len, item->meta, err);
}

/* Makes the folder; its mode and times come at the end. */
static int32_t put_folder(struct job *job, struct swap_item *item, struct orch_error *err)
{
    CLEANUP_FD int dir = -1;
    struct stat st;
    if (strcmp(item->name, ".") == 0) {
        return ORCH_OK;
    }
    /* In a selective restore folders are made only for the files that need them. */
    int selective = job->swap.restore->select_count > 0;
    int32_t rc = names_open_parent(job->swap.root, item->name, !selective, &dir, err);
    if (rc == ORCH_E_NOT_FOUND && selective) {
        return ORCH_OK;
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    item->existed = fstatat(dir, names_base(item->name), &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (item->existed && !S_ISDIR(st.st_mode)) {
        return orch_fail(err, ORCH_E_EXISTS,
                         "%s/%s is no folder, and the backup has one there; move it away",
                         job->swap.self->settings.path, item->name);
    }
    if (!item->existed && !selective && mkdirat(dir, names_base(item->name), 0700) != 0) {
        return orch_fail_errno(err, errno, "cannot make folder %s/%s",
                               job->swap.self->settings.path, item->name);
    }
    return ORCH_OK;
}

/* Opens the temporary place beside the file's own; what an earlier attempt left there goes. */
static int32_t open_new(struct job *job, const struct swap_item *item, int *dir, char fresh[256],
                        struct orch_error *err)
{
    int32_t rc = names_open_parent(job->swap.root, item->name, 1, dir, err);
    if (rc == ORCH_OK) {
        rc = names_new(names_base(item->name), job->swap.restore->run_id, fresh, err);
    }
    if (rc == ORCH_OK && unlinkat(*dir, fresh, 0) != 0 && errno != ENOENT) {
        rc = orch_fail_errno(err, errno, "cannot remove the leftover %s of an earlier attempt",
                             fresh);
    }
    return rc;
}

static int32_t put_link(struct job *job, const struct swap_item *item, struct orch_error *err)
{
    CLEANUP_FD int dir = -1;
    char fresh[256];
    int32_t rc = open_new(job, item, &dir, fresh, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (symlinkat(item->meta->target, dir, fresh) != 0) {
        return orch_fail_errno(err, errno, "cannot make symbolic link %s/%s",
                               job->swap.self->settings.path, item->name);
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = item->meta->mtime_ns / 1000000000,
                                 .tv_nsec = item->meta->mtime_ns % 1000000000}};
    /* Of a link, owner and time are pleasant to have and nothing more. */
    int owner = fchownat(dir, fresh, item->meta->uid, item->meta->gid, AT_SYMLINK_NOFOLLOW);
    int time = utimensat(dir, fresh, times, AT_SYMLINK_NOFOLLOW);
    (void)owner;
    (void)time;
    return ORCH_OK;
}

static int32_t put_file(struct job *job, struct swap_item *item, struct orch_error *err)
{
    CLEANUP_FD int dir = -1;
    char fresh[256];
    const char *digest = facts_digest(job->facts, item->name);
    if (digest == NULL || strlen(digest) != 64) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's facts have no digest of %s", item->name);
    }
    (void)snprintf(item->digest, sizeof(item->digest), "%s", digest);
    int32_t rc = open_new(job, item, &dir, fresh, err);
    if (rc == ORCH_OK) {
        rc = digest_new(&job->digest, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    job->at = 0;
    job->fd = openat(dir, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return job->fd >= 0 ? ORCH_OK
                        : orch_fail_errno(err, errno, "cannot make %s/%s",
                                          job->swap.self->settings.path, item->name);
}

static int32_t on_object(struct job *job, const struct orch_object *object, struct orch_error *err)
{
    struct swap_item *item = NULL;
    int32_t rc = add_item(job, object, &item, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    job->wanted = facts_file_selected(job->swap.restore, job->facts, item->name);
    if (item->kind == 'd') {
        job->wanted = 1;
        return put_folder(job, item, err);
    }
    if (item->kind != 'f' && item->kind != 'l') {
        return orch_fail(err, ORCH_E_CORRUPT, "%s in the part is of no known kind", item->name);
    }
    if (!job->wanted) {
        return ORCH_OK;
    }
    return item->kind == 'f' ? put_file(job, item, err) : put_link(job, item, err);
}

/* ---- its bytes -------------------------------------------------------------------------- */

static struct swap_item *current(struct job *job)
{
    return &job->swap.items[job->swap.count - 1];
}

static int32_t on_data(struct job *job, const uint8_t *data, uint64_t len, struct orch_error *err)
{
    if (!job->wanted || job->fd < 0) {
        return ORCH_OK;
    }
    int32_t rc = digest_add(job->digest, data, (size_t)len, err);
    while (rc == ORCH_OK && len > 0) {
        ssize_t n = pwrite(job->fd, data, (size_t)len, (off_t)job->at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return orch_fail_errno(err, errno, "cannot write %s/%s", job->swap.self->settings.path,
                                   current(job)->name);
        }
        data += n;
        len -= (uint64_t)n;
        job->at += (uint64_t)n;
    }
    return rc;
}

static int32_t on_hole(struct job *job, uint64_t len, struct orch_error *err)
{
    static const uint8_t zeros[65536];
    if (!job->wanted || job->fd < 0) {
        return ORCH_OK;
    }
    for (uint64_t left = len; left > 0;) {
        size_t n = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        int32_t rc = digest_add(job->digest, zeros, n, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        left -= n;
    }
    job->at += len;
    if (ftruncate(job->fd, (off_t)job->at) != 0) {
        return orch_fail_errno(err, errno, "cannot write %s/%s", job->swap.self->settings.path,
                               current(job)->name);
    }
    return ORCH_OK;
}

static int32_t on_item_end(struct job *job, struct orch_error *err)
{
    char digest[DIGEST_TEXT];
    if (!job->wanted || job->fd < 0) {
        return ORCH_OK;
    }
    const struct swap_item *item = current(job);
    int32_t rc = digest_text(job->digest, digest, err);
    if (rc == ORCH_OK && strcmp(digest, item->digest) != 0) {
        rc = orch_fail(err, ORCH_E_CORRUPT,
                       "%s came with other bytes than were backed up (SHA-256 %s, not %s); nothing "
                       "was replaced",
                       item->name, digest, item->digest);
    }
    if (rc == ORCH_OK) {
        rc = swap_apply_meta(job->fd, item->meta, item->name, err);
    }
    if (rc == ORCH_OK && fsync(job->fd) != 0) {
        rc = orch_fail_errno(err, errno, "cannot sync %s/%s", job->swap.self->settings.path,
                             item->name);
    }
    if (close(job->fd) != 0 && rc == ORCH_OK) {
        rc = orch_fail_errno(err, errno, "cannot close %s/%s", job->swap.self->settings.path,
                             item->name);
    }
    job->fd = -1;
    digest_free(job->digest);
    job->digest = NULL;
    return rc;
}

/* ---- all of it -------------------------------------------------------------------------- */

static int32_t receive(struct job *job, struct orch_error *err)
{
    const struct orch_host *host = host_of(job);
    for (;;) {
        struct orch_event event = {.struct_size = (uint32_t)sizeof(event)};
        if (host->cancelled(host->ctx) != 0) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
        }
        int32_t rc = host->next(host->ctx, &event, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        switch (event.type) {
        case ORCH_EVENT_END:
            return ORCH_OK;
        case ORCH_EVENT_OBJECT:
            rc = on_object(job, &event.object, err);
            break;
        case ORCH_EVENT_DATA:
            rc = on_data(job, event.data, event.data_len, err);
            break;
        case ORCH_EVENT_HOLE:
            rc = on_hole(job, event.data_len, err);
            break;
        case ORCH_EVENT_ITEM_END:
            rc = on_item_end(job, err);
            break;
        default:
            rc = orch_fail(err, ORCH_E_CORRUPT, "the part holds records, not files");
            break;
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* Takes out what was not chosen: only what was written is swapped in. */
static void drop_unwanted(struct job *job)
{
    struct swap *swap = &job->swap;
    size_t kept = 0;
    for (size_t i = 0; i < swap->count; i++) {
        struct swap_item *item = &swap->items[i];
        if (item->kind != 'd' && !facts_file_selected(swap->restore, job->facts, item->name)) {
            free(item->name);
            free(item->meta);
        } else {
            swap->items[kept++] = *item;
        }
    }
    swap->count = kept;
}

static void clear(struct job *job)
{
    for (size_t i = 0; i < job->swap.count; i++) {
        free(job->swap.items[i].name);
        free(job->swap.items[i].meta);
    }
    free(job->swap.items);
    digest_free(job->digest);
    if (job->fd >= 0) {
        (void)close(job->fd);
    }
    if (job->swap.root >= 0) {
        (void)close(job->swap.root);
    }
}

static int32_t run_job(struct job *job, struct orch_error *err)
{
    int32_t rc = make_root(job->swap.self->settings.path, &job->swap.root, err);
    if (rc == ORCH_OK) {
        rc = receive(job, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    drop_unwanted(job);
    rc = swap_all(&job->swap, err);
    if (rc == ORCH_OK && job->swap.restore->select_count == 0) {
        rc = swap_extras(&job->swap, err);
    }
    return rc != ORCH_OK ? rc : swap_folders(&job->swap, err);
}

int32_t restore_run(struct vectorstore *self, const struct orch_restore *restore,
                    struct orch_error *err)
{
    CLEANUP_JSON json_t *facts = NULL;
    struct job job = {.swap = {.self = self, .restore = restore, .root = -1}, .fd = -1};
    if (restore->strategy != ORCH_STRATEGY_REPLACE) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "vector stores can be replaced only");
    }
    int32_t rc = facts_parse(restore, &facts, err);
    if (rc == ORCH_OK) {
        job.facts = facts;
        rc = run_job(&job, err);
    }
    clear(&job);
    return rc;
}
