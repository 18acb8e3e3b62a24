/*
 * links.h: remembers under which name a file with several links came first.
 */
#ifndef PLUGINS_FILES_LINKS_H
#define PLUGINS_FILES_LINKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "bytes.h"

struct links_slot {
    uint64_t dev;
    uint64_t ino;
    const void *root; /* links do not reach from one root into another; NULL: a free slot */
    size_t name_at;
    size_t name_len;
};

/* Zeroed is an empty one. Memory: one slot and name for each file that has several links. */
struct links {
    struct links_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    struct bytes names;
};

/* The first name of this file below `root`, or NULL. Valid until the next links_add. */
const uint8_t *links_find(const struct links *links, const void *root, const struct stat *st,
                          size_t *name_len);
/* -1: no memory. */
int links_add(struct links *links, const void *root, const struct stat *st, const uint8_t *name,
              size_t name_len) ORCH_CHECKED;
void links_free(struct links *links);

#endif
