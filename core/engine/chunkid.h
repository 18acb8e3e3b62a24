/*
 * chunkid.h: the id of a chunk: HMAC-SHA-256 (RFC 2104) of its plain bytes under KEY_CHUNK_ID.
 *
 * The two padded key blocks are hashed once, so that a small chunk costs two block operations
 * beyond its own bytes and no allocation.
 */
#ifndef CORE_ENGINE_CHUNKID_H
#define CORE_ENGINE_CHUNKID_H

#include <stddef.h>
#include <stdint.h>

#include "engine/keys.h"

#define CHUNKID_BYTES 32

/* Read-only after chunkid_init: any number of threads may share one. */
struct chunkid {
    uint32_t inner[8]; /* SHA-256 state after the inner and the outer key block */
    uint32_t outer[8];
};

void chunkid_init(struct chunkid *state, const struct keys *keys);
void chunkid_init_key(struct chunkid *state, const uint8_t key[KEY_BYTES]);
void chunkid_of(const struct chunkid *state, const void *data, size_t len,
                uint8_t id[CHUNKID_BYTES]);

#endif
