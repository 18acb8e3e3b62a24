/*
 * prefetch.h: reads chunks ahead of their delivery: threads fetch, open and decompress the frames
 * that hold them; chunks come out in the order in which they were asked for.
 *
 *   push ─► queue ─► [thread: get, open, decompress] ─► slots with decoded frames ─► pop (id
 * checked)
 *
 * Slots are few and fixed; a frame stays in its slot until another needs it, so that chunks which
 * deduplication has spread over frames do not cost a read each. One consumer thread.
 */
#ifndef CORE_ENGINE_PREFETCH_H
#define CORE_ENGINE_PREFETCH_H

#include "engine/index.h"

struct prefetch;

/* `slots` decoded frames of up to 2 MiB (4 at least), `jobs` threads (0: one per core). */
int32_t prefetch_new(struct repo *repo, struct index *index, size_t slots, uint32_t jobs,
                     struct prefetch **out, struct orch_error *err) ORCH_CHECKED;
void prefetch_free(struct prefetch *prefetch); /* NULL is fine */

/* May another chunk be asked for now? */
bool prefetch_room(const struct prefetch *prefetch);
/* Asks for a chunk; only when there is room. One that cannot be had fails when it is popped. */
void prefetch_push(struct prefetch *prefetch, const uint8_t id[CHUNK_ID_BYTES]);
bool prefetch_empty(const struct prefetch *prefetch);
/* The chunk that was asked for first; its id is checked. The bytes are valid until the next pop.
 * The error names the pack. */
int32_t prefetch_pop(struct prefetch *prefetch, uint8_t id[CHUNK_ID_BYTES], const uint8_t **data,
                     size_t *len, struct orch_error *err) ORCH_CHECKED;

#endif
