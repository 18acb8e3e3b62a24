/* server_calls.c: the calls of the host, each of which runs a callback of the plugin. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "plugin/loader.h"
#include "plugin/message.h"
#include "plugin/server.h"

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

void server_calls_close(struct server *server)
{
    if (server->opened) {
        server->opened = false;
        server->plugin.close(server->instance);
    }
    arguments_options_free(steal_ptr(&server->options));
}

static int32_t call_close(struct server *server, const json_t *args, json_t *reply,
                          struct orch_error *err)
{
    (void)args;
    (void)reply;
    (void)err;
    server_calls_close(server);
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

/* ---- the table ---- */

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

int32_t server_calls_run(struct server *server, const json_t *args, json_t *reply,
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
