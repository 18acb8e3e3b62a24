/*
 * cleanup.h: cleanup attributes for locals of this plugin. Initialise at declaration, always.
 */
#ifndef REDIS_CLEANUP_H
#define REDIS_CLEANUP_H

#include <hiredis/hiredis.h>
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

static inline void cleanup_reply(redisReply **slot)
{
    if (*slot != NULL) {
        freeReplyObject(*slot);
    }
}

static inline void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_FD CLEANUP(cleanup_fd)
#define CLEANUP_REPLY CLEANUP(cleanup_reply)
#define CLEANUP_JSON CLEANUP(cleanup_json)

/* Gives the pointer away and leaves NULL behind. */
#define steal_ptr(slot)                                                                            \
    __extension__({                                                                                \
        __typeof__(*(slot)) stolen_ = *(slot);                                                     \
        *(slot) = NULL;                                                                            \
        stolen_;                                                                                   \
    })

#endif
