/*
 * folders.h: which folders of a directory store exist, and which have changes that no fsync has
 * covered yet. Thread-safe.
 *
 * A folder that this process sees for the first time counts as freshly made, since another
 * process may have made it a moment ago without having synced the folder above it.
 */
#ifndef CORE_STORAGE_FOLDERS_H
#define CORE_STORAGE_FOLDERS_H

#include <stdint.h>

#include <orchestrate/error.h>

#include "storage/fault.h"
#include "storage/powerloss.h"

struct folders;

/* Borrows all four. */
int32_t folders_new(int root_fd, const char *root_path, struct powerloss *powerloss,
                    struct fault *fault, struct folders **out, struct orch_error *err) ORCH_CHECKED;
void folders_free(struct folders *folders); /* NULL is fine */

/* Makes the folders above the file `name` where they are missing (0700). */
int32_t folders_make_above(struct folders *folders, const char *name,
                           struct orch_error *err) ORCH_CHECKED;
/* An entry of the folder of the file `name` was added, replaced or removed. */
int32_t folders_changed(struct folders *folders, const char *name,
                        struct orch_error *err) ORCH_CHECKED;
/* The folder `name` was listed, and what others put there or removed counts as ours: whoever goes
 * on from what he saw there has it synced with his own. */
int32_t folders_listed(struct folders *folders, const char *name,
                       struct orch_error *err) ORCH_CHECKED;
/* Syncs those folders above the file `name` that have changes. */
int32_t folders_sync_above(struct folders *folders, const char *name,
                           struct orch_error *err) ORCH_CHECKED;
/* Syncs all that have changes. A folder whose sync failed once fails for good: its changes may be
 * lost although a later sync would succeed. */
int32_t folders_sync_all(struct folders *folders, struct orch_error *err) ORCH_CHECKED;

#endif
