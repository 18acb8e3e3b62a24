/*
 * cleanup.h: cleanup attributes for the locals of this plugin. Initialise at declaration, always.
 */
#ifndef POSTGRES_CLEANUP_H
#define POSTGRES_CLEANUP_H

#include <stdlib.h>

#include <jansson.h>
#include <libpq-fe.h>

static inline void cleanup_free(void *slot)
{
    free(*(void **)slot);
}

static inline void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

static inline void cleanup_result(PGresult **slot)
{
    PQclear(*slot);
}

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define CLEANUP_JSON CLEANUP(cleanup_json)
#define CLEANUP_RESULT CLEANUP(cleanup_result)

#endif
