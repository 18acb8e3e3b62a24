/* markload.h: what the documents marks/ID and lapsed/LEASE say, apart from storage and seals. */
#ifndef CORE_ENGINE_MARKLOAD_H
#define CORE_ENGINE_MARKLOAD_H

#include "engine/mark.h"

#define MARK_FOLDER "marks"
#define MARK_NAME (sizeof MARK_FOLDER + ID_TEXT)
#define LAPSED_FOLDER "lapsed"
#define LAPSED_NAME (sizeof LAPSED_FOLDER + ID_TEXT)

/* A new reference; NULL when memory ran out. */
json_t *mark_to_json(const struct mark *mark);
/* Fills a zeroed mark from the document of mark `id`; `what` names it in messages. mark_clear() is
 * due also after a failure. */
int32_t mark_from_json(const json_t *json, const char *id, const char *what, struct mark *mark,
                       struct orch_error *err) ORCH_CHECKED;

/* The document of a lease that was given up on: the ids of the sets that count all the same, 32
 * digits each, one behind the other. NULL when memory ran out. */
json_t *lapsed_to_json(const char *lease, const char *kept);
/* *kept: does the document name this set? */
int32_t lapsed_from_json(const json_t *json, const char *lease, const char *set_id,
                         const char *what, bool *kept, struct orch_error *err) ORCH_CHECKED;

#endif
