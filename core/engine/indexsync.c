/*
 * indexsync.c: see indexsync.h.
 *
 * A segment that is listed and gone when it is read was superseded and removed in between: then
 * everything is listed again, for what it said is now in another one. New segments are added before
 * old ones are dropped, so that packs that both name stay.
 */
#include "engine/indexsync.h"

#include <stdlib.h>
#include <string.h>

#include "engine/byteset.h"
#include "engine/indexbuild.h"
#include "engine/segment.h"

#define ROUNDS 10
/* A cache is made anew when so many chunks are new or gone at least, and a quarter of it. */
#define REBUILD_ROWS 50000u
/* What a chunk takes in a segment, about. */
#define SEGMENT_BYTES_PER_CHUNK 35u

struct listed {
    uint8_t id[SEGMENT_ID_BYTES];
    uint64_t size_bytes;
    bool known;      /* the cache has it */
    bool superseded; /* the cache has it as such */
};

struct round {
    struct indexsync *sync;
    struct indexbuild *build; /* while a cache is made */
    struct listed *listed;    /* by id */
    size_t count, capacity;
    struct byteset *superseded; /* by any segment that is listed and can be read */
    uint8_t (*vanished_ids)[SEGMENT_ID_BYTES];
    size_t vanished_count, vanished_capacity;
    struct byteset *told; /* of damage; through all rounds */
    bool first;
    bool again;
    char missing[SEGMENT_NAME_BYTES];
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of index segments");
}

/* Notes that a failure is the cache's. */
static int32_t of_cache(struct round *round, int32_t rc)
{
    round->sync->cache_trouble = rc != ORCH_OK && rc != ORCH_E_NOMEM;
    return rc;
}

static void segment_name(const uint8_t id[SEGMENT_ID_BYTES], char name[SEGMENT_NAME_BYTES])
{
    memcpy(name, "index/", 6);
    hex_encode(id, SEGMENT_ID_BYTES, name + 6);
}

/* ---- what there is ------------------------------------------------------------------------- */

/* A file that cannot be a segment is told of as a damaged one. */
static int32_t odd_name(struct round *round, const char *name, struct orch_error *err)
{
    struct segment segment;
    struct orch_error why = ORCH_ERROR_INIT;
    const struct index_options *options = round->sync->options;
    if (strlen(name) >= SEGMENT_NAME_BYTES) {
        return ORCH_OK;
    }
    int32_t rc = segment_load(round->sync->repo, name, &segment, &why);
    if (rc == ORCH_E_CORRUPT && options->damaged != NULL) {
        if (round->first) {
            options->damaged(options->ctx, name, &why);
        }
        return ORCH_OK;
    }
    if (rc == ORCH_OK) {
        segment_clear(&segment);
    } else if (rc != ORCH_E_NOT_FOUND && err != NULL) {
        *err = why;
    }
    return rc == ORCH_E_NOT_FOUND ? ORCH_OK : rc;
}

static int32_t each_listed(void *ctx, const char *name, const struct storage_stat *stat,
                           struct orch_error *err)
{
    struct round *round = ctx;
    struct listed one = {.size_bytes = stat->size_bytes};
    if (strncmp(name, "index/", 6) != 0 || strlen(name) != 6 + 2 * SEGMENT_ID_BYTES ||
        hex_decode(name + 6, 2 * SEGMENT_ID_BYTES, one.id, sizeof(one.id)) != ORCH_OK) {
        return odd_name(round, name, err);
    }
    if (round->count == round->capacity) {
        size_t wanted = round->capacity * 2 + 64;
        struct listed *grown = reallocarray(round->listed, wanted, sizeof(*grown));
        if (grown == NULL) {
            return no_memory(err);
        }
        round->listed = grown;
        round->capacity = wanted;
    }
    round->listed[round->count++] = one;
    return ORCH_OK;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, SEGMENT_ID_BYTES); /* the first field */
}

static int32_t note_superseded(struct round *round, const uint8_t (*ids)[SEGMENT_ID_BYTES],
                               size_t count, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        rc = byteset_add(round->superseded, ids[i], err);
    }
    return rc;
}

static int32_t each_cached(void *ctx, const struct cache_segment *segment, struct orch_error *err)
{
    struct round *round = ctx;
    struct listed *listed = round->count == 0 ? NULL
                                              : bsearch(segment->id, round->listed, round->count,
                                                        sizeof(*listed), by_id);
    if (listed != NULL) {
        listed->known = true;
        listed->superseded = segment->superseded;
        return note_superseded(round, segment->supersedes, segment->supersedes_count, err);
    }
    if (round->vanished_count == round->vanished_capacity) {
        size_t wanted = round->vanished_capacity * 2 + 16;
        void *grown = reallocarray(round->vanished_ids, wanted, SEGMENT_ID_BYTES);
        if (grown == NULL) {
            return no_memory(err);
        }
        round->vanished_ids = grown;
        round->vanished_capacity = wanted;
    }
    memcpy(round->vanished_ids[round->vanished_count++], segment->id, SEGMENT_ID_BYTES);
    return ORCH_OK;
}

static int32_t look(struct round *round, struct orch_error *err)
{
    struct indexsync *sync = round->sync;
    int32_t rc = storage_list(repo_storage(sync->repo), "index", each_listed, round, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (round->count > 1) {
        qsort(round->listed, round->count, sizeof(*round->listed), by_id);
    }
    return sync->cache == NULL
               ? ORCH_OK
               : of_cache(round, indexcache_each_segment(sync->cache, each_cached, round, err));
}

/* Is it less work to begin anew? */
static int32_t wants_rebuild(struct round *round, bool *wanted, struct orch_error *err)
{
    struct indexsync *sync = round->sync;
    struct cache_totals totals;
    uint64_t bytes = 0;
    *wanted = sync->cache == NULL;
    if (*wanted || sync->keep) {
        return ORCH_OK;
    }
    for (size_t i = 0; i < round->count; i++) {
        const struct listed *listed = &round->listed[i];
        if (!listed->known && !byteset_has(round->superseded, listed->id)) {
            bytes += listed->size_bytes;
        }
    }
    int32_t rc = of_cache(round, indexcache_totals(sync->cache, &totals, err));
    if (rc == ORCH_OK) {
        uint64_t fresh = bytes / SEGMENT_BYTES_PER_CHUNK;
        uint64_t gone = totals.rows > totals.live_rows ? totals.rows - totals.live_rows : 0;
        uint64_t most = totals.rows / 4 > REBUILD_ROWS ? totals.rows / 4 : REBUILD_ROWS;
        *wanted = fresh > most || gone > most + totals.gone_base;
    }
    return rc;
}

/* ---- reading segments ---------------------------------------------------------------------- */

/* *good: `segment` is filled. */
static int32_t read_segment(struct round *round, const struct listed *listed,
                            struct segment *segment, bool *good, struct orch_error *err)
{
    const struct index_options *options = round->sync->options;
    struct orch_error why = ORCH_ERROR_INIT;
    char name[SEGMENT_NAME_BYTES];
    segment_name(listed->id, name);
    int32_t rc = segment_load(round->sync->repo, name, segment, &why);
    *good = rc == ORCH_OK;
    if (rc == ORCH_E_NOT_FOUND) {
        round->again = true;
        memcpy(round->missing, name, sizeof(name));
        return ORCH_OK;
    }
    if (rc == ORCH_E_CORRUPT && options->damaged != NULL) {
        if (!byteset_has(round->told, listed->id)) {
            options->damaged(options->ctx, name, &why);
        }
        return byteset_add(round->told, listed->id, err);
    }
    if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

static int32_t load(struct round *round, const struct listed *listed, struct orch_error *err)
{
    struct segment segment;
    bool good = false;
    int32_t rc = read_segment(round, listed, &segment, &good, err);
    if (rc != ORCH_OK || !good) {
        return rc;
    }
    struct cache_add add = {.segment = listed->id,
                            .tables = segment.tables,
                            .count = segment.count,
                            .supersedes = (const uint8_t(*)[SEGMENT_ID_BYTES])segment.supersedes,
                            .supersedes_count = segment.supersedes_count};
    rc = note_superseded(round, add.supersedes, add.supersedes_count, err);
    if (rc == ORCH_OK) {
        rc = of_cache(round, round->build != NULL ? indexbuild_add(round->build, &add, err)
                                                  : indexcache_add(round->sync->cache, &add, err));
    }
    segment_clear(&segment);
    return rc;
}

/* Loads what the cache lacks. */
static int32_t load_new(struct round *round, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < round->count; i++) {
        struct listed *listed = &round->listed[i];
        if (!listed->known && !byteset_has(round->superseded, listed->id)) {
            rc = load(round, listed, err);
        }
    }
    /* What superseded these is gone again. */
    for (size_t i = 0; rc == ORCH_OK && i < round->count; i++) {
        struct listed *listed = &round->listed[i];
        if (listed->known && listed->superseded && !byteset_has(round->superseded, listed->id)) {
            rc = load(round, listed, err);
        }
    }
    return rc;
}

/* Reads what the cache has, for those who ask for it: what is damaged in the repository must not be
 * hidden by the cache. */
static int32_t read_known(struct round *round, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < round->count; i++) {
        struct listed *listed = &round->listed[i];
        struct segment segment;
        bool good = false;
        if (!listed->known || byteset_has(round->superseded, listed->id)) {
            continue;
        }
        rc = read_segment(round, listed, &segment, &good, err);
        if (good) {
            segment_clear(&segment);
        } else if (rc == ORCH_OK) {
            rc = of_cache(round, indexcache_drop(round->sync->cache, listed->id, false, err));
        }
    }
    return rc;
}

static int32_t drop_old(struct round *round, struct orch_error *err)
{
    struct indexcache *cache = round->sync->cache;
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < round->count; i++) {
        struct listed *listed = &round->listed[i];
        if (!listed->superseded && byteset_has(round->superseded, listed->id)) {
            rc = of_cache(round, indexcache_drop(cache, listed->id, true, err));
        }
    }
    for (size_t i = 0; rc == ORCH_OK && i < round->vanished_count; i++) {
        rc = of_cache(round, indexcache_drop(cache, round->vanished_ids[i], false, err));
    }
    return rc;
}

/* ---- the order of things ------------------------------------------------------------------- */

/* Makes a cache of all segments. */
static int32_t rebuild(struct round *round, struct orch_error *err)
{
    struct indexsync *sync = round->sync;
    struct indexcache *old = sync->cache;
    struct indexcache *made = NULL;
    byteset_free(round->superseded);
    round->superseded = NULL;
    int32_t rc = byteset_new(SEGMENT_ID_BYTES, &round->superseded, err);
    if (rc == ORCH_OK) {
        rc = of_cache(round, indexfolder_begin(sync->folder, &made, err));
    }
    if (rc == ORCH_OK) {
        rc = indexbuild_new(made, indexfolder_path(sync->folder), &round->build, err);
    }
    for (size_t i = 0; i < round->count; i++) {
        round->listed[i].known = round->listed[i].superseded = false;
    }
    round->vanished_count = 0;
    if (rc == ORCH_OK) {
        rc = load_new(round, err);
    }
    if (rc == ORCH_OK) {
        rc = of_cache(round, indexbuild_finish(round->build, err));
    }
    indexbuild_free(round->build);
    round->build = NULL;
    if (rc == ORCH_OK) {
        sync->cache = made;
        rc = drop_old(round, err);
    }
    if (rc == ORCH_OK) {
        rc = of_cache(round, indexcache_rest(made, err));
    }
    if (rc == ORCH_OK) {
        rc = of_cache(round, indexfolder_publish(sync->folder, made, err));
    }
    if (rc != ORCH_OK) {
        sync->cache = old;
    }
    indexcache_close(rc == ORCH_OK ? old : made);
    indexfolder_sweep(sync->folder);
    return rc;
}

static int32_t run_round(struct round *round, struct orch_error *err)
{
    bool anew = false;
    int32_t rc = byteset_new(SEGMENT_ID_BYTES, &round->superseded, err);
    if (rc == ORCH_OK) {
        rc = look(round, err);
    }
    if (rc == ORCH_OK) {
        rc = wants_rebuild(round, &anew, err);
    }
    if (rc != ORCH_OK || anew) {
        return rc != ORCH_OK ? rc : rebuild(round, err);
    }
    if (round->sync->options->check_segments) {
        rc = read_known(round, err);
    }
    if (rc == ORCH_OK) {
        rc = load_new(round, err);
    }
    return rc == ORCH_OK ? drop_old(round, err) : rc;
}

static void round_clear(struct round *round)
{
    free(round->listed);
    free(round->vanished_ids);
    byteset_free(round->superseded);
}

int32_t indexsync_run(struct indexsync *sync, struct orch_error *err)
{
    struct byteset *told = NULL;
    char missing[SEGMENT_NAME_BYTES] = "";
    int32_t rc = byteset_new(SEGMENT_ID_BYTES, &told, err);
    bool again = true;
    for (int i = 0; rc == ORCH_OK && again && i < ROUNDS; i++) {
        struct round round = {.sync = sync, .told = told, .first = i == 0};
        rc = run_round(&round, err);
        again = round.again;
        memcpy(missing, round.missing, sizeof(missing));
        round_clear(&round);
    }
    byteset_free(told);
    if (rc == ORCH_OK && again) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "%s is listed in the repository and cannot be found",
                       missing);
    }
    return rc;
}
