/*
 * pack.h: the bytes of a pack: header, frames, sealed footer, trailer. docs/repository-format.md
 * has every byte. Nothing here touches storage; packwriter.h and packreader.h do.
 *
 *   header | frame 0 | frame 1 | … | footer | trailer
 *
 * No byte lies outside these, and every one is under the seal of a key that is the pack's own.
 */
#ifndef CORE_ENGINE_PACK_H
#define CORE_ENGINE_PACK_H

#include "base/buffer.h"
#include "base/id.h"
#include "engine/index.h"
#include "engine/keys.h"
#include "engine/seal.h"

#define PACK_DATA 1u /* objects' chunks and blocks of records */
#define PACK_META 2u /* catalogue blocks, lists of chunks, nodes of block indexes */

#define PACK_HEADER_BYTES 112u
#define PACK_TRAILER_BYTES 56u
/* A pack is closed when its footer comes to this size, whatever its length. */
#define PACK_FOOTER_TARGET (2u << 20)
#define PACK_FOOTER_MAX (16u << 20)
#define PACK_NAME_BYTES 48 /* "packs/aa/" and 32 digits and a zero fit */

struct pack_chunk {
    uint8_t id[CHUNK_ID_BYTES];
    uint32_t len;
};

struct pack_frame {
    uint64_t offset;
    uint32_t sealed_len;
    uint32_t plain_len;
    uint32_t codec;
    uint32_t chunk_count;
    uint64_t first_chunk; /* in `chunks` of the table */
};

/* What a pack holds: in its footer, in index segments, and in memory while it is written. */
struct pack_table {
    uint8_t id[PACK_ID_BYTES];
    uint32_t kind;
    uint64_t size_bytes; /* of the whole file; 0 while it is not known */
    struct pack_frame *frames;
    size_t frame_count, frame_capacity;
    struct pack_chunk *chunks;
    size_t chunk_count, chunk_capacity;
};

void pack_table_clear(struct pack_table *table); /* frees and zeroes */
/* Appends a frame behind the last one (the first: behind the header). */
int32_t pack_table_add(struct pack_table *table, uint32_t sealed_len, uint32_t plain_len,
                       uint32_t codec, const struct pack_chunk *chunks, size_t count,
                       struct orch_error *err) ORCH_CHECKED;
/* Frames and chunks, without id, kind and size. */
void pack_table_encode(const struct pack_table *table, struct buffer *out);
/* The reverse, into a table with id, kind and size set and nothing else. Every length is checked.
 * On failure the table is to be cleared. */
int32_t pack_table_decode(struct pack_table *table, struct reader *in,
                          struct orch_error *err) ORCH_CHECKED;
/* Where the frames end. */
uint64_t pack_table_end(const struct pack_table *table);

/* "packs/ab/abcd…" */
void pack_name(const uint8_t id[PACK_ID_BYTES], char name[PACK_NAME_BYTES]);
/* The id in a name that pack_name() could have made; ORCH_E_INVALID (no message) otherwise. */
int32_t pack_name_id(const char *name, uint8_t id[PACK_ID_BYTES]) ORCH_CHECKED;

/* The opened data key of a pack. One thread at a time. */
struct pack_key {
    struct seal *seal;
    uint8_t id[PACK_ID_BYTES];
    uint8_t kind;
    uint8_t algorithm;
};

/* Makes id, salt and data key, and the header that carries them. */
int32_t pack_key_new(const struct keys *keys, uint32_t algorithm, uint32_t kind,
                     struct pack_key *out, uint8_t header[PACK_HEADER_BYTES],
                     struct orch_error *err) ORCH_CHECKED;
/* Opens a header; `id` is the one that the file's name tells. */
int32_t pack_key_open(const struct keys *keys, uint32_t algorithm,
                      const uint8_t header[PACK_HEADER_BYTES], const uint8_t id[PACK_ID_BYTES],
                      struct pack_key *out, struct orch_error *err) ORCH_CHECKED;
void pack_key_clear(struct pack_key *key);

/* Appends the sealed footer and the trailer of a table whose frames are written. */
int32_t pack_footer_encode(struct pack_key *key, const struct pack_table *table, struct buffer *out,
                           struct orch_error *err) ORCH_CHECKED;
/* Checks the trailer of a file of `file_bytes`; gives where the footer lies. */
int32_t pack_trailer_open(struct pack_key *key, const uint8_t trailer[PACK_TRAILER_BYTES],
                          uint64_t file_bytes, uint64_t *footer_offset, uint32_t *footer_len,
                          struct orch_error *err) ORCH_CHECKED;
/* Opens the footer in place and fills the table (zeroed before; size_bytes is set). */
int32_t pack_footer_open(struct pack_key *key, uint8_t *footer, uint32_t footer_len,
                         uint64_t footer_offset, uint64_t file_bytes, struct pack_table *out,
                         struct orch_error *err) ORCH_CHECKED;

#endif
