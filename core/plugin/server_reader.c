/* server_reader.c: the worker's thread that takes frames off the wire and never waits for anything
 * else. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "plugin/server.h"

static void stop_everything(struct server *server, const char *why)
{
    atomic_store(&server->cancelled, 1);
    stream_stop(server->out, why);
    (void)pthread_cond_broadcast(&server->changed);
}

void server_reader_clear(struct server *server)
{
    for (uint32_t i = 0; i < SERVER_INBOUND_MAX; i++) {
        buffer_free(&server->inbound[i].payload);
    }
    server->inbound_head = server->inbound_count = 0;
    server->have_done = false;
    buffer_free(&server->done);
}

static int32_t take_call(struct server *server, const struct wire_frame *frame,
                         struct orch_error *err)
{
    if (server->have_call) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a call while another one waits");
    }
    server->call = *frame;
    wire_take(server->wire, &server->call_payload);
    server->have_call = true;
    server->current = frame->id;
    atomic_store(&server->cancelled, 0);
    server_reader_clear(server);
    stream_begin(server->out, frame->id);
    return ORCH_OK;
}

static int32_t take_data(struct server *server, const struct wire_frame *frame,
                         struct orch_error *err)
{
    if (server->inbound_count == SERVER_INBOUND_MAX) {
        return orch_fail(err, ORCH_E_PROTOCOL, "more blocks than there are credits for");
    }
    bool in_ring = server->ring.base != NULL;
    if (in_ring ? frame->slot >= server->ring.blocks || frame->length > 0 : frame->length == 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a block that cannot be");
    }
    uint32_t at = (server->inbound_head + server->inbound_count) % SERVER_INBOUND_MAX;
    server->inbound[at].slot = frame->slot;
    server->inbound[at].size = frame->size;
    if (!in_ring) {
        wire_take(server->wire, &server->inbound[at].payload);
    }
    server->inbound_count++;
    return ORCH_OK;
}

/* Under the lock. */
static int32_t dispatch(struct server *server, const struct wire_frame *frame,
                        struct orch_error *err)
{
    bool late = frame->id != server->current;
    switch (frame->type) {
    case WIRE_CALL:
        return take_call(server, frame, err);
    case WIRE_ANSWER:
        buffer_free(&server->answer);
        server->answer_id = frame->id;
        server->have_answer = true;
        wire_take(server->wire, &server->answer);
        return ORCH_OK;
    case WIRE_DATA:
        return late ? ORCH_OK : take_data(server, frame, err);
    case WIRE_DONE:
        if (!late) {
            server->have_done = true;
            buffer_free(&server->done);
            wire_take(server->wire, &server->done);
        }
        return ORCH_OK;
    case WIRE_CREDIT:
        return late ? ORCH_OK : stream_credit(server->out, frame->credit, err);
    case WIRE_CANCEL:
        if (!late) {
            stop_everything(server, "stopped because the run was cancelled");
        }
        return ORCH_OK;
    default:
        return orch_fail(err, ORCH_E_PROTOCOL, "a frame of type %u does not belong here",
                         frame->type);
    }
}

/* Handles what was read. False when the connection is of no use any more. */
static bool handle_frames(struct server *server)
{
    struct wire_frame frame;
    const uint8_t *payload = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = 0;
    while ((rc = wire_next(server->wire, &frame, &payload, &err)) == 1) {
        (void)pthread_mutex_lock(&server->lock);
        rc = dispatch(server, &frame, &err);
        (void)pthread_cond_broadcast(&server->changed);
        (void)pthread_mutex_unlock(&server->lock);
        if (rc != ORCH_OK) {
            break;
        }
    }
    if (rc < 0) {
        (void)fprintf(stderr, "worker: the host broke the protocol: %s\n", err.message);
    }
    return rc == 0;
}

static bool read_frames(struct server *server)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct pollfd fd = {.fd = wire_fd(server->wire), .events = POLLIN};
    int32_t rc = wire_fill(server->wire, &err);
    if (rc == WIRE_AGAIN) {
        (void)poll(&fd, 1, -1);
        return true;
    }
    return rc == WIRE_FILLED && handle_frames(server);
}

void *server_reader_main(void *arg)
{
    struct server *server = arg;
    bool alive = handle_frames(server); /* what came along with HELLO */
    while (alive) {
        alive = read_frames(server);
    }
    if (server->isolated && !atomic_load(&server->leaving) && getpgrp() == getpid()) {
        (void)kill(0, SIGKILL); /* without a host, neither we nor the plugin's children have work */
    }
    (void)pthread_mutex_lock(&server->lock);
    server->closed = true;
    stop_everything(server, "stopped because the host is gone");
    (void)pthread_mutex_unlock(&server->lock);
    return NULL;
}
