/* setload.h: what set.c and setlist.c share; and the decoder apart from storage and seals. */
#ifndef CORE_ENGINE_SETLOAD_H
#define CORE_ENGINE_SETLOAD_H

#include "engine/set.h"

#define SET_FOLDER "sets"

/* Reads the manifest `file`, "sets/…". */
int32_t set_load(struct repo *repo, const char *file, struct set **out,
                 struct orch_error *err) ORCH_CHECKED;

/* Every manifest, valid or not; else as set_list_load(). */
int32_t set_list_load_all(struct repo *repo,
                          void (*damaged)(void *ctx, const char *name,
                                          const struct orch_error *why),
                          void *ctx, struct set_list *out, struct orch_error *err) ORCH_CHECKED;

/* Fills a zeroed set from the manifest `file`; `what` names it in messages. set_free() is due also
 * after a failure. */
int32_t set_from_json(const json_t *json, const char *file, const char *what, struct set *set,
                      struct orch_error *err) ORCH_CHECKED;

#endif
