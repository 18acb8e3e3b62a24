/*
 * index.c: see index.h. An index shows the packs of a view; chunks lie in the cache, and in memory
 * while no segment that the cache has names their pack.
 *
 *   index.c          lookups, claims, additions
 *   indexview.c      the packs that are shown
 *   indexoverlay.c   chunks in memory
 *   indexcache.c …   chunks in LMDB
 *   indexsync.c      the cache in step with the repository; indexbuild.c: a whole new one
 *   indexfolder.c    where caches lie
 *
 * A lookup holds `lock` for reading over cache and memory, and a chunk is taken out of memory, with
 * `lock` for writing, after the cache has it: so it is always in one of them.
 */
#include "engine/index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/byteset.h"
#include "engine/indexfolder.h"
#include "engine/indexoverlay.h"
#include "engine/indexsync.h"
#include "engine/indexview.h"
#include "engine/segment.h"

struct index {
    pthread_rwlock_t lock; /* over view, overlay, shunned, moves */
    struct indexview view;
    struct indexoverlay *overlay;
    struct byteset *shunned; /* pack ids */
    uint64_t moves;          /* how often chunks went from memory to the cache */

    pthread_mutex_t writing; /* over what follows, and all that changes the cache */
    struct repo *repo;
    struct index_options options;
    struct indexfolder *folder; /* NULL: everything is in memory */
    struct indexcache *cache;
    bool full; /* the cache could not be written: what is new stays in memory */
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
}

/* ---- making and closing -------------------------------------------------------------------- */

int32_t index_new(struct index **out, struct orch_error *err)
{
    struct index *index = calloc(1, sizeof(*index));
    pthread_rwlockattr_t attributes;
    if (index == NULL) {
        return no_memory(err);
    }
    (void)pthread_rwlockattr_init(&attributes);
    /* Else lookups, of which there is always one, keep additions out for good. */
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&index->lock, &attributes);
    (void)pthread_rwlockattr_destroy(&attributes);
    (void)pthread_mutex_init(&index->writing, NULL);
    int32_t rc = indexoverlay_new(&index->overlay, err);
    if (rc == ORCH_OK) {
        rc = byteset_new(PACK_ID_BYTES, &index->shunned, err);
    }
    if (rc != ORCH_OK) {
        index_close(index);
        return rc;
    }
    *out = index;
    return ORCH_OK;
}

void index_close(struct index *index)
{
    if (index == NULL) {
        return;
    }
    indexcache_close(index->cache);
    indexfolder_close(index->folder);
    indexview_clear(&index->view);
    indexoverlay_free(index->overlay);
    byteset_free(index->shunned);
    (void)pthread_mutex_destroy(&index->writing);
    (void)pthread_rwlock_destroy(&index->lock);
    free(index);
}

static int32_t show(struct index *index, uint32_t number, const struct cache_pack *pack,
                    struct cache_frame *frames, struct orch_error *err)
{
    int32_t rc = indexview_add(&index->view, number, pack, frames, err);
    if (rc == ORCH_OK && byteset_has(index->shunned, pack->id)) {
        index->view.packs[number].flags |= VIEW_SHUNNED;
    }
    return rc;
}

int32_t index_copy(struct index *index, struct index **out, struct orch_error *err)
{
    struct index *copy = NULL;
    int32_t rc = index_new(&copy, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)pthread_mutex_lock(&index->writing);
    copy->repo = index->repo;
    copy->options = index->options;
    copy->cache = indexcache_share(index->cache);
    if (index->folder != NULL) {
        copy->folder = indexfolder_copy(index->folder, err);
        rc = copy->folder == NULL ? err->code : ORCH_OK;
    }
    (void)pthread_rwlock_rdlock(&index->lock);
    for (size_t i = 0; rc == ORCH_OK && i < index->view.count; i++) {
        const struct view_pack *pack = indexview_at(&index->view, i);
        if (pack != NULL && pack->frames == NULL) {
            rc = show(copy, (uint32_t)i, &pack->pack, NULL, err);
        }
        if (pack != NULL && pack->frames == NULL && rc == ORCH_OK) {
            copy->view.packs[i].flags = pack->flags;
        }
    }
    (void)pthread_rwlock_unlock(&index->lock);
    (void)pthread_mutex_unlock(&index->writing);
    if (rc != ORCH_OK) {
        index_close(copy);
        return rc;
    }
    *out = copy;
    return ORCH_OK;
}

/* ---- in step with the repository ----------------------------------------------------------- */

static int32_t each_pack(void *ctx, uint32_t number, const struct cache_pack *pack,
                         struct orch_error *err)
{
    struct index *index = ctx;
    struct view_pack *shown = indexview_at(&index->view, number);
    if (shown == NULL) {
        int32_t rc = show(index, number, pack, NULL, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        shown = &index->view.packs[number];
    }
    shown->flags |= VIEW_SEEN;
    return ORCH_OK;
}

/* Shows what the cache has now, and no more what it has lost. */
static int32_t update_view(struct index *index, struct orch_error *err)
{
    struct indexview *view = &index->view;
    for (size_t i = 0; i < view->count; i++) {
        view->packs[i].flags &= ~VIEW_SEEN;
    }
    int32_t rc = indexcache_each_pack(index->cache, each_pack, index, err);
    for (size_t i = 0; rc == ORCH_OK && i < view->count; i++) {
        struct view_pack *pack = indexview_at(view, i);
        if (pack != NULL && pack->frames == NULL && (pack->flags & (VIEW_SEEN | VIEW_OWN)) == 0) {
            indexview_hide(view, (uint32_t)i);
        }
    }
    return rc;
}

static int32_t each_stored(void *ctx, const char *name, const struct storage_stat *stat,
                           struct orch_error *err)
{
    struct index *index = ctx;
    uint8_t id[PACK_ID_BYTES];
    (void)err;
    if (pack_name_id(name, id) == ORCH_OK) {
        size_t number = indexview_find(&index->view, id);
        if (number != SIZE_MAX && index->view.packs[number].pack.size_bytes == stat->size_bytes) {
            index->view.packs[number].flags |= VIEW_SEEN;
        }
    }
    return ORCH_OK;
}

/* What is missing in the store, or has another length there, is lost. */
static int32_t compare_packs(struct index *index, struct orch_error *err)
{
    struct indexview *view = &index->view;
    for (size_t i = 0; i < view->count; i++) {
        view->packs[i].flags &= ~(VIEW_SEEN | VIEW_LOST);
    }
    int32_t rc = storage_list(repo_storage(index->repo), "packs", each_stored, index, err);
    for (size_t i = 0; rc == ORCH_OK && i < view->count; i++) {
        struct view_pack *pack = indexview_at(view, i);
        if (pack != NULL && pack->frames == NULL && (pack->flags & VIEW_SEEN) == 0) {
            pack->flags |= VIEW_LOST;
        }
    }
    return rc;
}

/* The caller holds `writing`. *trouble: another cache might do. */
static int32_t try_in_step(struct index *index, bool keep, bool *trouble, struct orch_error *err)
{
    struct indexsync sync = {.repo = index->repo,
                             .options = &index->options,
                             .folder = index->folder,
                             .cache = index->cache,
                             .keep = keep};
    int32_t rc = indexfolder_lock(index->folder, err);
    *trouble = rc != ORCH_OK;
    if (rc == ORCH_OK && sync.cache == NULL) {
        rc = indexfolder_newest(index->folder, &sync.cache, err);
        *trouble = rc != ORCH_OK && rc != ORCH_E_NOMEM;
    }
    if (rc == ORCH_OK) {
        rc = indexsync_run(&sync, err);
        *trouble = sync.cache_trouble;
    }
    indexfolder_unlock(index->folder);
    if (index->cache != sync.cache) { /* while it is opened: lookups read this without `writing` */
        index->cache = sync.cache;
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)pthread_rwlock_wrlock(&index->lock);
    rc = update_view(index, err);
    *trouble = rc != ORCH_OK && rc != ORCH_E_NOMEM;
    if (rc == ORCH_OK && index->options.check_packs) {
        rc = compare_packs(index, err);
    }
    (void)pthread_rwlock_unlock(&index->lock);
    return rc;
}

/* The same; a cache that was found to be damaged is not used again. */
static int32_t bring_in_step(struct index *index, bool keep, bool *trouble, struct orch_error *err)
{
    int32_t rc = try_in_step(index, keep, trouble, err);
    if (rc == ORCH_E_CORRUPT && *trouble && index->cache != NULL) {
        indexcache_damaged(index->cache);
    }
    return rc;
}

int32_t index_refresh(struct index *index, struct orch_error *err)
{
    bool trouble = false;
    if (index->cache == NULL) {
        return ORCH_OK; /* an index of nothing */
    }
    (void)pthread_mutex_lock(&index->writing);
    int32_t rc =
        index->full ? orch_fail(err, ORCH_E_NO_SPACE, "the index cache could not be written before")
                    : bring_in_step(index, true, &trouble, err);
    (void)pthread_mutex_unlock(&index->writing);
    return rc;
}

/* With the cache in `cache_dir`; *trouble: another place might do. */
static int32_t open_in(struct index *index, const char *cache_dir, bool *trouble,
                       struct orch_error *err)
{
    const char *id = repo_id(index->repo);
    int32_t rc = cache_dir == NULL ? indexfolder_open_private(id, &index->folder, err)
                                   : indexfolder_open(cache_dir, id, &index->folder, err);
    *trouble = rc != ORCH_OK && rc != ORCH_E_NOMEM;
    return rc == ORCH_OK ? bring_in_step(index, false, trouble, err) : rc;
}

static void leave_cache(struct index *index)
{
    indexcache_close(index->cache);
    indexfolder_close(index->folder);
    indexview_clear(&index->view);
    index->cache = NULL;
    index->folder = NULL;
}

int32_t index_open(struct repo *repo, const struct index_options *options, struct index **out,
                   struct orch_error *err)
{
    struct orch_error own = ORCH_ERROR_INIT;
    struct index *index = NULL;
    bool trouble = false;
    err = err == NULL ? &own : err;
    int32_t rc = index_new(&index, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    index->repo = repo;
    index->options = options == NULL ? (struct index_options){0} : *options;
    const char *cache_dir = index->options.cache_dir;
    index->options.cache_dir = NULL; /* the caller's; not needed later */
    rc = open_in(index, cache_dir, &trouble, err);
    if (rc == ORCH_E_CORRUPT && trouble) { /* it was the cache: another one is made in its place */
        leave_cache(index);
        rc = open_in(index, cache_dir, &trouble, err);
    }
    if (rc != ORCH_OK && trouble && cache_dir != NULL) {
        log_warning("index", "%s; a temporary index cache is used, which takes longer",
                    err->message);
        leave_cache(index);
        rc = open_in(index, NULL, &trouble, err);
    }
    if (rc != ORCH_OK) {
        index_close(index);
        return rc;
    }
    *out = index;
    return ORCH_OK;
}

/* ---- lookups ------------------------------------------------------------------------------- */

static enum cache_verdict judge_pack(const struct view_pack *pack)
{
    return pack == NULL                                      ? CACHE_IGNORE
           : (pack->flags & (VIEW_SHUNNED | VIEW_LOST)) != 0 ? CACHE_POOR
                                                             : CACHE_GOOD;
}

static enum cache_verdict judge(const void *ctx, uint32_t number)
{
    return judge_pack(indexview_at(ctx, number));
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

/* Finds the chunk in the cache. What cannot be is damage, and counts as absent. */
static bool find_cached(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                        struct cache_place *place, struct cache_frame *frame, bool *good)
{
    *good = false;
    if (index->cache == NULL ||
        indexcache_find(index->cache, id, judge, &index->view, place, frame, good) != ORCH_OK) {
        return false;
    }
    const struct view_pack *pack = indexview_at(&index->view, place->pack);
    if (place->number < pack->pack.chunk_count && place->offset <= frame->plain_len &&
        place->len <= frame->plain_len - place->offset && frame_fits(pack, frame)) {
        return true;
    }
    indexcache_damaged(index->cache);
    *good = false;
    return false;
}

/* The best place; the caller holds `lock`. */
static enum cache_verdict find(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                               struct chunk_location *out)
{
    struct cache_place place;
    struct cache_frame frame;
    bool good = false;
    bool found = find_cached(index, id, &place, &frame, &good);
    if (!good) {
        const struct overlay_place *own = indexoverlay_find(index->overlay, id);
        const struct view_pack *pack = own == NULL || own->pack == OVERLAY_CLAIMED
                                           ? NULL
                                           : indexview_at(&index->view, own->pack);
        if (pack != NULL && pack->frames != NULL && (!found || judge_pack(pack) == CACHE_GOOD)) {
            place = (struct cache_place){own->pack, own->number, own->frame, own->offset, own->len};
            frame = pack->frames[own->frame];
            found = true;
            good = judge_pack(pack) == CACHE_GOOD;
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
    if (known) {
        return ORCH_OK;
    }
    int32_t rc = ORCH_OK;
    (void)pthread_rwlock_wrlock(&index->lock);
    struct overlay_place *own = indexoverlay_find(index->overlay, id);
    if (own != NULL) {
        /* Somebody was faster; or it lies in a shunned pack, and then that place is given up. */
        *claimed = own->pack != OVERLAY_CLAIMED &&
                   judge_pack(indexview_at(&index->view, own->pack)) != CACHE_GOOD;
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

/* ---- additions ----------------------------------------------------------------------------- */

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
                       judge_pack(indexview_at(&index->view, own->pack)) != CACHE_GOOD) {
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
        rc = show(index, number, &pack, frames, err);
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

/* ---- packs --------------------------------------------------------------------------------- */

bool index_shunned(struct index *index, size_t pack_number)
{
    (void)pthread_rwlock_rdlock(&index->lock);
    const struct view_pack *pack = indexview_at(&index->view, pack_number);
    bool shunned = pack != NULL && judge_pack(pack) == CACHE_POOR;
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
