/* source.c: see source.h. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "content.h"
#include "links.h"
#include "look.h"
#include "name.h"
#include "notes.h"
#include "open.h"
#include "tally.h"
#include "walk.h"

/* A file larger than this is looked at again right before it is sent: what was seen ahead
 * may be old when the files before it were large. */
#define FRESH_LOOK_BYTES (64 * 1024)

struct run {
    const struct source *source;
    const struct orch_host *host;
    struct tally *tally;
    struct links links;
    struct notes notes;
    struct bytes meta;
    atomic_int expect_unchanged; /* what the host said of the file before */
    const struct walk_visitor *visitor;
    struct xattr_reader reader;
    struct bytes xattrs; /* of the file at hand, when the walk left them for later */
    char target[PATH_MAX];
};

static int32_t out_of_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for a file's metadata");
}

static int32_t note_name(struct run *run, size_t kind, const uint8_t *name, size_t len,
                         struct orch_error *err)
{
    return notes_add(&run->notes, kind, name, len) == 0 ? ORCH_OK : out_of_memory(err);
}

static int32_t note_entry(struct run *run, size_t kind, const struct walk_entry *entry,
                          struct orch_error *err)
{
    return note_name(run, kind, entry->name, entry->name_len, err);
}

static int32_t unreadable(struct run *run, const uint8_t *name, size_t len, int os_errno,
                          struct orch_error *err)
{
    char shown[NAME_SHOWN_MAX];
    (void)name_shown(shown, name, len);
    const char *why =
        os_errno == E2BIG ? "its extended attributes exceed 1 MiB" : strerror(os_errno);
    if (!run->source->note_unreadable && os_errno == E2BIG) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "cannot back up %s: %s", shown, why);
    }
    if (!run->source->note_unreadable) {
        return orch_fail_errno(
            err, os_errno, "cannot read %s (exclude it, or set on_unreadable = \"note\")", shown);
    }
    orch_log(run->host, ORCH_LOG_WARNING, "cannot read %s: %s; it is not in the backup", shown,
             why);
    return note_name(run, NOTES_UNREADABLE, name, len, err);
}

static int32_t on_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                       struct orch_error *err)
{
    struct run *run = ctx;
    switch (what) {
    case WALK_EXCLUDED:
        return note_name(run, NOTES_EXCLUDED, name, len, err);
    case WALK_VANISHED:
        return note_name(run, NOTES_VANISHED, name, len, err);
    case WALK_OTHER_SYSTEM:
        return note_name(run, NOTES_OTHER_SYSTEM, name, len, err);
    default:
        return unreadable(run, name, len, os_errno, err);
    }
}

static int64_t nanoseconds(const struct timespec *time)
{
    int64_t ns = 0;
    if (__builtin_mul_overflow((int64_t)time->tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns)) {
        return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    }
    return ns;
}

static int same_state(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The object of an entry, without metadata. */
static struct orch_object object_of(const struct run *run, const struct walk_entry *entry,
                                    const struct stat *st, uint32_t kind)
{
    int is_file = kind == META_KIND_FILE;
    struct orch_object object = {
        .struct_size = (uint32_t)sizeof(object),
        .name = entry->name,
        .name_len = (uint32_t)entry->name_len,
        .kind = kind,
        .profile = ORCH_PROFILE_CONTENT,
        .size_bytes = is_file ? (uint64_t)st->st_size : 0,
        .mtime_ns = nanoseconds(&st->st_mtim),
    };
    if (is_file) {
        object.flags = ORCH_OBJECT_HAS_TOKEN;
        if (run->source->roots->prefix[0] == 0) {
            object.flags |= ORCH_OBJECT_IS_FILE;
        }
        object.token = (struct orch_token){
            .size_bytes = (uint64_t)st->st_size,
            .mtime_ns = nanoseconds(&st->st_mtim),
            .ctime_ns = nanoseconds(&st->st_ctim),
            .inode = (uint64_t)st->st_ino,
        };
    }
    return object;
}

/* Begins an object with the metadata in run->meta. */
static int32_t begin(struct run *run, const struct walk_entry *entry, const struct stat *st,
                     uint32_t kind, uint32_t *unchanged, struct orch_error *err)
{
    struct orch_object object = object_of(run, entry, st, kind);
    object.meta = run->meta.data;
    object.meta_len = (uint32_t)run->meta.len;
    return run->host->object(run->host->ctx, &object, kind == META_KIND_FILE ? unchanged : NULL,
                             err);
}

/* Is `old` the metadata of the same file in the same state? */
static int same_meta(const struct meta *old, const struct meta *now)
{
    return old->mode == now->mode && old->uid == now->uid && old->gid == now->gid &&
           old->mtime_s == now->mtime_s && old->mtime_ns == now->mtime_ns;
}

/*
 * The attributes of a file that the walk left for later: those in the earlier set when the file is
 * unchanged, which its change time covers, else read now. *error: the errno of that.
 */
static int32_t late_xattrs(struct run *run, const struct walk_entry *entry, const struct stat *st,
                           struct meta *meta, int *error, struct orch_error *err)
{
    const struct orch_object object = object_of(run, entry, st, META_KIND_FILE);
    struct orch_error ignored = ORCH_ERROR_INIT;
    const uint8_t *bytes = NULL;
    uint32_t len = 0;
    struct meta old;
    *error = 0;
    run->xattrs.len = 0;
    int32_t rc = run->host->earlier(run->host->ctx, &object, &bytes, &len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (bytes != NULL && meta_decode(bytes, len, META_KIND_FILE, &old, &ignored) == ORCH_OK &&
        same_meta(&old, meta)) {
        if (bytes_add(&run->xattrs, old.xattrs, old.xattrs_len) != 0) {
            return out_of_memory(err);
        }
    } else {
        *error = look_at_xattrs(entry->dir_fd, entry->base, &run->reader, &run->xattrs);
    }
    meta->xattrs = run->xattrs.len == 0 ? NULL : run->xattrs.data;
    meta->xattrs_len = run->xattrs.len;
    return ORCH_OK;
}

static int32_t count_entry(struct run *run, const struct walk_entry *entry, uint32_t kind,
                           const struct meta *meta, uint64_t size, uint64_t data,
                           struct orch_error *err)
{
    return tally_add(run->tally, entry->name, entry->name_len, kind, meta, size, data) == 0
               ? ORCH_OK
               : orch_fail(err, ORCH_E_NOMEM, "no memory for the digests of a tree");
}

/* Encodes the metadata; *too_large: they exceed what an object may carry. */
static int32_t encode(struct run *run, const struct meta *meta, int *too_large,
                      struct orch_error *err)
{
    *too_large = 0;
    if (meta_encode(meta, &run->meta) != 0) {
        return out_of_memory(err);
    }
    *too_large = run->meta.len > META_LEN_MAX;
    return ORCH_OK;
}

/* An entry without content. */
static int32_t send_plain(struct run *run, const struct walk_entry *entry, uint32_t kind,
                          const struct meta *meta, struct orch_error *err)
{
    int too_large = 0;
    int32_t rc = encode(run, meta, &too_large, err);
    if (rc == ORCH_OK && too_large) {
        return unreadable(run, entry->name, entry->name_len, E2BIG, err);
    }
    if (rc == ORCH_OK) {
        rc = begin(run, entry, entry->st, kind, NULL, err);
    }
    if (rc == ORCH_OK) {
        rc = run->host->end_item(run->host->ctx, err);
    }
    return rc == ORCH_OK ? count_entry(run, entry, kind, meta, 0, 0, err) : rc;
}

static int32_t send_symlink(struct run *run, const struct walk_entry *entry, struct meta *meta,
                            struct orch_error *err)
{
    ssize_t n = readlinkat(entry->dir_fd, entry->base, run->target, sizeof(run->target));
    if (n <= 0) {
        int error = n == 0 ? ENOENT : errno;
        return error == ENOENT || error == EINVAL
                   ? note_entry(run, NOTES_VANISHED, entry, err)
                   : unreadable(run, entry->name, entry->name_len, error, err);
    }
    meta->link = (const uint8_t *)run->target;
    meta->link_len = (size_t)n;
    return send_plain(run, entry, META_KIND_SYMLINK, meta, err);
}

/* Opens the file that `entry` names. *fd -1 with ORCH_OK: it was noted and is to be skipped. */
static int32_t open_entry(struct run *run, const struct walk_entry *entry, int *fd,
                          struct orch_error *err)
{
    *fd = open_file_at(entry->dir_fd, entry->base);
    if (*fd >= 0) {
        return ORCH_OK;
    }
    if (errno == ENOENT || errno == ELOOP) {
        return note_entry(run, NOTES_VANISHED, entry, err);
    }
    return unreadable(run, entry->name, entry->name_len, errno, err);
}

/* The content of an object that has begun, and its end. `before` is what was announced. */
static int32_t send_content(struct run *run, const struct walk_entry *entry, int fd,
                            const struct stat *before, struct content_sent *sent,
                            struct orch_error *err)
{
    struct stat opened;
    struct stat after;
    if (fstat(fd, &opened) != 0) {
        return orch_fail_errno(err, errno, "cannot look at an open file");
    }
    if (S_ISREG(opened.st_mode)) {
        int32_t rc = content_send(run->host, fd, &opened, sent, err);
        if (rc != ORCH_OK && sent->read_errno != 0) {
            char shown[NAME_SHOWN_MAX];
            return orch_fail_errno(err, sent->read_errno, "cannot read %s",
                                   name_shown(shown, entry->name, entry->name_len));
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    int32_t rc = run->host->end_item(run->host->ctx, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (fstat(fd, &after) != 0 || !same_state(before, &after) ||
        sent->size_bytes != (uint64_t)before->st_size) {
        rc = note_entry(run, NOTES_CHANGED, entry, err);
    }
    return rc;
}

/* A file that vanished after it was announced: it ends empty, and is noted. */
static int32_t send_vanished(struct run *run, struct orch_error *err)
{
    return run->host->end_item(run->host->ctx, err);
}

/*
 * While the host says "unchanged", files are announced first and not opened. Otherwise they are
 * opened first, so that one that vanished or cannot be read is left out of the part altogether.
 */
static int32_t send_file(struct run *run, const struct walk_entry *entry, const struct stat *st,
                         const struct meta *meta, struct orch_error *err)
{
    CLEANUP_FD int fd = -1;
    if (!run->expect_unchanged || run->source->note_unreadable) {
        int32_t rc = open_entry(run, entry, &fd, err);
        if (rc != ORCH_OK || fd < 0) {
            return rc;
        }
    }
    uint32_t unchanged = 0;
    int32_t rc = begin(run, entry, st, META_KIND_FILE, &unchanged, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    run->expect_unchanged = unchanged != 0;
    struct content_sent sent = {.size_bytes = (uint64_t)st->st_size};
    if (unchanged) {
        uint64_t blocks = (uint64_t)st->st_blocks * 512;
        sent.data_bytes = blocks < sent.size_bytes ? blocks : sent.size_bytes;
    } else {
        sent = (struct content_sent){0};
        if (fd < 0) {
            rc = open_entry(run, entry, &fd, err);
        }
        if (rc == ORCH_OK) {
            rc = fd >= 0 ? send_content(run, entry, fd, st, &sent, err) : send_vanished(run, err);
        }
    }
    return rc == ORCH_OK ? count_entry(run, entry, META_KIND_FILE, meta, sent.size_bytes,
                                       sent.data_bytes, err)
                         : rc;
}

static int32_t refuse_large(const struct run *run, const struct walk_entry *entry,
                            struct orch_error *err)
{
    char shown[NAME_SHOWN_MAX];
    return orch_fail(err, ORCH_E_CONFIG,
                     "%s has %lld bytes, more than the %" PRIu64
                     " that this plugin takes: exclude it, or back it up with the volumes plugin",
                     name_shown(shown, entry->name, entry->name_len), (long long)entry->st->st_size,
                     run->source->file_bytes_max);
}

static int32_t send_regular(struct run *run, const struct walk_entry *entry, struct meta *meta,
                            struct orch_error *err)
{
    const struct source *source = run->source;
    struct stat st = *entry->st;
    if (source->file_bytes_max != 0 && (uint64_t)st.st_size > source->file_bytes_max) {
        return refuse_large(run, entry, err);
    }
    int linked = source->hard_links && st.st_nlink > 1;
    if (linked) {
        size_t first_len = 0;
        const uint8_t *first = links_find(&run->links, entry->root, &st, &first_len);
        if (first != NULL) {
            struct meta link = {.mode = meta->mode, .hard = first, .hard_len = first_len};
            return send_plain(run, entry, META_KIND_HARD_LINK, &link, err);
        }
    }
    struct stat fresh;
    if (st.st_size > FRESH_LOOK_BYTES &&
        fstatat(entry->dir_fd, entry->base, &fresh, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(fresh.st_mode)) {
        struct meta again;
        st = fresh;
        meta_from_stat(&again, &st);
        again.xattrs = meta->xattrs;
        again.xattrs_len = meta->xattrs_len;
        *meta = again;
    }
    int32_t rc = ORCH_OK;
    if (entry->xattrs_missing) {
        int error = 0;
        rc = late_xattrs(run, entry, &st, meta, &error, err);
        if (rc != ORCH_OK || error != 0) {
            return rc != ORCH_OK ? rc : walk_tell(run->visitor, entry, error, err);
        }
    }
    int too_large = 0;
    rc = encode(run, meta, &too_large, err);
    if (rc == ORCH_OK && too_large) {
        return unreadable(run, entry->name, entry->name_len, E2BIG, err);
    }
    uint64_t before = run->notes.counts[NOTES_VANISHED] + run->notes.counts[NOTES_UNREADABLE];
    if (rc == ORCH_OK) {
        rc = send_file(run, entry, &st, meta, err);
    }
    int sent = run->notes.counts[NOTES_VANISHED] + run->notes.counts[NOTES_UNREADABLE] == before;
    if (rc == ORCH_OK && linked && sent &&
        links_add(&run->links, entry->root, &st, entry->name, entry->name_len) != 0) {
        rc = out_of_memory(err);
    }
    return rc;
}

static int32_t on_entry(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct run *run = ctx;
    if (run->host->cancelled(run->host->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    struct meta meta;
    meta_from_stat(&meta, entry->st);
    meta.xattrs = entry->xattrs;
    meta.xattrs_len = entry->xattrs_len;
    uint32_t kind = meta_kind(meta.mode);
    switch (kind) {
    case META_KIND_FILE:
        return send_regular(run, entry, &meta, err);
    case META_KIND_SYMLINK:
        return send_symlink(run, entry, &meta, err);
    case META_KIND_FOLDER:
        return send_plain(run, entry, kind, &meta, err);
    case 0:
        return note_entry(run, NOTES_SOCKETS, entry, err);
    default:
        return run->source->special_files ? send_plain(run, entry, kind, &meta, err)
                                          : note_entry(run, NOTES_SPECIAL, entry, err);
    }
}

int32_t source_probe(const struct source *source, struct orch_probe *probe, struct orch_error *err)
{
    for (size_t i = 0; i < source->roots->count; i++) {
        const struct root *root = &source->roots->items[i];
        struct stat st;
        if (lstat(root->path, &st) != 0) {
            return orch_fail_errno(err, errno, "cannot back up %s", root->path);
        }
        if (S_ISLNK(st.st_mode)) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "%s is a symbolic link: put what it points to into paths", root->path);
        }
        if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
            return orch_fail(err, ORCH_E_CONFIG, "%s is neither a folder nor a file", root->path);
        }
        CLEANUP_FD int fd = S_ISDIR(st.st_mode) ? open_folder_at(AT_FDCWD, root->path)
                                                : open_file_at(AT_FDCWD, root->path);
        if (fd < 0) {
            return orch_fail_errno(err, errno, "cannot read %s", root->path);
        }
    }
    char host[128] = "";
    (void)gethostname(host, sizeof(host) - 1);
    const struct root *first = &source->roots->items[0];
    probe->items = ORCH_SIZE_UNKNOWN;
    probe->size_bytes = ORCH_SIZE_UNKNOWN;
    (void)snprintf(probe->version, sizeof(probe->version), "files");
    (void)snprintf(probe->identity, sizeof(probe->identity), "%s:%s%s", host, first->path,
                   source->roots->count > 1 ? ", ..." : "");
    return ORCH_OK;
}

/* The names of the roots and the patterns, for people and for a later restore. */
static int32_t state_options(const struct source *source, struct orch_error *err)
{
    struct bytes json CLEANUP_BYTES = {0};
    int bad = bytes_add_text(&json, "[");
    for (size_t i = 0; i < source->roots->count && !bad; i++) {
        const struct root *root = &source->roots->items[i];
        bad = (i > 0 && bytes_add_text(&json, ",") != 0) ||
              name_add_json(&json, root->name, root->name_len) != 0;
    }
    if (bad || bytes_add(&json, "]", 2) != 0) {
        return out_of_memory(err);
    }
    int32_t rc = source->host->fact(source->host->ctx, "paths", (const char *)json.data, err);
    json.len = 0;
    bad = rc == ORCH_OK && bytes_add_text(&json, "[") != 0;
    for (size_t i = 0; i < patterns_count(source->exclude) && !bad; i++) {
        const char *text = patterns_text(source->exclude, i);
        bad = (i > 0 && bytes_add_text(&json, ",") != 0) ||
              name_add_json(&json, text, strlen(text)) != 0;
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (bad || bytes_add(&json, "]", 2) != 0) {
        return out_of_memory(err);
    }
    return source->host->fact(source->host->ctx, "exclude", (const char *)json.data, err);
}

static void walk_setup(const struct source *source, struct walk_options *options)
{
    *options = (struct walk_options){
        .roots = source->roots,
        .exclude = source->exclude,
        .one_file_system = source->one_file_system,
        .skip_temporary = source->skip_temporary,
    };
}

int32_t source_backup(const struct source *source, struct orch_error *err)
{
    struct run run = {.source = source, .host = source->host};
    int32_t rc = tally_new(&run.tally, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct walk_options options;
    walk_setup(source, &options);
    options.want_xattrs = 1;
    options.files_later = ORCH_HOST_HAS(source->host, earlier) ? &run.expect_unchanged : NULL;
    struct walk_visitor visitor = {.ctx = &run, .entry = on_entry, .note = on_note};
    run.visitor = &visitor;
    rc = walk_roots_ahead(&options, &visitor, err);
    struct tally_sums sums;
    if (rc == ORCH_OK) {
        rc = tally_end(run.tally, &sums, err);
    }
    if (rc == ORCH_OK) {
        rc = tally_state(&sums, source->host, err);
    }
    if (rc == ORCH_OK) {
        rc = notes_state(&run.notes, source->host, err);
    }
    if (rc == ORCH_OK) {
        rc = state_options(source, err);
    }
    tally_free(run.tally);
    links_free(&run.links);
    notes_free(&run.notes);
    xattr_reader_free(&run.reader);
    bytes_free(&run.xattrs);
    bytes_free(&run.meta);
    return rc;
}

/* -- the stamp -- */

static int32_t stamp_entry(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    /* A tally does it, told the change time and the inode in place of what it expects. */
    struct tally *tally = ctx;
    const struct stat *st = entry->st;
    struct meta meta = {
        .mode = (uint32_t)st->st_mode,
        .mtime_s = (int64_t)st->st_ctim.tv_sec,
        .mtime_ns = (uint32_t)st->st_ctim.tv_nsec,
    };
    return tally_add(tally, entry->name, entry->name_len, META_KIND_FILE, &meta,
                     (uint64_t)st->st_size, 0) == 0 &&
                   tally_add(tally, entry->name, entry->name_len, META_KIND_FILE, &meta,
                             (uint64_t)st->st_ino, 0) == 0
               ? ORCH_OK
               : out_of_memory(err);
}

static int32_t stamp_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                          struct orch_error *err)
{
    (void)ctx;
    (void)what;
    (void)name;
    (void)len;
    (void)os_errno;
    (void)err;
    return ORCH_OK;
}

int32_t source_stamp(const struct source *source, char *hex, struct orch_error *err)
{
    struct tally *tally = NULL;
    int32_t rc = tally_new(&tally, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct walk_options options;
    walk_setup(source, &options);
    struct walk_visitor visitor = {.ctx = tally, .entry = stamp_entry, .note = stamp_note};
    rc = walk_roots(&options, &visitor, err);
    struct tally_sums sums;
    if (rc == ORCH_OK) {
        rc = tally_end(tally, &sums, err);
    }
    if (rc == ORCH_OK) {
        /* Sizes, inodes and names are in the first, change times in the other. */
        memcpy(hex, sums.digests[TALLY_ENTRIES], TALLY_HEX_SIZE);
        memcpy(hex, sums.digests[TALLY_TIMES], (TALLY_HEX_SIZE - 1) / 2);
    }
    tally_free(tally);
    return rc;
}
