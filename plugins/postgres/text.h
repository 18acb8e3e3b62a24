/*
 * text.h: a growing string for building SQL and names; escaping of identifiers and object names.
 *
 * A failed allocation is remembered in `failed`: many calls may be made and checked once, with
 * text_check. The string is zero-terminated at all times once something was added.
 */
#ifndef POSTGRES_TEXT_H
#define POSTGRES_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <orchestrate/error.h>

struct text {
    char *data; /* NULL while empty */
    size_t len;
    size_t capacity;
    int failed;
};

#define TEXT_INIT                                                                                  \
    {                                                                                              \
        NULL, 0, 0, 0                                                                              \
    }

void text_free(struct text *text);
#define CLEANUP_TEXT __attribute__((cleanup(text_free)))

void text_bytes(struct text *text, const void *data, size_t len);
void text_add(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) ORCH_PRINTF(2, 3);

/* "name" as an SQL identifier, always in double quotes. Safe whatever bytes it holds. */
void text_identifier(struct text *text, const char *name);
/* "schema"."name" */
void text_qualified(struct text *text, const char *schema, const char *name);
/* A JSON array of names as a list of identifiers between commas. */
void text_identifiers(struct text *text, const json_t *names);
/* 'value' as an SQL literal, right under standard_conforming_strings on or off. */
void text_literal(struct text *text, const char *value);

/* A name as part of an object's name: '%', '.', '/' and control characters become %XX. */
void text_escaped(struct text *text, const char *name);

/* ORCH_OK, or NOMEM when an addition failed. An empty text becomes "". */
int32_t text_check(struct text *text, struct orch_error *err) ORCH_CHECKED;
/* Hands the string over; the caller frees it. NULL after a failed addition. */
char *text_steal(struct text *text);

/* Copies `in` to `out`, line ends and tabs becoming single spaces, cut at `size` - 1 bytes. */
void text_one_line(const char *in, char *out, size_t size);

#endif
