/* build_later.c: see build.h: what waits for the end of a build: hard links, and folders' metadata.
 */
#include "build_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "name.h"

int build_later_add(struct build *build, struct later_list *list, const void *more, size_t len)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct later *items = reallocarray(list->items, capacity, sizeof(*items));
        if (items == NULL) {
            return -1;
        }
        list->items = items;
        list->capacity = capacity;
    }
    struct later later = {.root = build->root,
                          .at = build->later.len,
                          .name_len = (uint32_t)build->name.len,
                          .more_len = (uint32_t)len};
    if (bytes_add(&build->later, build->name.data, build->name.len) != 0 ||
        bytes_add(&build->later, more, len) != 0) {
        return -1;
    }
    list->items[list->count++] = later;
    return 0;
}

/* Takes a later item's name back as the name at hand, for messages and for its place. */
static int32_t later_recall(struct build *build, const struct later *later, struct orch_error *err)
{
    build->root = later->root;
    build->name.len = 0;
    return bytes_add(&build->name, build->later.data + later->at, later->name_len) == 0
               ? ORCH_OK
               : build_no_memory(err);
}

static const uint8_t *later_more(const struct build *build, const struct later *later)
{
    return build->later.data + later->at + later->name_len;
}

static int32_t make_link(struct build *build, const struct later *later, struct orch_error *err)
{
    int32_t rc = later_recall(build, later, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const struct root *root = &build->roots->items[later->root];
    const uint8_t *first = later_more(build, later);
    size_t rel_len = 0;
    if (!name_is_valid(first, later->more_len) ||
        !name_is_within(first, later->more_len, root->name, root->name_len) ||
        name_compare(first, later->more_len, build->name.data, build->name.len) >= 0) {
        return build_fail_corrupt(build, "its hard link leads somewhere else", err);
    }
    const uint8_t *rel = roots_relative(root, first, later->more_len, &rel_len);
    int dir_fd = -1;
    rc = build_seek_parent(build, later->root, rel, rel_len, &dir_fd, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct dir_ref *first_dir = dirs_hold(&build->trees[later->root].dirs);
    char first_base[256];
    size_t base_at = dirs_base_at(rel, rel_len);
    memcpy(first_base, rel + base_at, rel_len - base_at);
    first_base[rel_len - base_at] = 0;
    rel = roots_relative(root, build->name.data, build->name.len, &rel_len);
    rc = build_seek_parent(build, later->root, rel, rel_len, &dir_fd, err);
    if (rc == ORCH_OK) {
        base_at = dirs_base_at(rel, rel_len);
        char base[256];
        memcpy(base, rel + base_at, rel_len - base_at);
        base[rel_len - base_at] = 0;
        struct stat st;
        if (fstatat(first_dir->fd, first_base, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode)) {
            rc = build_fail_corrupt(build, "not the file that it links to", err);
        } else if (linkat(first_dir->fd, first_base, dir_fd, base, 0) != 0) {
            rc = build_fail_errno(build, errno, "link", err);
        }
    }
    dir_ref_drop(first_dir);
    return rc;
}

static int32_t finish_folder(struct build *build, const struct later *later, struct orch_error *err)
{
    int32_t rc = later_recall(build, later, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t rel_len = 0;
    const uint8_t *rel = roots_relative(&build->roots->items[later->root], build->name.data,
                                        build->name.len, &rel_len);
    if (build->current != later->root) {
        int ignored = -1;
        rc = build_seek_parent(build, later->root, rel, rel_len, &ignored, err);
    }
    struct tree *tree = &build->trees[later->root];
    if (rc == ORCH_OK) {
        rc = dirs_seek(&tree->dirs, rel, rel_len, err);
    }
    struct meta meta;
    if (rc == ORCH_OK) {
        rc = meta_decode(later_more(build, later), later->more_len, META_KIND_FOLDER, &meta, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    const char *act = "";
    int error = apply_to_fd(dirs_fd(&tree->dirs), &meta, &build->report, &act);
    return error == 0 ? ORCH_OK : build_fail_errno(build, error, act, err);
}

int32_t build_finish(struct build *build, struct orch_error *err)
{
    int32_t rc = pool_drain(build->pool, err);
    for (size_t i = 0; i < build->links.count && rc == ORCH_OK; i++) {
        rc = make_link(build, &build->links.items[i], err);
    }
    /* Backwards: a folder comes after what is in it, and its time stays. */
    for (size_t i = build->folders.count; i > 0 && rc == ORCH_OK; i--) {
        rc = finish_folder(build, &build->folders.items[i - 1], err);
    }
    return rc;
}

int32_t build_apply_root(struct build *build, size_t root, int fd, const char *path,
                         struct orch_error *err)
{
    for (size_t i = 0; i < build->folders.count; i++) {
        const struct later *later = &build->folders.items[i];
        if (later->root != root || later->name_len != build->roots->items[root].name_len) {
            continue;
        }
        struct meta meta;
        int32_t rc =
            meta_decode(later_more(build, later), later->more_len, META_KIND_FOLDER, &meta, err);
        const char *act = "";
        if (rc == ORCH_OK) {
            apply_shed_xattrs(fd, &meta);
        }
        int error = rc == ORCH_OK ? apply_to_fd(fd, &meta, &build->report, &act) : 0;
        return error == 0 ? rc : orch_fail_errno(err, error, "cannot %s %s", act, path);
    }
    return ORCH_OK;
}
