/*
 * indexhot.h: the chunks of a small cache in memory, for whoever looks up many of them: one lookup
 * in LMDB costs as much as five there. A chunk that is not in it is looked for in the cache.
 */
#ifndef CORE_ENGINE_INDEXHOT_H
#define CORE_ENGINE_INDEXHOT_H

#include "engine/indexview.h"

/* At most so many, some 20 MB with their frames. */
#define INDEXHOT_CHUNKS_MAX (256u << 10)

struct indexhot;

/* Takes what lies in packs that `view` shows and that are neither shunned nor lost. */
int32_t indexhot_new(struct indexcache *cache, const struct indexview *view, struct indexhot **out,
                     struct orch_error *err) ORCH_CHECKED;
void indexhot_free(struct indexhot *hot); /* NULL is fine */
/* Thread-safe. The pack is to be judged anew. Once packs were dropped from the cache, nothing is
 * found any more. */
bool indexhot_find(struct indexhot *hot, const uint8_t id[CHUNK_ID_BYTES],
                   struct cache_place *place, struct cache_frame *frame);

#endif
