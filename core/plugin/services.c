/* services.c: the services of the host as a plugin sees them, over the wire. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "plugin/message.h"
#include "plugin/server.h"

#define LOG_TEXT_MAX 4000u
#define FACT_MAX (3u << 20)
/* A plugin that asks whether it is cancelled is alive: the host hears of it this often. */
#define ALIVE_EVERY_MS 1000

static int64_t coarse_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Copies what the plugin handed in: the smaller of its size and ours, zeroes behind. A size of 0 is
 * taken as that of ABI 1.0, in which all of these had the size they have now.
 */
static int32_t take_struct(void *to, size_t size, const void *from, const char *what,
                           struct orch_error *err)
{
    uint32_t theirs = 0;
    memcpy(&theirs, from, sizeof(theirs));
    if (theirs != 0 && theirs < size) {
        return orch_fail(err, ORCH_E_INVALID,
                         "%s has struct_size %u, but %zu bytes at least: set struct_size to "
                         "sizeof(%s)",
                         what, theirs, size, what);
    }
    memcpy(to, from, size);
    return ORCH_OK;
}

static int32_t only_in(const struct server *server, const char *service, const char *callback,
                       struct orch_error *err)
{
    if (server->callback == NULL || strcmp(server->callback, callback) != 0) {
        return orch_fail(err, ORCH_E_INVALID, "%s() was called in %s: it belongs into %s", service,
                         server->callback == NULL ? "no callback" : server->callback, callback);
    }
    return ORCH_OK;
}

static int32_t fail_cancelled(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CANCELLED, "stopped because the run was cancelled");
}

/* ---- log, cancelled, fact, verdict ---- */

static void service_log(void *ctx, uint32_t level, const char *text)
{
    struct server *server = ctx;
    struct orch_error ignored = ORCH_ERROR_INIT;
    CLEANUP_JSON json_t *message = json_object();
    if (text == NULL) {
        return;
    }
    message_set_u64(message, "level", level > ORCH_LOG_ERROR ? ORCH_LOG_ERROR : level);
    message_set_bytes(message, "text", text, strnlen(text, LOG_TEXT_MAX));
    /* A line that cannot be delivered is lost: the failure shows elsewhere. */
    if (server_send(server, (struct wire_frame){.type = WIRE_LOG}, message, &ignored) != 0) {
        return;
    }
}

static int32_t service_cancelled(void *ctx)
{
    struct server *server = ctx;
    int64_t now = coarse_ms();
    if (now - atomic_load(&server->sent_ms) >= ALIVE_EVERY_MS) {
        struct orch_error ignored = ORCH_ERROR_INIT;
        atomic_store(&server->sent_ms, now);
        if (wire_try_send(server->wire, (struct wire_frame){.type = WIRE_ALIVE}, &ignored) != 0) {
            return atomic_load(&server->cancelled);
        }
    }
    return atomic_load(&server->cancelled);
}

static int32_t service_fact(void *ctx, const char *name, const char *json, struct orch_error *err)
{
    struct server *server = ctx;
    json_error_t why;
    if (name == NULL || name[0] == 0 || json == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "a fact without name or value");
    }
    size_t len = strlen(json);
    if (len > FACT_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "the fact %s has %zu bytes; at most %u may be", name,
                         len, FACT_MAX);
    }
    CLEANUP_JSON json_t *value =
        json_loadb(json, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (value == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "the fact %s is no JSON value: %s", name, why.text);
    }
    CLEANUP_JSON json_t *message = json_object();
    if (json_object_set_new(message, "name", json_string(name)) != 0) {
        return orch_fail(err, ORCH_E_INVALID, "a fact has a name that is not UTF-8");
    }
    (void)json_object_set(message, "value", value);
    return server_send(server, (struct wire_frame){.type = WIRE_FACT}, message, err);
}

static int32_t service_verdict(void *ctx, const struct orch_verdict *given, struct orch_error *err)
{
    struct server *server = ctx;
    struct orch_verdict verdict;
    int32_t rc = take_struct(&verdict, sizeof(verdict), given, "struct orch_verdict", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (server->callback == NULL ||
        (strcmp(server->callback, "check") != 0 && strcmp(server->callback, "verify") != 0)) {
        return orch_fail(err, ORCH_E_INVALID, "verdict() belongs into check and verify");
    }
    if (verdict.severity > ORCH_VERDICT_REFUSE || verdict.code == NULL || verdict.message == NULL) {
        return orch_fail(err, ORCH_E_INVALID,
                         "a verdict needs a known severity, a code and a message");
    }
    CLEANUP_JSON json_t *message = json_object();
    message_set_u64(message, "severity", verdict.severity);
    message_set_u64(message, "flags", verdict.flags);
    message_set_text(message, "code", verdict.code);
    message_set_text(message, "subject", verdict.subject);
    message_set_text(message, "message", verdict.message);
    return server_send(server, (struct wire_frame){.type = WIRE_VERDICT}, message, err);
}

/* ---- backup ---- */

/* Before a service that sends: the right callback, and no failure before. */
static int32_t may_send(struct server *server, const char *service, struct orch_error *err)
{
    if (server->bulk_error.code != ORCH_OK) {
        if (err != NULL) {
            *err = server->bulk_error;
        }
        return server->bulk_error.code;
    }
    if (server->encoder == NULL) {
        return only_in(server, service, "backup", err);
    }
    return ORCH_OK;
}

/* Whatever a bulk service ends with; a failure sticks, so that it cannot be overlooked. */
static int32_t sent(struct server *server, int32_t rc, struct orch_error *err)
{
    if (rc != ORCH_OK && server->bulk_error.code == ORCH_OK) {
        if (err != NULL) {
            server->bulk_error = *err;
        }
        server->bulk_error.code = rc;
    }
    return rc;
}

static int compare_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int32_t check_order(struct server *server, const struct orch_object *object,
                           struct orch_error *err)
{
    struct buffer *last = &server->last_name;
    if (object->name == NULL || object->name_len == 0) {
        return orch_fail(err, ORCH_E_INVALID, "an object without name");
    }
    if (last->len > 0 &&
        compare_bytes(object->name, object->name_len, last->data, last->len) <= 0) {
        return orch_fail(err, ORCH_E_INVALID,
                         "objects must come in ascending byte order of their names, each once: "
                         "\"%.*s\" came after \"%.*s\"",
                         (int)(object->name_len < 200 ? object->name_len : 200),
                         (const char *)object->name, (int)(last->len < 200 ? last->len : 200),
                         (const char *)last->data);
    }
    buffer_clear(last);
    buffer_append(last, object->name, object->name_len);
    return last->failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for an object name") : ORCH_OK;
}

/* Moves the walk through the earlier entries on to the first that is not before `object`. */
static int32_t seek_earlier(struct server *server, const struct orch_object *object, bool *found,
                            struct orch_error *err)
{
    *found = false;
    while (!server->earlier_ended) {
        if (server->have_earlier) {
            int order = compare_bytes(server->earlier.object.name, server->earlier.object.name_len,
                                      object->name, object->name_len);
            if (order >= 0) {
                *found = order == 0;
                return ORCH_OK;
            }
        }
        server->have_earlier = false;
        int32_t rc = services_inbound_next(server, &server->earlier, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        server->have_earlier = server->earlier.type == EVENT_UNCHANGED;
        server->earlier_ended = server->earlier.type == ORCH_EVENT_END;
    }
    return ORCH_OK;
}

static bool same_token(const struct orch_object *a, const struct orch_object *b)
{
    return (a->flags & b->flags & ORCH_OBJECT_HAS_TOKEN) != 0 &&
           a->token.size_bytes == b->token.size_bytes && a->token.mtime_ns == b->token.mtime_ns &&
           a->token.ctime_ns == b->token.ctime_ns && a->token.inode == b->token.inode;
}

static int32_t begin_object(struct server *server, const struct orch_object *given,
                            uint32_t *unchanged, struct orch_error *err)
{
    struct orch_object object;
    int32_t rc = take_struct(&object, sizeof(object), given, "struct orch_object", err);
    if (rc == ORCH_OK) {
        rc = check_order(server, &object, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (unchanged != NULL) {
        *unchanged = 0;
        if (server->decoder != NULL && (object.flags & ORCH_OBJECT_HAS_TOKEN) != 0) {
            bool found = false;
            rc = seek_earlier(server, &object, &found, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            if (found && same_token(&object, &server->earlier.object)) {
                *unchanged = 1;
                return items_put_unchanged(server->encoder, &object, err);
            }
        }
    }
    return items_put_object(server->encoder, &object, err);
}

static int32_t service_object(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                              struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "object", err);
    return rc == ORCH_OK ? sent(server, begin_object(server, object, unchanged, err), err) : rc;
}

static int32_t service_record(void *ctx, const struct orch_record *given, struct orch_error *err)
{
    struct server *server = ctx;
    struct orch_record record;
    int32_t rc = may_send(server, "record", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = take_struct(&record, sizeof(record), given, "struct orch_record", err);
    if (rc == ORCH_OK) {
        rc = items_put_record(server->encoder, &record, err);
    }
    return sent(server, rc, err);
}

static int32_t service_reserve(void *ctx, uint64_t want, void **space, uint64_t *len,
                               struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "reserve", err);
    return rc == ORCH_OK ? sent(server, items_reserve(server->encoder, want, space, len, err), err)
                         : rc;
}

static int32_t service_commit(void *ctx, uint64_t len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "commit", err);
    return rc == ORCH_OK ? sent(server, items_commit(server->encoder, len, err), err) : rc;
}

static int32_t service_write(void *ctx, const void *data, uint64_t len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "write", err);
    return rc == ORCH_OK ? sent(server, items_write(server->encoder, data, len, err), err) : rc;
}

static int32_t service_hole(void *ctx, uint64_t len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "hole", err);
    return rc == ORCH_OK ? sent(server, items_put_hole(server->encoder, len, err), err) : rc;
}

static int32_t service_end_item(void *ctx, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "end_item", err);
    return rc == ORCH_OK ? sent(server, items_end_item(server->encoder, err), err) : rc;
}

/* ---- what the host streams: earlier entries, or the content of a restore ---- */

int32_t services_release_block(struct server *server, struct orch_error *err)
{
    if (!server->holding) {
        return ORCH_OK;
    }
    server->holding = false;
    buffer_free(&server->held.payload);
    struct wire_frame frame = {
        .type = WIRE_CREDIT, .stream = server->inbound_stream, .id = server->call_id, .credit = 1};
    atomic_store(&server->sent_ms, coarse_ms());
    return wire_send(server->wire, frame, NULL, 0, -1, err);
}

static int32_t take_block(struct server *server, struct orch_error *err)
{
    int32_t rc = services_release_block(server, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)pthread_mutex_lock(&server->lock);
    while (server->inbound_count == 0 && !server->closed && !server->have_done &&
           atomic_load(&server->cancelled) == 0) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    bool stop = server->closed || atomic_load(&server->cancelled) != 0;
    bool have = !stop && server->inbound_count > 0;
    if (have) {
        server->held = server->inbound[server->inbound_head];
        server->inbound[server->inbound_head].payload = (struct buffer)BUFFER_INIT;
        server->inbound_head = (server->inbound_head + 1) % SERVER_INBOUND_MAX;
        server->inbound_count--;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (stop) {
        return fail_cancelled(err);
    }
    if (!have) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the host ended a stream in its middle");
    }
    server->holding = true;
    bool in_ring = server->ring.base != NULL;
    const uint8_t *data =
        in_ring ? ring_block(&server->ring, server->held.slot) : server->held.payload.data;
    items_feed(server->decoder, data, in_ring ? server->held.size : server->held.payload.len);
    return ORCH_OK;
}

int32_t services_inbound_next(struct server *server, struct orch_event *event,
                              struct orch_error *err)
{
    for (;;) {
        int32_t rc = items_next(server->decoder, event, err);
        if (rc != 0) {
            return rc == 1 ? ORCH_OK : rc;
        }
        rc = take_block(server, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

json_t *services_totals_new(const struct items_totals *totals)
{
    json_t *json = json_object();
    message_set_u64(json, "items", totals->items);
    message_set_u64(json, "unchanged", totals->unchanged);
    message_set_u64(json, "bytes", totals->bytes);
    char digest[20];
    (void)snprintf(digest, sizeof(digest), "%016" PRIx64, totals->digest);
    message_set_text(json, "digest", digest);
    return json;
}

bool services_totals_parse(const json_t *json, struct items_totals *totals)
{
    const char *digest = message_string(json, "digest");
    char *end = NULL;
    if (digest == NULL || strlen(digest) != 16) {
        return false;
    }
    totals->items = message_u64(json, "items");
    totals->unchanged = message_u64(json, "unchanged");
    totals->bytes = message_u64(json, "bytes");
    totals->digest = strtoull(digest, &end, 16);
    return *end == 0;
}

/* END counts only when the host says the same as what came out of the blocks. */
static int32_t confirm_end(struct server *server, struct orch_error *err)
{
    int32_t rc = services_release_block(server, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_BUFFER struct buffer payload = BUFFER_INIT;
    (void)pthread_mutex_lock(&server->lock);
    while (!server->have_done && !server->closed && atomic_load(&server->cancelled) == 0) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    bool have = server->have_done;
    if (have) {
        payload = server->done;
        server->done = (struct buffer)BUFFER_INIT;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (!have) {
        return fail_cancelled(err);
    }
    CLEANUP_JSON json_t *json = NULL;
    rc = message_parse(payload.data, payload.len, "host", &json, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct items_totals said = {0};
    struct items_totals got = {0};
    items_decoder_totals(server->decoder, &got);
    if (!services_totals_parse(json, &said) || said.items != got.items || said.bytes != got.bytes ||
        said.digest != got.digest) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "what arrived is not what the host sent: the shared memory was changed "
                         "on the way");
    }
    return ORCH_OK;
}

static int32_t next_event(struct server *server, struct orch_event *event, struct orch_error *err)
{
    if (server->stream_ended) {
        return orch_fail(err, ORCH_E_INVALID, "next() was called after ORCH_EVENT_END");
    }
    if (atomic_load(&server->cancelled) != 0) {
        return fail_cancelled(err);
    }
    struct orch_event ours = {0};
    int32_t rc = services_inbound_next(server, &ours, err);
    if (rc == ORCH_OK && ours.type == ORCH_EVENT_END) {
        rc = confirm_end(server, err);
        server->stream_ended = rc == ORCH_OK;
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    uint32_t theirs = event->struct_size;
    size_t size = theirs == 0 || theirs > sizeof(ours) ? sizeof(ours) : theirs;
    ours.struct_size = (uint32_t)size;
    memcpy(event, &ours, size);
    return ORCH_OK;
}

static int32_t service_next(void *ctx, struct orch_event *event, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = only_in(server, "next", "restore", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (server->bulk_error.code != ORCH_OK) {
        if (err != NULL) {
            *err = server->bulk_error;
        }
        return server->bulk_error.code;
    }
    return sent(server, next_event(server, event, err), err);
}

/* ---- requests that the host answers ---- */

static int32_t request(struct server *server, const json_t *message, json_t **answer,
                       struct orch_error *err)
{
    uint32_t id = ++server->request_id;
    struct wire_frame frame = {.type = WIRE_REQUEST, .id = id};
    int32_t rc = server_send(server, frame, message, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_BUFFER struct buffer payload = BUFFER_INIT;
    (void)pthread_mutex_lock(&server->lock);
    while (!(server->have_answer && server->answer_id == id) && !server->closed) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    bool have = server->have_answer && server->answer_id == id;
    if (have) {
        payload = server->answer;
        server->answer = (struct buffer)BUFFER_INIT;
        server->have_answer = false;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (!have) {
        return fail_cancelled(err);
    }
    json_t *json = NULL;
    rc = message_parse(payload.data, payload.len, "host", &json, err);
    explicit_bzero(payload.data, payload.len);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = message_get_error(json, err);
    if (rc != ORCH_OK || answer == NULL) {
        json_decref(json);
        return rc;
    }
    *answer = json;
    return ORCH_OK;
}

static int32_t service_intent(void *ctx, const char *action, const char *target, const char *aside,
                              struct orch_error *err)
{
    struct server *server = ctx;
    if (action == NULL || target == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "intent() needs an action and a target");
    }
    if (atomic_load(&server->cancelled) != 0) {
        return fail_cancelled(err); /* nothing destructive is begun any more */
    }
    CLEANUP_JSON json_t *message = json_object();
    message_set_text(message, "request", "intent");
    message_set_text(message, "action", action);
    message_set_text(message, "target", target);
    message_set_text(message, "aside", aside);
    return request(server, message, NULL, err);
}

/* Goes through even when the run is cancelled: the act was done. */
static int32_t service_done(void *ctx, const char *action, const char *target,
                            struct orch_error *err)
{
    if (action == NULL || target == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "done() needs an action and a target");
    }
    CLEANUP_JSON json_t *message = json_object();
    message_set_text(message, "request", "done");
    message_set_text(message, "action", action);
    message_set_text(message, "target", target);
    return request(ctx, message, NULL, err);
}

static int32_t service_future_file(void *ctx, const char *path, void *buffer, uint64_t capacity,
                                   uint64_t *len, struct orch_error *err)
{
    if (path == NULL || len == NULL || (buffer == NULL && capacity > 0)) {
        return orch_fail(err, ORCH_E_INVALID, "future_file() needs a path, space and a length");
    }
    CLEANUP_JSON json_t *message = json_object();
    CLEANUP_JSON json_t *answer = NULL;
    message_set_text(message, "request", "future_file");
    message_set_text(message, "path", path);
    int32_t rc = request(ctx, message, &answer, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t size = 0;
    char *content = message_bytes(answer, "content", &size);
    message_wipe(answer);
    if (content == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the host's answer about %s has no content", path);
    }
    if (capacity > 0) {
        memcpy(buffer, content, size < capacity ? size : (size_t)capacity);
    }
    *len = size;
    explicit_bzero(content, size);
    free(content);
    return ORCH_OK;
}

void services_init(struct server *server)
{
    server->host = (struct orch_host){
        .struct_size = (uint32_t)sizeof(struct orch_host),
        .abi_minor = ORCH_ABI_MINOR,
        .ctx = server,
        .log = service_log,
        .cancelled = service_cancelled,
        .fact = service_fact,
        .verdict = service_verdict,
        .object = service_object,
        .record = service_record,
        .reserve = service_reserve,
        .commit = service_commit,
        .write = service_write,
        .hole = service_hole,
        .end_item = service_end_item,
        .next = service_next,
        .intent = service_intent,
        .done = service_done,
        .future_file = service_future_file,
    };
}
