/*
 * document.h: one configuration or plan file, read, looked over (scan.h) and parsed by libconfig,
 * with getters that check what they get. Every failure is "path:line: …".
 *
 * A setting knows the document that it belongs to, so that it alone is enough to name a place.
 */
#ifndef CORE_PLAN_DOCUMENT_H
#define CORE_PLAN_DOCUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <libconfig.h>

#include <orchestrate/error.h>

#include "base/buffer.h"

struct document {
    char *path;
    struct buffer bytes; /* as read, for hashes */
    config_t config;
};

/* Reads a regular file (or a link to one) of at most 1 MiB. ORCH_E_CONFIG with the reason. */
int32_t document_load(const char *path, struct document **out, struct orch_error *err) ORCH_CHECKED;
/* The same from memory; for fuzzing. `path` is for messages. */
int32_t document_parse(const char *path, const void *data, size_t len, struct document **out,
                       struct orch_error *err) ORCH_CHECKED;
void document_free(struct document *document);
void document_cleanup(struct document **slot);
config_setting_t *document_root(const struct document *document);

const char *document_path(const config_setting_t *setting);
int document_line(const config_setting_t *setting);

/* ORCH_E_CONFIG with "path:line: " of the setting before the text. */
int32_t document_fail(const config_setting_t *at, struct orch_error *err, const char *format, ...)
    ORCH_PRINTF(3, 4);
/* Puts the place before the message that `err` has, and makes it ORCH_E_CONFIG (but leaves a want
 * of memory what it is). */
int32_t document_wrap(const config_setting_t *at, struct orch_error *err);

/* "the integer 5", "a group": what a setting is, for "expected …, found …". Uses `text`. */
const char *document_found(const config_setting_t *setting, char text[64]);

/* Fails for a member of `group` that is not in `keys`. `what` names the group: "repository main".
 */
int32_t document_only(const config_setting_t *group, const char *what, const char *const *keys,
                      size_t count, struct orch_error *err) ORCH_CHECKED;

/* What `setting` holds, or an error that says what was expected. Texts and lists are new memory;
 * lists end with NULL, and `( )` and `[ ]` are both taken. */
int32_t document_text(const config_setting_t *setting, char **out,
                      struct orch_error *err) ORCH_CHECKED;
int32_t document_texts(const config_setting_t *setting, char ***out, size_t *count,
                       struct orch_error *err) ORCH_CHECKED;
int32_t document_integer(const config_setting_t *setting, int64_t min, int64_t max, int64_t *out,
                         struct orch_error *err) ORCH_CHECKED;
int32_t document_duration(const config_setting_t *setting, int64_t *ms,
                          struct orch_error *err) ORCH_CHECKED;
int32_t document_size(const config_setting_t *setting, int64_t *bytes,
                      struct orch_error *err) ORCH_CHECKED;
int32_t document_rate(const config_setting_t *setting, int64_t *bytes_per_second,
                      struct orch_error *err) ORCH_CHECKED;
int32_t document_group(const config_setting_t *setting, struct orch_error *err) ORCH_CHECKED;

void document_texts_free(char **texts); /* NULL is fine */
static inline void document_texts_cleanup(char ***slot)
{
    document_texts_free(*slot);
}

/* Names of components, repositories and plans: [a-z][a-z0-9-]{0,62}. */
bool document_name_ok(const char *name);

#endif
