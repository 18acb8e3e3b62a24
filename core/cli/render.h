/* render.h: numbers and texts as people read them. */
#ifndef CORE_CLI_RENDER_H
#define CORE_CLI_RENDER_H

#include <stddef.h>
#include <stdint.h>

#define RENDER_TEXT 32

/* "1.2 GB" (powers of 1000), "950 B". */
const char *render_size(uint64_t bytes, char text[RENDER_TEXT]);
/* "1,234,567". */
const char *render_count(uint64_t count, char text[RENDER_TEXT]);
/* "350 ms", "4.2 s", "3 min 20 s", "2 h 5 min". */
const char *render_duration(int64_t ms, char text[RENDER_TEXT]);
/* "3 minutes ago", "2 days ago". */
const char *render_age(int64_t then_ns, int64_t now_ns, char text[RENDER_TEXT]);
/* Bytes to printable text: control bytes, backslash and invalid UTF-8 as \xNN. Cut at `size`. */
const char *render_bytes(const void *bytes, size_t len, char *text, size_t size);

#endif
