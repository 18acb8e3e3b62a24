/*
 * listing.h: the sorted entries of one folder, and what fstatat and the extended attributes say of
 * them, read ahead a window at a time.
 */
#ifndef PLUGINS_FILES_LISTING_H
#define PLUGINS_FILES_LISTING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "bytes.h"
#include "xattr.h"

/* A folder is listed twice: as itself, and as the descent into it, whose key ends with a slash. */
struct listing_item {
    uint32_t offset; /* of the zero-terminated name in `names` */
    uint16_t len;
    uint8_t is_folder; /* as getdents said */
    uint8_t is_descent;
};

struct listing_look {
    struct stat st;
    int error; /* errno of the look, 0: `st` holds */
    size_t xattrs_at;
    size_t xattrs_len;
};

#define LISTING_WINDOW 256u

struct listing {
    struct bytes names;
    struct listing_item *items;
    size_t count;
    size_t capacity;
    struct listing_look *looks; /* of items window_start … + window_count */
    size_t window_start;
    size_t window_count;
    struct bytes xattrs;
};

/* Judges an entry while the folder is read: 0 leaves it out. */
typedef int (*listing_filter)(void *ctx, const char *base, size_t len, int is_folder);

/* Reads the folder `fd` from its start and sorts it. 0 or an errno. */
int listing_read(struct listing *listing, int fd, listing_filter filter, void *ctx);
void listing_free(struct listing *listing);

const char *listing_name(const struct listing *listing, const struct listing_item *item);

/* What item `index` (no descent) looks like. `reader` NULL: without extended attributes. */
const struct listing_look *listing_look(struct listing *listing, size_t index, int fd,
                                        struct xattr_reader *reader);

#endif
