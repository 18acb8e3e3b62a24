/*
 * scan.h: a first look at the tokens of a configuration file, before libconfig sees it.
 *
 * libconfig 1.5 wraps integers past 32 bits without a word, cuts strings at \x00, drops what
 * follows an open quote, reads other files by @include, and recurses as deep as brackets nest. All
 * of that is an error here, and so are the everyday slips (a bracket that is not closed, text
 * without quotes, 30m without quotes, a name given twice), with a message that says what to write
 * instead. Plain syntax that remains is left to libconfig.
 */
#ifndef CORE_PLAN_SCAN_H
#define CORE_PLAN_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include <orchestrate/error.h>

#define SCAN_FILE_MAX ((size_t)1024 * 1024)
#define SCAN_STRING_MAX ((size_t)64 * 1024)
#define SCAN_DEPTH_MAX 16
#define SCAN_MEMBERS_MAX 4096 /* names in one group; libconfig's time grows with the square */

/* `path` is for messages: "path:line: …". ORCH_E_CONFIG or ORCH_E_NOMEM. */
int32_t scan_check(const char *path, const char *data, size_t len,
                   struct orch_error *err) ORCH_CHECKED;

/* Whether the bytes are valid UTF-8 (RFC 3629: shortest form, no surrogates). */
bool scan_utf8(const char *data, size_t len);

#endif
