/* id.h: random identifiers and lower-case hexadecimal. */
#ifndef CORE_BASE_ID_H
#define CORE_BASE_ID_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/error.h>

#define ID_BYTES 16
#define ID_TEXT (2 * ID_BYTES + 1)

/* `len` random bytes from the kernel. */
int32_t id_random(void *bytes, size_t len, struct orch_error *err) ORCH_CHECKED;
/* A new random id as 32 hex digits and a zero. */
int32_t id_new(char text[ID_TEXT], struct orch_error *err) ORCH_CHECKED;

/* `text` takes 2 * len + 1 bytes. */
void hex_encode(const uint8_t *bytes, size_t len, char *text);
/* Exactly 2 * len lower-case digits from `text`; 0, or ORCH_E_INVALID (no message). */
int32_t hex_decode(const char *text, size_t text_len, uint8_t *bytes, size_t len) ORCH_CHECKED;

#endif
