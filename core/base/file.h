/*
 * file.h: whole reads and writes on file descriptors, and the durable way to put a small file.
 */
#ifndef CORE_BASE_FILE_H
#define CORE_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <orchestrate/error.h>

#include "base/buffer.h"

/* Both go on after EINTR and short counts. `what` names the file for messages. */
int32_t file_write_all(int fd, const void *data, size_t len, const char *what,
                       struct orch_error *err) ORCH_CHECKED;
/* Exactly `len` bytes at `offset`; an earlier end is ORCH_E_CORRUPT ("cut short"). */
int32_t file_pread_all(int fd, void *data, size_t len, uint64_t offset, const char *what,
                       struct orch_error *err) ORCH_CHECKED;

/* Appends the whole file to `out`; more than `max` bytes is ORCH_E_INVALID. A missing file is
 * ORCH_E_NOT_FOUND. */
int32_t file_read(const char *path, size_t max, struct buffer *out,
                  struct orch_error *err) ORCH_CHECKED;

/* Writes `path` durably and atomically: temporary name, fsync, rename, fsync of the folder. */
int32_t file_replace(const char *path, const void *data, size_t len, mode_t mode,
                     struct orch_error *err) ORCH_CHECKED;

/* fsync of a folder, so that renames in it last. */
int32_t file_sync_dir(const char *path, struct orch_error *err) ORCH_CHECKED;

/* Makes `path` and what is missing above it, each with `mode`; an existing folder is fine. */
int32_t file_make_dirs(const char *path, mode_t mode, struct orch_error *err) ORCH_CHECKED;

/* "dir/name" in new memory, NULL when memory ran out. */
char *file_join(const char *dir, const char *name);

#endif
