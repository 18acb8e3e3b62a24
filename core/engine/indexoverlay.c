/*
 * indexoverlay.c: see indexoverlay.h. Entries are dense; beside them lie slots of 4 bytes (open
 * addressing, linear probing, at most three quarters full). A removed entry is filled by the last
 * one, and the slots behind its own move up, so that nothing is left of what was removed.
 */
#include "engine/indexoverlay.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define SLOT_EMPTY UINT32_MAX
#define SLOTS_MIN 1024u

struct entry {
    uint8_t id[CHUNK_ID_BYTES];
    struct overlay_place place;
};

struct indexoverlay {
    struct entry *entries;
    size_t count, capacity;
    uint32_t *slots;
    size_t slot_count; /* a power of two */
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the index of chunks");
}

/* Ids are as good as random, so their first bytes are hash enough. */
static size_t home(const struct indexoverlay *overlay, const uint8_t *id)
{
    return (size_t)get_le64(id) & (overlay->slot_count - 1);
}

int32_t indexoverlay_new(struct indexoverlay **out, struct orch_error *err)
{
    struct indexoverlay *overlay = calloc(1, sizeof(*overlay));
    if (overlay == NULL) {
        return no_memory(err);
    }
    overlay->slot_count = SLOTS_MIN;
    overlay->slots = malloc(SLOTS_MIN * sizeof(*overlay->slots));
    if (overlay->slots == NULL) {
        free(overlay);
        return no_memory(err);
    }
    memset(overlay->slots, 0xff, SLOTS_MIN * sizeof(*overlay->slots));
    *out = overlay;
    return ORCH_OK;
}

void indexoverlay_free(struct indexoverlay *overlay)
{
    if (overlay != NULL) {
        free(overlay->entries);
        free(overlay->slots);
        free(overlay);
    }
}

/* The slot of the id, or the empty one where it belongs. */
static size_t find(const struct indexoverlay *overlay, const uint8_t id[CHUNK_ID_BYTES])
{
    size_t at = home(overlay, id);
    while (overlay->slots[at] != SLOT_EMPTY &&
           memcmp(overlay->entries[overlay->slots[at]].id, id, CHUNK_ID_BYTES) != 0) {
        at = (at + 1) & (overlay->slot_count - 1);
    }
    return at;
}

struct overlay_place *indexoverlay_find(const struct indexoverlay *overlay,
                                        const uint8_t id[CHUNK_ID_BYTES])
{
    uint32_t number = overlay->slots[find(overlay, id)];
    return number == SLOT_EMPTY ? NULL : &overlay->entries[number].place;
}

static bool set_slots(struct indexoverlay *overlay, size_t wanted)
{
    uint32_t *slots = malloc(wanted * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0xff, wanted * sizeof(*slots));
    free(overlay->slots);
    overlay->slots = slots;
    overlay->slot_count = wanted;
    for (size_t i = 0; i < overlay->count; i++) {
        slots[find(overlay, overlay->entries[i].id)] = (uint32_t)i;
    }
    return true;
}

static bool grow(struct indexoverlay *overlay)
{
    if (overlay->count == overlay->capacity) {
        size_t wanted = overlay->capacity + overlay->capacity / 2 + SLOTS_MIN;
        struct entry *grown = reallocarray(overlay->entries, wanted, sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        overlay->entries = grown;
        overlay->capacity = wanted;
    }
    return overlay->count < SLOT_EMPTY - 1 && (overlay->count + 1 <= overlay->slot_count / 4 * 3 ||
                                               set_slots(overlay, overlay->slot_count * 2));
}

int32_t indexoverlay_reserve(struct indexoverlay *overlay, size_t count, struct orch_error *err)
{
    size_t slots = overlay->slot_count;
    while (count > slots / 4 * 3) {
        slots *= 2;
    }
    if (count > overlay->capacity) {
        struct entry *grown = reallocarray(overlay->entries, count, sizeof(*grown));
        if (grown == NULL) {
            return no_memory(err);
        }
        overlay->entries = grown;
        overlay->capacity = count;
    }
    return slots == overlay->slot_count || set_slots(overlay, slots) ? ORCH_OK : no_memory(err);
}

int32_t indexoverlay_add(struct indexoverlay *overlay, const uint8_t id[CHUNK_ID_BYTES],
                         const struct overlay_place *place, struct orch_error *err)
{
    if (!grow(overlay)) {
        return no_memory(err);
    }
    struct entry *entry = &overlay->entries[overlay->count];
    memcpy(entry->id, id, CHUNK_ID_BYTES);
    entry->place = *place;
    overlay->slots[find(overlay, id)] = (uint32_t)overlay->count;
    overlay->count++;
    return ORCH_OK;
}

/* Empties a slot; those behind it that were pushed away from their home move up. */
static void clear_slot(struct indexoverlay *overlay, size_t hole)
{
    size_t mask = overlay->slot_count - 1;
    for (size_t at = (hole + 1) & mask; overlay->slots[at] != SLOT_EMPTY; at = (at + 1) & mask) {
        size_t wanted = home(overlay, overlay->entries[overlay->slots[at]].id);
        if (((at - wanted) & mask) >= ((at - hole) & mask)) {
            overlay->slots[hole] = overlay->slots[at];
            hole = at;
        }
    }
    overlay->slots[hole] = SLOT_EMPTY;
}

static void remove_slot(struct indexoverlay *overlay, size_t slot)
{
    size_t number = overlay->slots[slot];
    clear_slot(overlay, slot);
    overlay->count--;
    if (number != overlay->count) {
        size_t last = find(overlay, overlay->entries[overlay->count].id);
        overlay->entries[number] = overlay->entries[overlay->count];
        overlay->slots[last] = (uint32_t)number;
    }
}

/* Gives back what a large table took, once it is nearly empty. */
static void shrink(struct indexoverlay *overlay)
{
    if (overlay->slot_count > 16 * SLOTS_MIN && overlay->count < overlay->slot_count / 16) {
        (void)set_slots(overlay, overlay->slot_count / 4);
        size_t wanted = overlay->slot_count / 4 * 3;
        struct entry *less = reallocarray(overlay->entries, wanted, sizeof(*less));
        if (less != NULL) {
            overlay->entries = less;
            overlay->capacity = wanted;
        }
    }
}

void indexoverlay_remove(struct indexoverlay *overlay, const uint8_t id[CHUNK_ID_BYTES])
{
    size_t slot = find(overlay, id);
    if (overlay->slots[slot] != SLOT_EMPTY) {
        remove_slot(overlay, slot);
        shrink(overlay);
    }
}

void indexoverlay_release(struct indexoverlay *overlay)
{
    for (size_t i = 0; i < overlay->count;) {
        if (overlay->entries[i].place.pack == OVERLAY_CLAIMED) {
            remove_slot(overlay, find(overlay, overlay->entries[i].id));
        } else {
            i++;
        }
    }
    shrink(overlay);
}

uint64_t indexoverlay_count(const struct indexoverlay *overlay)
{
    return overlay->count;
}
