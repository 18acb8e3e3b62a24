/*
 * packreader.h: reads packs: their keys, frames and footers.
 */
#ifndef CORE_ENGINE_PACKREADER_H
#define CORE_ENGINE_PACKREADER_H

#include "engine/frame.h"
#include "engine/pack.h"

/* Opened data keys of the packs used last. One thread at a time. */
struct packreader;

/* Borrows `repo`. */
int32_t packreader_new(struct repo *repo, struct packreader **out,
                       struct orch_error *err) ORCH_CHECKED;
void packreader_free(struct packreader *reader); /* NULL is fine */

/* The key of a pack; reads its header when it is not at hand. Valid until the next call. */
int32_t packreader_key(struct packreader *reader, const uint8_t id[PACK_ID_BYTES],
                       struct pack_key **out, struct orch_error *err) ORCH_CHECKED;

/* Opens and decompresses a frame whose sealed bytes (`place->frame_len`) were read from the pack;
 * they are lost. `plain` takes place->plain_len bytes. The error names the pack. */
int32_t packreader_open(struct packreader *reader, const struct chunk_location *place,
                        uint8_t *sealed, uint8_t *plain, struct orch_error *err) ORCH_CHECKED;

/* Checks that lengths from an index can be those of a frame. */
int32_t packreader_check_place(const struct chunk_location *place,
                               struct orch_error *err) ORCH_CHECKED;

/* Trailer and footer of a pack of `file_bytes`. `out` is zeroed first, and cleared by the caller.
 */
int32_t packreader_table(struct packreader *reader, const uint8_t id[PACK_ID_BYTES],
                         uint64_t file_bytes, struct pack_table *out,
                         struct orch_error *err) ORCH_CHECKED;

#endif
