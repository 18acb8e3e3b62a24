/* indexview.c: see indexview.h. */
#include "engine/indexview.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define SLOT_EMPTY UINT32_MAX

void indexview_clear(struct indexview *view)
{
    for (size_t i = 0; i < view->count; i++) {
        free(view->packs[i].frames);
    }
    free(view->packs);
    free(view->slots);
    memset(view, 0, sizeof(*view));
}

/* Pack ids are random. A slot may lead to a hole: then the search goes on. */
static size_t home(const struct indexview *view, const uint8_t *id)
{
    return (size_t)get_le64(id) & (view->slot_count - 1);
}

static void put_slot(struct indexview *view, uint32_t number)
{
    size_t at = home(view, view->packs[number].pack.id);
    while (view->slots[at] != SLOT_EMPTY) {
        at = (at + 1) & (view->slot_count - 1);
    }
    view->slots[at] = number;
    view->slots_used++;
}

static bool grow_slots(struct indexview *view)
{
    size_t shown = 0;
    for (size_t i = 0; i < view->count; i++) {
        shown += view->packs[i].flags != 0;
    }
    size_t wanted = 256;
    while (wanted < 4 * shown) {
        wanted *= 2;
    }
    uint32_t *slots = malloc(wanted * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0xff, wanted * sizeof(*slots));
    free(view->slots);
    view->slots = slots;
    view->slot_count = wanted;
    view->slots_used = 0;
    for (size_t i = 0; i < view->count; i++) {
        if (view->packs[i].flags != 0) {
            put_slot(view, (uint32_t)i);
        }
    }
    return true;
}

static bool grow_packs(struct indexview *view, size_t count)
{
    if (count > view->capacity) {
        size_t wanted = count + count / 2 + 64;
        struct view_pack *grown = reallocarray(view->packs, wanted, sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        view->packs = grown;
        view->capacity = wanted;
    }
    if (count > view->count) {
        memset(view->packs + view->count, 0, (count - view->count) * sizeof(*view->packs));
        view->count = count;
    }
    return true;
}

int32_t indexview_add(struct indexview *view, uint32_t number, const struct cache_pack *pack,
                      struct cache_frame *frames, struct orch_error *err)
{
    if (!grow_packs(view, (size_t)number + 1) ||
        (view->slots_used + 1 > view->slot_count / 2 && !grow_slots(view))) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of packs");
    }
    struct view_pack *slot = &view->packs[number];
    *slot = (struct view_pack){.pack = *pack, .frames = frames, .flags = VIEW_VISIBLE};
    put_slot(view, number);
    view->chunks += pack->chunk_count;
    if (pack->first_place + pack->chunk_count > view->places) {
        view->places = pack->first_place + pack->chunk_count;
    }
    return ORCH_OK;
}

void indexview_hide(struct indexview *view, uint32_t number)
{
    struct view_pack *slot = &view->packs[number];
    view->chunks -= slot->flags == 0 ? 0 : slot->pack.chunk_count;
    free(slot->frames);
    slot->frames = NULL;
    slot->flags = 0;
}

struct view_pack *indexview_at(const struct indexview *view, size_t number)
{
    return number < view->count && view->packs[number].flags != 0 ? &view->packs[number] : NULL;
}

size_t indexview_find(const struct indexview *view, const uint8_t id[PACK_ID_BYTES])
{
    if (view->slot_count == 0) {
        return SIZE_MAX;
    }
    for (size_t at = home(view, id);; at = (at + 1) & (view->slot_count - 1)) {
        uint32_t number = view->slots[at];
        if (number == SLOT_EMPTY) {
            return SIZE_MAX;
        }
        if (view->packs[number].flags != 0 &&
            memcmp(view->packs[number].pack.id, id, PACK_ID_BYTES) == 0) {
            return number;
        }
    }
}
