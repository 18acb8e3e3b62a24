/*
 * crash.h: named points in a restore where tests kill the process; nothing in other builds.
 *
 * ORCHESTRATE_CRASH_AT=name ends the process with SIGKILL when it comes to that point.
 */
#ifndef PLUGINS_FILES_CRASH_H
#define PLUGINS_FILES_CRASH_H

#ifdef ORCHESTRATE_TEST_HOOKS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void crash_here(const char *name)
{
    const char *wanted = getenv("ORCHESTRATE_CRASH_AT");
    if (wanted != NULL && strcmp(wanted, name) == 0) {
        (void)raise(SIGKILL);
    }
}
#else
static inline void crash_here(const char *name)
{
    (void)name;
}
#endif

#endif
