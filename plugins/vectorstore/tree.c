/* tree.c: see tree.h. */
#include "tree.h"

#include "cleanup.h"
#include "names.h"

#include <orchestrate/support.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64

/* One reading, with what stays the same all the way down. */
struct walk {
    const struct orch_host *host;
    const char *path;
    const char *const *excludes;
    uint64_t exclude_count;
    int leftovers;
    struct tree *tree;
};

static int32_t read_folder(const struct walk *walk, int fd, const char *prefix, int depth,
                           struct orch_error *err);

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of files");
}

/* Takes `target` over, also on failure. */
static int32_t add(struct tree *tree, const char *name, char kind, const struct stat *st,
                   char *target, struct orch_error *err)
{
    if (tree->count == tree->room) {
        size_t room = tree->room == 0 ? 64 : tree->room * 2;
        struct tree_entry *grown = realloc(tree->entries, room * sizeof(*grown));
        if (grown == NULL) {
            free(target);
            return no_memory(err);
        }
        tree->entries = grown;
        tree->room = room;
    }
    struct tree_entry *entry = &tree->entries[tree->count];
    entry->name = strdup(name);
    if (entry->name == NULL) {
        free(target);
        return no_memory(err);
    }
    entry->kind = kind;
    entry->st = *st;
    entry->target = target;
    tree->count++;
    return ORCH_OK;
}

static int32_t add_link(const struct walk *walk, int dir, const char *base, const char *name,
                        const struct stat *st, struct orch_error *err)
{
    char *target = calloc(1, NAMES_PATH_MAX);
    if (target == NULL) {
        return no_memory(err);
    }
    ssize_t n = readlinkat(dir, base, target, NAMES_PATH_MAX - 1);
    if (n < 0) {
        int problem = errno;
        free(target);
        return orch_fail_errno(err, problem, "cannot read symbolic link %s/%s", walk->path, name);
    }
    return add(walk->tree, name, 'l', st, target, err);
}

static int32_t add_folder(const struct walk *walk, int dir, const char *base, const char *name,
                          const struct stat *st, int depth, struct orch_error *err)
{
    int wanted = !walk->leftovers || names_is_leftover(base);
    int32_t rc = wanted ? add(walk->tree, name, 'd', st, NULL, err) : ORCH_OK;
    if (rc != ORCH_OK || (walk->leftovers && wanted)) {
        return rc; /* a folder that was set aside is dealt with as one */
    }
    if (depth >= DEPTH_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "%s/%s is nested more than %d folders deep",
                         walk->path, name, DEPTH_MAX);
    }
    int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return ORCH_OK;
    }
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot open folder %s/%s", walk->path, name);
    }
    return read_folder(walk, fd, name, depth + 1, err);
}

static int32_t add_any(const struct walk *walk, int dir, const char *base, const char *name,
                       int depth, struct orch_error *err)
{
    struct stat st;
    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        /* Gone since the folder was read: it is not there, which is no failure. */
        return errno == ENOENT
                   ? ORCH_OK
                   : orch_fail_errno(err, errno, "cannot look at %s/%s", walk->path, name);
    }
    if (S_ISDIR(st.st_mode)) {
        return add_folder(walk, dir, base, name, &st, depth, err);
    }
    if (walk->leftovers && !names_is_leftover(base)) {
        return ORCH_OK;
    }
    if (S_ISLNK(st.st_mode)) {
        return add_link(walk, dir, base, name, &st, err);
    }
    if (S_ISREG(st.st_mode)) {
        return add(walk->tree, name, 'f', &st, NULL, err);
    }
    orch_log(walk->host, ORCH_LOG_WARNING, "%s/%s is no file, folder or symbolic link: left out",
             walk->path, name);
    walk->tree->skipped++;
    return ORCH_OK;
}

static int passed_over(const struct walk *walk, const char *base, const char *name)
{
    if (strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || strcmp(name, "lost+found") == 0) {
        return 1;
    }
    return !walk->leftovers &&
           (names_is_leftover(base) || names_match(name, walk->excludes, walk->exclude_count));
}

/* Takes `fd` over. */
static int32_t read_folder(const struct walk *walk, int fd, const char *prefix, int depth,
                           struct orch_error *err)
{
    CLEANUP_FREE char *name = malloc(NAMES_PATH_MAX);
    CLEANUP_DIR DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
    }
    if (name == NULL || dir == NULL) {
        return no_memory(err);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return errno == 0 ? ORCH_OK
                              : orch_fail_errno(err, errno, "cannot read folder %s/%s", walk->path,
                                                prefix);
        }
        if (walk->host->cancelled(walk->host->ctx) != 0) {
            return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
        }
        int n = snprintf(name, NAMES_PATH_MAX, "%s%s%s", prefix, prefix[0] == 0 ? "" : "/",
                         entry->d_name);
        if (n < 0 || n >= NAMES_PATH_MAX) {
            return orch_fail(err, ORCH_E_INVALID, "a path below %s/%s is longer than %d bytes",
                             walk->path, prefix, NAMES_PATH_MAX - 1);
        }
        if (passed_over(walk, entry->d_name, name)) {
            continue;
        }
        int32_t rc = add_any(walk, dirfd(dir), entry->d_name, name, depth, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

static int by_name(const void *a, const void *b)
{
    const struct tree_entry *x = a;
    const struct tree_entry *y = b;
    return strcmp(x->name, y->name); /* bytewise: strcmp compares as unsigned */
}

int32_t tree_read(const struct orch_host *host, const char *path, const char *const *excludes,
                  uint64_t exclude_count, int leftovers, struct tree *tree, struct orch_error *err)
{
    struct walk walk = {.host = host,
                        .path = path,
                        .excludes = excludes,
                        .exclude_count = exclude_count,
                        .leftovers = leftovers,
                        .tree = tree};
    struct stat st;
    memset(tree, 0, sizeof(*tree));
    tree->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree->root < 0) {
        return orch_fail_errno(err, errno, "cannot open the folder of stores %s", path);
    }
    int fd = openat(tree->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int32_t rc = fd < 0 || fstat(fd, &st) != 0
                     ? orch_fail_errno(err, errno, "cannot look at %s", path)
                     : ORCH_OK;
    if (rc == ORCH_OK && !leftovers) {
        rc = add(tree, ".", 'd', &st, NULL, err);
    }
    if (rc == ORCH_OK) {
        rc = read_folder(&walk, fd, "", 0, err);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    if (rc != ORCH_OK) {
        tree_clear(tree);
        return rc;
    }
    if (tree->count > 0) {
        qsort(tree->entries, tree->count, sizeof(tree->entries[0]), by_name);
    }
    return ORCH_OK;
}

void tree_clear(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->entries[i].name);
        free(tree->entries[i].target);
    }
    free(tree->entries);
    if (tree->root >= 0) {
        (void)close(tree->root);
    }
    memset(tree, 0, sizeof(*tree));
    tree->root = -1;
}

const struct tree_entry *tree_find(const struct tree *tree, const char *name)
{
    struct tree_entry key = {.name = (char *)(uintptr_t)name};
    return tree->count == 0 ? NULL
                            : bsearch(&key, tree->entries, tree->count, sizeof(key), by_name);
}

int tree_equal(const struct tree *tree, const struct tree *other)
{
    if (tree->count != other->count) {
        return 0;
    }
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_entry *a = &tree->entries[i];
        const struct tree_entry *b = &other->entries[i];
        if (strcmp(a->name, b->name) != 0 || a->kind != b->kind || a->st.st_ino != b->st.st_ino ||
            a->st.st_size != b->st.st_size || a->st.st_mtim.tv_sec != b->st.st_mtim.tv_sec ||
            a->st.st_mtim.tv_nsec != b->st.st_mtim.tv_nsec ||
            a->st.st_ctim.tv_sec != b->st.st_ctim.tv_sec ||
            a->st.st_ctim.tv_nsec != b->st.st_ctim.tv_nsec) {
            return 0;
        }
    }
    return 1;
}
