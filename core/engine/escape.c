/* escape.c: see escape.h. */
#include "engine/escape.h"

#include <stdint.h>
#include <string.h>

const char *escape_name(const void *name, size_t len, char text[ESCAPE_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = name;
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (at + 8 > ESCAPE_TEXT) {
            memcpy(text + at, "...", 3);
            at += 3;
            break;
        }
        if (bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '\\') {
            text[at++] = (char)bytes[i];
        } else {
            text[at++] = '\\';
            text[at++] = 'x';
            text[at++] = digits[bytes[i] >> 4];
            text[at++] = digits[bytes[i] & 15];
        }
    }
    text[at] = 0;
    return text;
}
