/* walk.c: see walk.h. */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "dirs.h"
#include "listing.h"
#include "look.h"
#include "name.h"
#include "open.h"

/* Descriptors of this many of the deepest folders stay open; others are found again by "..". (A
 * walk ahead holds some more: ahead.c.) */
#define OPEN_FRAMES 48u

struct frame {
    struct dir_ref *dir; /* NULL: closed for now, and then it is to be that of dev and ino */
    dev_t dev;
    ino_t ino;
    size_t name_len; /* of the folder's own name */
    size_t next;     /* the item to visit next */
    struct listing listing;
};

struct walk {
    const struct walk_options *options;
    const struct walk_visitor *visitor;
    const struct root *root;
    dev_t root_dev;
    struct bytes name; /* of what is visited */
    struct frame *frames;
    size_t depth;
    size_t capacity;
    struct xattr_reader reader;
    struct bytes xattrs; /* of what is visited */
    int32_t note_rc;     /* a failure inside the listing filter */
    struct orch_error *err;
};

static int32_t tell_note(const struct walk_visitor *visitor, uint32_t what, const uint8_t *name,
                         size_t len, int os_errno, struct orch_error *err)
{
    int ours = os_errno == EMFILE || os_errno == ENFILE; /* no fault of the entry */
    if (visitor->note != NULL && !ours) {
        return visitor->note(visitor->ctx, what, name, len, os_errno, err);
    }
    if (what == WALK_UNREADABLE || ours) {
        char shown[NAME_SHOWN_MAX];
        return orch_fail_errno(err, os_errno, "cannot read %s", name_shown(shown, name, len));
    }
    return ORCH_OK;
}

static int32_t note(const struct walk *walk, uint32_t what, int os_errno, struct orch_error *err)
{
    return tell_note(walk->visitor, what, walk->name.data, walk->name.len, os_errno, err);
}

int32_t walk_tell(const struct walk_visitor *visitor, const struct walk_entry *entry, int error,
                  struct orch_error *err)
{
    if (error == ENOMEM) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a folder's entries");
    }
    if (error != 0) {
        uint32_t what = error == ENOENT ? WALK_VANISHED : WALK_UNREADABLE;
        return tell_note(visitor, what, entry->name, entry->name_len, error, err);
    }
    return visitor->entry(visitor->ctx, entry, err);
}

/* Makes walk->name the folder's name of `folder_len` bytes, a slash, and `base`. */
static int name_set(struct walk *walk, size_t folder_len, const char *base, size_t len)
{
    walk->name.len = folder_len;
    if (folder_len > 1 && bytes_add(&walk->name, "/", 1) != 0) {
        return -1;
    }
    return bytes_add(&walk->name, base, len);
}

static int is_excluded(const struct walk *walk, int is_folder)
{
    size_t len = 0;
    const uint8_t *relative = roots_relative(walk->root, walk->name.data, walk->name.len, &len);
    return patterns_match(walk->options->exclude, relative, len, is_folder);
}

/* The filter of listing_read: exclusion is decided before anything is looked at. */
static int wanted(void *ctx, const char *base, size_t len, int is_folder)
{
    struct walk *walk = ctx;
    const struct frame *frame = &walk->frames[walk->depth - 1];
    int bare = !walk->options->skip_temporary;
    if ((!bare || walk->depth == 1) && base[0] == '.' && name_is_temporary(base, bare)) {
        return 0;
    }
    if (patterns_count(walk->options->exclude) == 0 || walk->note_rc != ORCH_OK) {
        return 1;
    }
    if (name_set(walk, frame->name_len, base, len) != 0) {
        walk->note_rc = orch_fail(walk->err, ORCH_E_NOMEM, "no memory for a name");
        return 1;
    }
    if (!is_excluded(walk, is_folder)) {
        return 1;
    }
    walk->note_rc = note(walk, WALK_EXCLUDED, 0, walk->err);
    return 0;
}

static void frame_free(struct frame *frame)
{
    dir_ref_drop(frame->dir);
    listing_free(&frame->listing);
}

/* Closes a folder until the walk comes back to it. One that cannot be looked at stays open. */
static void frame_close(struct frame *frame)
{
    struct stat st;
    if (frame->dir != NULL && fstat(frame->dir->fd, &st) == 0) {
        frame->dev = st.st_dev;
        frame->ino = st.st_ino;
        dir_ref_drop(frame->dir);
        frame->dir = NULL;
    }
}

/* Puts the open folder `*fd` (taken over), named walk->name, on the stack and lists it. */
static int32_t push(struct walk *walk, int *fd, struct orch_error *err)
{
    if (walk->depth == walk->capacity) {
        size_t capacity = walk->capacity == 0 ? 32 : walk->capacity * 2;
        struct frame *frames = reallocarray(walk->frames, capacity, sizeof(*frames));
        if (frames == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for %zu folders", capacity);
        }
        walk->frames = frames;
        walk->capacity = capacity;
    }
    if (walk->depth >= OPEN_FRAMES) {
        frame_close(&walk->frames[walk->depth - OPEN_FRAMES]);
    }
    struct dir_ref *dir = dir_ref_new(fd);
    if (dir == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a folder");
    }
    size_t name_len = walk->name.len;
    struct frame *frame = &walk->frames[walk->depth++];
    *frame = (struct frame){.dir = dir, .name_len = name_len};
    walk->note_rc = ORCH_OK;
    walk->err = err;
    int error = listing_read(&frame->listing, dir->fd, wanted, walk);
    walk->name.len = name_len;
    if (walk->note_rc != ORCH_OK) {
        return walk->note_rc;
    }
    if (error != 0) {
        frame->listing.count = 0;
        return note(walk, WALK_UNREADABLE, error, err);
    }
    return ORCH_OK;
}

/* Leaves the deepest folder; its parent is opened again when its descriptor was closed. */
static int32_t pop(struct walk *walk, struct orch_error *err)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct frame *parent = walk->depth > 1 ? frame - 1 : NULL;
    int32_t rc = ORCH_OK;
    if (parent != NULL && parent->dir == NULL) {
        struct stat st;
        CLEANUP_FD int fd = open_folder_at(frame->dir->fd, "..");
        if (fd < 0 || fstat(fd, &st) != 0 || st.st_dev != parent->dev || st.st_ino != parent->ino) {
            char shown[NAME_SHOWN_MAX];
            rc = orch_fail(err, ORCH_E_CHANGED, "the folder %s was moved while it was read",
                           name_shown(shown, walk->name.data, frame->name_len));
        } else if ((parent->dir = dir_ref_new(&fd)) == NULL) {
            rc = orch_fail(err, ORCH_E_NOMEM, "no memory for a folder");
        }
    }
    frame_free(frame);
    walk->depth--;
    return rc;
}

/* Enters the folder `base`, named walk->name. */
static int32_t descend(struct walk *walk, int dir_fd, const char *base, struct orch_error *err)
{
    CLEANUP_FD int fd = open_folder_at(dir_fd, base);
    struct stat st;
    if (fd < 0 || (walk->options->one_file_system && fstat(fd, &st) != 0)) {
        int error = errno;
        int gone = error == ENOENT || error == ENOTDIR || error == ELOOP;
        return note(walk, gone ? WALK_VANISHED : WALK_UNREADABLE, error, err);
    }
    if (walk->options->one_file_system) {
        walk->root_dev = walk->depth == 0 ? st.st_dev : walk->root_dev;
        if (st.st_dev != walk->root_dev) {
            return note(walk, WALK_OTHER_SYSTEM, 0, err);
        }
    }
    return push(walk, &fd, err);
}

/* Visits `base` in `dir`, named walk->name. */
static int32_t visit(struct walk *walk, struct dir_ref *dir, const char *base,
                     struct orch_error *err)
{
    if (walk->name.len > NAME_LEN_MAX) {
        return note(walk, WALK_UNREADABLE, ENAMETOOLONG, err);
    }
    struct walk_entry entry = {
        .root = walk->root,
        .name = walk->name.data,
        .name_len = walk->name.len,
        .dir_fd = dir->fd,
        .dir = dir,
        .base = base,
    };
    if (walk->visitor->found != NULL) {
        return walk->visitor->found(walk->visitor->ctx, &entry, err);
    }
    struct stat st;
    walk->xattrs.len = 0;
    int error = look_at(walk->options, dir->fd, base, &walk->reader, &st, &walk->xattrs,
                        &entry.xattrs_missing);
    entry.st = &st;
    entry.xattrs = walk->xattrs.len == 0 ? NULL : walk->xattrs.data;
    entry.xattrs_len = walk->xattrs.len;
    return walk_tell(walk->visitor, &entry, error, err);
}

/* Visits what is next in the deepest folder. */
static int32_t step(struct walk *walk, struct orch_error *err)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct listing *listing = &frame->listing;
    if (frame->next == listing->count) {
        return pop(walk, err);
    }
    size_t index = frame->next++;
    const struct listing_item *item = &listing->items[index];
    const char *base = listing_name(listing, item);
    if (name_set(walk, frame->name_len, base, item->len) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a name");
    }
    if (item->is_descent) {
        /* The name may grow past what an object can have: then there is nothing to enter for. */
        return walk->name.len > NAME_LEN_MAX ? ORCH_OK : descend(walk, frame->dir->fd, base, err);
    }
    return visit(walk, frame->dir, base, err);
}

static int32_t root_open_parent(const struct root *root, int *fd, struct orch_error *err)
{
    *fd = open(root->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd >= 0 ? ORCH_OK : orch_fail_errno(err, errno, "cannot open %s", root->parent);
}

static int32_t root_begin(struct walk *walk, const struct root *root, struct orch_error *err)
{
    walk->root = root;
    walk->name.len = 0;
    return bytes_add(&walk->name, root->name, root->name_len) == 0
               ? ORCH_OK
               : orch_fail(err, ORCH_E_NOMEM, "no memory for a name");
}

static int32_t root_entry(struct walk *walk, const struct root *root, struct orch_error *err)
{
    struct stat st;
    if (lstat(root->path, &st) != 0) {
        if (errno == ENOENT && walk->options->missing_root_ok) {
            return ORCH_OK;
        }
        return orch_fail_errno(err, errno, "cannot read %s", root->path);
    }
    CLEANUP_FD int parent = -1;
    int32_t rc = root_open_parent(root, &parent, err);
    if (rc == ORCH_OK) {
        rc = root_begin(walk, root, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    struct dir_ref *dir = dir_ref_new(&parent);
    if (dir == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a folder");
    }
    rc = visit(walk, dir, root->base, err);
    dir_ref_drop(dir);
    return rc;
}

static int32_t root_descent(struct walk *walk, const struct root *root, struct orch_error *err)
{
    struct stat st;
    if (lstat(root->path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return ORCH_OK;
    }
    CLEANUP_FD int parent = -1;
    int32_t rc = root_open_parent(root, &parent, err);
    if (rc == ORCH_OK) {
        rc = root_begin(walk, root, err);
    }
    if (rc == ORCH_OK) {
        rc = descend(walk, parent, root->base, err);
    }
    while (rc == ORCH_OK && walk->depth > 0) {
        rc = step(walk, err);
    }
    while (walk->depth > 0) {
        frame_free(&walk->frames[--walk->depth]);
    }
    return rc;
}

/* Is the entry of root `j` due before the descent into root `i` < j? Roots are sorted by name. */
static int entry_before_descent(const struct root *i, const struct root *j)
{
    if (name_is_within((const uint8_t *)j->name, j->name_len, i->name, i->name_len)) {
        return 0;
    }
    size_t common = i->name_len < j->name_len ? i->name_len : j->name_len;
    return memcmp(i->name, j->name, common) == 0 && j->name_len > common &&
           (uint8_t)j->name[common] < (uint8_t)'/';
}

/* Entries and descents of the roots, merged: "/a", "/a-b", "/a-b/…", "/a/…". */
static int32_t walk_from(struct walk *walk, size_t *index, struct orch_error *err)
{
    const struct roots *roots = walk->options->roots;
    const struct root *root = &roots->items[*index];
    int32_t rc = root_entry(walk, root, err);
    *index += 1;
    while (rc == ORCH_OK && *index < roots->count &&
           entry_before_descent(root, &roots->items[*index])) {
        rc = walk_from(walk, index, err);
    }
    return rc == ORCH_OK ? root_descent(walk, root, err) : rc;
}

int32_t walk_roots(const struct walk_options *options, const struct walk_visitor *visitor,
                   struct orch_error *err)
{
    struct walk walk = {.options = options, .visitor = visitor};
    int32_t rc = ORCH_OK;
    for (size_t i = 0; i < options->roots->count && rc == ORCH_OK;) {
        rc = walk_from(&walk, &i, err);
    }
    free(walk.frames);
    bytes_free(&walk.name);
    bytes_free(&walk.xattrs);
    xattr_reader_free(&walk.reader);
    return rc;
}
