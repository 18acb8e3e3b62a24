/* listing.c: see listing.h. */
#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DENTS_SIZE 32768

static int item_add(struct listing *listing, struct listing_item item)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 64 : listing->capacity * 2;
        struct listing_item *items =
            reallocarray(listing->items, capacity, sizeof(*listing->items));
        if (items == NULL) {
            return ENOMEM;
        }
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = item;
    return 0;
}

/* Adds one entry, and its descent when it is a folder. */
static int entry_add(struct listing *listing, const char *base, size_t len, int is_folder)
{
    if (listing->names.len > UINT32_MAX - 256 || len > 255) {
        return EOVERFLOW;
    }
    struct listing_item item = {
        .offset = (uint32_t)listing->names.len,
        .len = (uint16_t)len,
        .is_folder = (uint8_t)(is_folder != 0),
    };
    if (bytes_add(&listing->names, base, len + 1) != 0) {
        return ENOMEM;
    }
    int error = item_add(listing, item);
    if (error == 0 && is_folder) {
        item.is_descent = 1;
        error = item_add(listing, item);
    }
    return error;
}

static int is_folder_entry(int fd, const struct dirent64 *entry)
{
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    struct stat st;
    return fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The names as bytes, a descent as if a slash followed. */
static int by_key(const void *a, const void *b, void *ctx)
{
    const struct listing *listing = ctx;
    const struct listing_item *x = a;
    const struct listing_item *y = b;
    const uint8_t *xs = listing->names.data + x->offset;
    const uint8_t *ys = listing->names.data + y->offset;
    size_t common = x->len < y->len ? x->len : y->len;
    int order = memcmp(xs, ys, common);
    if (order != 0) {
        return order;
    }
    int xc = x->len > common ? xs[common] : x->is_descent ? '/' : 0;
    int yc = y->len > common ? ys[common] : y->is_descent ? '/' : 0;
    return xc - yc;
}

int listing_read(struct listing *listing, int fd, listing_filter filter, void *ctx)
{
    _Alignas(struct dirent64) char buffer[DENTS_SIZE];
    listing->names.len = 0;
    listing->count = 0;
    for (;;) {
        ssize_t n = getdents64(fd, buffer, sizeof(buffer));
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            at += entry->d_reclen;
            const char *base = entry->d_name;
            if (strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
                continue;
            }
            int is_folder = is_folder_entry(fd, entry);
            size_t len = strlen(base);
            if (filter != NULL && !filter(ctx, base, len, is_folder)) {
                continue;
            }
            int error = entry_add(listing, base, len, is_folder);
            if (error != 0) {
                return error;
            }
        }
    }
    if (listing->count > 1) {
        qsort_r(listing->items, listing->count, sizeof(*listing->items), by_key, listing);
    }
    return 0;
}

void listing_free(struct listing *listing)
{
    bytes_free(&listing->names);
    free(listing->items);
    *listing = (struct listing){0};
}

const char *listing_name(const struct listing *listing, const struct listing_item *item)
{
    return (const char *)listing->names.data + item->offset;
}
