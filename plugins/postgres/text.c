/* text.c: see text.h. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text)TEXT_INIT;
}

static int grow(struct text *text, size_t more)
{
    if (text->failed) {
        return 0;
    }
    if (more >= SIZE_MAX / 4 - text->len) {
        text->failed = 1;
        return 0;
    }
    size_t wanted = text->len + more + 1;
    if (wanted <= text->capacity) {
        return 1;
    }
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    char *grown = realloc(text->data, capacity);
    if (grown == NULL) {
        text->failed = 1;
        return 0;
    }
    text->data = grown;
    text->capacity = capacity;
    return 1;
}

void text_bytes(struct text *text, const void *data, size_t len)
{
    if (!grow(text, len)) {
        return;
    }
    if (len > 0) {
        memcpy(text->data + text->len, data, len);
    }
    text->len += len;
    text->data[text->len] = 0;
}

void text_add(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !grow(text, (size_t)n)) {
        text->failed = 1;
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text->data + text->len, (size_t)n + 1, format, args);
    va_end(args);
    text->len += (size_t)n;
}

/* Bytes below 0x80 are never part of a longer character in a server encoding, so doubling the
 * quote byte is safe in all of them. */
void text_identifier(struct text *text, const char *name)
{
    text_add(text, "\"");
    for (const char *p = name; *p != 0; p++) {
        text_bytes(text, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    }
    text_add(text, "\"");
}

void text_qualified(struct text *text, const char *schema, const char *name)
{
    text_identifier(text, schema);
    text_add(text, ".");
    text_identifier(text, name);
}

void text_identifiers(struct text *text, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (i > 0) {
            text_add(text, ", ");
        }
        text_identifier(text, name == NULL ? "" : name);
    }
}

void text_literal(struct text *text, const char *value)
{
    if (strchr(value, '\\') != NULL) {
        text_add(text, " E");
    }
    text_add(text, "'");
    for (const char *p = value; *p != 0; p++) {
        if (*p == '\'' || *p == '\\') {
            text_bytes(text, p, 1);
        }
        text_bytes(text, p, 1);
    }
    text_add(text, "'");
}

void text_escaped(struct text *text, const char *name)
{
    for (const char *p = name; *p != 0; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f || c == '%' || c == '.' || c == '/') {
            text_format(text, "%%%02X", c);
        } else {
            text_bytes(text, p, 1);
        }
    }
}

int32_t text_check(struct text *text, struct orch_error *err)
{
    if (!text->failed && text->data == NULL) {
        text_add(text, "");
    }
    if (text->failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a text of %zu bytes", text->len);
    }
    return ORCH_OK;
}

char *text_steal(struct text *text)
{
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (text_check(text, &ignored) != ORCH_OK) {
        text_free(text);
        return NULL;
    }
    char *data = text->data;
    *text = (struct text)TEXT_INIT;
    return data;
}

void text_one_line(const char *in, char *out, size_t size)
{
    size_t n = 0;
    for (; *in != 0 && n + 1 < size; in++) {
        int blank = *in == '\n' || *in == '\r' || *in == '\t' || *in == ' ';
        if (!blank) {
            out[n++] = *in;
        } else if (n > 0 && out[n - 1] != ' ') {
            out[n++] = ' ';
        }
    }
    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }
    out[n] = 0;
}
