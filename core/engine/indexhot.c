/* indexhot.c: see indexhot.h. */
#include "engine/indexhot.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "engine/indexoverlay.h"

struct hot_pack {
    struct cache_frame *frames;
    size_t count;
};

struct indexhot {
    struct indexcache *cache;     /* borrowed */
    const struct indexview *view; /* while it is filled */
    struct indexoverlay *chunks;
    struct hot_pack *packs; /* by number */
    size_t pack_count;
    struct cache_epoch epoch;
    atomic_bool stale;
};

static int32_t take(void *ctx, const uint8_t id[CHUNK_ID_BYTES], const struct cache_place *place,
                    struct orch_error *err)
{
    struct indexhot *hot = ctx;
    const struct view_pack *pack = indexview_at(hot->view, place->pack);
    if (pack == NULL || (pack->flags & (VIEW_SHUNNED | VIEW_LOST)) != 0 ||
        indexoverlay_find(hot->chunks, id) != NULL) {
        return ORCH_OK;
    }
    struct hot_pack *its = &hot->packs[place->pack];
    if (its->frames == NULL) {
        its->frames = indexcache_frames(hot->cache, place->pack, &its->count);
    }
    if (its->frames == NULL || place->frame >= its->count) {
        return ORCH_OK; /* the lookup in the cache tells what is wrong */
    }
    return indexoverlay_add(hot->chunks, id,
                            &(struct overlay_place){.pack = place->pack,
                                                    .frame = place->frame,
                                                    .offset = place->offset,
                                                    .len = place->len,
                                                    .number = place->number},
                            err);
}

int32_t indexhot_new(struct indexcache *cache, const struct indexview *view, struct indexhot **out,
                     struct orch_error *err)
{
    struct indexhot *hot = calloc(1, sizeof(*hot));
    if (hot == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
    }
    hot->cache = cache;
    hot->view = view;
    hot->pack_count = view->count;
    hot->packs = calloc(view->count + 1, sizeof(*hot->packs));
    int32_t rc = hot->packs == NULL
                     ? orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks")
                     : indexoverlay_new(&hot->chunks, err);
    if (rc == ORCH_OK) {
        rc = indexoverlay_reserve(hot->chunks, (size_t)view->chunks, err);
    }
    /* Before the rows: what is dropped while they are read is noticed. */
    if (rc == ORCH_OK) {
        rc = indexcache_epoch(cache, &hot->epoch, err);
    }
    if (rc == ORCH_OK) {
        rc = indexcache_each_row(cache, take, hot, err);
    }
    hot->view = NULL;
    if (rc != ORCH_OK) {
        indexhot_free(hot);
        return rc;
    }
    *out = hot;
    return ORCH_OK;
}

void indexhot_free(struct indexhot *hot)
{
    if (hot != NULL) {
        for (size_t i = 0; hot->packs != NULL && i < hot->pack_count; i++) {
            free(hot->packs[i].frames);
        }
        free(hot->packs);
        indexoverlay_free(hot->chunks);
        free(hot);
    }
}

bool indexhot_find(struct indexhot *hot, const uint8_t id[CHUNK_ID_BYTES],
                   struct cache_place *place, struct cache_frame *frame)
{
    if (atomic_load(&hot->stale)) {
        return false;
    }
    if (indexcache_dropped_since(hot->cache, &hot->epoch)) {
        atomic_store(&hot->stale, true);
        return false;
    }
    const struct overlay_place *own = indexoverlay_find(hot->chunks, id);
    if (own != NULL) {
        *place = (struct cache_place){.pack = own->pack,
                                      .number = own->number,
                                      .frame = own->frame,
                                      .offset = own->offset,
                                      .len = own->len};
        *frame = hot->packs[own->pack].frames[own->frame];
    }
    return own != NULL;
}
