/*
 * handles.h: a few open descriptors of files that are read again and again (packs). Thread-safe.
 */
#ifndef CORE_STORAGE_HANDLES_H
#define CORE_STORAGE_HANDLES_H

#include <orchestrate/error.h>

#include "storage/fault.h"

struct handles;

/* Names are relative to `root_fd`; both are borrowed. NULL when memory ran out. */
struct handles *handles_new(int root_fd, struct fault *fault);
void handles_free(struct handles *handles); /* NULL is fine */

/* Opens `name` for reading, or finds it open, and lends it: *fd is valid until it is given back.
 * Returns 0, or the errno of open(2). */
int handles_take(struct handles *handles, const char *name, int *fd) ORCH_CHECKED;
void handles_give(struct handles *handles, int fd);
/* The file was replaced or removed by this process. */
void handles_forget(struct handles *handles, const char *name);

#endif
