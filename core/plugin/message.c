/* message.c: see message.h. */
#include "plugin/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"

void message_cleanup(json_t **slot)
{
    json_decref(*slot);
}

void message_text_cleanup(char **slot)
{
    if (*slot != NULL) {
        explicit_bzero(*slot, strlen(*slot));
        free(*slot);
    }
}

int32_t message_send(struct wire *wire, struct wire_frame frame, const json_t *message,
                     struct orch_error *err)
{
    /* Two passes into memory of the exact size: no copies of secrets stay behind. */
    size_t len = json_dumpb(message, NULL, 0, JSON_COMPACT);
    if (len == 0) {
        return orch_fail(err, ORCH_E_NOMEM, "a message could not be written as JSON");
    }
    if (len > WIRE_CONTROL_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "a message of %zu bytes; at most %u may be sent", len,
                         WIRE_CONTROL_MAX);
    }
    CLEANUP_FREE char *text = malloc(len);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a message of %zu bytes", len);
    }
    (void)json_dumpb(message, text, len, JSON_COMPACT);
    int32_t rc = wire_send(wire, frame, text, len, -1, err);
    if ((frame.flags & WIRE_FLAG_SECRET) != 0) {
        explicit_bzero(text, len);
    }
    return rc;
}

int32_t message_parse(const uint8_t *data, size_t len, const char *peer, json_t **out,
                      struct orch_error *err)
{
    json_error_t why;
    json_t *json = len == 0 ? NULL
                            : json_loadb((const char *)data, len,
                                         JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the %s sent a message that is no JSON: %s", peer,
                         len == 0 ? "it is empty" : why.text);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return orch_fail(err, ORCH_E_PROTOCOL, "the %s sent a message that is no JSON object",
                         peer);
    }
    *out = json;
    return ORCH_OK;
}

json_t *message_bytes_new(const void *data, size_t len)
{
    json_t *text = json_stringn(data, len);
    if (text != NULL) {
        return text;
    }
    char *hex = malloc(2 * len + 1);
    if (hex == NULL) {
        return NULL;
    }
    hex_encode(data, len, hex);
    json_t *value = json_pack("{s:s}", "hex", hex);
    free(hex);
    return value;
}

void message_set_bytes(json_t *object, const char *key, const void *data, size_t len)
{
    (void)json_object_set_new(object, key, message_bytes_new(data, len));
}

void message_set_text(json_t *object, const char *key, const char *text)
{
    if (text != NULL) {
        message_set_bytes(object, key, text, strlen(text));
    }
}

void message_set_u64(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

const char *message_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

uint64_t message_u64(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

uint32_t message_u32(const json_t *object, const char *key)
{
    uint64_t value = message_u64(object, key);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

char *message_bytes_of(const json_t *value, size_t *len)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    const json_t *hex = json_object_get(value, "hex");
    bool is_hex = text == NULL && json_is_string(hex);
    if (is_hex) {
        text = json_string_value(hex);
        n = json_string_length(hex) / 2;
    }
    if (text == NULL) {
        return NULL;
    }
    char *out = malloc(n + 1);
    if (out == NULL) {
        return NULL;
    }
    bool ok = true;
    if (is_hex) {
        ok = hex_decode(text, json_string_length(hex), (uint8_t *)out, n) == ORCH_OK;
    } else {
        memcpy(out, text, n);
    }
    out[n] = 0;
    if (!ok || (len == NULL && strlen(out) != n)) {
        free(out);
        return NULL;
    }
    if (len != NULL) {
        *len = n;
    }
    return out;
}

char *message_bytes(const json_t *object, const char *key, size_t *len)
{
    return message_bytes_of(json_object_get(object, key), len);
}

void message_copy_text(const json_t *object, const char *key, char *out, size_t size)
{
    CLEANUP_FREE char *text = message_bytes(object, key, NULL);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len >= size) {
        len = size - 1;
    }
    if (len > 0) {
        memcpy(out, text, len);
    }
    out[len] = 0;
}

void message_set_error(json_t *object, const struct orch_error *err)
{
    (void)json_object_set_new(object, "code", json_integer(err->code));
    (void)json_object_set_new(object, "errno", json_integer(err->os_errno));
    message_set_text(object, "message", err->message);
}

int32_t message_get_error(const json_t *object, struct orch_error *err)
{
    const json_t *code = json_object_get(object, "code");
    json_int_t value = json_integer_value(code);
    if (!json_is_integer(code) || value > 0 || value < INT32_MIN) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a reply without a valid code");
    }
    if (value == 0) {
        return ORCH_OK;
    }
    /* The names are stable; a code that a newer plugin knows and we do not is a plain failure. */
    if (value < ORCH_E_REFUSED) {
        value = ORCH_E_FAILED;
    }
    if (err != NULL) {
        err->code = (int32_t)value;
        err->os_errno = (int32_t)json_integer_value(json_object_get(object, "errno"));
        message_copy_text(object, "message", err->message, sizeof(err->message));
        for (char *p = err->message; *p != 0; p++) {
            if ((unsigned char)*p < 0x20 || *p == 0x7f) {
                *p = ' ';
            }
        }
        if (err->message[0] == 0) {
            (void)orch_fail(err, (int32_t)value, "no reason was given (%s)",
                            orch_error_name((int32_t)value));
        }
    }
    return (int32_t)value;
}

void message_wipe(json_t *value)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t i = 0;
    if (json_is_string(value)) {
        explicit_bzero((void *)(uintptr_t)json_string_value(value), json_string_length(value));
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            message_wipe(member);
        }
    } else {
        json_object_foreach(value, key, member)
        {
            message_wipe(member);
        }
    }
}
