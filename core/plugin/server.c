/* server.c: see server.h. The worker process: handshake, main loop, start and end. */
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin/coarse.h"
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
    atomic_store(&server->sent_ms, coarse_ms());
    return message_send(server->wire, frame, message, err);
}

/* ---- the main loop ---- */

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
        rc = server_calls_run(server, args, reply, &why);
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
    server_reader_clear(server);
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
    int failed = pthread_create(reader, NULL, server_reader_main, server);
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
        server_calls_close(server); /* the host may have gone away without asking for it */
        /* Unless the host has asked us to leave, the reader takes this for its end, and the
         * plugin's children with it: they must not outlive a host that died before our answer. */
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
