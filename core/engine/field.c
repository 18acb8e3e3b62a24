/* field.c: see field.h. */
#include "engine/field.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/id.h"

struct fields fields_over(const json_t *object, const char *what)
{
    struct fields fields = {.object = object, .what = what, .bad = "", .why = NULL};
    if (!json_is_object(object)) {
        fields_reject(&fields, "(document)", "is no JSON object");
    }
    return fields;
}

void fields_reject(struct fields *fields, const char *key, const char *why)
{
    if (fields->bad[0] == '\0') {
        (void)snprintf(fields->bad, sizeof fields->bad, "%s", key);
        fields->why = why;
    }
}

int32_t fields_end(const struct fields *fields, struct orch_error *err)
{
    if (fields->bad[0] == '\0') {
        return ORCH_OK;
    }
    return orch_fail(err, ORCH_E_CORRUPT, "%s is not as this program writes it: field \"%s\" %s",
                     fields->what, fields->bad, fields->why);
}

/* The field, or NULL with the complaint noted. */
static const json_t *fields_get(struct fields *fields, const char *key)
{
    const json_t *value = json_object_get(fields->object, key);
    if (value == NULL) {
        fields_reject(fields, key, "is missing");
    }
    return value;
}

void fields_text(struct fields *fields, const char *key, char *out, size_t size)
{
    out[0] = '\0';
    const json_t *value = fields_get(fields, key);
    if (value == NULL) {
        return;
    }
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (text == NULL) {
        fields_reject(fields, key, "is no text");
    } else if (len >= size) {
        fields_reject(fields, key, "is too long");
    } else if (strlen(text) != len) {
        fields_reject(fields, key, "holds a zero byte");
    } else {
        memcpy(out, text, len + 1);
    }
}

void fields_optional_text(struct fields *fields, const char *key, char *out, size_t size)
{
    out[0] = '\0';
    if (json_object_get(fields->object, key) != NULL) {
        fields_text(fields, key, out, size);
    }
}

int64_t fields_i64(struct fields *fields, const char *key)
{
    const json_t *value = fields_get(fields, key);
    if (value != NULL && !json_is_integer(value)) {
        fields_reject(fields, key, "is no integer");
    }
    return json_integer_value(value);
}

uint64_t fields_u64(struct fields *fields, const char *key)
{
    int64_t value = fields_i64(fields, key);
    if (value < 0) {
        fields_reject(fields, key, "is negative");
        return 0;
    }
    return (uint64_t)value;
}

uint32_t fields_u32(struct fields *fields, const char *key, uint32_t max)
{
    uint64_t value = fields_u64(fields, key);
    if (value > max) {
        fields_reject(fields, key, "is out of range");
        return 0;
    }
    return (uint32_t)value;
}

bool fields_bool(struct fields *fields, const char *key)
{
    const json_t *value = fields_get(fields, key);
    if (value != NULL && !json_is_boolean(value)) {
        fields_reject(fields, key, "is neither true nor false");
    }
    return json_is_true(value);
}

void fields_hex(struct fields *fields, const char *key, uint8_t *out, size_t len)
{
    memset(out, 0, len);
    const json_t *value = fields_get(fields, key);
    if (value == NULL) {
        return;
    }
    const char *text = json_string_value(value);
    if (text == NULL || hex_decode(text, json_string_length(value), out, len) != ORCH_OK) {
        memset(out, 0, len);
        fields_reject(fields, key, "is no lower-case hexadecimal of the right length");
    }
}

void fields_id(struct fields *fields, const char *key, char *out, bool or_empty)
{
    uint8_t bytes[ID_BYTES];
    fields_text(fields, key, out, ID_TEXT);
    if ((out[0] != '\0' || !or_empty) &&
        hex_decode(out, strlen(out), bytes, sizeof bytes) != ORCH_OK) {
        out[0] = '\0';
        fields_reject(fields, key, "is no id");
    }
}

const json_t *fields_array(struct fields *fields, const char *key, size_t max)
{
    const json_t *value = fields_get(fields, key);
    if (value != NULL && !json_is_array(value)) {
        fields_reject(fields, key, "is no array");
        value = NULL;
    } else if (json_array_size(value) > max) {
        fields_reject(fields, key, "has too many elements");
        value = NULL;
    }
    return value == NULL ? json_null() : value; /* a static value: its array size is 0 */
}

const json_t *fields_object(struct fields *fields, const char *key)
{
    const json_t *value = fields_get(fields, key);
    if (value != NULL && !json_is_object(value)) {
        fields_reject(fields, key, "is no object");
        value = NULL;
    }
    return value == NULL ? json_null() : value;
}

bool fields_put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text);
    if (value == NULL) {
        CLEANUP_FREE char *plain = strdup(text);
        for (char *p = plain; p != NULL && *p != '\0'; p++) {
            if ((unsigned char)*p >= 0x80) {
                *p = '?';
            }
        }
        value = plain == NULL ? NULL : json_string(plain);
    }
    return json_object_set_new(object, key, value) == 0;
}

bool fields_put_i64(json_t *object, const char *key, int64_t value)
{
    return json_object_set_new(object, key, json_integer(value)) == 0;
}

bool fields_put_u64(json_t *object, const char *key, uint64_t value)
{
    return value <= INT64_MAX && fields_put_i64(object, key, (int64_t)value);
}

bool fields_put_hex(json_t *object, const char *key, const uint8_t *bytes, size_t len)
{
    CLEANUP_FREE char *text = malloc(2 * len + 1);
    if (text == NULL) {
        return false;
    }
    hex_encode(bytes, len, text);
    return json_object_set_new(object, key, json_string(text)) == 0;
}
