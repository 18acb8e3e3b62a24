/*
 * sweepsegments.c: the index without the packs that are about to be deleted; see pruneimpl.h.
 *
 * Segments that name such a pack, or one that the store has lost, are replaced by new ones, and
 * many small ones by a few. What is put supersedes what is then removed, so that at every instant
 * the index says the same of all packs that stay.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "engine/pruneimpl.h"

#define GROUP_CHUNKS ((size_t)500000) /* in a new segment, about */
#define SMALL_CHUNKS ((size_t)62500)
#define SMALL_MAX 64u

/* Segments that become one. */
struct group {
    struct prune *prune;
    struct prune_segments *segments;
    struct pack_table *tables;
    size_t count, capacity, chunks;
    struct prune_segment **old; /* those that go */
    size_t old_count;
    uint8_t (*supersedes)[SEGMENT_ID_BYTES];
    size_t supersedes_count, supersedes_capacity;
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for index segments");
}

static int32_t remove_segment(struct prune *prune, const struct prune_segment *segment,
                              struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = storage_remove(repo_storage(prune->repo), segment->name, &why);
    if (rc != ORCH_OK && rc != ORCH_E_NOT_FOUND) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    prune->result->segments_removed += rc == ORCH_OK;
    crash_point(CRASH_PRUNE_SEGMENT_REMOVED);
    return ORCH_OK;
}

/* ---- which are rewritten --------------------------------------------------------------------- */

bool sweep_dooms(const struct prune_file *file)
{
    return file != NULL && file->deletable && !file->pardoned;
}

struct survey {
    struct prune *prune;
    size_t small;
};

static size_t chunks_of(const struct segment *content)
{
    size_t chunks = 0;
    for (size_t i = 0; i < content->count; i++) {
        chunks += content->tables[i].chunk_count;
    }
    return chunks;
}

static int32_t look_at(void *ctx, struct prune_segment *segment, const struct segment *content,
                       struct orch_error *err)
{
    struct survey *survey = ctx;
    (void)err;
    for (size_t i = 0; !segment->rewrite && i < content->count; i++) {
        segment->rewrite =
            sweep_dooms(prunefiles_find(&survey->prune->condemned_packs, content->tables[i].id));
    }
    segment->small = chunks_of(content) < SMALL_CHUNKS;
    survey->small += segment->small;
    return ORCH_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int32_t note_supersedes(struct group *group, const uint8_t id[SEGMENT_ID_BYTES],
                               struct orch_error *err)
{
    if (group->supersedes_count == group->supersedes_capacity) {
        size_t capacity = group->supersedes_capacity * 2 + 64;
        void *grown = reallocarray(group->supersedes, capacity, SEGMENT_ID_BYTES);
        if (grown == NULL) {
            return no_memory(err);
        }
        group->supersedes = grown;
        group->supersedes_capacity = capacity;
    }
    memcpy(group->supersedes[group->supersedes_count++], id, SEGMENT_ID_BYTES);
    return ORCH_OK;
}

static bool in_group(const struct group *group, const uint8_t id[PACK_ID_BYTES])
{
    bool found = false;
    for (size_t i = 0; !found && i < group->count; i++) {
        found = memcmp(group->tables[i].id, id, PACK_ID_BYTES) == 0;
    }
    return found;
}

/* Takes over the tables that stay, and what the old segment superseded. */
static int32_t take_in(struct group *group, struct prune_segment *segment, struct segment *content,
                       struct orch_error *err)
{
    int32_t rc = note_supersedes(group, segment->id, err);
    for (size_t i = 0; rc == ORCH_OK && i < content->supersedes_count; i++) {
        if (prunesegments_find(group->segments, content->supersedes[i]) != NULL) {
            rc = note_supersedes(group, content->supersedes[i], err);
        }
    }
    for (size_t i = 0; rc == ORCH_OK && i < content->count; i++) {
        struct pack_table *table = &content->tables[i];
        if (sweep_dooms(prunefiles_find(&group->prune->condemned_packs, table->id)) ||
            in_group(group, table->id)) {
            continue;
        }
        if (group->count == group->capacity) {
            size_t capacity = group->capacity * 2 + 16;
            struct pack_table *grown = reallocarray(group->tables, capacity, sizeof(*grown));
            if (grown == NULL) {
                return no_memory(err);
            }
            group->tables = grown;
            group->capacity = capacity;
        }
        group->chunks += table->chunk_count;
        group->tables[group->count++] = *table;
        memset(table, 0, sizeof(*table));
    }
    if (rc == ORCH_OK) {
        group->old[group->old_count++] = segment;
    }
    return rc;
}

static void group_clear(struct group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        pack_table_clear(&group->tables[i]);
    }
    group->count = group->chunks = group->old_count = group->supersedes_count = 0;
}

/* The new one, then away with the old ones. */
static int32_t flush(struct group *group, struct orch_error *err)
{
    struct prune *prune = group->prune;
    int32_t rc = lease_check(prune->lease, err);
    if (rc == ORCH_OK && group->count > 0) {
        rc = segment_store(prune->repo, group->tables, group->count,
                           (const uint8_t(*)[SEGMENT_ID_BYTES])group->supersedes,
                           group->supersedes_count, NULL, err);
        prune->result->segments_written += rc == ORCH_OK;
        crash_point(CRASH_PRUNE_SEGMENT_STORED);
    }
    for (size_t i = 0; rc == ORCH_OK && i < group->old_count; i++) {
        rc = remove_segment(prune, group->old[i], err);
    }
    group_clear(group);
    return rc;
}

static int32_t rewrite_all(struct group *group, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < group->segments->count; i++) {
        struct prune_segment *segment = &group->segments->list[i];
        struct segment content;
        if (!segment->rewrite || segment->superseded || segment->damaged) {
            continue;
        }
        rc = prune_stopped(group->prune, err);
        if (rc == ORCH_OK) {
            rc = segment_load(group->prune->repo, segment->name, &content, err);
        }
        if (rc == ORCH_OK && group->count > 0 &&
            group->chunks + chunks_of(&content) > GROUP_CHUNKS) {
            rc = flush(group, err);
        }
        if (rc == ORCH_OK) {
            rc = take_in(group, segment, &content, err);
        }
        segment_clear(&content);
    }
    return rc == ORCH_OK && group->old_count > 0 ? flush(group, err) : rc;
}

/* What a crash has left: segments that others supersede. They go before these do. */
static int32_t remove_superseded(struct prune *prune, struct prune_segments *segments,
                                 struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    bool any = false;
    for (size_t i = 0; rc == ORCH_OK && i < segments->count; i++) {
        if (segments->list[i].superseded) {
            any = true;
            rc = remove_segment(prune, &segments->list[i], err);
        }
    }
    return rc == ORCH_OK && any ? storage_barrier(repo_storage(prune->repo), err) : rc;
}

int32_t sweepsegments_run(struct prune *prune, struct orch_error *err)
{
    struct survey survey = {.prune = prune};
    struct prune_segments segments = {NULL, 0, 0};
    struct group group = {.prune = prune, .segments = &segments};
    int32_t rc = prunesegments_list(prune, &segments, err);
    if (rc == ORCH_OK) {
        rc = prunesegments_each(prune, &segments, look_at, &survey, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < segments.count; i++) {
        struct prune_segment *segment = &segments.list[i];
        segment->rewrite = segment->rewrite || (segment->small && survey.small > SMALL_MAX);
        if (segment->damaged && !segment->superseded) { /* it was not when we began */
            rc = orch_fail(err, ORCH_E_CORRUPT, "%s has become unreadable: prune once more",
                           segment->name);
        }
    }
    if (rc == ORCH_OK) {
        rc = remove_superseded(prune, &segments, err);
    }
    if (rc == ORCH_OK) {
        group.old = calloc(segments.count + 1, sizeof(*group.old));
        rc = group.old == NULL ? no_memory(err) : rewrite_all(&group, err);
    }
    group_clear(&group);
    free(group.tables);
    free((void *)group.old);
    free(group.supersedes);
    prunesegments_clear(&segments);
    return rc;
}
