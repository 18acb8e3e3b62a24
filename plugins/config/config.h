/*
 * config.h: the instance of the config plugin, shared by its files.
 */
#ifndef PLUGINS_CONFIG_CONFIG_H
#define PLUGINS_CONFIG_CONFIG_H

#include <orchestrate/plugin.h>

#include "files/pattern.h"
#include "files/roots.h"

#define CONFIG_FORMAT 1u
#define CONFIG_FILE_BYTES_MAX (UINT64_C(64) * 1024 * 1024)

struct config {
    const struct orch_host *host;
    struct roots roots;
    struct patterns *exclude;
    char *work_dir;
    char *check_command; /* NULL: none */
    int64_t check_timeout_ms;
    int64_t aside_keep;
    int note_unreadable;
    int is_scratch;
    int restored;         /* this instance has restored, and knows: */
    uint64_t owners_lost; /* entries without their owner */
    uint64_t xattrs_lost; /* attributes that could not be set */
};

/* preflight.c: gives the verdicts of `check`. Touches nothing. */
int32_t config_check(const struct config *config, const struct orch_restore *restore,
                     struct orch_error *err) ORCH_CHECKED;

/* restore.c */
int32_t config_restore(struct config *config, const struct orch_restore *restore,
                       struct orch_error *err) ORCH_CHECKED;
int32_t config_verify(struct config *config, const struct orch_restore *restore,
                      struct orch_error *err) ORCH_CHECKED;
int32_t config_settle(struct config *config, const struct orch_restore *restore, uint32_t outcome,
                      struct orch_error *err) ORCH_CHECKED;

#endif
