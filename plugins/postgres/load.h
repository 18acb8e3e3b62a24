/*
 * load.h: what the host delivers, into a new and empty database.
 */
#ifndef POSTGRES_LOAD_H
#define POSTGRES_LOAD_H

#include <jansson.h>

#include "postgres.h"

/* Reads events to the end and applies them. Row counts are held against the facts at once. */
int32_t load_run(struct postgres *pg, const char *database, const json_t *facts,
                 struct orch_error *err) ORCH_CHECKED;

#endif
