/* index.c: an index is made, opened, brought in step with the repository, closed; see indeximpl.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/indeximpl.h"
#include "engine/indexsync.h"

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
    if (index->has_warmer) {
        (void)pthread_join(index->warmer, NULL);
    }
    indexhot_free(index->hot);
    indexcache_close(index->cache);
    indexfolder_close(index->folder);
    indexview_clear(&index->view);
    indexoverlay_free(index->overlay);
    byteset_free(index->shunned);
    (void)pthread_mutex_destroy(&index->writing);
    (void)pthread_rwlock_destroy(&index->lock);
    free(index);
}

int32_t index_show(struct index *index, uint32_t number, const struct cache_pack *pack,
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
            rc = index_show(copy, (uint32_t)i, &pack->pack, NULL, err);
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
        int32_t rc = index_show(index, number, pack, NULL, err);
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
    indexhot_free(index->hot); /* a better place may be there now */
    index->hot = NULL;
    atomic_store(&index->cached, 0);
    atomic_store(&index->warmed, false);
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
