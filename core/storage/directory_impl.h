/* directory_impl.h: what directory.c and directory_put.c share. Nobody else includes it. */
#ifndef CORE_STORAGE_DIRECTORY_IMPL_H
#define CORE_STORAGE_DIRECTORY_IMPL_H

#include <stdatomic.h>
#include <stdint.h>

#include "storage/fault.h"
#include "storage/folders.h"
#include "storage/handles.h"
#include "storage/powerloss.h"
#include "storage/uncached.h"

#define DIRECTORY_TEMPORARY "tmp" /* folder of unfinished puts */
#define DIRECTORY_BOOT_TEXT 13

struct directory {
    int root_fd;
    char *path;
    struct fault *fault; /* NULL but in tests */
    struct powerloss *powerloss;
    struct folders *folders;
    struct handles *handles;
    struct uncached *uncached;
    char boot[DIRECTORY_BOOT_TEXT]; /* tells the running kernel; "0": not known */
    atomic_flag swept;              /* set once this process has looked for stale temporary files */
    atomic_uint_fast64_t puts;
};

int32_t directory_put_begin(void *impl, const char *name, void **out,
                            struct orch_error *err) ORCH_CHECKED;
int32_t directory_put_data(void *put, const void *data, size_t len,
                           struct orch_error *err) ORCH_CHECKED;
int32_t directory_put_commit(void *put, uint32_t flags, struct orch_error *err) ORCH_CHECKED;
void directory_put_abort(void *put);

#endif
