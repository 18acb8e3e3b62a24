/*
 * facts.h: what a restore wants to know from a part's facts beside the sums.
 */
#ifndef PLUGINS_FILES_FACTS_H
#define PLUGINS_FILES_FACTS_H

#include <stddef.h>

#include <orchestrate/plugin.h>

#include "pattern.h"
#include "roots.h"

/* The exclude patterns of the backup; none when the facts have none. */
int32_t facts_exclude(const char *facts_json, struct patterns **out,
                      struct orch_error *err) ORCH_CHECKED;

/* Is the root among the paths that were backed up? */
int facts_have_path(const char *facts_json, const struct root *root);

/* A path of the backup that is none of `roots`, for free(), or NULL. */
char *facts_path_missing(const char *facts_json, const struct roots *roots);

/* Those of `roots` that were backed up, sharing their texts: free `out->items` alone. */
int32_t facts_roots(const char *facts_json, const struct roots *roots, struct roots *out,
                    struct orch_error *err) ORCH_CHECKED;

#endif
