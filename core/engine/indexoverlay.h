/*
 * indexoverlay.h: the chunks that are not in the cache of an index yet: those of packs that this
 * process has stored and no segment names, and those that it is about to store (claims). A table in
 * memory, about 52 bytes a chunk. Not thread-safe.
 */
#ifndef CORE_ENGINE_INDEXOVERLAY_H
#define CORE_ENGINE_INDEXOVERLAY_H

#include <stdbool.h>

#include "engine/part.h"

struct indexoverlay;

/* Where a chunk lies, or OVERLAY_CLAIMED as the pack. */
struct overlay_place {
    uint32_t pack; /* number in the index */
    uint32_t frame;
    uint32_t offset;
    uint32_t len;
    uint32_t number; /* of the chunk in the pack */
};
#define OVERLAY_CLAIMED UINT32_MAX

int32_t indexoverlay_new(struct indexoverlay **out, struct orch_error *err) ORCH_CHECKED;
/* Room for so many chunks at once. */
int32_t indexoverlay_reserve(struct indexoverlay *overlay, size_t count,
                             struct orch_error *err) ORCH_CHECKED;
void indexoverlay_free(struct indexoverlay *overlay); /* NULL is fine */

/* NULL when the chunk is not there. Valid until the next change. */
struct overlay_place *indexoverlay_find(const struct indexoverlay *overlay,
                                        const uint8_t id[CHUNK_ID_BYTES]);
/* The chunk must not be there. */
int32_t indexoverlay_add(struct indexoverlay *overlay, const uint8_t id[CHUNK_ID_BYTES],
                         const struct overlay_place *place, struct orch_error *err) ORCH_CHECKED;
/* One that is not there is fine. */
void indexoverlay_remove(struct indexoverlay *overlay, const uint8_t id[CHUNK_ID_BYTES]);
/* Removes all claims. */
void indexoverlay_release(struct indexoverlay *overlay);
uint64_t indexoverlay_count(const struct indexoverlay *overlay);

#endif
