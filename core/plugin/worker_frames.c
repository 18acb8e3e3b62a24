/* worker_frames.c: what each frame from a worker means to the call that runs. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/message.h"
#include "plugin/worker_internal.h"

#define FACTS_MAX (3u << 20)
/* Facts are kept inside other documents, and readers of JSON limit its depth. */
#define FACT_DEPTH_MAX 64u
#define VERDICTS_MAX 10000u
#define FUTURE_FILE_MAX ((WIRE_CONTROL_MAX - 4096u) / 2u)

static int32_t take_log(struct worker *worker, const json_t *json, struct orch_error *err)
{
    CLEANUP_FREE char *text = message_bytes(json, "text", NULL);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a log line without text");
    }
    uint32_t level = message_u32(json, "level");
    worker_log(worker, level > ORCH_LOG_ERROR ? ORCH_LOG_ERROR : level, text);
    return ORCH_OK;
}

/* Whether `value` has more than so many levels of arrays and objects. */
static bool is_deeper(const json_t *value, unsigned levels)
{
    const char *key = NULL;
    json_t *member = NULL;
    bool deeper = levels == 0 && (json_is_array(value) || json_is_object(value));
    for (size_t i = 0; !deeper && i < json_array_size(value); i++) {
        deeper = is_deeper(json_array_get(value, i), levels - 1);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        deeper = deeper || is_deeper(member, levels - 1);
    }
    return deeper;
}

static int32_t take_fact(struct worker *worker, struct worker_call *call, const json_t *json,
                         struct orch_error *err)
{
    const char *name = message_string(json, "name");
    json_t *value = json_object_get(json, "value");
    if (name == NULL || value == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a fact without name or value");
    }
    if (is_deeper(value, FACT_DEPTH_MAX)) {
        struct orch_error reason = ORCH_ERROR_INIT;
        (void)orch_fail(&reason, ORCH_E_INVALID, "a fact of plugin %s has more than %u levels",
                        worker->plugin_name, FACT_DEPTH_MAX);
        worker_call_stop(call, &reason);
        return ORCH_OK;
    }
    const json_t *old = json_object_get(worker->facts, name);
    size_t bytes = worker->facts_bytes + strlen(name) +
                   json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (old != NULL) {
        size_t was = strlen(name) + json_dumpb(old, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
        bytes = bytes > was ? bytes - was : 0;
    }
    if (bytes > FACTS_MAX) {
        struct orch_error reason = ORCH_ERROR_INIT;
        (void)orch_fail(&reason, ORCH_E_INVALID,
                        "the facts of plugin %s are more than %u bytes in all", worker->plugin_name,
                        FACTS_MAX);
        worker_call_stop(call, &reason);
        return ORCH_OK;
    }
    if (json_object_set(worker->facts, name, value) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a fact");
    }
    worker->facts_bytes = bytes;
    return ORCH_OK;
}

static int32_t take_verdict(const struct worker_call *call, const json_t *json,
                            struct orch_error *err)
{
    struct worker_verdicts *list = call->verdicts;
    if (list == NULL || list->count >= VERDICTS_MAX) {
        return orch_fail(err, ORCH_E_PROTOCOL,
                         list == NULL ? "a verdict that nobody asked for" : "too many verdicts");
    }
    struct worker_verdict *grown = realloc(list->items, (list->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a verdict");
    }
    list->items = grown;
    struct worker_verdict *verdict = &grown[list->count];
    *verdict = (struct worker_verdict){
        .severity = message_u32(json, "severity"),
        .flags = message_u32(json, "flags"),
        .code = message_bytes(json, "code", NULL),
        .subject = message_bytes(json, "subject", NULL),
        .message = message_bytes(json, "message", NULL),
    };
    list->count++;
    if (verdict->severity > ORCH_VERDICT_REFUSE || verdict->code == NULL ||
        verdict->message == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a verdict that is incomplete");
    }
    return ORCH_OK;
}

static int32_t not_available(const char *what, struct orch_error *err)
{
    return orch_fail(err, ORCH_E_UNSUPPORTED, "%s is not available in this callback", what);
}

static int32_t run_service(const struct worker_services *s, const json_t *json, const char *name,
                           json_t *answer, struct orch_error *err)
{
    CLEANUP_FREE char *action = message_bytes(json, "action", NULL);
    CLEANUP_FREE char *target = message_bytes(json, "target", NULL);
    CLEANUP_FREE char *aside = message_bytes(json, "aside", NULL);
    CLEANUP_FREE char *path = message_bytes(json, "path", NULL);
    if (strcmp(name, "intent") == 0 && action != NULL && target != NULL) {
        return s == NULL || s->intent == NULL ? not_available(name, err)
                                              : s->intent(s->ctx, action, target, aside, err);
    }
    if (strcmp(name, "done") == 0 && action != NULL && target != NULL) {
        return s == NULL || s->done == NULL ? not_available(name, err)
                                            : s->done(s->ctx, action, target, err);
    }
    if (strcmp(name, "future_file") != 0 || path == NULL) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "the host does not know the request %s", name);
    }
    if (s == NULL || s->future_file == NULL) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "this run does not bring %s", path);
    }
    CLEANUP_BUFFER struct buffer content = BUFFER_INIT;
    int32_t rc = s->future_file(s->ctx, path, &content, err);
    if (rc == ORCH_OK && content.len > FUTURE_FILE_MAX) {
        rc = orch_fail(err, ORCH_E_UNSUPPORTED, "%s has %zu bytes: too large to be looked at ahead",
                       path, content.len);
    }
    if (rc == ORCH_OK) {
        message_set_bytes(answer, "content", content.len > 0 ? (char *)content.data : "",
                          content.len);
    }
    if (content.data != NULL) {
        explicit_bzero(content.data, content.capacity);
    }
    return rc;
}

static int32_t take_request(struct worker *worker, struct worker_call *call, uint32_t id,
                            const json_t *json, struct orch_error *err)
{
    const char *name = message_string(json, "request");
    if (name == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a request without name");
    }
    CLEANUP_JSON json_t *answer = json_object();
    struct orch_error why = ORCH_ERROR_INIT;
    int64_t began = clock_monotonic_ms();
    int32_t rc = run_service(call->services, json, name, answer, &why);
    if (call->deadline_ms != INT64_MAX) {
        call->deadline_ms += clock_monotonic_ms() - began; /* that was our time, not the plugin's */
    }
    why.code = rc;
    if (rc == ORCH_OK) {
        (void)json_object_set_new(answer, "code", json_integer(0));
    } else {
        message_set_error(answer, &why);
    }
    struct wire_frame frame = {.type = WIRE_ANSWER, .flags = WIRE_FLAG_SECRET, .id = id};
    rc = message_send(worker->wire, frame, answer, err);
    message_wipe(answer);
    if (rc == ORCH_E_INVALID) { /* a content that grows past the limit when it is escaped */
        CLEANUP_JSON json_t *refusal = json_object();
        (void)orch_fail(&why, ORCH_E_UNSUPPORTED, "the answer is too large to be sent");
        message_set_error(refusal, &why);
        rc = message_send(worker->wire, frame, refusal, err);
    }
    return rc == ORCH_E_CRASHED ? ORCH_OK : rc; /* death is found where it can be described */
}

static int32_t take_control(struct worker *worker, struct worker_call *call,
                            const struct wire_frame *frame, const json_t *json,
                            struct orch_error *err)
{
    switch (frame->type) {
    case WIRE_LOG:
        return take_log(worker, json, err);
    case WIRE_FACT:
        return take_fact(worker, call, json, err);
    case WIRE_VERDICT:
        return take_verdict(call, json, err);
    case WIRE_REQUEST:
        return take_request(worker, call, frame->id, json, err);
    case WIRE_DONE:
        return frame->id != call->id || call->bulk == NULL
                   ? orch_fail(err, ORCH_E_PROTOCOL, "DONE outside a backup or restore")
                   : bulk_take_done(call->bulk, json, err);
    default:
        break;
    }
    bool reply =
        frame->type == call->expect && (frame->type == WIRE_HELLO || frame->id == call->id);
    if (!reply) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a frame of type %u does not belong here",
                         frame->type);
    }
    call->replied = true;
    call->reply = json_incref((json_t *)(uintptr_t)json);
    return ORCH_OK;
}

int32_t worker_take_frame(struct worker *worker, struct worker_call *call,
                          const struct wire_frame *frame, const uint8_t *payload,
                          struct orch_error *err)
{
    switch (frame->type) {
    case WIRE_ALIVE:
        return ORCH_OK;
    case WIRE_DATA:
        return frame->id != call->id || call->bulk == NULL
                   ? orch_fail(err, ORCH_E_PROTOCOL, "data outside a backup")
                   : bulk_take_data(worker, call, frame, payload, err);
    case WIRE_CREDIT:
        return frame->id != call->id || call->bulk == NULL
                   ? orch_fail(err, ORCH_E_PROTOCOL, "a credit outside a backup or restore")
                   : bulk_take_credit(call->bulk, frame, err);
    default:
        break;
    }
    CLEANUP_JSON json_t *json = NULL;
    int32_t rc = message_parse(payload, frame->length, "worker", &json, err);
    return rc == ORCH_OK ? take_control(worker, call, frame, json, err) : rc;
}
