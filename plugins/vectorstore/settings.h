/*
 * settings.h: the declared options, and their checked values in one place.
 */
#ifndef VECTORSTORE_SETTINGS_H
#define VECTORSTORE_SETTINGS_H

#include <orchestrate/plugin.h>

#include "contract.h"

struct settings {
    const char *component;
    const char *work_dir;
    char *path; /* without a slash at its end */
    const char *const *patterns;
    uint64_t pattern_count;
    const char *const *excludes;
    uint64_t exclude_count;
    int allow_opaque;
    int allow_empty;
    int samples;               /* vectors sampled per store */
    uint64_t load_limit;       /* bytes; 0: what memory allows */
    struct contract declared;  /* from the options alone */
    const char *identity_file; /* NULL for none, as the others below */
    const char *identity_key;  /* "" for the top of the file */
    const char *identity_command;
    int64_t identity_timeout_ms;
    const char *endpoint;
    const char *api_key;
    int64_t endpoint_timeout_ms;
    int canaries_required;
};

#define SETTINGS_OPTION_COUNT 23u
extern const struct orch_option settings_options[SETTINGS_OPTION_COUNT];

/* Texts belong to `options`, which must outlive `settings`; `path` is freed by settings_clear. */
int32_t settings_read(const struct orch_options *options, struct settings *settings,
                      struct orch_error *err) ORCH_CHECKED;
void settings_clear(struct settings *settings);

#endif
