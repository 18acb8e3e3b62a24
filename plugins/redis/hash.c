/* hash.c: MurmurHash3 x64/128 by Austin Appleby's public description, and an open-addressed set. */
#include "hash.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define C1 UINT64_C(0x87c37b91114253d5)
#define C2 UINT64_C(0x4cf5ad432745937f)

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t finish(uint64_t x)
{
    x = (x ^ (x >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

static uint64_t word(const uint8_t *p)
{
    uint64_t little;
    memcpy(&little, p, 8);
    return le64toh(little);
}

struct hash128 hash_bytes(uint64_t seed, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h1 = seed, h2 = seed;
    size_t left = len;
    while (left >= 16) {
        h1 ^= rotate(word(p) * C1, 31) * C2;
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= rotate(word(p + 8) * C2, 33) * C1;
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495ab5;
        p += 16;
        left -= 16;
    }
    uint8_t tail[16] = {0};
    if (left > 0) {
        memcpy(tail, p, left);
    }
    h2 ^= rotate(word(tail + 8) * C2, 33) * C1;
    h1 ^= rotate(word(tail) * C1, 31) * C2;
    h1 ^= len;
    h2 ^= len;
    h1 += h2;
    h2 += h1;
    h1 = finish(h1);
    h2 = finish(h2);
    h1 += h2;
    h2 += h1;
    return (struct hash128){h1, h2};
}

static int put(struct hash128 *slots, size_t cap, struct hash128 hash)
{
    size_t at = (size_t)hash.low & (cap - 1);
    while (slots[at].low != 0 || slots[at].high != 0) {
        if (slots[at].low == hash.low && slots[at].high == hash.high) {
            return 0;
        }
        at = (at + 1) & (cap - 1);
    }
    slots[at] = hash;
    return 1;
}

static int32_t grow(struct hash_set *set, struct orch_error *err)
{
    size_t cap = set->cap == 0 ? 1024 : set->cap * 2;
    struct hash128 *slots = calloc(cap, sizeof(*slots));
    if (slots == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for the hashes of %zu keys", set->count);
    }
    for (size_t i = 0; i < set->cap; i++) {
        if (set->slots[i].low != 0 || set->slots[i].high != 0) {
            (void)put(slots, cap, set->slots[i]);
        }
    }
    free(set->slots);
    set->slots = slots;
    set->cap = cap;
    return ORCH_OK;
}

int32_t hash_set_add(struct hash_set *set, struct hash128 hash, int *added, struct orch_error *err)
{
    if (hash.low == 0 && hash.high == 0) {
        hash.low = 1; /* zero marks a free slot */
    }
    if (set->count * 2 >= set->cap) {
        int32_t rc = grow(set, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    *added = put(set->slots, set->cap, hash);
    set->count += (size_t)*added;
    return ORCH_OK;
}

void hash_set_free(struct hash_set *set)
{
    free(set->slots);
    memset(set, 0, sizeof(*set));
}
