/*
 * wire.h: frames between host and worker over one connected stream socket.
 *
 * A frame is a header of 24 bytes, little-endian, and `length` bytes of payload:
 *
 *   u32 length   bytes that follow
 *   u8  type     WIRE_*
 *   u8  flags    WIRE_FLAG_*
 *   u16 stream   WIRE_STREAM_*
 *   u32 credit   CREDIT: blocks that the receiver of the stream gives back
 *   u32 id       of the call (or request) that the frame belongs to
 *   u32 slot     DATA over the ring: which block; else 0
 *   u32 size     DATA over the ring: bytes in that block; else 0
 *
 * Control frames carry one JSON object in UTF-8. DATA carries a run of items (items.h): in the
 * ring's block `slot` when length is 0, else as its payload. Everything received is checked here
 * for size and here alone; what a frame means is the business of worker_frames.c and
 * server_reader.c.
 *
 *   worker                              host
 *   HELLO (versions, features)  ──►
 *                               ◄──     HELLO (version, ring; the memfd travels with it)
 *                               ◄──     CALL id
 *   LOG FACT VERDICT ALIVE DATA ──►            any number of times
 *   REQUEST id                  ──►
 *                               ◄──     ANSWER id
 *                               ◄──     DATA CREDIT DONE CANCEL
 *   DONE (backup, restore)      ──►
 *   REPLY id                    ──►
 */
#ifndef CORE_PLUGIN_WIRE_H
#define CORE_PLUGIN_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <orchestrate/error.h>

#include "base/buffer.h"

#define WIRE_HEADER_BYTES 24u
#define WIRE_CONTROL_MAX (4u << 20)
#define WIRE_BLOCK_BYTES (1u << 20)

/* The protocol versions that this program speaks. */
#define WIRE_PROTOCOL_MIN 1
#define WIRE_PROTOCOL_MAX 1

#define WIRE_HELLO 1u
#define WIRE_CALL 2u
#define WIRE_REPLY 3u
#define WIRE_REQUEST 4u
#define WIRE_ANSWER 5u
#define WIRE_LOG 6u
#define WIRE_FACT 7u
#define WIRE_VERDICT 8u
#define WIRE_DATA 9u
#define WIRE_CREDIT 10u
#define WIRE_DONE 11u
#define WIRE_CANCEL 12u
#define WIRE_ALIVE 13u

#define WIRE_FLAG_SECRET 1u /* the payload is wiped from memory as soon as it was used */

#define WIRE_STREAM_CONTROL 0u
#define WIRE_STREAM_BACKUP 1u  /* worker to host */
#define WIRE_STREAM_EARLIER 2u /* host to worker */
#define WIRE_STREAM_RESTORE 3u /* host to worker */

struct wire_frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint16_t stream;
    uint32_t credit;
    uint32_t id;
    uint32_t slot;
    uint32_t size;
};

void wire_encode(const struct wire_frame *frame, uint8_t out[WIRE_HEADER_BYTES]);
/* Checks everything that can be checked without knowing the state: ORCH_E_PROTOCOL. */
int32_t wire_decode(const uint8_t in[WIRE_HEADER_BYTES], struct wire_frame *frame,
                    struct orch_error *err) ORCH_CHECKED;

struct wire;

/* Takes `fd`, also on failure. `peer` ("worker", "host") is for messages and stays the caller's. */
int32_t wire_new(int fd, const char *peer, struct wire **out, struct orch_error *err) ORCH_CHECKED;
void wire_free(struct wire *wire); /* closes; NULL is fine */
int wire_fd(const struct wire *wire);
/* A peer that leaves our messages unread for so long fails the sender; 0, the default: never. */
void wire_set_send_limit(struct wire *wire, int limit_ms);
/* Both directions end: whoever sends or waits wakes up. Any thread. */
void wire_shutdown(struct wire *wire);

/*
 * Sends one frame whole. Any thread. frame->length is set from `len`. `pass_fd` (or -1) travels
 * with it. ORCH_E_CRASHED when the other side is gone, ORCH_E_TIMEOUT when it does not read.
 */
int32_t wire_send(struct wire *wire, struct wire_frame frame, const void *payload, size_t len,
                  int pass_fd, struct orch_error *err) ORCH_CHECKED;
/* The same for a frame without payload, unless another thread is sending: ORCH_E_BUSY, at once. */
int32_t wire_try_send(struct wire *wire, struct wire_frame frame,
                      struct orch_error *err) ORCH_CHECKED;

/* wire_fill reads what there is, without waiting. */
#define WIRE_FILLED 1 /* some bytes came */
#define WIRE_AGAIN 0  /* none yet */
#define WIRE_EOF 2    /* the other side has closed */
/* One of these, or a negative code. One thread at a time receives. */
int32_t wire_fill(struct wire *wire, struct orch_error *err) ORCH_CHECKED;

/*
 * The next whole frame out of what was read: 1 and *frame and *payload (valid until the next call
 * of wire_next or wire_fill), 0 when more has to be read first, or ORCH_E_PROTOCOL.
 */
int32_t wire_next(struct wire *wire, struct wire_frame *frame, const uint8_t **payload,
                  struct orch_error *err) ORCH_CHECKED;
/* After wire_next: moves the payload to `out` (empty before), without a copy where it can. */
void wire_take(struct wire *wire, struct buffer *out);

/* The descriptor that came along last, now the caller's, or -1. */
int wire_take_fd(struct wire *wire);

#endif
