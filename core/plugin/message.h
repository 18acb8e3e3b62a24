/*
 * message.h: the JSON objects in control frames, to and from the structures of plugin.h.
 *
 * Text that is UTF-8 is a JSON string; any other bytes are { "hex": "…" }. Unsigned 64-bit numbers
 * cross as signed ones of the same bits.
 */
#ifndef CORE_PLUGIN_MESSAGE_H
#define CORE_PLUGIN_MESSAGE_H

#include <jansson.h>

#include <orchestrate/plugin.h>

#include "plugin/wire.h"

void message_cleanup(json_t **slot);
#define CLEANUP_JSON CLEANUP(message_cleanup)
void message_text_cleanup(char **slot); /* wipes and frees */

/* Sends `message` (borrowed; NULL: memory ran out while it was made). */
int32_t message_send(struct wire *wire, struct wire_frame frame, const json_t *message,
                     struct orch_error *err) ORCH_CHECKED;
/* Parses a payload: it must be one object. `peer` is for the message. */
int32_t message_parse(const uint8_t *data, size_t len, const char *peer, json_t **out,
                      struct orch_error *err) ORCH_CHECKED;

/* Setters do nothing but make `object` NULL-safe; a failed allocation shows as a missing member,
 * which the other side refuses. NULL text sets nothing. */
void message_set_text(json_t *object, const char *key, const char *text);
void message_set_bytes(json_t *object, const char *key, const void *data, size_t len);
void message_set_u64(json_t *object, const char *key, uint64_t value);

/* A missing or wrong member gives NULL or 0. */
const char *message_string(const json_t *object, const char *key); /* plain strings only */
uint64_t message_u64(const json_t *object, const char *key);
uint32_t message_u32(const json_t *object, const char *key);
/* New memory, zero-terminated, NULL when it is missing; *len may be NULL: then bytes of value zero
 * are refused. */
char *message_bytes(const json_t *object, const char *key, size_t *len);
/* The same for a value outside an object. */
char *message_bytes_of(const json_t *value, size_t *len);
json_t *message_bytes_new(const void *data, size_t len);
/* Copies text into an array of `size`, cut and zero-terminated. */
void message_copy_text(const json_t *object, const char *key, char *out, size_t size);

/* {"code", "errno", "message"} of a failed call. */
void message_set_error(json_t *object, const struct orch_error *err);
int32_t message_get_error(const json_t *object, struct orch_error *err);

/* Overwrites every string below `value`: secrets were in it. */
void message_wipe(json_t *value);

#endif
