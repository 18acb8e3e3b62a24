/* links.c: see links.h. A table with open addressing, at most half full. */
#include "links.h"

#include <stdlib.h>

static size_t slot_for(const struct links_slot *slots, size_t capacity, const void *root,
                       uint64_t dev, uint64_t ino)
{
    uint64_t hash = (ino ^ (dev << 32) ^ (uint64_t)(uintptr_t)root) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 20) & (capacity - 1);
    while (slots[at].root != NULL &&
           (slots[at].root != root || slots[at].dev != dev || slots[at].ino != ino)) {
        at = (at + 1) & (capacity - 1);
    }
    return at;
}

const uint8_t *links_find(const struct links *links, const void *root, const struct stat *st,
                          size_t *name_len)
{
    if (links->capacity == 0) {
        return NULL;
    }
    const struct links_slot *slot = &links->slots[slot_for(
        links->slots, links->capacity, root, (uint64_t)st->st_dev, (uint64_t)st->st_ino)];
    if (slot->root == NULL) {
        return NULL;
    }
    *name_len = slot->name_len;
    return links->names.data + slot->name_at;
}

static int grow(struct links *links)
{
    size_t capacity = links->capacity == 0 ? 256 : links->capacity * 2;
    struct links_slot *slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return -1;
    }
    for (size_t i = 0; i < links->capacity; i++) {
        const struct links_slot *old = &links->slots[i];
        if (old->root != NULL) {
            slots[slot_for(slots, capacity, old->root, old->dev, old->ino)] = *old;
        }
    }
    free(links->slots);
    links->slots = slots;
    links->capacity = capacity;
    return 0;
}

int links_add(struct links *links, const void *root, const struct stat *st, const uint8_t *name,
              size_t name_len)
{
    if (links->count * 2 >= links->capacity && grow(links) != 0) {
        return -1;
    }
    size_t at = links->names.len;
    if (bytes_add(&links->names, name, name_len) != 0) {
        return -1;
    }
    struct links_slot *slot = &links->slots[slot_for(links->slots, links->capacity, root,
                                                     (uint64_t)st->st_dev, (uint64_t)st->st_ino)];
    if (slot->root == NULL) {
        links->count++;
    }
    *slot = (struct links_slot){.dev = (uint64_t)st->st_dev,
                                .ino = (uint64_t)st->st_ino,
                                .root = root,
                                .name_at = at,
                                .name_len = name_len};
    return 0;
}

void links_free(struct links *links)
{
    free(links->slots);
    bytes_free(&links->names);
    *links = (struct links){0};
}
