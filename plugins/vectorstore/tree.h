/*
 * tree.h: what lies below the component's folder: files, folders and symbolic links, by name.
 */
#ifndef VECTORSTORE_TREE_H
#define VECTORSTORE_TREE_H

#include <stddef.h>
#include <sys/stat.h>

#include <orchestrate/plugin.h>

struct tree_entry {
    char *name; /* relative; "." for the folder itself */
    char kind;  /* 'f', 'd' or 'l' */
    struct stat st;
    char *target; /* of a symbolic link, else NULL */
};

struct tree {
    int root;                   /* the folder, open */
    struct tree_entry *entries; /* in bytewise order of names */
    size_t count;
    size_t room;
    size_t skipped; /* sockets, devices and fifos that were passed over */
};

/*
 * Reads all below `path`. `excludes` are shell patterns; what a restore left behind is passed over.
 * With `leftovers`, that is all that is read (and what is excluded is read too).
 */
int32_t tree_read(const struct orch_host *host, const char *path, const char *const *excludes,
                  uint64_t exclude_count, int leftovers, struct tree *tree,
                  struct orch_error *err) ORCH_CHECKED;
void tree_clear(struct tree *tree);

/* NULL when there is none. */
const struct tree_entry *tree_find(const struct tree *tree, const char *name);

/* Nothing in it is other than in `other`: names, kinds, sizes, times, inodes. */
int tree_equal(const struct tree *tree, const struct tree *other);

#endif
