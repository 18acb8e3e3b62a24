/*
 * text.h: texts of unknown origin (file names, messages of servers and plugins, words of a command
 * line) made fit for a terminal, a log and JSON.
 */
#ifndef CORE_BASE_TEXT_H
#define CORE_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* The length of the character at `p` (1 to 4) when it is valid UTF-8 (RFC 3629) and printable, that
 * is, no control character of ASCII or of C1; else 0. `left` bytes may be looked at. */
size_t text_printable(const uint8_t *p, size_t left);

/* Cleans `text` in place, a C string in `size` bytes of memory: line ends and tabs become spaces,
 * and every other byte that is not printable becomes \xNN. What has no room any more is cut off. */
void text_clean(char *text, size_t size);

/* A new JSON string of `text`, cleaned in the same way but never cut. NULL for NULL, and when
 * memory ran out. */
json_t *text_json(const char *text);

#endif
