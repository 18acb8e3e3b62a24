/*
 * hasher.h: threads that compute the ids of the chunks in frames, ahead of the one who needs them.
 */
#ifndef CORE_ENGINE_HASHER_H
#define CORE_ENGINE_HASHER_H

#include "engine/chunkid.h"
#include "engine/pipeline.h"

struct hasher;

/* Borrows `hash`. `jobs` threads; 0: as many as there are processors. */
int32_t hasher_new(const struct chunkid *hash, uint32_t jobs, struct hasher **out,
                   struct orch_error *err) ORCH_CHECKED;
/* NULL is fine. No frame may be under way. */
void hasher_free(struct hasher *hasher);
/* Takes a frame whose chunks have their lengths; until its ids are there, it is not to be touched.
 */
void hasher_submit(struct hasher *hasher, struct pipeline_frame *frame);
/* Whether the ids of a submitted frame are there; with `wait`, waits until they are. */
bool hasher_done(struct hasher *hasher, struct pipeline_frame *frame, bool wait);

#endif
