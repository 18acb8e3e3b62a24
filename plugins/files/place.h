/*
 * place.h: where a restore will write: making folders, and questions to the file system.
 */
#ifndef PLUGINS_FILES_PLACE_H
#define PLUGINS_FILES_PLACE_H

#include <stdint.h>
#include <sys/types.h>

#include <orchestrate/error.h>

/* Makes the folder `path` and those above it that are missing. */
int32_t place_make_folders(const char *path, mode_t mode, struct orch_error *err) ORCH_CHECKED;

struct place {
    char *existing; /* the nearest folder at or above the path that exists, for free() */
    dev_t dev;
    uint64_t free_bytes;  /* for this user */
    uint64_t free_inodes; /* UINT64_MAX: the file system does not count them */
    int writable;
    int has_xattrs;
};

/* Looks at the folder that `path` is in or will be in. */
int32_t place_look(const char *path, struct place *place, struct orch_error *err) ORCH_CHECKED;

/* A mount point strictly below `path`, for free(), or NULL. */
char *place_mount_below(const char *path);

/* Syncs a folder's own entries. 0 or an errno. */
int place_sync(int dir_fd);

#endif
