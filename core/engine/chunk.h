/*
 * chunk.h: cuts a stream of bytes into chunks.
 *
 * Content profile: a keyed gear hash over the bytes behind the first CHUNK_MIN of a chunk, which
 * finds a cut every 64 KiB: chunks of 256 KiB on average. Few come out much smaller in any case, so
 * that the long stretch that is not searched costs no deduplication. Row and page profiles cut at
 * fixed places. Where the cuts fall depends on the bytes alone, never on the pieces in which they
 * come.
 */
#ifndef CORE_ENGINE_CHUNK_H
#define CORE_ENGINE_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

#include "engine/keys.h"

#define CHUNK_MIN (192u << 10)
#define CHUNK_MAX (1u << 20)
/* Rows are cut small: what a scattered change stores is a chunk, and frames stay large anyway. */
#define CHUNK_ROWS_TARGET (8u << 10)
#define CHUNK_PAGES_TARGET (32u << 10)

struct chunk_gear {
    uint64_t table[256];
};

/* Fills the table from KEY_GEAR. */
int32_t chunk_gear_init(struct chunk_gear *gear, const struct keys *keys,
                        struct orch_error *err) ORCH_CHECKED;
int32_t chunk_gear_init_key(struct chunk_gear *gear, const uint8_t key[KEY_BYTES],
                            struct orch_error *err) ORCH_CHECKED;

/* Takes one chunk; the bytes are valid during the call. A failure ends the cutting. */
typedef int32_t (*chunk_sink)(void *ctx, const uint8_t *data, size_t len, struct orch_error *err);

struct chunk_cutter;

/* Borrows `gear`. */
int32_t chunk_cutter_new(const struct chunk_gear *gear, chunk_sink sink, void *ctx,
                         struct chunk_cutter **out, struct orch_error *err) ORCH_CHECKED;
void chunk_cutter_free(struct chunk_cutter *cutter); /* NULL is fine */

/*
 * Starts a new stream. `profile` is one of ORCH_PROFILE_*; rows or pages of 0 or more than
 * CHUNK_MAX bytes are cut by content.
 */
void chunk_cutter_start(struct chunk_cutter *cutter, uint32_t profile, uint32_t row_bytes,
                        uint64_t row_offset);
/* How many of the bytes belong to the present chunk; *cut: it ends with them, and the next begins.
 * For whoever gathers the chunks without the sink; `len` > 0. */
size_t chunk_cutter_step(struct chunk_cutter *cutter, const uint8_t *data, size_t len, bool *cut);
/* The present chunk ends here, whatever its length. */
void chunk_cutter_end(struct chunk_cutter *cutter);

/* A chunk that lies whole in `data` goes to the sink from there, uncopied. */
int32_t chunk_cutter_feed(struct chunk_cutter *cutter, const uint8_t *data, size_t len,
                          struct orch_error *err) ORCH_CHECKED;
/* Hands over what is left, if anything. Also before a hole: what follows starts a new chunk. */
int32_t chunk_cutter_flush(struct chunk_cutter *cutter, struct orch_error *err) ORCH_CHECKED;
/* `len` bytes of the stream are left out (a hole): fixed cuts stay aligned. After a flush. */
void chunk_cutter_skip(struct chunk_cutter *cutter, uint64_t len);

#endif
