/*
 * name.h: names of files as bytes: which are sound, how they are shown, and the names that a
 * restore makes for its own temporary things.
 *
 * An object is named by an absolute path: '/' and elements, none of them empty, "." or "..".
 */
#ifndef PLUGINS_FILES_NAME_H
#define PLUGINS_FILES_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define NAME_LEN_MAX 65535u
#define NAME_RUN_LEN 8u

/* The absolute `path` with single slashes and none at its end, for free(). Refuses a relative path
 * and elements "." and "..". */
int32_t name_normalise(const char *path, char **out, struct orch_error *err) ORCH_CHECKED;

/* Is this a sound object name? Names come from a repository and may be hostile. */
int name_is_valid(const uint8_t *name, size_t len);

/* Is `name` the folder `root` or below it? Both sound. */
int name_is_within(const uint8_t *name, size_t len, const char *root, size_t root_len);

/* Bytewise order, a prefix first. */
int name_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/* For messages: what is not printable becomes \xHH; cut with "..." when it does not fit. */
#define NAME_SHOWN_MAX 300
const char *name_shown(char out[NAME_SHOWN_MAX], const void *name, size_t len);

/* Appends the name as a JSON string: bytes that are no UTF-8 as \xHH in text. -1: no memory. */
int name_add_json(struct bytes *out, const void *name, size_t len) ORCH_CHECKED;

/* The first 8 hex digits of a run's id. Refuses an id that is shorter or something else. */
int32_t name_run(char out[NAME_RUN_LEN + 1], const char *run_id,
                 struct orch_error *err) ORCH_CHECKED;

/* ".BASE.orch-WHAT-RUN" (a very long base is cut and told apart by a hash); BASE "": ".orch-…". */
void name_temporary(char out[256], const char *base, const char *what, const char *run);

/* Is `element` such a name? `bare`: only those with an empty base. */
int name_is_temporary(const char *element, int bare);

#endif
