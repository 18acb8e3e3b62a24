/*
 * cleanup.h: cleanup attributes for locals. Initialise at declaration, always.
 *
 *     CLEANUP_FREE char *name = NULL;
 *     CLEANUP_FD int fd = -1;
 *
 * To hand a value on, `return steal_ptr(&name)` or `steal_fd(&fd)`. A file that was written is
 * closed by hand and its result checked; CLEANUP_FD is for readers and error paths.
 */
#ifndef CORE_BASE_CLEANUP_H
#define CORE_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
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

static inline void cleanup_file(FILE **slot)
{
    if (*slot != NULL) {
        (void)fclose(*slot);
    }
}

static inline void cleanup_dir(DIR **slot)
{
    if (*slot != NULL) {
        (void)closedir(*slot);
    }
}

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_FD CLEANUP(cleanup_fd)
#define CLEANUP_FILE CLEANUP(cleanup_file)
#define CLEANUP_DIR CLEANUP(cleanup_dir)

static inline int steal_fd(int *slot)
{
    int fd = *slot;
    *slot = -1;
    return fd;
}

/* Gives the pointer away and leaves NULL behind. */
#define steal_ptr(slot)                                                                            \
    __extension__({                                                                                \
        __typeof__(*(slot)) stolen_ = *(slot);                                                     \
        *(slot) = NULL;                                                                            \
        stolen_;                                                                                   \
    })

#endif
