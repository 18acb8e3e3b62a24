/*
 * usage.h: which places of the index are needed by some sets: one bit a place, and per pack the
 * bytes in use. Memory: a few bits for each chunk, whatever the sets hold.
 *
 * Nodes of trees that were walked once are not walked again, so that the cost is that of the
 * metadata of all sets together, not of each.
 */
#ifndef CORE_ENGINE_USAGE_H
#define CORE_ENGINE_USAGE_H

#include "engine/index.h"
#include "engine/set.h"

struct usage;

/* `index` is borrowed. Places that it gets later count too. */
int32_t usage_new(struct repo *repo, struct index *index, struct usage **out,
                  struct orch_error *err) ORCH_CHECKED;
void usage_free(struct usage *usage); /* NULL is fine */

/* Walks all good parts of the set. A part or a node that cannot be read, or a chunk that has no
 * place (ORCH_E_NOT_FOUND; the index is refreshed once before), is an error which names the set:
 * nobody can tell what it needs. After a failure the usage is good for nothing but usage_free(). A
 * set that was added before costs nothing. `progress` (NULL allowed) is told of the references
 * walked so far. */
int32_t usage_add_set(struct usage *usage, const struct set *set,
                      void (*progress)(void *ctx, uint64_t chunks), void *ctx,
                      struct orch_error *err) ORCH_CHECKED;

bool usage_needs(const struct usage *usage, uint64_t place);
/* Chunks that are needed and lay in shunned or lost packs only when that was found; the usage's,
 * until the next set is added. */
const uint8_t (*usage_poor(const struct usage *usage, size_t *count))[CHUNK_ID_BYTES];
/* Plain bytes and chunks of a pack (a number of the index) that are needed. */
struct usage_pack {
    uint64_t bytes;
    uint64_t chunks;
};
struct usage_pack usage_of_pack(const struct usage *usage, size_t pack_number);
uint64_t usage_chunks(const struct usage *usage);

#endif
