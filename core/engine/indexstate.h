/*
 * indexstate.h: the file "state" beside an index's cache: may its bytes be trusted? The cache is
 * written without syncing, so that after a crash of the machine they may be anything.
 */
#ifndef CORE_ENGINE_INDEXSTATE_H
#define CORE_ENGINE_INDEXSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrate/error.h"

enum index_state {
    INDEX_STATE_BAD,   /* not synced before the machine went down, or no such file, or not ours */
    INDEX_STATE_DIRTY, /* not synced, but written since this machine was started: good */
    INDEX_STATE_CLEAN
};

/* `path` is the cache's folder. */
enum index_state indexstate_read(const char *path);
/* `durable`: survives a crash from when this returns. */
int32_t indexstate_write(const char *path, bool clean, bool durable,
                         struct orch_error *err) ORCH_CHECKED;
/* The cache is not to be used again. */
void indexstate_spoil(const char *path);

#endif
