/* serve.c: the worker process: its connection to the host, and the calls it answers. */
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin/loader.h"
#include "plugin/message.h"
#include "plugin/process.h"
#include "plugin/server.h"
#include "plugin/worker.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAVE_SANITIZER 1
#endif
#endif
#ifndef HAVE_SANITIZER
#define HAVE_SANITIZER 0
#endif

int32_t server_send(struct server *server, struct wire_frame frame, const json_t *message,
                    struct orch_error *err)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    atomic_store(&server->sent_ms, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return message_send(server->wire, frame, message, err);
}

/* ---- the reader ---- */

static void stop_everything(struct server *server, const char *why)
{
    atomic_store(&server->cancelled, 1);
    stream_stop(server->out, why);
    (void)pthread_cond_broadcast(&server->changed);
}

static void clear_inbound(struct server *server)
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
    clear_inbound(server);
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

static void *reader_main(void *arg)
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

/* ---- calls: one function each; `args` is the request, `reply` takes what goes back ---- */

typedef int32_t (*call_fn)(struct server *server, const json_t *args, json_t *reply,
                           struct orch_error *err);

static int32_t call_load(struct server *server, const json_t *args, json_t *reply,
                         struct orch_error *err)
{
    CLEANUP_FREE char *path = message_bytes(args, "path", NULL);
    if (path == NULL || server->info != NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a load without path, or a second one");
    }
    int32_t rc = loader_open(path, &server->plugin, &server->info, err);
    if (rc == ORCH_OK) {
        (void)json_object_set_new(reply, "plugin", plugin_info_to_json(server->info));
        if (server->isolated) {
            (void)prctl(PR_SET_NAME, server->info->name);
        }
    }
    return rc;
}

static int32_t call_open(struct server *server, const json_t *args, json_t *reply,
                         struct orch_error *err)
{
    (void)reply;
    if (server->info == NULL || server->opened) {
        return orch_fail(err, ORCH_E_PROTOCOL, "open before a plugin is loaded, or twice");
    }
    arguments_options_free(steal_ptr(&server->options));
    int32_t rc = arguments_options_parse(json_object_get(args, "options"), &server->options, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = server->plugin.open(&server->host, arguments_options(server->options), &server->instance,
                             err);
    server->opened = rc == ORCH_OK;
    return rc;
}

static int32_t call_close(struct server *server, const json_t *args, json_t *reply,
                          struct orch_error *err)
{
    (void)args;
    (void)reply;
    (void)err;
    if (server->opened) {
        server->opened = false;
        server->plugin.close(server->instance);
    }
    arguments_options_free(steal_ptr(&server->options));
    atomic_store(&server->leaving, true);
    return ORCH_OK;
}

static int32_t call_probe(struct server *server, const json_t *args, json_t *reply,
                          struct orch_error *err)
{
    (void)args;
    struct orch_probe probe = {.struct_size = (uint32_t)sizeof(probe),
                               .items = ORCH_SIZE_UNKNOWN,
                               .size_bytes = ORCH_SIZE_UNKNOWN};
    int32_t rc = server->plugin.probe(server->instance, &probe, err);
    message_set_u64(reply, "flags", probe.flags);
    message_set_u64(reply, "items", probe.items);
    message_set_u64(reply, "size_bytes", probe.size_bytes);
    message_set_bytes(reply, "version", probe.version,
                      strnlen(probe.version, sizeof(probe.version)));
    message_set_bytes(reply, "identity", probe.identity,
                      strnlen(probe.identity, sizeof(probe.identity)));
    return rc;
}

static int32_t call_freeze(struct server *server, const json_t *args, json_t *reply,
                           struct orch_error *err)
{
    (void)args;
    struct orch_freeze freeze = {.struct_size = (uint32_t)sizeof(freeze)};
    int32_t rc = server->plugin.freeze == NULL
                     ? ORCH_OK
                     : server->plugin.freeze(server->instance, &freeze, err);
    message_set_u64(reply, "consistency", freeze.consistency);
    message_set_u64(reply, "flags", freeze.flags);
    message_set_bytes(reply, "cost", freeze.cost, strnlen(freeze.cost, sizeof(freeze.cost)));
    return rc;
}

static int32_t optional(int32_t (*callback)(void *, struct orch_error *), void *instance,
                        struct orch_error *err)
{
    return callback == NULL ? ORCH_OK : callback(instance, err);
}

static int32_t call_thaw(struct server *server, const json_t *args, json_t *reply,
                         struct orch_error *err)
{
    (void)args;
    (void)reply;
    return optional(server->plugin.thaw, server->instance, err);
}

static int32_t call_quiesce(struct server *server, const json_t *args, json_t *reply,
                            struct orch_error *err)
{
    (void)args;
    (void)reply;
    return optional(server->plugin.quiesce, server->instance, err);
}

static int32_t call_resume(struct server *server, const json_t *args, json_t *reply,
                           struct orch_error *err)
{
    (void)args;
    (void)reply;
    return optional(server->plugin.resume, server->instance, err);
}

static int32_t call_scratch(struct server *server, const json_t *args, json_t *reply,
                            struct orch_error *err)
{
    (void)reply;
    CLEANUP_FREE char *directory = message_bytes(args, "directory", NULL);
    if (server->plugin.scratch == NULL || directory == NULL) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "the plugin makes no scratch targets");
    }
    return server->plugin.scratch(server->instance, directory, err);
}

static int32_t with_restore(struct server *server, const json_t *args,
                            int32_t (*callback)(void *, const struct orch_restore *,
                                                struct orch_error *),
                            struct orch_error *err)
{
    CLEANUP(arguments_restore_cleanup) struct arguments_restore *restore = NULL;
    int32_t rc = arguments_restore_parse(json_object_get(args, "restore"), &restore, err);
    return rc == ORCH_OK ? callback(server->instance, arguments_restore(restore), err) : rc;
}

static int32_t call_check(struct server *server, const json_t *args, json_t *reply,
                          struct orch_error *err)
{
    (void)reply;
    return with_restore(server, args, server->plugin.check, err);
}

static int32_t call_verify(struct server *server, const json_t *args, json_t *reply,
                           struct orch_error *err)
{
    (void)reply;
    return with_restore(server, args, server->plugin.verify, err);
}

static int32_t call_settle(struct server *server, const json_t *args, json_t *reply,
                           struct orch_error *err)
{
    (void)reply;
    if (server->plugin.settle == NULL) {
        return ORCH_OK;
    }
    CLEANUP(arguments_restore_cleanup) struct arguments_restore *restore = NULL;
    int32_t rc = arguments_restore_parse(json_object_get(args, "restore"), &restore, err);
    return rc == ORCH_OK ? server->plugin.settle(server->instance, arguments_restore(restore),
                                                 message_u32(args, "outcome"), err)
                         : rc;
}

/* ---- bulk calls ---- */

static void end_bulk(struct server *server)
{
    items_encoder_free(steal_ptr(&server->encoder));
    items_decoder_free(steal_ptr(&server->decoder));
    buffer_free(&server->held.payload);
    server->holding = false;
    buffer_free(&server->last_name);
}

static void begin_bulk(struct server *server, uint16_t inbound)
{
    server->bulk_error = (struct orch_error)ORCH_ERROR_INIT;
    server->inbound_stream = inbound;
    server->holding = server->have_earlier = server->earlier_ended = server->stream_ended = false;
}

static int32_t send_done(struct server *server, uint16_t stream, const struct items_totals *totals,
                         struct orch_error *err)
{
    CLEANUP_JSON json_t *done = services_totals_new(totals);
    struct wire_frame frame = {.type = WIRE_DONE, .stream = stream, .id = server->call_id};
    return server_send(server, frame, done, err);
}

/* What the callback returned, unless it overlooked a failure of a service. */
static int32_t with_bulk_error(const struct server *server, int32_t rc, struct orch_error *err)
{
    if (rc == ORCH_OK && server->bulk_error.code != ORCH_OK) {
        *err = server->bulk_error;
        return server->bulk_error.code;
    }
    return rc;
}

static int32_t run_backup(struct server *server, struct orch_error *err)
{
    int32_t rc = server->plugin.backup(server->instance, err);
    rc = with_bulk_error(server, rc, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (items_open(server->encoder)) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "the plugin's backup returned success in the middle of an item: the "
                         "stream is cut short");
    }
    rc = items_end(server->encoder, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct items_totals totals = {0};
    items_totals(server->encoder, &totals);
    return send_done(server, WIRE_STREAM_BACKUP, &totals, err);
}

static int32_t call_backup(struct server *server, const json_t *args, json_t *reply,
                           struct orch_error *err)
{
    (void)reply;
    begin_bulk(server, WIRE_STREAM_EARLIER);
    struct items_blocks blocks = stream_blocks(server->out);
    int32_t rc = items_encoder_new(&blocks, &server->encoder, err);
    if (rc == ORCH_OK && json_is_true(json_object_get(args, "earlier"))) {
        rc = items_decoder_new(&server->decoder, err);
    }
    if (rc == ORCH_OK) {
        rc = run_backup(server, err);
    }
    end_bulk(server);
    return rc;
}

static int32_t run_restore(struct server *server, const json_t *args, struct orch_error *err)
{
    int32_t rc = with_restore(server, args, server->plugin.restore, err);
    rc = with_bulk_error(server, rc, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct items_totals totals = {0};
    items_decoder_totals(server->decoder, &totals);
    if (!server->stream_ended) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         "the plugin's restore returned success after %llu items, without taking "
                         "the rest: it must call next() until ORCH_EVENT_END",
                         (unsigned long long)totals.items);
    }
    return send_done(server, WIRE_STREAM_RESTORE, &totals, err);
}

static int32_t call_restore(struct server *server, const json_t *args, json_t *reply,
                            struct orch_error *err)
{
    (void)reply;
    begin_bulk(server, WIRE_STREAM_RESTORE);
    int32_t rc = items_decoder_new(&server->decoder, err);
    if (rc == ORCH_OK) {
        rc = run_restore(server, args, err);
    }
    end_bulk(server);
    return rc;
}

/* ---- the main loop ---- */

#define NEEDS_INSTANCE 1u

static const struct call {
    const char *name;
    call_fn run;
    uint32_t flags;
} calls[] = {
    {"load", call_load, 0},
    {"open", call_open, 0},
    {"close", call_close, 0},
    {"probe", call_probe, NEEDS_INSTANCE},
    {"freeze", call_freeze, NEEDS_INSTANCE},
    {"thaw", call_thaw, NEEDS_INSTANCE},
    {"backup", call_backup, NEEDS_INSTANCE},
    {"check", call_check, NEEDS_INSTANCE},
    {"restore", call_restore, NEEDS_INSTANCE},
    {"verify", call_verify, NEEDS_INSTANCE},
    {"quiesce", call_quiesce, NEEDS_INSTANCE},
    {"resume", call_resume, NEEDS_INSTANCE},
    {"settle", call_settle, NEEDS_INSTANCE},
    {"scratch", call_scratch, NEEDS_INSTANCE},
};

static int32_t run_call(struct server *server, const json_t *args, json_t *reply,
                        struct orch_error *err)
{
    const char *name = message_string(args, "call");
    const struct call *call = NULL;
    for (size_t i = 0; name != NULL && i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, name) == 0) {
            call = &calls[i];
        }
    }
    if (call == NULL) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "the worker does not know the call %s",
                         name == NULL ? "without name" : name);
    }
    if ((call->flags & NEEDS_INSTANCE) != 0 && !server->opened) {
        return orch_fail(err, ORCH_E_PROTOCOL, "%s before open", call->name);
    }
    server->callback = call->name;
    int32_t rc = call->run(server, args, reply, err);
    server->callback = NULL;
    if (rc == ORCH_OK) {
        return ORCH_OK;
    }
    if (err->code != rc) { /* the code that was returned decides; a text may be missing */
        err->code = rc < 0 ? rc : ORCH_E_FAILED;
    }
    return err->code;
}

/* Waits for the next call. False when there will be none. */
static bool next_call(struct server *server, struct wire_frame *frame, struct buffer *payload)
{
    (void)pthread_mutex_lock(&server->lock);
    while (!server->have_call && !server->closed) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    bool have = server->have_call;
    if (have) {
        *frame = server->call;
        *payload = server->call_payload;
        server->call_payload = (struct buffer)BUFFER_INIT;
        server->have_call = false;
    }
    (void)pthread_mutex_unlock(&server->lock);
    return have;
}

static int serve_calls(struct server *server)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct wire_frame frame = {0};
    CLEANUP_BUFFER struct buffer payload = BUFFER_INIT;
    while (next_call(server, &frame, &payload)) {
        server->call_id = frame.id;
        CLEANUP_JSON json_t *args = NULL;
        CLEANUP_JSON json_t *reply = json_object();
        int32_t rc = message_parse(payload.data, payload.len, "host", &args, &err);
        if ((frame.flags & WIRE_FLAG_SECRET) != 0 && payload.data != NULL) {
            explicit_bzero(payload.data, payload.capacity);
        }
        buffer_free(&payload);
        if (rc != ORCH_OK) {
            (void)fprintf(stderr, "worker: %s\n", err.message);
            return 1;
        }
        struct orch_error why = ORCH_ERROR_INIT;
        rc = run_call(server, args, reply, &why);
        if ((frame.flags & WIRE_FLAG_SECRET) != 0) {
            message_wipe(args);
        }
        if (rc == ORCH_OK) {
            (void)json_object_set_new(reply, "code", json_integer(0));
        } else {
            message_set_error(reply, &why);
        }
        struct wire_frame answer = {.type = WIRE_REPLY, .id = frame.id};
        rc = server_send(server, answer, reply, &err);
        if (rc != ORCH_OK) {
            return 1;
        }
        if (atomic_load(&server->leaving)) {
            return 0;
        }
    }
    return 1;
}

/* ---- the handshake ---- */

static int32_t send_hello(struct server *server, struct orch_error *err)
{
    CLEANUP_JSON json_t *hello =
        json_pack("{s:s, s:s, s:i, s:i, s:[s,s], s:[s]}", "program", "orchestrate", "version",
                  ORCHESTRATE_VERSION, "protocol_min", WIRE_PROTOCOL_MIN, "protocol_max",
                  WIRE_PROTOCOL_MAX, "bulk", "ring", "inline", "digests", "xxh3-64");
    return server_send(server, (struct wire_frame){.type = WIRE_HELLO}, hello, err);
}

static int32_t await_hello(struct server *server, json_t **hello, struct orch_error *err)
{
    struct wire_frame frame;
    const uint8_t *payload = NULL;
    for (;;) {
        int32_t rc = wire_next(server->wire, &frame, &payload, err);
        if (rc < 0) {
            return rc;
        }
        if (rc == 1) {
            return frame.type == WIRE_HELLO
                       ? message_parse(payload, frame.length, "host", hello, err)
                       : orch_fail(err, ORCH_E_PROTOCOL, "the host did not begin with HELLO");
        }
        rc = wire_fill(server->wire, err);
        if (rc == WIRE_EOF) {
            return orch_fail(err, ORCH_E_PROTOCOL, "the host is gone");
        }
        if (rc == WIRE_AGAIN) {
            struct pollfd fd = {.fd = wire_fd(server->wire), .events = POLLIN};
            (void)poll(&fd, 1, -1);
        } else if (rc < 0) {
            return rc;
        }
    }
}

static int32_t shake_hands(struct server *server, struct orch_error *err)
{
    CLEANUP_JSON json_t *hello = NULL;
    int32_t rc = send_hello(server, err);
    if (rc == ORCH_OK) {
        rc = await_hello(server, &hello, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    uint64_t protocol = message_u64(hello, "protocol");
    if (protocol < WIRE_PROTOCOL_MIN || protocol > WIRE_PROTOCOL_MAX) {
        return orch_fail(err, ORCH_E_VERSION, "the host wants protocol %llu",
                         (unsigned long long)protocol);
    }
    const char *bulk = message_string(hello, "bulk");
    uint32_t blocks = message_u32(hello, "blocks");
    bool ring = bulk != NULL && strcmp(bulk, "ring") == 0;
    if (blocks == 0 || blocks > SERVER_INBOUND_MAX) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the host offers %u blocks", blocks);
    }
    if (ring) {
        rc = ring_adopt(wire_take_fd(server->wire), message_u32(hello, "ring_blocks"),
                        &server->ring, err);
        if (rc == ORCH_OK && blocks > server->ring.blocks) {
            rc = orch_fail(err, ORCH_E_PROTOCOL, "the ring is too small");
        }
    }
    return rc == ORCH_OK ? stream_new(server->wire, WIRE_STREAM_BACKUP, ring ? &server->ring : NULL,
                                      0, blocks, &server->out, err)
                         : rc;
}

static void server_free(struct server *server)
{
    stream_free(server->out);
    ring_free(&server->ring);
    wire_free(server->wire);
    plugin_info_free(server->info);
    arguments_options_free(server->options);
    clear_inbound(server);
    buffer_free(&server->call_payload);
    buffer_free(&server->answer);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

/* Signals are for the main thread, where a plugin may expect them. */
static int start_reader(struct server *server, pthread_t *reader)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(reader, NULL, reader_main, server);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

int server_run(int fd, bool isolated)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        (void)close(fd);
        return 1;
    }
    server->isolated = isolated;
    server->ring = (struct ring)RING_INIT;
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->changed, NULL);
    services_init(server);
    int status = 1;
    int32_t rc = wire_new(fd, "host", &server->wire, &err);
    if (rc != ORCH_OK) {
        free(server);
        return 1;
    }
    rc = shake_hands(server, &err);
    pthread_t reader;
    if (rc == ORCH_OK && start_reader(server, &reader) == 0) {
        status = serve_calls(server);
        if (server->opened) { /* the host went away; in one process that is no reason to leak */
            (void)call_close(server, NULL, NULL, NULL);
        }
        atomic_store(&server->leaving, true);
        wire_shutdown(server->wire);
        (void)pthread_join(reader, NULL);
    } else {
        (void)fprintf(stderr, "worker: %s\n", rc == ORCH_OK ? "cannot start" : err.message);
    }
    server_free(server);
    return status;
}

/* ---- the process ---- */

static void on_orphaned(int signal)
{
    (void)signal;
    if (getpgrp() == getpid()) {
        (void)kill(0, SIGKILL); /* the children of the plugin too */
    }
    _exit(1);
}

/* jansson's memory held secrets for a while: nothing of it is given back unwiped. */
static void wiping_free(void *memory)
{
    if (memory != NULL) {
        explicit_bzero(memory, malloc_usable_size(memory));
        free(memory);
    }
}

int worker_main(int socket_fd)
{
    struct sigaction action = {.sa_handler = on_orphaned};
    (void)sigaction(PROCESS_ORPHAN_SIGNAL, &action, NULL);
    if (!HAVE_SANITIZER) { /* leak checkers attach to their own process */
        (void)prctl(PR_SET_DUMPABLE, 0UL);
    }
    json_set_alloc_funcs(malloc, wiping_free);
    return server_run(socket_fd, true);
}
