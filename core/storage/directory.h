/*
 * directory.h: the driver that keeps a repository in a folder of a file system.
 *
 * A file is written as tmp/SOMETHING, synced, closed and renamed to its name; then, or at the next
 * barrier, its folder is synced. Folders are 0700 and files 0600. Temporary files that a killed
 * process left are removed a day later, by the next process that puts something.
 */
#ifndef CORE_STORAGE_DIRECTORY_H
#define CORE_STORAGE_DIRECTORY_H

#include "storage/storage.h"

/* `path` is absolute. `create` makes what is missing of it. */
int32_t directory_open(const char *path, bool create, const struct storage_driver **driver,
                       void **impl, struct orch_error *err) ORCH_CHECKED;

#endif
