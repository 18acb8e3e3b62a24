/*
 * listing.h: the sorted entries of one folder.
 */
#ifndef PLUGINS_FILES_LISTING_H
#define PLUGINS_FILES_LISTING_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* A folder is listed twice: as itself, and as the descent into it, whose key ends with a slash. */
struct listing_item {
    uint32_t offset; /* of the zero-terminated name in `names` */
    uint16_t len;
    uint8_t is_folder; /* as getdents said */
    uint8_t is_descent;
};

struct listing {
    struct bytes names;
    struct listing_item *items;
    size_t count;
    size_t capacity;
};

/* Judges an entry while the folder is read: 0 leaves it out. */
typedef int (*listing_filter)(void *ctx, const char *base, size_t len, int is_folder);

/* Reads the folder `fd`, which nobody has read from, and sorts it. 0 or an errno. */
int listing_read(struct listing *listing, int fd, listing_filter filter, void *ctx);
void listing_free(struct listing *listing);

const char *listing_name(const struct listing *listing, const struct listing_item *item);

#endif
