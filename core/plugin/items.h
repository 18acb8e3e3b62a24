/*
 * items.h: how objects and records lie in blocks.
 *
 * A stream of items is cut into blocks of at most WIRE_BLOCK_BYTES. Many small items share a block.
 * Integers are little-endian; each item begins with a tag byte:
 *
 *   'O' OBJECT     u32 flags, kind, name_len, meta_len, profile, row_bytes; u64 row_offset, size;
 *                  i64 mtime; token: u64 size, i64 mtime, i64 ctime, u64 inode; name; meta
 *   'U' UNCHANGED  the same header; no ITEM_END follows
 *   'R' RECORD     u32 type, space, key_len, extra_len; u64 value_len; i64 expires; key; extra
 *   'D' DATA       u32 len, and len bytes; never spans blocks
 *   'H' HOLE       u64 len
 *   'I' ITEM_END
 *   'E' END        u64 items (unchanged ones too), unchanged, bytes (content, holes too)
 *
 * All but DATA may span blocks. The stream is: { OBJECT (DATA | HOLE)* ITEM_END | UNCHANGED |
 * RECORD DATA* ITEM_END }* END, and the data of a record are exactly value_len bytes.
 *
 * The encoder keeps a running XXH3-64 digest of all bytes, taken when they were handed over; the
 * receiver takes it over its own copy. Where the two differ, somebody changed bytes in between.
 */
#ifndef CORE_PLUGIN_ITEMS_H
#define CORE_PLUGIN_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <orchestrate/plugin.h>

#include "base/event.h"

#define ITEMS_NAME_MAX 65535u
#define ITEMS_META_MAX (1u << 20)
#define ITEMS_KEY_MAX (512u << 20)
#define ITEMS_EXTRA_MAX (64u << 10)
#define ITEMS_DATA_HEADER 5u

struct items_totals {
    uint64_t items;
    uint64_t unchanged;
    uint64_t bytes;
    uint64_t digest; /* of every byte so far */
};

/* ---- encoder ---- */

/*
 * Where blocks come from and go to. `turn` hands over the first `used` bytes of the block that it
 * gave last (used 0: there was none, or nothing is in it) and gives the next one, of at least 64
 * bytes. `block` and `size` are NULL when none is wanted now.
 */
struct items_blocks {
    void *ctx;
    int32_t (*turn)(void *ctx, size_t used, uint8_t **block, size_t *size, struct orch_error *err);
};

struct items_encoder;

int32_t items_encoder_new(const struct items_blocks *blocks, struct items_encoder **out,
                          struct orch_error *err) ORCH_CHECKED;
void items_encoder_free(struct items_encoder *encoder); /* NULL is fine */

/* Each checks the rules of plugin.h for its arguments and the order of calls: ORCH_E_INVALID, with
 * words for the author of a plugin. After a failure nothing more may be encoded. */
int32_t items_put_object(struct items_encoder *encoder, const struct orch_object *object,
                         struct orch_error *err) ORCH_CHECKED;
int32_t items_put_unchanged(struct items_encoder *encoder, const struct orch_object *object,
                            struct orch_error *err) ORCH_CHECKED;
int32_t items_put_record(struct items_encoder *encoder, const struct orch_record *record,
                         struct orch_error *err) ORCH_CHECKED;
int32_t items_reserve(struct items_encoder *encoder, uint64_t want, void **space, uint64_t *len,
                      struct orch_error *err) ORCH_CHECKED;
int32_t items_commit(struct items_encoder *encoder, uint64_t len,
                     struct orch_error *err) ORCH_CHECKED;
int32_t items_write(struct items_encoder *encoder, const void *data, uint64_t len,
                    struct orch_error *err) ORCH_CHECKED;
int32_t items_put_hole(struct items_encoder *encoder, uint64_t len,
                       struct orch_error *err) ORCH_CHECKED;
int32_t items_end_item(struct items_encoder *encoder, struct orch_error *err) ORCH_CHECKED;
/* END, and the last block is handed over. */
int32_t items_end(struct items_encoder *encoder, struct orch_error *err) ORCH_CHECKED;
/* Hands over what there is, so that the other side sees it now. */
int32_t items_flush(struct items_encoder *encoder, struct orch_error *err) ORCH_CHECKED;
/* Whether an item was begun and not ended. */
bool items_open(const struct items_encoder *encoder);
void items_totals(const struct items_encoder *encoder, struct items_totals *totals);

/* ---- decoder ---- */

/* A pure state machine: it is fed pieces of any size and never fetches anything itself. */
struct items_decoder;

int32_t items_decoder_new(struct items_decoder **out, struct orch_error *err) ORCH_CHECKED;
void items_decoder_free(struct items_decoder *decoder); /* NULL is fine */
/* The next piece. The one before must be used up (items_next gave 0), and `data` must stay until
 * this one is. */
void items_feed(struct items_decoder *decoder, const uint8_t *data, size_t len);
/* 1: *event is the next event (its pointers are valid until the next call); 0: feed more;
 * ORCH_E_PROTOCOL: the bytes break the rules above. The last event is END. */
int32_t items_next(struct items_decoder *decoder, struct orch_event *event,
                   struct orch_error *err) ORCH_CHECKED;
bool items_decoder_ended(const struct items_decoder *decoder);
/* What was decoded, and the digest of what was fed. */
void items_decoder_totals(const struct items_decoder *decoder, struct items_totals *totals);

#endif
