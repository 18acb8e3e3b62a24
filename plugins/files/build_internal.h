/* build_internal.h: the state of a build, shared by build.c and build_later.c. */
#ifndef PLUGINS_FILES_BUILD_INTERNAL_H
#define PLUGINS_FILES_BUILD_INTERNAL_H

#include "build.h"
#include "dirs.h"
#include "pool.h"
#include "stream.h"

#define STATE_NONE 0u   /* between objects */
#define STATE_PLAIN 1u  /* an object without content */
#define STATE_BUFFER 2u /* a file that is small so far */
#define STATE_STREAM 3u /* a file that is open */

/* A folder or hard link to finish: rel and the metadata or the target's rel, in `build->later`. */
struct later {
    size_t root;
    size_t at;
    uint32_t name_len; /* of the object's name */
    uint32_t more_len;
};

struct later_list {
    struct later *items;
    size_t count;
    size_t capacity;
};

struct tree {
    uint32_t kind; /* of the root's object */
    int is_open;
    struct dirs dirs;
};

struct build {
    const struct roots *roots;
    const struct build_target *targets;
    struct tree *trees;
    size_t tree_count;
    size_t current; /* the tree whose folders are open */
    struct pool *pool;
    struct apply_report report;

    /* the object at hand */
    uint32_t state;
    uint32_t kind;
    size_t root;
    struct bytes name;
    struct bytes meta_bytes;
    struct meta meta;
    struct bytes content;
    int fd;
    struct stream stream; /* into `fd` */
    char base[256];

    struct bytes later;
    struct later_list folders;
    struct later_list links;
};

int32_t build_no_memory(struct orch_error *err);
/* "cannot ACT NAME: …", of the object at hand. */
int32_t build_fail_errno(const struct build *build, int error, const char *act,
                         struct orch_error *err);
/* "the part holds NAME, but WHY". */
int32_t build_fail_corrupt(const struct build *build, const char *why, struct orch_error *err);

/* Goes to the folder that holds `rel` in the tree of `root`; the descriptor in *dir_fd is borrowed.
 */
int32_t build_seek_parent(struct build *build, size_t root, const uint8_t *rel, size_t rel_len,
                          int *dir_fd, struct orch_error *err) ORCH_CHECKED;

/* build_later.c: keeps the object at hand, with `more`, for the end. -1: no memory. */
int build_later_add(struct build *build, struct later_list *list, const void *more,
                    size_t len) ORCH_CHECKED;

#endif
