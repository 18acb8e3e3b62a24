/*
 * indexview.h: the packs that an index shows, by number and by id; about 80 bytes a pack. Numbers
 * are those of the cache; one that is not shown is a hole. Not thread-safe.
 */
#ifndef CORE_ENGINE_INDEXVIEW_H
#define CORE_ENGINE_INDEXVIEW_H

#include "engine/indexcache.h"

#define VIEW_VISIBLE 1u
#define VIEW_SHUNNED 2u
#define VIEW_LOST 4u /* it is missing in the store, or has another length */
#define VIEW_OWN 16u /* in the cache for this index alone: no segment names it */
#define VIEW_SEEN 8u /* for whoever compares */

struct view_pack {
    struct cache_pack pack;
    struct cache_frame *frames; /* of a pack that is not in the cache; owned. Else NULL */
    uint32_t flags;             /* VIEW_*; 0: a hole */
};

struct indexview {
    struct view_pack *packs;
    size_t count, capacity;
    uint32_t *slots; /* by id */
    size_t slot_count, slots_used;
    uint64_t places; /* all numbers of places are below */
    uint64_t chunks; /* of the packs that are shown */
};

void indexview_clear(struct indexview *view);
/* Shows a pack. Takes over `frames` when it succeeds. */
int32_t indexview_add(struct indexview *view, uint32_t number, const struct cache_pack *pack,
                      struct cache_frame *frames, struct orch_error *err) ORCH_CHECKED;
/* It becomes a hole. */
void indexview_hide(struct indexview *view, uint32_t number);
/* NULL for a hole. */
struct view_pack *indexview_at(const struct indexview *view, size_t number);
/* SIZE_MAX when none is shown. */
size_t indexview_find(const struct indexview *view, const uint8_t id[PACK_ID_BYTES]);

#endif
