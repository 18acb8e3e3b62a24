/*
 * prunereindex.c: makes an index whole that lost a segment; see pruneimpl.h.
 *
 * Each pack tells in its footer what it holds. Packs that no readable segment names are named by
 * new segments, which supersede those that cannot be read. A pack that nobody needs is named for a
 * short while then, and condemned like any other.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/packreader.h"
#include "engine/pruneimpl.h"

/* Chunks in one segment, about. */
#define SEGMENT_CHUNKS ((size_t)500000)

struct reindex {
    struct prune *prune;
    struct prune_files named; /* packs that readable segments name */
    struct pack_table *tables;
    size_t count, capacity, chunks;
    uint8_t (*damaged)[SEGMENT_ID_BYTES];
    size_t damaged_count;
    size_t unreadable;
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory to make the index whole");
}

static int32_t note_packs(void *ctx, struct prune_segment *segment, const struct segment *content,
                          struct orch_error *err)
{
    struct reindex *reindex = ctx;
    int32_t rc = ORCH_OK;
    (void)segment;
    for (size_t i = 0; rc == ORCH_OK && i < content->count; i++) {
        rc = prunefiles_add(&reindex->named, content->tables[i].id, 0, false, err);
    }
    return rc;
}

static int32_t store(struct reindex *reindex, struct orch_error *err)
{
    if (reindex->count == 0 && reindex->damaged_count == 0) {
        return ORCH_OK;
    }
    int32_t rc = segment_store(reindex->prune->repo, reindex->tables, reindex->count,
                               (const uint8_t(*)[SEGMENT_ID_BYTES])reindex->damaged,
                               reindex->damaged_count, NULL, err);
    for (size_t i = 0; i < reindex->count; i++) {
        pack_table_clear(&reindex->tables[i]);
    }
    reindex->count = reindex->chunks = 0;
    reindex->damaged_count = 0; /* once is enough */
    reindex->prune->result->segments_written += rc == ORCH_OK;
    return rc;
}

static int32_t take_pack(struct reindex *reindex, struct packreader *reader,
                         const struct prune_file *pack, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    if (reindex->count == reindex->capacity) {
        size_t capacity = reindex->capacity * 2 + 16;
        struct pack_table *tables = reallocarray(reindex->tables, capacity, sizeof(*tables));
        if (tables == NULL) {
            return no_memory(err);
        }
        reindex->tables = tables;
        reindex->capacity = capacity;
    }
    struct pack_table *table = &reindex->tables[reindex->count];
    int32_t rc = packreader_table(reader, pack->id, pack->size_bytes, table, &why);
    if (rc != ORCH_OK) {
        pack_table_clear(table);
        if (rc == ORCH_E_NOT_FOUND) { /* gone since it was listed */
            return ORCH_OK;
        }
        prune_warn(reindex->prune, "a pack that no index segment names cannot be read: %s",
                   why.message);
        reindex->unreadable++;
        return rc == ORCH_E_NOMEM ? no_memory(err) : ORCH_OK;
    }
    reindex->count++;
    reindex->chunks += table->chunk_count;
    return ORCH_OK;
}

static int32_t name_packs(struct reindex *reindex, struct orch_error *err)
{
    const struct prune_files *packs = &reindex->prune->packs;
    struct packreader *reader = NULL;
    int32_t rc = packreader_new(reindex->prune->repo, &reader, err);
    for (size_t i = 0; rc == ORCH_OK && i < packs->count; i++) {
        const struct prune_file *pack = &packs->list[i];
        if (prunefiles_find(&reindex->named, pack->id) != NULL) {
            continue;
        }
        rc = take_pack(reindex, reader, pack, err);
        /* What supersedes the damaged ones comes last, when all the others are there. */
        size_t damaged = reindex->damaged_count;
        reindex->damaged_count = 0;
        if (rc == ORCH_OK && reindex->chunks >= SEGMENT_CHUNKS) {
            rc = store(reindex, err);
        }
        reindex->damaged_count = damaged;
    }
    packreader_free(reader);
    if (reindex->unreadable > 0) {
        reindex->damaged_count = 0; /* they may come back from a copy, and tell what is in there */
    }
    return rc == ORCH_OK ? store(reindex, err) : rc;
}

static int32_t note_damaged(struct reindex *reindex, const struct prune_segments *segments,
                            struct orch_error *err)
{
    reindex->damaged = calloc(segments->count + 1, SEGMENT_ID_BYTES);
    if (reindex->damaged == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < segments->count; i++) {
        if (segments->list[i].damaged) {
            memcpy(reindex->damaged[reindex->damaged_count++], segments->list[i].id,
                   SEGMENT_ID_BYTES);
        }
    }
    return ORCH_OK;
}

int32_t prunereindex_run(struct prune *prune, struct orch_error *err)
{
    struct reindex reindex = {.prune = prune};
    struct prune_segments segments = {NULL, 0, 0};
    prune->reindexed = true;
    prune_warn(prune, "the index has lost a segment: it is made whole from what the packs tell");
    int32_t rc = prunesegments_list(prune, &segments, err);
    if (rc == ORCH_OK) {
        rc = prunesegments_each(prune, &segments, note_packs, &reindex, err);
    }
    prunefiles_sort(&reindex.named);
    if (rc == ORCH_OK) {
        rc = note_damaged(&reindex, &segments, err);
    }
    if (rc == ORCH_OK) {
        rc = name_packs(&reindex, err);
    }
    prunesegments_clear(&segments);
    prunefiles_clear(&reindex.named);
    for (size_t i = 0; i < reindex.count; i++) {
        pack_table_clear(&reindex.tables[i]);
    }
    free(reindex.tables);
    free(reindex.damaged);
    prune->damaged_segments = reindex.unreadable;
    if (rc == ORCH_OK) {
        rc = index_refresh(prune->index, err);
    }
    return rc == ORCH_OK ? prunepacks_know(prune, err) : rc;
}
