/*
 * index.c: the table of chunks in memory; see index.h. segment.c reads and writes the files.
 *
 * Entries are dense, 44 bytes each; beside them lie slots of 4 bytes (open addressing, linear
 * probing, at most three quarters full), so that a chunk costs about 52 bytes. Nothing is ever
 * taken out.
 */
#include "engine/index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pack.h"

#define FRAME_CLAIMED UINT32_MAX    /* somebody is about to store it */
#define FRAME_FREE (UINT32_MAX - 1) /* a claim that was let go */
#define FRAMES_MAX (UINT32_MAX - 2)
#define SLOT_EMPTY UINT32_MAX

struct entry {
    uint8_t id[CHUNK_ID_BYTES];
    uint32_t frame; /* in `frames`, or FRAME_* */
    uint32_t offset;
    uint32_t len;
    uint32_t number; /* in its pack */
};

struct frame_entry {
    uint64_t offset;
    uint32_t sealed_len;
    uint32_t plain_len;
    uint32_t pack;
    uint32_t codec;
};

struct index {
    pthread_mutex_t lock;
    struct entry *entries;
    size_t count, capacity;
    uint64_t placed; /* entries with a place */
    uint32_t *slots;
    size_t slot_count; /* a power of two */
    struct frame_entry *frames;
    size_t frame_count, frame_capacity;
    struct index_pack *packs;
    bool *shunned; /* of each pack */
    size_t pack_count, pack_capacity;
    uint64_t places;
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
}

static size_t first_slot(const struct index *index, const uint8_t id[CHUNK_ID_BYTES])
{
    return (size_t)get_le64(id) & (index->slot_count - 1);
}

int32_t index_new(struct index **out, struct orch_error *err)
{
    struct index *index = calloc(1, sizeof(*index));
    if (index == NULL) {
        return no_memory(err);
    }
    index->slot_count = 1024;
    index->slots = malloc(index->slot_count * sizeof(*index->slots));
    if (index->slots == NULL) {
        free(index);
        return no_memory(err);
    }
    memset(index->slots, 0xff, index->slot_count * sizeof(*index->slots));
    (void)pthread_mutex_init(&index->lock, NULL);
    *out = index;
    return ORCH_OK;
}

void index_close(struct index *index)
{
    if (index == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&index->lock);
    free(index->entries);
    free(index->slots);
    free(index->frames);
    free(index->packs);
    free(index->shunned);
    free(index);
}

/* A copy of an array; NULL for an empty one, and when memory ran out (then *good becomes false). */
static void *copy_array(const void *array, size_t count, size_t size, bool *good)
{
    void *copy = count == 0 ? NULL : reallocarray(NULL, count, size);
    if (count > 0 && copy == NULL) {
        *good = false;
    } else if (count > 0) {
        memcpy(copy, array, count * size);
    }
    return copy;
}

int32_t index_copy(struct index *index, struct index **out, struct orch_error *err)
{
    struct index *copy = calloc(1, sizeof(*copy));
    bool good = true;
    if (copy == NULL) {
        return no_memory(err);
    }
    (void)pthread_mutex_init(&copy->lock, NULL);
    (void)pthread_mutex_lock(&index->lock);
    copy->entries = copy_array(index->entries, index->count, sizeof(*index->entries), &good);
    copy->count = copy->capacity = index->count;
    copy->placed = index->placed;
    copy->slots = copy_array(index->slots, index->slot_count, sizeof(*index->slots), &good);
    copy->slot_count = index->slot_count;
    copy->frames = copy_array(index->frames, index->frame_count, sizeof(*index->frames), &good);
    copy->frame_count = copy->frame_capacity = index->frame_count;
    copy->packs = copy_array(index->packs, index->pack_count, sizeof(*index->packs), &good);
    copy->shunned = copy_array(index->shunned, index->pack_count, sizeof(*index->shunned), &good);
    copy->pack_count = copy->pack_capacity = index->pack_count;
    copy->places = index->places;
    (void)pthread_mutex_unlock(&index->lock);
    if (!good) {
        index_close(copy);
        return no_memory(err);
    }
    *out = copy;
    return ORCH_OK;
}

static struct entry *lookup(const struct index *index, const uint8_t id[CHUNK_ID_BYTES])
{
    for (size_t at = first_slot(index, id);; at = (at + 1) & (index->slot_count - 1)) {
        uint32_t number = index->slots[at];
        if (number == SLOT_EMPTY) {
            return NULL;
        }
        if (memcmp(index->entries[number].id, id, CHUNK_ID_BYTES) == 0) {
            return &index->entries[number];
        }
    }
}

static void put_slot(struct index *index, uint32_t number)
{
    size_t at = first_slot(index, index->entries[number].id);
    while (index->slots[at] != SLOT_EMPTY) {
        at = (at + 1) & (index->slot_count - 1);
    }
    index->slots[at] = number;
}

static bool grow_slots(struct index *index)
{
    size_t wanted = index->slot_count * 2;
    uint32_t *slots = malloc(wanted * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0xff, wanted * sizeof(*slots));
    free(index->slots);
    index->slots = slots;
    index->slot_count = wanted;
    for (size_t i = 0; i < index->count; i++) {
        put_slot(index, (uint32_t)i);
    }
    return true;
}

/* A new entry for an id that is not there; NULL when memory or numbers run out. */
static struct entry *insert(struct index *index, const uint8_t id[CHUNK_ID_BYTES])
{
    if (index->count == index->capacity) {
        size_t wanted = index->capacity + index->capacity / 2 + 1024;
        struct entry *grown = reallocarray(index->entries, wanted, sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        index->entries = grown;
        index->capacity = wanted;
    }
    if (index->count >= SLOT_EMPTY - 1 ||
        (index->count + 1 > index->slot_count / 4 * 3 && !grow_slots(index))) {
        return NULL;
    }
    struct entry *entry = &index->entries[index->count];
    *entry = (struct entry){.frame = FRAME_FREE};
    memcpy(entry->id, id, CHUNK_ID_BYTES);
    put_slot(index, (uint32_t)index->count);
    index->count++;
    return entry;
}

static void fill_location(const struct index *index, const struct frame_entry *frame,
                          struct chunk_location *out)
{
    const struct index_pack *pack = &index->packs[frame->pack];
    memcpy(out->pack, pack->id, PACK_ID_BYTES);
    out->frame_offset = frame->offset;
    out->frame_len = frame->sealed_len;
    out->plain_len = frame->plain_len;
    out->frame_number = (uint32_t)((uint64_t)(frame - index->frames) - pack->first_frame);
    out->codec = frame->codec;
    out->offset = 0;
    out->len = frame->plain_len;
    out->number = pack->first_place;
    out->pack_number = frame->pack;
}

int32_t index_find(struct index *index, const uint8_t id[CHUNK_ID_BYTES],
                   struct chunk_location *out)
{
    int32_t rc = ORCH_E_NOT_FOUND;
    (void)pthread_mutex_lock(&index->lock);
    const struct entry *entry = lookup(index, id);
    if (entry != NULL && entry->frame < FRAMES_MAX) {
        fill_location(index, &index->frames[entry->frame], out);
        out->offset = entry->offset;
        out->len = entry->len;
        out->number += entry->number;
        rc = ORCH_OK;
    }
    (void)pthread_mutex_unlock(&index->lock);
    return rc;
}

uint64_t index_chunks(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    uint64_t placed = index->placed;
    (void)pthread_mutex_unlock(&index->lock);
    return placed;
}

/* Nobody has it where it counts, and nobody is about to store it. */
static bool is_free(const struct index *index, const struct entry *entry)
{
    return entry->frame == FRAME_FREE ||
           (entry->frame < FRAMES_MAX && index->shunned[index->frames[entry->frame].pack]);
}

bool index_knows(struct index *index, const uint8_t id[CHUNK_ID_BYTES])
{
    (void)pthread_mutex_lock(&index->lock);
    const struct entry *entry = lookup(index, id);
    bool known = entry != NULL && !is_free(index, entry);
    (void)pthread_mutex_unlock(&index->lock);
    return known;
}

int32_t index_claim(struct index *index, const uint8_t id[CHUNK_ID_BYTES], bool *claimed,
                    struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    (void)pthread_mutex_lock(&index->lock);
    struct entry *entry = lookup(index, id);
    *claimed = entry == NULL || is_free(index, entry);
    if (entry == NULL && (entry = insert(index, id)) == NULL) {
        rc = no_memory(err);
    } else if (*claimed) {
        entry->frame = FRAME_CLAIMED;
    }
    (void)pthread_mutex_unlock(&index->lock);
    return rc;
}

void index_release_claims(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    for (size_t i = 0; i < index->count; i++) {
        if (index->entries[i].frame == FRAME_CLAIMED) {
            index->entries[i].frame = FRAME_FREE;
        }
    }
    (void)pthread_mutex_unlock(&index->lock);
}

/* Room for the frames of a table and for one pack. */
static bool grow_packs(struct index *index, size_t frames)
{
    if (index->frame_capacity - index->frame_count < frames) {
        size_t wanted = index->frame_count + frames + index->frame_count / 2;
        struct frame_entry *grown = reallocarray(index->frames, wanted, sizeof(*grown));
        if (grown == NULL || wanted > FRAMES_MAX) {
            index->frames = grown == NULL ? index->frames : grown;
            return false;
        }
        index->frames = grown;
        index->frame_capacity = wanted;
    }
    if (index->pack_count == index->pack_capacity) {
        size_t wanted = index->pack_capacity * 2 + 64;
        struct index_pack *grown = reallocarray(index->packs, wanted, sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        index->packs = grown;
        bool *shunned = reallocarray(index->shunned, wanted, sizeof(*shunned));
        if (shunned == NULL) {
            return false;
        }
        index->shunned = shunned;
        index->pack_capacity = wanted;
    }
    return true;
}

static bool add_chunks(struct index *index, const struct pack_table *table,
                       const struct pack_frame *frame, uint32_t frame_number)
{
    uint32_t offset = 0;
    struct index_pack *pack = &index->packs[index->pack_count - 1];
    for (uint32_t i = 0; i < frame->chunk_count; i++) {
        const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + i];
        struct entry *entry = lookup(index, chunk->id);
        if (entry == NULL && (entry = insert(index, chunk->id)) == NULL) {
            return false;
        }
        if (entry->frame >= FRAMES_MAX || is_free(index, entry)) {
            index->placed += entry->frame >= FRAMES_MAX;
            entry->frame = frame_number;
            entry->offset = offset;
            entry->len = chunk->len;
            entry->number = (uint32_t)pack->chunk_count;
        }
        offset += chunk->len;
        pack->chunk_count++;
    }
    pack->plain_bytes += frame->plain_len;
    return true;
}

int32_t index_add_pack(struct index *index, const struct pack_table *table, struct orch_error *err)
{
    (void)pthread_mutex_lock(&index->lock);
    bool good = grow_packs(index, table->frame_count);
    if (good) {
        struct index_pack *pack = &index->packs[index->pack_count];
        memcpy(pack->id, table->id, PACK_ID_BYTES);
        pack->kind = table->kind;
        pack->size_bytes = table->size_bytes;
        pack->first_frame = index->frame_count;
        pack->frame_count = table->frame_count;
        pack->first_place = index->places;
        pack->chunk_count = 0;
        pack->plain_bytes = 0;
        pack->gone = false;
        index->shunned[index->pack_count] = false;
        index->pack_count++;
    }
    for (size_t i = 0; good && i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        index->frames[index->frame_count] = (struct frame_entry){
            .offset = frame->offset,
            .sealed_len = frame->sealed_len,
            .plain_len = frame->plain_len,
            .pack = (uint32_t)(index->pack_count - 1),
            .codec = frame->codec,
        };
        good = add_chunks(index, table, frame, (uint32_t)index->frame_count);
        index->frame_count++;
    }
    if (good) {
        index->places += index->packs[index->pack_count - 1].chunk_count;
    }
    (void)pthread_mutex_unlock(&index->lock);
    return good ? ORCH_OK : no_memory(err);
}

int32_t index_add_segment(struct index *index, const char *name, const struct pack_table *tables,
                          size_t count, struct orch_error *err)
{
    (void)index;
    (void)name;
    (void)tables;
    (void)count;
    (void)err;
    return ORCH_OK;
}

int32_t index_shun(struct index *index, const uint8_t (*packs)[PACK_ID_BYTES], size_t count,
                   struct orch_error *err)
{
    (void)err;
    for (size_t i = 0; i < count; i++) {
        size_t number = index_pack_find(index, packs[i]);
        if (number != SIZE_MAX) {
            index->shunned[number] = true;
        }
    }
    return ORCH_OK;
}

bool index_shunned(struct index *index, size_t pack_number)
{
    (void)pthread_mutex_lock(&index->lock);
    bool shunned = pack_number < index->pack_count && index->shunned[pack_number];
    (void)pthread_mutex_unlock(&index->lock);
    return shunned;
}

uint64_t index_places(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    uint64_t places = index->places;
    (void)pthread_mutex_unlock(&index->lock);
    return places;
}

size_t index_pack_count(struct index *index)
{
    (void)pthread_mutex_lock(&index->lock);
    size_t count = index->pack_count;
    (void)pthread_mutex_unlock(&index->lock);
    return count;
}

bool index_pack_at(struct index *index, size_t number, struct index_pack *out)
{
    (void)pthread_mutex_lock(&index->lock);
    bool good = number < index->pack_count;
    if (good) {
        *out = index->packs[number];
    }
    (void)pthread_mutex_unlock(&index->lock);
    return good;
}

size_t index_pack_find(struct index *index, const uint8_t id[PACK_ID_BYTES])
{
    size_t found = SIZE_MAX;
    (void)pthread_mutex_lock(&index->lock);
    for (size_t i = 0; i < index->pack_count && found == SIZE_MAX; i++) {
        found = memcmp(index->packs[i].id, id, PACK_ID_BYTES) == 0 ? i : SIZE_MAX;
    }
    (void)pthread_mutex_unlock(&index->lock);
    return found;
}

bool index_frame_at(struct index *index, const struct index_pack *pack, uint64_t number,
                    struct chunk_location *out)
{
    (void)pthread_mutex_lock(&index->lock);
    bool good = number < pack->frame_count && pack->first_frame + number < index->frame_count;
    if (good) {
        fill_location(index, &index->frames[pack->first_frame + number], out);
    }
    (void)pthread_mutex_unlock(&index->lock);
    return good;
}
