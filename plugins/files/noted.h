/*
 * noted.h: live files that a backup could not read and noted (on_unreadable = "note"). It does not
 * hold them, so a restore has nothing to put in their place.
 */
#ifndef PLUGINS_FILES_NOTED_H
#define PLUGINS_FILES_NOTED_H

#include <stdint.h>

#include <orchestrate/plugin.h>

#include "name.h"
#include "roots.h"

struct noted {
    uint64_t live;              /* of those that the facts name, this many are there now */
    int more;                   /* the facts count more than they name */
    char first[NAME_SHOWN_MAX]; /* the live path of one */
};

/* Looks for them below `roots`. Facts without any, and older ones, give none. One that cannot be
 * looked for counts as there. */
int32_t noted_live(const char *facts_json, const struct roots *roots, struct noted *noted,
                   struct orch_error *err) ORCH_CHECKED;

#endif
