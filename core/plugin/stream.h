/*
 * stream.h: bulk blocks on their way out, with credits.
 *
 * A sender owns `count` blocks of a stream (slots of the ring, or one private block when inline).
 * It fills one, sends it, and may have `count` of them out; the receiver gives them back, in order.
 * One thread fills and sends; another brings credits and may stop it.
 */
#ifndef CORE_PLUGIN_STREAM_H
#define CORE_PLUGIN_STREAM_H

#include <stdbool.h>

#include "plugin/items.h"
#include "plugin/ring.h"
#include "plugin/wire.h"

struct stream;

/* `ring` (NULL: inline) and `wire` stay the caller's. Slots [first, first + count). */
int32_t stream_new(struct wire *wire, uint16_t kind, const struct ring *ring, uint32_t first,
                   uint32_t count, struct stream **out, struct orch_error *err) ORCH_CHECKED;
void stream_free(struct stream *stream); /* NULL is fine */

/* Everything is free again, and frames carry `call_id` from now on. */
void stream_begin(struct stream *stream, uint32_t call_id);
/* For an encoder: its blocks come from here and go out here. */
struct items_blocks stream_blocks(struct stream *stream);

/* `credit` blocks came back. ORCH_E_PROTOCOL: more than are out. */
int32_t stream_credit(struct stream *stream, uint32_t credit, struct orch_error *err) ORCH_CHECKED;
/* Whoever waits for a block, now or later, gets ORCH_E_CANCELLED with this text. */
void stream_stop(struct stream *stream, const char *why);
/* Blocks that the receiver has. */
uint32_t stream_in_flight(struct stream *stream);

#endif
