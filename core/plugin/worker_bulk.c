/* worker_bulk.c: backup and restore: blocks in, blocks out, and the rule of DONE. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plugin/arguments.h"
#include "plugin/message.h"
#include "plugin/server.h"
#include "plugin/worker_internal.h"

struct bulk {
    struct worker *worker;

    /* backup: what comes in */
    const struct event_sink *sink;
    struct items_decoder *decoder;
    uint8_t *block; /* our private copy: the plugin could still change the ring */
    uint64_t blocks;
    bool ended; /* the END item came; the sink hears of it after DONE agreed */
    bool have_done;
    struct items_totals done;

    /* the feeder: earlier entries, or the content of a restore */
    const struct event_source *source;
    uint16_t out_kind;
    uint32_t call_id;
    struct stream *out;
    struct items_encoder *encoder;
    pthread_t thread;
    bool running;
    atomic_bool finished;
    struct orch_error error; /* valid once finished */
};

/* ---- incoming ---- */

static int32_t copy_block(struct worker *worker, struct bulk *bulk, const struct wire_frame *frame,
                          const uint8_t *payload, size_t *len, struct orch_error *err)
{
    uint32_t slot = (uint32_t)(bulk->blocks++ % worker->read_ahead);
    if (worker->ring.base == NULL) {
        if (frame->length == 0) {
            return orch_fail(err, ORCH_E_PROTOCOL, "an empty block");
        }
        memcpy(bulk->block, payload, frame->length);
        *len = frame->length;
        return ORCH_OK;
    }
    if (frame->length != 0 || frame->slot != slot || frame->size == 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a block out of turn: slot %u of %u bytes",
                         frame->slot, frame->size);
    }
    memcpy(bulk->block, ring_block(&worker->ring, slot), frame->size);
    *len = frame->size;
    return ORCH_OK;
}

static int32_t deliver(struct worker_call *call, struct bulk *bulk, struct orch_error *err)
{
    struct orch_event event = {0};
    for (;;) {
        int32_t rc = items_next(bulk->decoder, &event, err);
        if (rc <= 0) {
            return rc;
        }
        if (event.type == ORCH_EVENT_END) {
            bulk->ended = true;
            continue;
        }
        struct orch_error why = ORCH_ERROR_INIT;
        rc = bulk->sink->put(bulk->sink->ctx, &event, &why);
        if (rc != ORCH_OK) {
            why.code = rc;
            worker_call_stop(call, &why);
            return ORCH_OK;
        }
    }
}

int32_t bulk_take_data(struct worker *worker, struct worker_call *call,
                       const struct wire_frame *frame, const uint8_t *payload,
                       struct orch_error *err)
{
    struct bulk *bulk = call->bulk;
    if (bulk->sink == NULL || frame->stream != WIRE_STREAM_BACKUP) {
        return orch_fail(err, ORCH_E_PROTOCOL, "data outside a backup");
    }
    size_t len = 0;
    int32_t rc = copy_block(worker, bulk, frame, payload, &len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct wire_frame credit = {
        .type = WIRE_CREDIT, .stream = WIRE_STREAM_BACKUP, .id = call->id, .credit = 1};
    rc = wire_send(worker->wire, credit, NULL, 0, -1, err);
    if (rc != ORCH_OK && rc != ORCH_E_CRASHED) { /* a dead worker's last blocks count for nothing */
        return rc;
    }
    if (call->reason.code != ORCH_OK) {
        return ORCH_OK; /* it is being stopped: what still comes is dropped */
    }
    items_feed(bulk->decoder, bulk->block, len);
    return deliver(call, bulk, err);
}

int32_t bulk_take_done(struct bulk *bulk, const json_t *json, struct orch_error *err)
{
    if (bulk->have_done || !services_totals_parse(json, &bulk->done)) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a DONE that is incomplete, or a second one");
    }
    bulk->have_done = true;
    return ORCH_OK;
}

/* ---- the feeder ---- */

int32_t bulk_take_credit(struct bulk *bulk, const struct wire_frame *frame, struct orch_error *err)
{
    if (bulk->out == NULL || frame->stream != bulk->out_kind) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a credit for a stream that is not there");
    }
    return stream_credit(bulk->out, frame->credit, err);
}

bool bulk_feeder_failed(struct bulk *bulk, struct orch_error *err)
{
    if (!bulk->running || !atomic_load(&bulk->finished) || bulk->error.code == ORCH_OK ||
        bulk->error.code == ORCH_E_CRASHED) {
        return false; /* that the worker is gone is found, and told, by the loop itself */
    }
    *err = bulk->error;
    return true;
}

bool bulk_host_is_slow(struct bulk *bulk)
{
    return bulk->running && !atomic_load(&bulk->finished) && stream_in_flight(bulk->out) == 0;
}

void bulk_stop_feeder(struct bulk *bulk)
{
    if (bulk->out != NULL) {
        stream_stop(bulk->out, "the worker stopped");
    }
}

/* Only headers with a token are of use to the walk; the rest of the events is skipped. */
static int32_t feed_earlier(struct bulk *bulk, const struct orch_event *event,
                            struct orch_error *err)
{
    if (event->type != ORCH_EVENT_OBJECT || (event->object.flags & ORCH_OBJECT_HAS_TOKEN) == 0) {
        return ORCH_OK;
    }
    return items_put_unchanged(bulk->encoder, &event->object, err);
}

static int32_t feed_event(struct bulk *bulk, const struct orch_event *event, struct orch_error *err)
{
    if (bulk->out_kind == WIRE_STREAM_EARLIER && event->type != ORCH_EVENT_END) {
        return feed_earlier(bulk, event, err);
    }
    switch (event->type) {
    case ORCH_EVENT_OBJECT:
        return items_put_object(bulk->encoder, &event->object, err);
    case ORCH_EVENT_RECORD:
        return items_put_record(bulk->encoder, &event->record, err);
    case ORCH_EVENT_DATA:
        return items_write(bulk->encoder, event->data, event->data_len, err);
    case ORCH_EVENT_HOLE:
        return items_put_hole(bulk->encoder, event->data_len, err);
    case ORCH_EVENT_ITEM_END:
        return items_end_item(bulk->encoder, err);
    case ORCH_EVENT_END:
        return items_end(bulk->encoder, err);
    default:
        return orch_fail(err, ORCH_E_INVALID, "an event of type %u has no place in a restore",
                         event->type);
    }
}

static int32_t feed_done(struct bulk *bulk, struct orch_error *err)
{
    struct items_totals totals = {0};
    items_totals(bulk->encoder, &totals);
    CLEANUP_JSON json_t *json = services_totals_new(&totals);
    struct wire_frame frame = {.type = WIRE_DONE, .stream = bulk->out_kind, .id = bulk->call_id};
    return message_send(bulk->worker->wire, frame, json, err);
}

static void *feeder_main(void *arg)
{
    struct bulk *bulk = arg;
    struct orch_event event = {.struct_size = (uint32_t)sizeof(event)};
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = ORCH_OK;
    do {
        rc = bulk->source->next(bulk->source->ctx, &event, &err);
        if (rc == ORCH_OK) {
            rc = feed_event(bulk, &event, &err);
        }
    } while (rc == ORCH_OK && event.type != ORCH_EVENT_END);
    if (rc == ORCH_OK) {
        rc = feed_done(bulk, &err);
    }
    if (rc != ORCH_OK) {
        bulk->error = err;
        bulk->error.code = rc;
    }
    atomic_store(&bulk->finished, true);
    uint64_t one = 1;
    ssize_t ignored = write(bulk->worker->wake, &one, sizeof(one));
    (void)ignored;
    return NULL;
}

static int32_t prepare_feeder(struct bulk *bulk, const struct event_source *source, uint16_t kind,
                              struct orch_error *err)
{
    struct worker *worker = bulk->worker;
    bool earlier = kind == WIRE_STREAM_EARLIER;
    bulk->source = source;
    bulk->out_kind = kind;
    int32_t rc = stream_new(worker->wire, kind, worker->ring.base == NULL ? NULL : &worker->ring,
                            earlier ? WORKER_BLOCKS : 0,
                            earlier ? WORKER_EARLIER_BLOCKS : WORKER_BLOCKS, &bulk->out, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    stream_begin(bulk->out, bulk->call_id);
    struct items_blocks blocks = stream_blocks(bulk->out);
    return items_encoder_new(&blocks, &bulk->encoder, err);
}

int32_t bulk_run_feeder(struct bulk *bulk, struct orch_error *err)
{
    if (bulk->source == NULL) {
        return ORCH_OK;
    }
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&bulk->thread, NULL, feeder_main, bulk);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        return orch_fail_errno(err, failed, "cannot start a thread");
    }
    bulk->running = true;
    return ORCH_OK;
}

/* Joins the feeder; what it counted stays. */
static void end_feeder(struct bulk *bulk)
{
    bulk_stop_feeder(bulk);
    if (bulk->running) {
        (void)pthread_join(bulk->thread, NULL);
        bulk->running = false;
    }
}

static void bulk_free(struct bulk *bulk)
{
    end_feeder(bulk);
    items_encoder_free(bulk->encoder);
    items_decoder_free(bulk->decoder);
    stream_free(bulk->out);
    free(bulk->block);
}

/* ---- the two calls ---- */

/* The worker's count, ours, and the digest of the bytes on both sides: all must be the same. */
static int32_t check_done(struct worker *worker, const struct bulk *bulk,
                          const struct items_totals *ours, const char *what,
                          struct worker_done *done, struct orch_error *err)
{
    char who[200];
    worker_who(worker, who, sizeof(who));
    if (!bulk->have_done) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the %s ended its %s without DONE: not complete",
                         who, what);
    }
    if (bulk->done.items != ours->items || bulk->done.unchanged != ours->unchanged ||
        bulk->done.bytes != ours->bytes) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "the %s counts %llu items and %llu bytes in its %s, but here it was %llu "
                         "items and %llu bytes",
                         who, (unsigned long long)bulk->done.items,
                         (unsigned long long)bulk->done.bytes, what,
                         (unsigned long long)ours->items, (unsigned long long)ours->bytes);
    }
    if (bulk->done.digest != ours->digest) {
        return orch_fail(err, ORCH_E_CHANGED,
                         "the %s changed data after it had handed it over: the digests of what it "
                         "sent and of what arrived differ",
                         who);
    }
    done->items = ours->items;
    done->unchanged = ours->unchanged;
    done->bytes = ours->bytes;
    return ORCH_OK;
}

static int32_t finish_backup(struct worker *worker, struct bulk *bulk, struct worker_done *done,
                             struct orch_error *err)
{
    struct items_totals ours = {0};
    items_decoder_totals(bulk->decoder, &ours);
    if (!bulk->ended) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "the plugin said that its backup is done, but its stream has no end");
    }
    int32_t rc = check_done(worker, bulk, &ours, "backup", done, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct orch_event end = {.struct_size = (uint32_t)sizeof(end), .type = ORCH_EVENT_END};
    return bulk->sink->put(bulk->sink->ctx, &end, err);
}

int32_t worker_backup(struct worker *worker, const struct event_source *earlier,
                      const struct event_sink *sink, struct worker_done *done,
                      struct orch_error *err)
{
    struct bulk bulk = {.worker = worker, .sink = sink, .call_id = ++worker->next_id};
    struct worker_call call = {.name = "backup", .bulk = &bulk, .id = bulk.call_id};
    *done = (struct worker_done){0};
    bulk.block = malloc(WIRE_BLOCK_BYTES);
    int32_t rc = bulk.block == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for a block")
                                    : items_decoder_new(&bulk.decoder, err);
    if (rc == ORCH_OK && earlier != NULL) {
        rc = prepare_feeder(&bulk, earlier, WIRE_STREAM_EARLIER, err);
    }
    if (rc == ORCH_OK) {
        json_t *args = json_pack("{s:b}", "earlier", earlier != NULL);
        rc = worker_call_run(worker, &call, args, NULL, err);
    }
    end_feeder(&bulk);
    if (rc == ORCH_OK && call.reason.code != ORCH_OK) {
        *err = call.reason; /* the plugin was done before it heard of the stop: that tells why */
        rc = err->code;
    } else if (rc == ORCH_OK) {
        rc = finish_backup(worker, &bulk, done, err);
    }
    bulk_free(&bulk);
    return rc;
}

int32_t worker_restore(struct worker *worker, const struct orch_restore *restore,
                       const struct event_source *source, const struct worker_services *services,
                       struct worker_done *done, struct orch_error *err)
{
    struct bulk bulk = {.worker = worker, .call_id = ++worker->next_id};
    struct worker_call call = {
        .name = "restore", .bulk = &bulk, .services = services, .id = bulk.call_id};
    *done = (struct worker_done){0};
    json_t *json = arguments_restore_new(restore, err);
    if (json == NULL) {
        return err->code;
    }
    json_t *args = json_object();
    (void)json_object_set_new(args, "restore", json);
    int32_t rc = prepare_feeder(&bulk, source, WIRE_STREAM_RESTORE, err);
    if (rc == ORCH_OK) {
        rc = worker_call_run(worker, &call, args, NULL, err);
    } else {
        json_decref(args);
    }
    end_feeder(&bulk);
    if (rc == ORCH_OK) {
        struct items_totals ours = {0};
        items_totals(bulk.encoder, &ours);
        rc = check_done(worker, &bulk, &ours, "restore", done, err);
    }
    bulk_free(&bulk);
    return rc;
}
