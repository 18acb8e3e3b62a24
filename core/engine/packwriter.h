/*
 * packwriter.h: writes one pack, frame by frame, straight to storage.
 */
#ifndef CORE_ENGINE_PACKWRITER_H
#define CORE_ENGINE_PACKWRITER_H

#include "engine/frame.h"
#include "engine/pack.h"

struct packwriter; /* one thread at a time */

/* Begins a pack of this kind. */
int32_t packwriter_begin(struct repo *repo, uint32_t kind, struct packwriter **out,
                         struct orch_error *err) ORCH_CHECKED;
/* Seals and writes a frame. `bytes` holds `stored_len` compressed bytes and has room for
 * SEAL_TAG_BYTES more; they are sealed in place. */
int32_t packwriter_add(struct packwriter *writer, uint8_t *bytes, size_t stored_len,
                       size_t plain_len, uint32_t codec, const struct pack_chunk *chunks,
                       size_t count, struct orch_error *err) ORCH_CHECKED;
/* The length that the file would have now. */
uint64_t packwriter_bytes(const struct packwriter *writer);
/* Has its table come to the size at which a pack is closed? */
bool packwriter_table_full(const struct packwriter *writer);
/* Writes footer and trailer and commits; the file then exists, but is durable only after a barrier.
 * `table` takes over the table. Frees the writer, also on failure. */
int32_t packwriter_commit(struct packwriter *writer, struct pack_table *table,
                          struct orch_error *err) ORCH_CHECKED;
void packwriter_abort(struct packwriter *writer); /* NULL is fine */

#endif
