/*
 * cleanup.h: cleanup attributes for locals of the file plugins. Initialise at declaration, always.
 */
#ifndef PLUGINS_FILES_CLEANUP_H
#define PLUGINS_FILES_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *slot)
{
    free(*(void **)slot);
}

static inline void cleanup_fd(int *slot)
{
    if (*slot >= 0) {
        (void)close(*slot);
    }
}

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_FD CLEANUP(cleanup_fd)

static inline int steal_fd(int *slot)
{
    int fd = *slot;
    *slot = -1;
    return fd;
}

#endif
