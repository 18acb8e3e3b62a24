/* indexlookup.c: lookups and claims; packs by number; see indeximpl.h. */
#include <string.h>

#include "engine/indeximpl.h"

/* Who has looked up so many chunks of a small cache will look up more. */
#define HOT_AFTER 4000u

/* ---- lookups ------------------------------------------------------------------------------- */

static enum cache_verdict judge(const void *ctx, uint32_t number)
{
    return index_judge_pack(indexview_at(ctx, number));
}

/* `frame` is that of pack `pack`, number `number`. */
static void fill_frame(const struct view_pack *pack, size_t pack_number, uint32_t number,
                       const struct cache_frame *frame, struct chunk_location *out)
{
    memcpy(out->pack, pack->pack.id, PACK_ID_BYTES);
    out->frame_offset = frame->offset;
    out->frame_len = frame->sealed_len;
    out->plain_len = frame->plain_len;
    out->frame_number = number;
    out->codec = frame->codec;
    out->offset = 0;
    out->len = frame->plain_len;
    out->number = pack->pack.first_place;
    out->pack_number = pack_number;
}

/* A frame of the pack, as its length goes. */
static bool frame_fits(const struct view_pack *pack, const struct cache_frame *frame)
{
    return frame->sealed_len <= pack->pack.size_bytes &&
           frame->offset <= pack->pack.size_bytes - frame->sealed_len;
}

/* What the cache says of a chunk must be able to be; else it is damaged, and says nothing. */
static bool place_fits(struct index *index, const struct cache_place *place,
                       const struct cache_frame *frame)
{
    const struct view_pack *pack = indexview_at(&index->view, place->pack);
    if (place->number < pack->pack.chunk_count && place->offset <= frame->plain_len &&
        place->len <= frame->plain_len - place->offset && frame_fits(pack, frame)) {
        return true;
    }
    indexcache_damaged(index->cache);
    return false;
}

/* Finds the chunk in a good pack by what is in memory of the cache. */
static bool find_hot(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                     struct cache_place *place, struct cache_frame *frame)
{
    return index->hot != NULL && indexhot_find(index->hot, id, place, frame) &&
           judge(&index->view, place->pack) == CACHE_GOOD && place_fits(index, place, frame);
}

/* Finds the chunk in the cache. */
static bool find_cached(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                        struct cache_place *place, struct cache_frame *frame, bool *good)
{
    *good = false;
    if (index->cache == NULL ||
        indexcache_find(index->cache, id, judge, &index->view, place, frame, good) != ORCH_OK) {
        return false;
    }
    (void)atomic_fetch_add_explicit(&index->cached, 1, memory_order_relaxed);
    if (place_fits(index, place, frame)) {
        return true;
    }
    *good = false;
    return false;
}

/* Takes a small cache into memory once it is worth it. */
static void warm(struct index *index)
{
    struct indexhot *hot = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    if (atomic_load_explicit(&index->cached, memory_order_relaxed) < HOT_AFTER ||
        atomic_load_explicit(&index->warmed, memory_order_relaxed) ||
        atomic_exchange(&index->warmed, true)) {
        return;
    }
    (void)pthread_rwlock_rdlock(&index->lock);
    uint64_t moves = index->moves;
    bool possible = index->cache != NULL && index->view.chunks <= INDEXHOT_CHUNKS_MAX;
    int32_t rc = possible ? indexhot_new(index->cache, &index->view, &hot, &why) : ORCH_OK;
    (void)pthread_rwlock_unlock(&index->lock);
    if (rc != ORCH_OK || hot == NULL) {
        return; /* lookups go to the cache */
    }
    (void)pthread_rwlock_wrlock(&index->lock);
    if (index->hot == NULL && index->moves == moves) {
        index->hot = hot;
        hot = NULL;
    }
    (void)pthread_rwlock_unlock(&index->lock);
    indexhot_free(hot);
}

static void *warm_main(void *arg)
{
    warm(arg);
    return NULL;
}

void index_expect(struct index *index, uint64_t lookups)
{
    unsigned worth = lookups < HOT_AFTER ? (unsigned)lookups : HOT_AFTER;
    unsigned before = atomic_fetch_add_explicit(&index->cached, worth, memory_order_relaxed);
    /* Beside what comes meanwhile. Where there is no thread, one of the lookups does it. */
    if (before + worth >= HOT_AFTER && !index->has_warmer) {
        index->has_warmer = pthread_create(&index->warmer, NULL, warm_main, index) == 0;
    }
}

/* The best place; the caller holds `lock`. */
static enum cache_verdict find(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                               struct chunk_location *out)
{
    struct cache_place place;
    struct cache_frame frame;
    bool good = find_hot(index, id, &place, &frame);
    bool found = good || find_cached(index, id, &place, &frame, &good);
    if (!good) {
        const struct overlay_place *own = indexoverlay_find(index->overlay, id);
        const struct view_pack *pack = own == NULL || own->pack == OVERLAY_CLAIMED
                                           ? NULL
                                           : indexview_at(&index->view, own->pack);
        if (pack != NULL && pack->frames != NULL &&
            (!found || index_judge_pack(pack) == CACHE_GOOD)) {
            place = (struct cache_place){own->pack, own->number, own->frame, own->offset, own->len};
            frame = pack->frames[own->frame];
            found = true;
            good = index_judge_pack(pack) == CACHE_GOOD;
        }
    }
    if (found && out != NULL) {
        fill_frame(indexview_at(&index->view, place.pack), place.pack, place.frame, &frame, out);
        out->offset = place.offset;
        out->len = place.len;
        out->number += place.number;
    }
    return good ? CACHE_GOOD : found ? CACHE_POOR : CACHE_IGNORE;
}

int32_t index_find(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                   struct chunk_location *out)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    enum cache_verdict verdict = find(index, id, out);
    (void)pthread_rwlock_unlock(&index->lock);
    warm(index);
    return verdict == CACHE_IGNORE ? ORCH_E_NOT_FOUND : ORCH_OK;
}

static bool is_claimed(const struct index *index, const uint8_t id[CHUNK_ID_BYTES])
{
    const struct overlay_place *own = indexoverlay_find(index->overlay, id);
    return own != NULL && own->pack == OVERLAY_CLAIMED;
}

bool index_knows(struct index *index, const uint8_t id[CHUNK_ID_BYTES])
{
    (void)pthread_rwlock_rdlock(&index->lock);
    bool known = find(index, id, NULL) == CACHE_GOOD || is_claimed(index, id);
    (void)pthread_rwlock_unlock(&index->lock);
    warm(index);
    return known;
}

uint64_t index_chunks(struct index *index)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    uint64_t chunks = index->view.chunks;
    (void)pthread_rwlock_unlock(&index->lock);
    return chunks;
}

int32_t index_claim(struct index *index, const uint8_t id[CHUNK_ID_BYTES], bool *claimed,
                    struct orch_error *err)
{
    static const struct overlay_place claim = {.pack = OVERLAY_CLAIMED};
    (void)pthread_rwlock_rdlock(&index->lock);
    bool known = find(index, id, NULL) == CACHE_GOOD || is_claimed(index, id);
    uint64_t moves = index->moves;
    (void)pthread_rwlock_unlock(&index->lock);
    *claimed = false;
    warm(index);
    if (known) {
        return ORCH_OK;
    }
    int32_t rc = ORCH_OK;
    (void)pthread_rwlock_wrlock(&index->lock);
    struct overlay_place *own = indexoverlay_find(index->overlay, id);
    if (own != NULL) {
        /* Somebody was faster; or it lies in a shunned pack, and then that place is given up. */
        *claimed = own->pack != OVERLAY_CLAIMED &&
                   index_judge_pack(indexview_at(&index->view, own->pack)) != CACHE_GOOD;
        *own = *claimed ? claim : *own;
    } else if (index->moves == moves || find(index, id, NULL) != CACHE_GOOD) {
        rc = indexoverlay_add(index->overlay, id, &claim, err);
        *claimed = rc == ORCH_OK;
    }
    (void)pthread_rwlock_unlock(&index->lock);
    return rc;
}

void index_release_claims(struct index *index)
{
    (void)pthread_rwlock_wrlock(&index->lock);
    indexoverlay_release(index->overlay);
    (void)pthread_rwlock_unlock(&index->lock);
}

/* ---- packs --------------------------------------------------------------------------------- */

bool index_shunned(struct index *index, size_t pack_number)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    const struct view_pack *pack = indexview_at(&index->view, pack_number);
    bool shunned = pack != NULL && index_judge_pack(pack) == CACHE_POOR;
    (void)pthread_rwlock_unlock(&index->lock);
    return shunned;
}

uint64_t index_places(struct index *index)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    uint64_t places = index->view.places;
    (void)pthread_rwlock_unlock(&index->lock);
    return places;
}

size_t index_pack_count(struct index *index)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    size_t count = index->view.count;
    (void)pthread_rwlock_unlock(&index->lock);
    return count;
}

bool index_pack_at(struct index *index, size_t number, struct index_pack *out)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    bool good = number < index->view.count;
    const struct view_pack *pack = indexview_at(&index->view, number);
    memset(out, 0, sizeof(*out));
    out->gone = pack == NULL;
    out->first_frame = number;
    if (pack != NULL) {
        memcpy(out->id, pack->pack.id, PACK_ID_BYTES);
        out->kind = pack->pack.kind;
        out->size_bytes = pack->pack.size_bytes;
        out->frame_count = pack->pack.frame_count;
        out->first_place = pack->pack.first_place;
        out->chunk_count = pack->pack.chunk_count;
        out->plain_bytes = pack->pack.plain_bytes;
    }
    (void)pthread_rwlock_unlock(&index->lock);
    return good;
}

size_t index_pack_find(struct index *index, const uint8_t id[PACK_ID_BYTES])
{
    (void)pthread_rwlock_rdlock(&index->lock);
    size_t number = indexview_find(&index->view, id);
    (void)pthread_rwlock_unlock(&index->lock);
    return number;
}

bool index_frame_at(struct index *index, const struct index_pack *pack, uint64_t number,
                    struct chunk_location *out)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    struct cache_frame frame;
    const struct view_pack *shown = indexview_at(&index->view, pack->first_frame);
    bool good = !pack->gone && shown != NULL && number < shown->pack.frame_count;
    if (good && shown->frames != NULL) {
        frame = shown->frames[number];
    } else if (good) {
        good = indexcache_frame(index->cache, (uint32_t)pack->first_frame, number, &frame) &&
               frame_fits(shown, &frame);
    }
    if (good) {
        fill_frame(shown, pack->first_frame, (uint32_t)number, &frame, out);
    }
    (void)pthread_rwlock_unlock(&index->lock);
    return good;
}
