/*
 * writer.h: puts the content of components into a repository: cut, hash, look up, frame, compress,
 * seal, pack, index.
 *
 *   part_writer_put ─► chunk, hash, look up ─► frame ─► [compress + seal threads] ─► pack ─► storage
 *
 * One writer per run, one part_writer per component; part_writers of one writer may be fed from
 * different threads at the same time.
 */
#ifndef CORE_ENGINE_WRITER_H
#define CORE_ENGINE_WRITER_H

#include "base/event.h"
#include "engine/codec.h"
#include "engine/index.h"
#include "engine/part.h"

struct writer;
struct content_reader;
struct part_writer;

struct writer_options {
    uint32_t codec; /* CODEC_* */
    int level;      /* 0: the codec's default for backups */
    uint32_t jobs;  /* threads that compress and seal; 0: one per core */
    uint64_t memory_bytes; /* bound on frames and packs in flight; 0: 64 MiB */
    uint64_t pack_bytes;   /* 0: 64 MiB */
};

int32_t writer_open(struct repo *repo, struct index *index, const struct writer_options *options,
                    struct writer **out, struct orch_error *err) ORCH_CHECKED;

/* `earlier` is the part that EVENT_UNCHANGED refers to, or NULL; borrowed until finish. */
int32_t part_writer_open(struct writer *writer, const struct part *earlier,
                         struct part_writer **out, struct orch_error *err) ORCH_CHECKED;
/* What `reader` (CONTENT_FOR_EARLIER, of the same earlier part) has found to be whole is not looked
 * up again. It must stay until END was taken. */
void part_writer_trust(struct part_writer *part, struct content_reader *reader);
/* Takes the next event (END too, which must be the last). Checks the order of names, the exact
 * length of record values and everything else that a plugin could get wrong: ORCH_E_PROTOCOL. */
int32_t part_writer_put(struct part_writer *part, const struct orch_event *event,
                        struct orch_error *err) ORCH_CHECKED;
/* After END: writes catalogue and layers, fills content and stats. content->layers becomes the
 * caller's (free()). */
int32_t part_writer_finish(struct part_writer *part, struct part_content *content,
                           struct part_stats *stats, struct orch_error *err) ORCH_CHECKED;
void part_writer_close(struct part_writer *part); /* also abandons; NULL is fine */

/* Flushes the packs, waits until they are durable, then stores the index segments, durably.
 * The first error of any thread comes back here (and from part_writer_put before). */
int32_t writer_finish(struct writer *writer, struct orch_error *err) ORCH_CHECKED;
/* Abandons what is not finished; NULL is fine. Packs that are complete are indexed, so that the
 * next run reuses them. */
void writer_close(struct writer *writer);

/* Bytes that went to storage so far; for progress. Thread-safe. */
uint64_t writer_stored_bytes(struct writer *writer);

/* The names of the packs this writer stored, for verification: zero-terminated list, the
 * writer's. */
const char *const *writer_packs(struct writer *writer);

#endif
