/*
 * erase.h: removes a file tree without following links or leaving its file system.
 */
#ifndef PLUGINS_FILES_ERASE_H
#define PLUGINS_FILES_ERASE_H

#include <orchestrate/error.h>

/* Removes `base` in `dir_fd` with all below it; nothing there is fine. Stops with ORCH_E_BUSY at a
 * mount point. Folders that may not be written are made writable first. */
int32_t erase_at(int dir_fd, const char *base, struct orch_error *err) ORCH_CHECKED;

/* The same for an absolute path. */
int32_t erase_path(const char *path, struct orch_error *err) ORCH_CHECKED;

/* Is the folder or file open as `fd` where a file system is mounted? */
int erase_is_mount_point(int fd);

#endif
