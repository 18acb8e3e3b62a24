/*
 * volumes.h: the instance of the volumes plugin, shared by its files.
 */
#ifndef PLUGINS_VOLUMES_VOLUMES_H
#define PLUGINS_VOLUMES_VOLUMES_H

#include <orchestrate/plugin.h>

#include "files/pattern.h"
#include "files/roots.h"

#define VOLUMES_FORMAT 1u

struct volumes {
    const struct orch_host *host;
    struct roots roots;
    struct patterns *exclude;
    char *work_dir; /* NULL: none */
    int one_file_system;
    int note_unreadable;
    int restored;         /* this instance has restored, and knows: */
    uint64_t owners_lost; /* entries without their owner */
    uint64_t xattrs_lost; /* attributes that could not be set */
};

/* preflight.c: gives the verdicts of `check`. Touches nothing. */
int32_t volumes_preflight(const struct volumes *volumes, const struct orch_restore *restore,
                          struct orch_error *err) ORCH_CHECKED;

/* restore.c */
int32_t volumes_restore(struct volumes *volumes, const struct orch_restore *restore,
                        struct orch_error *err) ORCH_CHECKED;
int32_t volumes_verify(struct volumes *volumes, const struct orch_restore *restore,
                       struct orch_error *err) ORCH_CHECKED;
int32_t volumes_settle(struct volumes *volumes, const struct orch_restore *restore,
                       uint32_t outcome, struct orch_error *err) ORCH_CHECKED;

#endif
