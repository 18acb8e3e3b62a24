/* services.c: what a plugin may ask of the host, over the wire: all but the bulk of the data. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plugin/coarse.h"
#include "plugin/message.h"
#include "plugin/server.h"

#define LOG_TEXT_MAX 4000u
#define FACT_MAX (3u << 20)
/* A plugin that asks whether it is cancelled is alive: the host hears of it this often. */
#define ALIVE_EVERY_MS 1000

int32_t services_take_struct(void *to, size_t size, const void *from, const char *what,
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

int32_t services_only_in(const struct server *server, const char *service, const char *callback,
                         struct orch_error *err)
{
    if (server->callback == NULL || strcmp(server->callback, callback) != 0) {
        return orch_fail(err, ORCH_E_INVALID, "%s() was called in %s: it belongs into %s", service,
                         server->callback == NULL ? "no callback" : server->callback, callback);
    }
    return ORCH_OK;
}

int32_t services_fail_cancelled(struct orch_error *err)
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
    int32_t rc = services_take_struct(&verdict, sizeof(verdict), given, "struct orch_verdict", err);
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
        return services_fail_cancelled(err);
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
        return services_fail_cancelled(err); /* nothing destructive is begun any more */
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
        .intent = service_intent,
        .done = service_done,
        .future_file = service_future_file,
    };
    services_bulk_init(server);
}
