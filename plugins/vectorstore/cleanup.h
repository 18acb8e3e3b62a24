/*
 * cleanup.h: cleanup attributes for this plugin's locals. Initialise at declaration, always.
 *
 *     CLEANUP_FREE char *text = NULL;
 *     CLEANUP_FD int fd = -1;
 *     CLEANUP_JSON json_t *facts = NULL;
 */
#ifndef VECTORSTORE_CLEANUP_H
#define VECTORSTORE_CLEANUP_H

#include <dirent.h>
#include <jansson.h>
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

static inline void cleanup_dir(DIR **slot)
{
    if (*slot != NULL) {
        (void)closedir(*slot);
    }
}

static inline void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_FD CLEANUP(cleanup_fd)
#define CLEANUP_DIR CLEANUP(cleanup_dir)
#define CLEANUP_JSON CLEANUP(cleanup_json)

/* Gives the descriptor away and leaves -1 behind. */
static inline int steal_fd(int *slot)
{
    int fd = *slot;
    *slot = -1;
    return fd;
}

#endif
