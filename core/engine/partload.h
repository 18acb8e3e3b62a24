/* partload.h: the decoder behind part_load(), apart from storage and seals. */
#ifndef CORE_ENGINE_PARTLOAD_H
#define CORE_ENGINE_PARTLOAD_H

#include "engine/part.h"

/* Fills a zeroed part from the document of part `id`; `what` names it in messages. part_clear() is
 * due also after a failure. */
int32_t part_from_json(const json_t *json, const char *id, const char *what, struct part *part,
                       struct orch_error *err) ORCH_CHECKED;

#endif
