/*
 * readable.h: judges whether what is live can be read. A restore copies it aside before it touches
 * anything, so one file that cannot be read would end it there.
 */
#ifndef PLUGINS_CONFIG_READABLE_H
#define PLUGINS_CONFIG_READABLE_H

#include <orchestrate/plugin.h>

#include "config.h"

/* For `check`. Opens the files that aside_make() would copy. Nothing is judged when this run has
 * its copy already. */
int32_t readable_judge(const struct config *config, const struct orch_restore *restore,
                       struct orch_error *err) ORCH_CHECKED;

#endif
