/*
 * usage.c: which places are needed, in bitmaps; see usage.h. Walking: usagewalk.c.
 *
 * References to data are gathered, sorted and looked up in runs: an index on disk answers
 * neighbouring ids from the same pages, and equal ones are asked for once.
 */
#include "engine/usage.h"

#include <stdlib.h>
#include <string.h>

#include "engine/usageimpl.h"

#define PENDING_MAX ((size_t)256 << 10) /* ids that wait for their lookup; 40 bytes each */
#define BITS_STEP ((uint64_t)1 << 20)

struct bits {
    uint64_t *words;
    uint64_t capacity; /* bits */
};

struct pending {
    uint64_t order; /* the first bytes of the id, as a big-endian number */
    uint8_t id[CHUNK_ID_BYTES];
};

struct usage {
    struct repo *repo;
    struct index *index;
    struct usage_walk *walk;
    struct bits needed;
    struct bits walked[USAGE_TREES];
    struct usage_pack *packs;
    size_t pack_capacity;
    uint64_t chunks; /* places that are needed */
    uint64_t references;
    uint8_t (*poor)[CHUNK_ID_BYTES]; /* that no good pack holds */
    size_t poor_count, poor_capacity;
    bool refreshed;        /* for the set at hand */
    char (*sets)[ID_TEXT]; /* that were added; sorted */
    size_t set_count, set_capacity;
    struct pending *pending;
    size_t pending_count;
    void (*progress)(void *ctx, uint64_t chunks);
    void *ctx;
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for counting what the sets need");
}

/* ---- bitmaps -------------------------------------------------------------------------------- */

static bool bits_get(const struct bits *bits, uint64_t number)
{
    return number < bits->capacity && (bits->words[number / 64] >> (number % 64) & 1) != 0;
}

/* Sets a bit; *was tells how it stood. */
static int32_t bits_set(struct bits *bits, uint64_t number, bool *was, struct orch_error *err)
{
    if (number >= bits->capacity) {
        uint64_t capacity = (number / BITS_STEP + 1) * BITS_STEP;
        capacity = capacity < bits->capacity / 2 * 3 ? bits->capacity / 2 * 3 : capacity;
        capacity = (capacity + 63) / 64 * 64;
        uint64_t *words = reallocarray(bits->words, (size_t)(capacity / 64), sizeof(*words));
        if (words == NULL) {
            return no_memory(err);
        }
        size_t had = (size_t)(bits->capacity / 64);
        memset(words + had, 0, ((size_t)(capacity / 64) - had) * sizeof(*words));
        bits->words = words;
        bits->capacity = capacity;
    }
    uint64_t mask = UINT64_C(1) << (number % 64);
    *was = (bits->words[number / 64] & mask) != 0;
    bits->words[number / 64] |= mask;
    return ORCH_OK;
}

bool usage_walked(const struct usage *usage, enum usage_tree tree, uint64_t place)
{
    return bits_get(&usage->walked[tree], place);
}

int32_t usage_set_walked(struct usage *usage, enum usage_tree tree, uint64_t place,
                         struct orch_error *err)
{
    bool was = false;
    return bits_set(&usage->walked[tree], place, &was, err);
}

/* ---- what is needed ------------------------------------------------------------------------- */

static int32_t count_in_pack(struct usage *usage, const struct chunk_location *place,
                             struct orch_error *err)
{
    if (place->pack_number >= usage->pack_capacity) {
        size_t capacity = place->pack_number + place->pack_number / 2 + 1024;
        struct usage_pack *packs = reallocarray(usage->packs, capacity, sizeof(*packs));
        if (packs == NULL) {
            return no_memory(err);
        }
        memset(packs + usage->pack_capacity, 0, (capacity - usage->pack_capacity) * sizeof(*packs));
        usage->packs = packs;
        usage->pack_capacity = capacity;
    }
    usage->packs[place->pack_number].bytes += place->len;
    usage->packs[place->pack_number].chunks++;
    usage->chunks++;
    return ORCH_OK;
}

static int32_t note_poor(struct usage *usage, const uint8_t id[CHUNK_ID_BYTES],
                         struct orch_error *err)
{
    if (usage->poor_count == usage->poor_capacity) {
        size_t capacity = usage->poor_capacity * 2 + 64;
        void *poor = reallocarray(usage->poor, capacity, CHUNK_ID_BYTES);
        if (poor == NULL) {
            return no_memory(err);
        }
        usage->poor = poor;
        usage->poor_capacity = capacity;
    }
    memcpy(usage->poor[usage->poor_count++], id, CHUNK_ID_BYTES);
    return ORCH_OK;
}

int32_t usage_need(struct usage *usage, const uint8_t id[CHUNK_ID_BYTES],
                   struct chunk_location *place, struct orch_error *err)
{
    int32_t rc = index_find(usage->index, id, place);
    if (rc == ORCH_E_NOT_FOUND && !usage->refreshed) {
        /* The segments were listed before the set was complete, or while they were rewritten. */
        usage->refreshed = true;
        rc = index_refresh(usage->index, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        rc = index_find(usage->index, id, place);
    }
    if (rc == ORCH_E_NOT_FOUND) {
        char text[17];
        hex_encode(id, 8, text);
        return orch_fail(err, rc, "chunk %s… is named by no index segment", text);
    }
    if (rc != ORCH_OK) {
        return orch_fail(err, rc, "the index cannot be read");
    }
    bool was = false;
    rc = bits_set(&usage->needed, place->number, &was, err);
    if (rc != ORCH_OK || was) {
        return rc;
    }
    rc = count_in_pack(usage, place, err);
    return rc == ORCH_OK && index_shunned(usage->index, place->pack_number)
               ? note_poor(usage, id, err)
               : rc;
}

static int compare_pending(const void *a, const void *b)
{
    const struct pending *left = a;
    const struct pending *right = b;
    if (left->order != right->order) {
        return left->order < right->order ? -1 : 1;
    }
    return memcmp(left->id, right->id, CHUNK_ID_BYTES);
}

int32_t usage_flush(struct usage *usage, struct orch_error *err)
{
    struct chunk_location place;
    int32_t rc = ORCH_OK;
    if (usage->pending_count > 0) {
        qsort(usage->pending, usage->pending_count, sizeof(*usage->pending), compare_pending);
    }
    for (size_t i = 0; rc == ORCH_OK && i < usage->pending_count; i++) {
        const uint8_t *id = usage->pending[i].id;
        if (i == 0 || memcmp(id, usage->pending[i - 1].id, CHUNK_ID_BYTES) != 0) {
            rc = usage_need(usage, id, &place, err);
        }
    }
    usage->references += usage->pending_count;
    usage->pending_count = 0;
    if (usage->progress != NULL) {
        usage->progress(usage->ctx, usage->references);
    }
    return rc;
}

int32_t usage_need_later(struct usage *usage, const uint8_t id[CHUNK_ID_BYTES],
                         struct orch_error *err)
{
    struct pending *pending = &usage->pending[usage->pending_count++];
    memcpy(pending->id, id, CHUNK_ID_BYTES);
    pending->order = 0;
    for (size_t i = 0; i < sizeof(pending->order); i++) {
        pending->order = pending->order << 8 | id[i];
    }
    return usage->pending_count == PENDING_MAX ? usage_flush(usage, err) : ORCH_OK;
}

/* ---- sets ----------------------------------------------------------------------------------- */

int32_t usage_new(struct repo *repo, struct index *index, struct usage **out,
                  struct orch_error *err)
{
    struct usage *usage = calloc(1, sizeof(*usage));
    if (usage == NULL) {
        return no_memory(err);
    }
    usage->repo = repo;
    usage->index = index;
    usage->pending = malloc(PENDING_MAX * sizeof(*usage->pending));
    int32_t rc = usage->pending == NULL ? no_memory(err)
                                        : usage_walk_new(usage, repo, index, &usage->walk, err);
    if (rc != ORCH_OK) {
        usage_free(usage);
        return rc;
    }
    *out = usage;
    return ORCH_OK;
}

void usage_free(struct usage *usage)
{
    if (usage == NULL) {
        return;
    }
    usage_walk_free(usage->walk);
    free(usage->needed.words);
    for (size_t i = 0; i < USAGE_TREES; i++) {
        free(usage->walked[i].words);
    }
    free(usage->packs);
    free(usage->poor);
    free(usage->sets);
    free(usage->pending);
    free(usage);
}

/* Where the set stands or belongs in the sorted list; *there: it was added before. */
static size_t set_position(const struct usage *usage, const char *id, bool *there)
{
    size_t low = 0;
    size_t high = usage->set_count;
    *there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(usage->sets[middle], id);
        if (order == 0) {
            *there = true;
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return low;
}

static int32_t note_set(struct usage *usage, const char *id, struct orch_error *err)
{
    bool there = false;
    if (usage->set_count == usage->set_capacity) {
        size_t capacity = usage->set_capacity * 2 + 64;
        void *sets = reallocarray(usage->sets, capacity, ID_TEXT);
        if (sets == NULL) {
            return no_memory(err);
        }
        usage->sets = sets;
        usage->set_capacity = capacity;
    }
    size_t at = set_position(usage, id, &there);
    memmove(usage->sets + at + 1, usage->sets + at, (usage->set_count - at) * ID_TEXT);
    memcpy(usage->sets[at], id, ID_TEXT);
    usage->set_count++;
    return ORCH_OK;
}

static int32_t add_component(struct usage *usage, const struct set_component *component,
                             struct orch_error *err)
{
    struct part *part = NULL;
    int32_t rc = part_load(usage->repo, component->part, &part, err);
    if (rc == ORCH_E_NOT_FOUND) { /* for callers, NOT_FOUND is a chunk without a place */
        rc = orch_fail(err, ORCH_E_CORRUPT, "parts/%s is missing", component->part);
    }
    if (rc == ORCH_OK) {
        rc = usage_walk_part(usage->walk, part, err);
        part_free(part);
    }
    /* Also after a failure: the next part begins with nothing pending. */
    int32_t flushed = usage_flush(usage, rc == ORCH_OK ? err : NULL);
    return rc == ORCH_OK ? flushed : rc;
}

int32_t usage_add_set(struct usage *usage, const struct set *set,
                      void (*progress)(void *ctx, uint64_t chunks), void *ctx,
                      struct orch_error *err)
{
    bool there = false;
    (void)set_position(usage, set->id, &there);
    usage->progress = progress;
    usage->ctx = ctx;
    usage->refreshed = false;
    for (size_t i = 0; !there && i < set->component_count; i++) {
        const struct set_component *component = &set->components[i];
        int32_t rc = component->good ? add_component(usage, component, err) : ORCH_OK;
        if (rc != ORCH_OK) {
            return orch_wrap(err, "component %s of set %s", component->name, set->name);
        }
    }
    return there ? ORCH_OK : note_set(usage, set->id, err);
}

bool usage_needs(const struct usage *usage, uint64_t place)
{
    return bits_get(&usage->needed, place);
}

struct usage_pack usage_of_pack(const struct usage *usage, size_t pack_number)
{
    static const struct usage_pack none;
    return pack_number < usage->pack_capacity ? usage->packs[pack_number] : none;
}

const uint8_t (*usage_poor(const struct usage *usage, size_t *count))[CHUNK_ID_BYTES]
{
    *count = usage->poor_count;
    return (const uint8_t(*)[CHUNK_ID_BYTES])usage->poor;
}

uint64_t usage_chunks(const struct usage *usage)
{
    return usage->chunks;
}
