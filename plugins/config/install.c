/* install.c: see install.h. */
#include "install.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "files/bytes.h"
#include "files/cleanup.h"
#include "files/crash.h"
#include "files/dirs.h"
#include "files/erase.h"
#include "files/meta.h"
#include "files/name.h"
#include "files/open.h"
#include "files/place.h"
#include "files/pool.h"
#include "files/walk.h"

#define COPY_BLOCK 65536

/* Names one after another, each behind its length. */
struct name_list {
    struct bytes bytes;
    struct bytes offsets; /* size_t */
};

struct run {
    const struct install *install;
    struct dirs live; /* below the live root, once it is a folder */
    int live_open;
    struct name_list folders; /* of the prepared tree, with their metadata applied at the end */
    struct name_list extra;   /* live entries that the prepared tree does not have */
    struct bytes block;
    struct bytes meta;
    char target[PATH_MAX];
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for a configuration folder");
}

static int32_t fail_on(const uint8_t *name, size_t len, int error, const char *act,
                       struct orch_error *err)
{
    char shown[NAME_SHOWN_MAX];
    return orch_fail_errno(err, error, "cannot %s %s", act, name_shown(shown, name, len));
}

static int list_add(struct name_list *list, const void *data, size_t len)
{
    size_t at = list->bytes.len;
    return bytes_add(&list->offsets, &at, sizeof(at)) != 0 ||
                   bytes_add(&list->bytes, &len, sizeof(len)) != 0 ||
                   bytes_add(&list->bytes, data, len) != 0
               ? -1
               : 0;
}

static size_t list_count(const struct name_list *list)
{
    return list->offsets.len / sizeof(size_t);
}

static const uint8_t *list_get(const struct name_list *list, size_t index, size_t *len)
{
    size_t at = 0;
    memcpy(&at, list->offsets.data + index * sizeof(at), sizeof(at));
    memcpy(len, list->bytes.data + at, sizeof(*len));
    return list->bytes.data + at + sizeof(*len);
}

static void list_free(struct name_list *list)
{
    bytes_free(&list->bytes);
    bytes_free(&list->offsets);
}

/* -- the live place of an entry -- */

struct spot {
    int dir_fd; /* borrowed unless `owned` */
    int owned;
    char base[256];
};

static void spot_close(struct spot *spot)
{
    if (spot->owned >= 0) {
        (void)close(spot->owned);
    }
}

/* Where the object `name` lives. ORCH_E_NOT_FOUND: its folder is not there. */
static int32_t spot_find(struct run *run, const uint8_t *name, size_t len, struct spot *spot,
                         struct orch_error *err)
{
    const struct root *to = run->install->to;
    size_t rel_len = 0;
    const uint8_t *rel = roots_relative(to, name, len, &rel_len);
    spot->owned = -1;
    if (rel_len == 0) {
        (void)snprintf(spot->base, sizeof(spot->base), "%s", to->base);
        spot->owned = open(to->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        spot->dir_fd = spot->owned;
        return spot->owned >= 0 ? ORCH_OK
                                : orch_fail_errno(err, errno, "cannot open %s", to->parent);
    }
    if (!run->live_open) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "%s is no folder", to->path);
    }
    size_t base_at = dirs_base_at(rel, rel_len);
    int32_t rc = dirs_seek(&run->live, rel, base_at == 0 ? 0 : base_at - 1, err);
    spot->dir_fd = rc == ORCH_OK ? dirs_fd(&run->live) : -1;
    memcpy(spot->base, rel + base_at, rel_len - base_at);
    spot->base[rel_len - base_at] = 0;
    return rc;
}

static int32_t open_live(struct run *run, struct orch_error *err)
{
    int fd = open_folder_at(AT_FDCWD, run->install->to->path);
    if (fd < 0) {
        return ORCH_OK; /* it is a file, or nothing */
    }
    int32_t rc = dirs_open(&run->live, fd, err);
    run->live_open = rc == ORCH_OK;
    return rc;
}

/* -- putting entries in place -- */

static int32_t copy_into(struct run *run, const struct walk_entry *entry, int to,
                         struct orch_error *err)
{
    CLEANUP_FD int from = open_file_at(entry->dir_fd, entry->base);
    if (from < 0 || bytes_reserve(&run->block, COPY_BLOCK) != 0) {
        return from < 0 ? fail_on(entry->name, entry->name_len, errno, "read the copy of", err)
                        : no_memory(err);
    }
    for (;;) {
        ssize_t n = read(from, run->block.data, COPY_BLOCK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        int error = n < 0 ? errno : pool_write_all(to, run->block.data, (size_t)n);
        if (error != 0) {
            return fail_on(entry->name, entry->name_len, error, "write", err);
        }
        if (n == 0) {
            return ORCH_OK;
        }
    }
}

static int32_t fill_file(struct run *run, const struct walk_entry *entry, const struct meta *meta,
                         int fd, struct orch_error *err)
{
    int32_t rc = copy_into(run, entry, fd, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const char *act = "";
    apply_shed_xattrs(fd, meta);
    int error = apply_to_fd(fd, meta, run->install->report, &act);
    if (error == 0 && fsync(fd) != 0) {
        error = errno;
        act = "sync";
    }
    return error == 0 ? ORCH_OK : fail_on(entry->name, entry->name_len, error, act, err);
}

/* A file that is mounted alone cannot be renamed over: its content is written in place. */
static int32_t write_in_place(struct run *run, const struct walk_entry *entry,
                              const struct meta *meta, const struct spot *spot,
                              struct orch_error *err)
{
    char shown[NAME_SHOWN_MAX];
    orch_log(run->install->host, ORCH_LOG_WARNING,
             "%s is mounted alone and cannot be replaced in one step: it is written in place",
             name_shown(shown, entry->name, entry->name_len));
    CLEANUP_FD int fd =
        openat(spot->dir_fd, spot->base, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? fail_on(entry->name, entry->name_len, errno, "write", err)
                  : fill_file(run, entry, meta, fd, err);
}

/* Gives the finished temporary entry its name. A folder in its place goes first. */
static int32_t rename_over(struct run *run, const struct walk_entry *entry, const struct meta *meta,
                           const struct spot *spot, const char *temporary, struct orch_error *err)
{
    int done = renameat(spot->dir_fd, temporary, spot->dir_fd, spot->base) == 0;
    if (!done && errno == EISDIR) {
        int32_t rc = erase_at(spot->dir_fd, spot->base, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        done = renameat(spot->dir_fd, temporary, spot->dir_fd, spot->base) == 0;
    }
    if (done) {
        return ORCH_OK;
    }
    int error = errno;
    (void)unlinkat(spot->dir_fd, temporary, 0);
    return error == EBUSY && S_ISREG(meta->mode)
               ? write_in_place(run, entry, meta, spot, err)
               : fail_on(entry->name, entry->name_len, error, "replace", err);
}

static int32_t put_file(struct run *run, const struct walk_entry *entry, const struct meta *meta,
                        const struct spot *spot, struct orch_error *err)
{
    char temporary[256];
    name_temporary(temporary, spot->base, "new", run->install->run);
    (void)unlinkat(spot->dir_fd, temporary, 0); /* of an earlier attempt */
    CLEANUP_FD int fd =
        openat(spot->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_on(entry->name, entry->name_len, errno, "create", err);
    }
    int32_t rc = fill_file(run, entry, meta, fd, err);
    if (rc == ORCH_OK && close(steal_fd(&fd)) != 0) {
        rc = fail_on(entry->name, entry->name_len, errno, "write", err);
    }
    if (rc != ORCH_OK) {
        (void)unlinkat(spot->dir_fd, temporary, 0);
        return rc;
    }
    return rename_over(run, entry, meta, spot, temporary, err);
}

static int32_t put_symlink(struct run *run, const struct walk_entry *entry, const struct meta *meta,
                           const struct spot *spot, struct orch_error *err)
{
    char temporary[256];
    ssize_t n = readlinkat(entry->dir_fd, entry->base, run->target, sizeof(run->target) - 1);
    if (n <= 0) {
        return fail_on(entry->name, entry->name_len, n == 0 ? EINVAL : errno, "read the copy of",
                       err);
    }
    run->target[n] = 0;
    name_temporary(temporary, spot->base, "new", run->install->run);
    (void)unlinkat(spot->dir_fd, temporary, 0);
    const char *act = "create";
    int error = symlinkat(run->target, spot->dir_fd, temporary) == 0 ? 0 : errno;
    if (error == 0) {
        error = apply_to_name(spot->dir_fd, temporary, meta, run->install->report, &act);
    }
    return error == 0 ? rename_over(run, entry, meta, spot, temporary, err)
                      : fail_on(entry->name, entry->name_len, error, act, err);
}

/* The walk enters this folder next: one that shuts out its own owner is opened up for that. */
static void let_in(const struct walk_entry *entry)
{
    if (faccessat(entry->dir_fd, entry->base, R_OK | X_OK, AT_EACCESS) != 0) {
        (void)fchmodat(entry->dir_fd, entry->base, (entry->st->st_mode & 07777) | 0700, 0);
    }
}

/* Its metadata come at the end: here it only has to be there and to be writable. */
static int32_t put_folder(struct run *run, const struct walk_entry *entry, const struct meta *meta,
                          const struct spot *spot, struct orch_error *err)
{
    struct stat st;
    if (fstatat(spot->dir_fd, spot->base, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
        unlinkat(spot->dir_fd, spot->base, 0) != 0) {
        return fail_on(entry->name, entry->name_len, errno, "replace", err);
    }
    if (mkdirat(spot->dir_fd, spot->base, 0700) != 0) {
        if (errno != EEXIST) {
            return fail_on(entry->name, entry->name_len, errno, "create the folder", err);
        }
        if (faccessat(spot->dir_fd, spot->base, W_OK | X_OK, AT_EACCESS) != 0) {
            (void)fchmodat(spot->dir_fd, spot->base, (st.st_mode & 07777) | 0700, 0);
        }
    }
    if (meta_encode(meta, &run->meta) != 0 ||
        list_add(&run->folders, entry->name, entry->name_len) != 0 ||
        list_add(&run->folders, run->meta.data, run->meta.len) != 0) {
        return no_memory(err);
    }
    size_t rel_len = 0;
    (void)roots_relative(run->install->to, entry->name, entry->name_len, &rel_len);
    return rel_len == 0 && !run->live_open ? open_live(run, err) : ORCH_OK;
}

static int32_t on_prepared(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct run *run = ctx;
    struct meta meta;
    meta_from_stat(&meta, entry->st);
    meta.xattrs = entry->xattrs;
    meta.xattrs_len = entry->xattrs_len;
    struct spot spot;
    int32_t rc = spot_find(run, entry->name, entry->name_len, &spot, err);
    if (rc == ORCH_OK && S_ISDIR(meta.mode)) {
        let_in(entry);
        rc = put_folder(run, entry, &meta, &spot, err);
    } else if (rc == ORCH_OK && S_ISLNK(meta.mode)) {
        rc = put_symlink(run, entry, &meta, &spot, err);
    } else if (rc == ORCH_OK) {
        rc = put_file(run, entry, &meta, &spot, err);
        crash_here("install-file");
    }
    spot_close(&spot);
    return rc;
}

/* -- what is too much -- */

/* Is the object in the prepared tree? Its folders are all real: this plugin made them. */
static int is_prepared(const struct run *run, const struct walk_entry *entry)
{
    const struct root *from = run->install->from;
    size_t rel_len = 0;
    const uint8_t *rel = roots_relative(from, entry->name, entry->name_len, &rel_len);
    CLEANUP_FD int fd = open(from->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (rel_len == 0 || fd < 0) {
        return fd >= 0;
    }
    /* In doubt (no memory, a path too long for one call) it counts as prepared, and stays. */
    CLEANUP_FREE char *text = strndup((const char *)rel, rel_len);
    return text == NULL || fstatat(fd, text, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           (errno != ENOENT && errno != ENOTDIR);
}

static int32_t on_live(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct run *run = ctx;
    mode_t mode = entry->st->st_mode;
    if ((!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode)) || is_prepared(run, entry)) {
        return ORCH_OK;
    }
    if (S_ISDIR(mode)) {
        let_in(entry);
    }
    return list_add(&run->extra, entry->name, entry->name_len) == 0 ? ORCH_OK : no_memory(err);
}

static int32_t walk_one(struct run *run, const struct root *root, const struct patterns *exclude,
                        int want_xattrs,
                        int32_t (*entry)(void *, const struct walk_entry *, struct orch_error *),
                        struct orch_error *err)
{
    struct root one = *root;
    struct roots roots = {.items = &one, .count = 1};
    struct walk_options options = {
        .roots = &roots, .exclude = exclude, .want_xattrs = want_xattrs, .missing_root_ok = 1};
    struct walk_visitor visitor = {.ctx = run, .entry = entry};
    return walk_roots(&options, &visitor, err);
}

/* Backwards, so that a folder is empty when its turn comes; one that is not keeps excluded files.
 */
static int32_t remove_extra(struct run *run, struct orch_error *err)
{
    for (size_t i = list_count(&run->extra); i > 0; i--) {
        size_t len = 0;
        const uint8_t *name = list_get(&run->extra, i - 1, &len);
        struct spot spot;
        struct stat st;
        int32_t rc = spot_find(run, name, len, &spot, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        int gone = fstatat(spot.dir_fd, spot.base, &st, AT_SYMLINK_NOFOLLOW) != 0;
        int flags = !gone && S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0;
        if (!gone && unlinkat(spot.dir_fd, spot.base, flags) != 0 && errno != ENOTEMPTY &&
            errno != EEXIST && errno != EBUSY) {
            rc = fail_on(name, len, errno, "remove", err);
        }
        spot_close(&spot);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static int32_t finish_folders(struct run *run, struct orch_error *err)
{
    for (size_t i = list_count(&run->folders); i > 0; i -= 2) {
        size_t len = 0;
        size_t meta_len = 0;
        const uint8_t *meta_bytes = list_get(&run->folders, i - 1, &meta_len);
        const uint8_t *name = list_get(&run->folders, i - 2, &len);
        size_t rel_len = 0;
        const uint8_t *rel = roots_relative(run->install->to, name, len, &rel_len);
        struct meta meta;
        int32_t rc = meta_decode(meta_bytes, meta_len, META_KIND_FOLDER, &meta, err);
        if (rc == ORCH_OK) {
            rc = dirs_seek(&run->live, rel, rel_len, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        const char *act = "";
        apply_shed_xattrs(dirs_fd(&run->live), &meta);
        int error = apply_to_fd(dirs_fd(&run->live), &meta, run->install->report, &act);
        if (error == 0) {
            error = place_sync(dirs_fd(&run->live));
            act = "sync";
        }
        if (error != 0) {
            return fail_on(name, len, error, act, err);
        }
    }
    return ORCH_OK;
}

/* A live folder where the prepared root is a file has to go as a whole. */
static int32_t clear_other_kind(const struct install *install, struct orch_error *err)
{
    struct stat from;
    struct stat to;
    if (lstat(install->from->path, &from) != 0 || lstat(install->to->path, &to) != 0 ||
        S_ISDIR(from.st_mode) || !S_ISDIR(to.st_mode)) {
        return ORCH_OK;
    }
    return erase_path(install->to->path, err);
}

int32_t install_root(const struct install *install, struct orch_error *err)
{
    struct run run = {.install = install};
    int32_t rc = place_make_folders(install->to->parent, 0755, err);
    if (rc == ORCH_OK) {
        rc = clear_other_kind(install, err);
    }
    if (rc == ORCH_OK) {
        rc = open_live(&run, err);
    }
    if (rc == ORCH_OK) {
        rc = walk_one(&run, install->from, NULL, 1, on_prepared, err);
    }
    crash_here("install-placed");
    if (rc == ORCH_OK) {
        rc = walk_one(&run, install->to, install->exclude, 0, on_live, err);
    }
    if (rc == ORCH_OK) {
        rc = remove_extra(&run, err);
    }
    if (rc == ORCH_OK) {
        rc = finish_folders(&run, err);
    }
    CLEANUP_FD int parent = open(install->to->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = rc != ORCH_OK ? 0 : parent < 0 ? errno : place_sync(parent);
    if (error != 0) {
        rc = orch_fail_errno(err, error, "cannot sync %s", install->to->parent);
    }
    if (run.live_open) {
        dirs_close(&run.live);
    }
    list_free(&run.folders);
    list_free(&run.extra);
    bytes_free(&run.block);
    bytes_free(&run.meta);
    return rc;
}
