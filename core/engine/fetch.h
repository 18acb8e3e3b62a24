/*
 * fetch.h: reads single chunks, of catalogues and lists above all, through a few decoded frames.
 */
#ifndef CORE_ENGINE_FETCH_H
#define CORE_ENGINE_FETCH_H

#include "engine/chunkid.h"
#include "engine/index.h"

struct fetch; /* one thread at a time */

/* Both are borrowed. */
int32_t fetch_new(struct repo *repo, struct index *index, struct fetch **out,
                  struct orch_error *err) ORCH_CHECKED;
void fetch_free(struct fetch *fetch); /* NULL is fine */

/*
 * Replaces the content of `out` by the chunk's bytes, whose id is checked. `ctx` is the struct
 * fetch: the function is a tree_fetch. ORCH_E_NOT_FOUND when no segment names the chunk; the error
 * names it, or the pack.
 */
int32_t fetch_chunk(void *ctx, const uint8_t id[CHUNK_ID_BYTES], struct buffer *out,
                    struct orch_error *err) ORCH_CHECKED;

#endif
