/* escape.h: names of any bytes made fit for a message. */
#ifndef CORE_ENGINE_ESCAPE_H
#define CORE_ENGINE_ESCAPE_H

#include <stddef.h>

#define ESCAPE_TEXT 256

/*
 * Printable ASCII stays; backslash and every other byte become \xHH; a text that does not fit ends
 * in
 * "...". Always zero-terminated. Returns `text`.
 */
const char *escape_name(const void *name, size_t len, char text[ESCAPE_TEXT]);

#endif
