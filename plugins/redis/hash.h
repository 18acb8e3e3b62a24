/* hash.h: a 128-bit hash of keys (MurmurHash3's construction), and a set of such hashes. */
#ifndef REDIS_HASH_H
#define REDIS_HASH_H

#include <orchestrate/error.h>
#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t low, high;
};

struct hash128 hash_bytes(uint64_t seed, const void *data, size_t len);

/* Keys seen so far, by hash: 16 bytes each, at most half full. Zeroed to begin with. */
struct hash_set {
    struct hash128 *slots;
    size_t cap;
    size_t count;
};

/* Adds a hash. *added becomes 0 when it was there already. */
int32_t hash_set_add(struct hash_set *set, struct hash128 hash, int *added,
                     struct orch_error *err) ORCH_CHECKED;
void hash_set_free(struct hash_set *set);

#endif
