/* byteset.c: see byteset.h. Keys lie densely; slots of 4 bytes point to them (open addressing). */
#include "engine/byteset.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_EMPTY UINT32_MAX

struct byteset {
    size_t key_bytes;
    uint8_t *keys;
    size_t count, capacity;
    uint32_t *slots;
    size_t slot_count; /* a power of two; at most three quarters are taken */
};

static uint64_t hash(const uint8_t *key, size_t len)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < len; i++) {
        value = (value ^ key[i]) * UINT64_C(0x100000001b3);
    }
    return value ^ value >> 32;
}

int32_t byteset_new(size_t key_bytes, struct byteset **out, struct orch_error *err)
{
    struct byteset *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a set of ids");
    }
    set->key_bytes = key_bytes;
    *out = set;
    return ORCH_OK;
}

void byteset_free(struct byteset *set)
{
    if (set != NULL) {
        free(set->keys);
        free(set->slots);
        free(set);
    }
}

/* The slot of the key, or the empty one where it belongs. */
static size_t find(const struct byteset *set, const void *key)
{
    size_t at = (size_t)hash(key, set->key_bytes) & (set->slot_count - 1);
    while (set->slots[at] != SLOT_EMPTY &&
           memcmp(set->keys + set->slots[at] * set->key_bytes, key, set->key_bytes) != 0) {
        at = (at + 1) & (set->slot_count - 1);
    }
    return at;
}

static bool grow_slots(struct byteset *set)
{
    size_t wanted = set->slot_count == 0 ? 64 : set->slot_count * 2;
    uint32_t *slots = malloc(wanted * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0xff, wanted * sizeof(*slots));
    free(set->slots);
    set->slots = slots;
    set->slot_count = wanted;
    for (size_t i = 0; i < set->count; i++) {
        slots[find(set, set->keys + i * set->key_bytes)] = (uint32_t)i;
    }
    return true;
}

static bool grow_keys(struct byteset *set)
{
    size_t wanted = set->capacity * 2 + 32;
    uint8_t *keys = reallocarray(set->keys, wanted, set->key_bytes);
    if (keys == NULL || wanted >= SLOT_EMPTY) {
        set->keys = keys == NULL ? set->keys : keys;
        return false;
    }
    set->keys = keys;
    set->capacity = wanted;
    return true;
}

int32_t byteset_add(struct byteset *set, const void *key, struct orch_error *err)
{
    if (byteset_has(set, key)) {
        return ORCH_OK;
    }
    if ((set->count + 1 > set->slot_count / 4 * 3 && !grow_slots(set)) ||
        (set->count == set->capacity && !grow_keys(set))) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a set of ids");
    }
    memcpy(set->keys + set->count * set->key_bytes, key, set->key_bytes);
    set->slots[find(set, key)] = (uint32_t)set->count;
    set->count++;
    return ORCH_OK;
}

bool byteset_has(const struct byteset *set, const void *key)
{
    return set != NULL && set->count > 0 && set->slots[find(set, key)] != SLOT_EMPTY;
}

size_t byteset_count(const struct byteset *set)
{
    return set == NULL ? 0 : set->count;
}
