/* stream.c: see stream.h. */
#include "plugin/stream.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct stream {
    struct wire *wire;
    const struct ring *ring;
    uint16_t kind;
    uint32_t first, count;
    uint8_t *private_block; /* inline only */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t call_id;
    uint64_t sent, returned;
    bool stopped;
    char why[128];
};

int32_t stream_new(struct wire *wire, uint16_t kind, const struct ring *ring, uint32_t first,
                   uint32_t count, struct stream **out, struct orch_error *err)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream != NULL && ring == NULL) {
        stream->private_block = malloc(WIRE_BLOCK_BYTES);
    }
    if (stream == NULL || (ring == NULL && stream->private_block == NULL)) {
        free(stream);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a stream of blocks");
    }
    stream->wire = wire;
    stream->kind = kind;
    stream->ring = ring;
    stream->first = first;
    stream->count = count;
    (void)pthread_mutex_init(&stream->lock, NULL);
    (void)pthread_cond_init(&stream->changed, NULL);
    *out = stream;
    return ORCH_OK;
}

void stream_free(struct stream *stream)
{
    if (stream != NULL) {
        (void)pthread_cond_destroy(&stream->changed);
        (void)pthread_mutex_destroy(&stream->lock);
        free(stream->private_block);
        free(stream);
    }
}

void stream_begin(struct stream *stream, uint32_t call_id)
{
    (void)pthread_mutex_lock(&stream->lock);
    stream->call_id = call_id;
    stream->sent = stream->returned = 0;
    stream->stopped = false;
    (void)pthread_mutex_unlock(&stream->lock);
}

static uint32_t slot_of(const struct stream *stream)
{
    return stream->first + (uint32_t)(stream->sent % stream->count);
}

static int32_t send_block(struct stream *stream, size_t used, struct orch_error *err)
{
    struct wire_frame frame = {.type = WIRE_DATA, .stream = stream->kind};
    (void)pthread_mutex_lock(&stream->lock);
    frame.id = stream->call_id;
    if (stream->ring != NULL) {
        frame.slot = slot_of(stream);
        frame.size = (uint32_t)used;
    }
    stream->sent++; /* before it is sent: the credit may come back before the send returns */
    (void)pthread_mutex_unlock(&stream->lock);
    return wire_send(stream->wire, frame, stream->private_block, stream->ring != NULL ? 0 : used,
                     -1, err);
}

static int32_t turn(void *ctx, size_t used, uint8_t **block, size_t *size, struct orch_error *err)
{
    struct stream *stream = ctx;
    if (used > 0) {
        int32_t rc = send_block(stream, used, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (block == NULL) {
        return ORCH_OK;
    }
    (void)pthread_mutex_lock(&stream->lock);
    while (!stream->stopped && stream->sent - stream->returned >= stream->count) {
        (void)pthread_cond_wait(&stream->changed, &stream->lock);
    }
    bool stopped = stream->stopped;
    *block =
        stream->ring != NULL ? ring_block(stream->ring, slot_of(stream)) : stream->private_block;
    (void)pthread_mutex_unlock(&stream->lock);
    if (stopped) {
        return orch_fail(err, ORCH_E_CANCELLED, "%s", stream->why);
    }
    *size = WIRE_BLOCK_BYTES;
    return ORCH_OK;
}

struct items_blocks stream_blocks(struct stream *stream)
{
    return (struct items_blocks){.ctx = stream, .turn = turn};
}

int32_t stream_credit(struct stream *stream, uint32_t credit, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    (void)pthread_mutex_lock(&stream->lock);
    if (credit > stream->sent - stream->returned) {
        rc = orch_fail(err, ORCH_E_PROTOCOL, "more blocks came back than were sent");
    } else {
        stream->returned += credit;
        (void)pthread_cond_broadcast(&stream->changed);
    }
    (void)pthread_mutex_unlock(&stream->lock);
    return rc;
}

void stream_stop(struct stream *stream, const char *why)
{
    (void)pthread_mutex_lock(&stream->lock);
    if (!stream->stopped) {
        (void)snprintf(stream->why, sizeof(stream->why), "%s", why);
        stream->stopped = true;
        (void)pthread_cond_broadcast(&stream->changed);
    }
    (void)pthread_mutex_unlock(&stream->lock);
}

uint32_t stream_in_flight(struct stream *stream)
{
    (void)pthread_mutex_lock(&stream->lock);
    uint32_t n = (uint32_t)(stream->sent - stream->returned);
    (void)pthread_mutex_unlock(&stream->lock);
    return n;
}
