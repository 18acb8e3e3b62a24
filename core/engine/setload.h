/* setload.h: what set.c and setlist.c share. */
#ifndef CORE_ENGINE_SETLOAD_H
#define CORE_ENGINE_SETLOAD_H

#include "engine/set.h"

#define SET_FOLDER "sets"

/* Reads the manifest sets/NAME. */
int32_t set_load(struct repo *repo, const char *name, struct set **out,
                 struct orch_error *err) ORCH_CHECKED;

#endif
