/*
 * pipeline.h: what happens to a frame once it is full: threads compress it, seal it, put it into
 * the open pack of its kind; another thread commits packs and stores index segments.
 *
 *   submit ─► queue ─► [job: compress] ─► open pack (seal, write) ─► [committer: commit, index]
 *
 * Frames in flight are bounded; so are packs that wait for their commit. The first error of any
 * thread stops everything: what is queued is dropped, and every call returns that error.
 */
#ifndef CORE_ENGINE_PIPELINE_H
#define CORE_ENGINE_PIPELINE_H

#include "engine/frame.h"
#include "engine/pack.h"
#include "engine/writer.h"

struct pipeline;

/* Whose frames these are. Zeroed by its owner; the fields belong to the pipeline. */
struct pipeline_owner {
    uint64_t in_flight;
    uint64_t stored_bytes; /* sealed; to be read after pipeline_wait() */
};

/* A frame that is being filled: FRAME_PLAIN_MAX bytes, FRAME_CHUNKS_MAX chunks. */
struct pipeline_frame {
    uint8_t *plain;
    size_t len;
    struct pack_chunk *chunks;
    size_t count;
    uint32_t kind;    /* PACK_* */
    uint32_t profile; /* ORCH_PROFILE_*, of its objects; the owner's */
    bool hashed;      /* the hasher's */
    struct pipeline_owner *owner;
    struct pipeline_frame *next;
};

int32_t pipeline_new(struct repo *repo, struct index *index, const struct writer_options *options,
                     struct pipeline **out, struct orch_error *err) ORCH_CHECKED;

/* An empty frame. Never waits: only submitted frames are bounded, so that holders of half-full
 * frames cannot block each other. */
int32_t pipeline_take(struct pipeline *pipeline, uint32_t kind, struct pipeline_owner *owner,
                      struct pipeline_frame **out, struct orch_error *err) ORCH_CHECKED;
/* Hands over a frame, empty or not; waits while too many are in flight. */
int32_t pipeline_submit(struct pipeline *pipeline, struct pipeline_frame *frame,
                        struct orch_error *err) ORCH_CHECKED;
/* Gives back a frame that is not to be submitted. */
void pipeline_return(struct pipeline *pipeline, struct pipeline_frame *frame);
/* Waits until all frames of this owner are in packs (or the pipeline has failed). */
int32_t pipeline_wait(struct pipeline *pipeline, struct pipeline_owner *owner,
                      struct orch_error *err) ORCH_CHECKED;
/* Commits the open packs, makes everything durable, indexes it. No owner may have frames open. */
int32_t pipeline_finish(struct pipeline *pipeline, struct orch_error *err) ORCH_CHECKED;
/* Stops; what was committed and not yet indexed is indexed if it can be. NULL is fine. */
void pipeline_free(struct pipeline *pipeline);

/* The first error, if there was one. Cheap. */
int32_t pipeline_failure(struct pipeline *pipeline, struct orch_error *err) ORCH_CHECKED;
uint64_t pipeline_stored_bytes(struct pipeline *pipeline);
/* Names of the committed packs, zero-terminated; the pipeline's. After pipeline_finish(). */
const char *const *pipeline_packs(struct pipeline *pipeline);

#endif
