/* itemsbase.h: what the tests of the writer share: a source of objects, and the comparison of what
 * is read with it. */
#ifndef TESTS_ENGINE_ITEMSBASE_H
#define TESTS_ENGINE_ITEMSBASE_H

#include "enginetest.h"

#define WI_NAME_BYTES 64

struct wi_item {
    char name[WI_NAME_BYTES];
    uint8_t *data;
    size_t len;
    uint64_t hole_at, hole_len; /* a hole in front of byte hole_at of the data; len 0: none */
    uint32_t profile;
};

struct wi_items {
    struct wi_item *items;
    size_t count;
    size_t piece;
    const struct wi_items *unchanged_if; /* objects that equal these are sent as unchanged */
    size_t unchanged;
};

/* `count` objects of many sizes, out of `seed`. */
struct wi_items wi_make(size_t count, uint64_t seed);
void wi_free(struct wi_items *items);
/* Its header, with metadata and a token. */
struct orch_object wi_object(const struct wi_item *item);
/* Sends one, in pieces (0: whole). */
void wi_put(struct part_writer *part, const struct wi_item *item, size_t piece);
/* For et_backup(): sends all; ctx is a struct wi_items. */
void wi_feed(struct part_writer *part, void *ctx);
/* What the part gives back is these. */
void wi_compare(struct repo *repo, const struct part *part, const struct wi_items *items);
/* Frees what et_backup() has filled. */
void wi_part_done(struct part *part);

#endif
