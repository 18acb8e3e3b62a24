/*
 * field.h: typed fields of JSON documents, checked one by one, failure remembered.
 *
 *     struct fields f = fields_over(json, "part 1234");
 *     fields_text(&f, "component", part->component, sizeof part->component);
 *     part->objects = fields_u64(&f, "objects");
 *     return fields_end(&f, err);
 *
 * A missing field, a wrong type or a value out of range leaves zero or "" behind, and the first one
 * is named by fields_end(). Unknown fields are fine: a later version may have added them.
 */
#ifndef CORE_ENGINE_FIELD_H
#define CORE_ENGINE_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

struct fields {
    const json_t *object;
    const char *what; /* for the message; borrowed */
    char bad[64];     /* the first bad field, or "" */
    const char *why;
};

struct fields fields_over(const json_t *object, const char *what);
/* Copies a text that must fit `size` with its zero and hold no zero itself. */
void fields_text(struct fields *fields, const char *key, char *out, size_t size);
/* The same, but a missing field is "". */
void fields_optional_text(struct fields *fields, const char *key, char *out, size_t size);
uint64_t fields_u64(struct fields *fields, const char *key); /* 0 to 2^63 - 1 */
uint32_t fields_u32(struct fields *fields, const char *key, uint32_t max);
int64_t fields_i64(struct fields *fields, const char *key);
bool fields_bool(struct fields *fields, const char *key);
/* Exactly `len` bytes in lower-case hexadecimal. */
void fields_hex(struct fields *fields, const char *key, uint8_t *out, size_t len);
/* An id as id_new() makes it; "" is allowed when `or_empty`. */
void fields_id(struct fields *fields, const char *key, char *out, bool or_empty);
/* Borrowed; an empty stand-in that is never NULL after a failure. */
const json_t *fields_array(struct fields *fields, const char *key, size_t max);
const json_t *fields_object(struct fields *fields, const char *key);
/* Marks a field bad for a reason of the caller's. */
void fields_reject(struct fields *fields, const char *key, const char *why);
/* ORCH_OK, or ORCH_E_CORRUPT with the first bad field. */
int32_t fields_end(const struct fields *fields, struct orch_error *err) ORCH_CHECKED;

/* Sets a text; bytes that are no UTF-8 become '?'. False when memory ran out. */
bool fields_put_text(json_t *object, const char *key, const char *text);
/* False when memory ran out or the number is past 2^63 - 1. */
bool fields_put_u64(json_t *object, const char *key, uint64_t value);
bool fields_put_i64(json_t *object, const char *key, int64_t value);
bool fields_put_hex(json_t *object, const char *key, const uint8_t *bytes, size_t len);

#endif
