/* indexadd.c: what an index gets: packs that this process stores, segments that name them, packs to
 * be shunned; see indeximpl.h. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/indeximpl.h"
#include "engine/segment.h"

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
}

/* From now on what is new stays in memory. */
static void give_up_cache(struct index *index, const struct orch_error *why)
{
    if (!index->full) {
        log_warning("index", "%s; the index of new data stays in memory", why->message);
    }
    index->full = true;
}

/* Numbers for a pack; the caller holds `writing`. */
static int32_t number_pack(struct index *index, const struct pack_table *table, uint32_t *number,
                           uint64_t *first_place, struct orch_error *err)
{
    if (index->cache != NULL && !index->full) {
        struct orch_error why = ORCH_ERROR_INIT;
        int32_t rc = indexfolder_lock(index->folder, &why);
        if (rc == ORCH_OK) {
            rc = indexcache_reserve(index->cache, table, number, first_place, &why);
            indexfolder_unlock(index->folder);
        }
        if (rc == ORCH_OK && indexview_at(&index->view, *number) != NULL) {
            rc = orch_fail(&why, ORCH_E_CORRUPT, "the index cache gives a number twice");
            indexcache_damaged(index->cache);
        }
        if (rc == ORCH_OK) {
            return ORCH_OK;
        }
        if (rc == ORCH_E_NOMEM) {
            *err = why;
            return rc;
        }
        give_up_cache(index, &why);
    }
    *number = (uint32_t)index->view.count;
    *first_place = index->view.places;
    return ORCH_OK;
}

static struct cache_frame *copy_frames(const struct pack_table *table)
{
    struct cache_frame *frames = calloc(table->frame_count + 1, sizeof(*frames));
    for (size_t i = 0; frames != NULL && i < table->frame_count; i++) {
        frames[i] = (struct cache_frame){.offset = table->frames[i].offset,
                                         .sealed_len = table->frames[i].sealed_len,
                                         .plain_len = table->frames[i].plain_len,
                                         .codec = table->frames[i].codec};
    }
    return frames;
}

/* Puts the chunks of a shown pack into memory; the caller holds `lock`. */
static int32_t add_chunks(struct index *index, const struct pack_table *table, uint32_t number,
                          struct orch_error *err)
{
    struct overlay_place place = {.pack = number};
    int32_t rc = ORCH_OK;
    for (size_t i = 0; i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        place.frame = (uint32_t)i;
        place.offset = 0;
        for (uint32_t j = 0; rc == ORCH_OK && j < frame->chunk_count; j++, place.number++) {
            const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + j];
            struct overlay_place *own = indexoverlay_find(index->overlay, chunk->id);
            place.len = chunk->len;
            if (own == NULL) {
                rc = indexoverlay_add(index->overlay, chunk->id, &place, err);
            } else if (own->pack == OVERLAY_CLAIMED ||
                       index_judge_pack(indexview_at(&index->view, own->pack)) != CACHE_GOOD) {
                *own = place;
            }
            place.offset += chunk->len;
        }
    }
    return rc;
}

int32_t index_add_pack(struct index *index, const struct pack_table *table, struct orch_error *err)
{
    struct cache_pack pack = {.kind = table->kind,
                              .frame_count = (uint32_t)table->frame_count,
                              .size_bytes = table->size_bytes,
                              .chunk_count = table->chunk_count};
    memcpy(pack.id, table->id, PACK_ID_BYTES);
    for (size_t i = 0; i < table->frame_count; i++) {
        pack.plain_bytes += table->frames[i].plain_len;
    }
    struct cache_frame *frames = copy_frames(table);
    if (frames == NULL) {
        return no_memory(err);
    }
    (void)pthread_mutex_lock(&index->writing);
    uint32_t number = 0;
    bool shown = index_pack_find(index, table->id) != SIZE_MAX;
    int32_t rc = shown ? ORCH_OK : number_pack(index, table, &number, &pack.first_place, err);
    if (rc == ORCH_OK && !shown) {
        (void)pthread_rwlock_wrlock(&index->lock);
        rc = index_show(index, number, &pack, frames, err);
        if (rc == ORCH_OK) {
            frames = NULL;
            rc = add_chunks(index, table, number, err);
        }
        (void)pthread_rwlock_unlock(&index->lock);
    }
    (void)pthread_mutex_unlock(&index->writing);
    free(frames);
    return rc;
}

/* The cache has this pack: memory can let it go. */
static void move_pack(struct index *index, const struct pack_table *table, uint32_t cached,
                      bool own)
{
    size_t number = indexview_find(&index->view, table->id);
    struct view_pack *pack = number == SIZE_MAX ? NULL : indexview_at(&index->view, number);
    if (pack == NULL || pack->frames == NULL || number != cached) {
        return;
    }
    for (size_t i = 0; i < table->chunk_count; i++) {
        const struct overlay_place *place = indexoverlay_find(index->overlay, table->chunks[i].id);
        if (place != NULL && place->pack == number) {
            indexoverlay_remove(index->overlay, table->chunks[i].id);
        }
    }
    free(pack->frames);
    pack->frames = NULL;
    pack->flags |= own ? VIEW_OWN : 0;
}

static int32_t add_to_cache(struct index *index, const char *name, const struct pack_table *tables,
                            size_t count, uint32_t *numbers, struct orch_error *err)
{
    uint8_t id[SEGMENT_ID_BYTES];
    struct cache_add add = {.tables = tables, .count = count, .numbers = numbers};
    if (name != NULL) {
        if (strlen(name) != 6 + 2 * SEGMENT_ID_BYTES ||
            hex_decode(name + 6, 2 * SEGMENT_ID_BYTES, id, sizeof(id)) != ORCH_OK) {
            return orch_fail(err, ORCH_E_INVALID, "%s is not the name of a segment", name);
        }
        add.segment = id;
    }
    int32_t rc = indexfolder_lock(index->folder, err);
    if (rc == ORCH_OK) {
        rc = indexcache_add(index->cache, &add, err);
        indexfolder_unlock(index->folder);
    }
    return rc;
}

int32_t index_add_segment(struct index *index, const char *name, const struct pack_table *tables,
                          size_t count, struct orch_error *err)
{
    CLEANUP_FREE uint32_t *numbers = calloc(count + 1, sizeof(*numbers));
    struct orch_error why = ORCH_ERROR_INIT;
    if (numbers == NULL) {
        return no_memory(err);
    }
    (void)pthread_mutex_lock(&index->writing);
    bool possible = index->cache != NULL && !index->full;
    int32_t rc = possible ? add_to_cache(index, name, tables, count, numbers, &why) : ORCH_OK;
    if (rc == ORCH_OK && possible) {
        (void)pthread_rwlock_wrlock(&index->lock);
        for (size_t i = 0; i < count; i++) {
            move_pack(index, &tables[i], numbers[i], name == NULL);
        }
        index->moves++;
        (void)pthread_rwlock_unlock(&index->lock);
    }
    if (rc != ORCH_OK && rc != ORCH_E_NOMEM && rc != ORCH_E_INVALID) {
        give_up_cache(index, &why);
        rc = ORCH_OK;
    }
    (void)pthread_mutex_unlock(&index->writing);
    if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

int32_t index_shun(struct index *index, const uint8_t (*packs)[PACK_ID_BYTES], size_t count,
                   struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    (void)pthread_rwlock_wrlock(&index->lock);
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        size_t number = indexview_find(&index->view, packs[i]);
        rc = byteset_add(index->shunned, packs[i], err);
        if (number != SIZE_MAX) {
            index->view.packs[number].flags |= VIEW_SHUNNED;
        }
    }
    (void)pthread_rwlock_unlock(&index->lock);
    return rc;
}
