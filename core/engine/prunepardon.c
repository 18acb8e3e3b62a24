/*
 * prunepardon.c: what is needed after all, of what a prune has condemned; see pruneimpl.h.
 *
 * Every condemned pack that holds a needed chunk which lies in no other pack is pardoned, not only
 * one of them: another prune, asleep or to come, might choose another one.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/packreader.h"
#include "engine/pruneimpl.h"

struct poor {
    uint8_t (*ids)[CHUNK_ID_BYTES]; /* sorted */
    size_t count;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, CHUNK_ID_BYTES);
}

/* The needed chunks that lie in condemned packs only, as the index is now. */
static int32_t find_poor(const struct prune *prune, struct poor *out, struct orch_error *err)
{
    size_t count = 0;
    const uint8_t(*ids)[CHUNK_ID_BYTES] = usage_poor(prune->usage, &count);
    out->ids = calloc(count + 1, CHUNK_ID_BYTES);
    if (out->ids == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to judge the packs");
    }
    for (size_t i = 0; i < count; i++) {
        struct chunk_location place;
        if (index_find(prune->index, ids[i], &place) != ORCH_OK ||
            index_shunned(prune->index, place.pack_number)) {
            memcpy(out->ids[out->count++], ids[i], CHUNK_ID_BYTES);
        }
    }
    if (out->count > 1) {
        qsort(out->ids, out->count, CHUNK_ID_BYTES, compare_ids);
    }
    return ORCH_OK;
}

/* A pack whose footer cannot be read may hold anything. */
static int32_t holds_any(struct packreader *reader, const struct prune_file *pack,
                         const struct poor *poor, bool *holds, struct orch_error *err)
{
    struct pack_table table = {.frame_count = 0};
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = packreader_table(reader, pack->id, pack->size_bytes, &table, &why);
    *holds = rc != ORCH_OK;
    for (size_t i = 0; !*holds && i < table.chunk_count; i++) {
        *holds = bsearch(table.chunks[i].id, poor->ids, poor->count, CHUNK_ID_BYTES, compare_ids) !=
                 NULL;
    }
    pack_table_clear(&table);
    if (rc == ORCH_E_NOMEM && err != NULL) {
        *err = why;
    }
    return rc == ORCH_E_NOMEM ? rc : ORCH_OK;
}

static int32_t pardon_packs(struct prune *prune, struct orch_error *err)
{
    struct packreader *reader = NULL;
    struct poor poor = {NULL, 0};
    int32_t rc = find_poor(prune, &poor, err);
    if (rc == ORCH_OK && poor.count > 0) {
        rc = packreader_new(prune->repo, &reader, err);
    }
    for (size_t i = 0; rc == ORCH_OK && poor.count > 0 && i < prune->condemned_packs.count; i++) {
        struct prune_file *pack = &prune->condemned_packs.list[i];
        if (pack->stored) {
            rc = holds_any(reader, pack, &poor, &pack->pardoned, err);
            prune->result->packs_pardoned += pack->pardoned;
        }
    }
    packreader_free(reader);
    free(poor.ids);
    return rc;
}

static int32_t pardon_parts(struct prune *prune, struct orch_error *err)
{
    struct prune_files named = {NULL, 0, 0};
    int32_t rc = prunesets_parts(prune, &named, err);
    for (size_t i = 0; rc == ORCH_OK && i < named.count; i++) {
        struct prune_file *part = prunefiles_find(&prune->condemned_parts, named.list[i].id);
        if (part != NULL) {
            part->pardoned = true;
        }
    }
    prunefiles_clear(&named);
    return rc;
}

int32_t prunepardon_run(struct prune *prune, struct orch_error *err)
{
    int32_t rc = pardon_packs(prune, err);
    return rc == ORCH_OK ? pardon_parts(prune, err) : rc;
}
