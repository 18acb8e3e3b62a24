/*
 * crash.h: named points in a restore where tests kill the process; nothing in other builds.
 *
 * ORCHESTRATE_CRASH_AT=name ends the process with SIGKILL when it comes to that point.
 * ORCHESTRATE_TEST_NO_EXCHANGE makes the file system look as if it could not exchange two names.
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

static inline int crash_no_exchange(void)
{
    return getenv("ORCHESTRATE_TEST_NO_EXCHANGE") != NULL;
}
#else
static inline void crash_here(const char *name)
{
    (void)name;
}

static inline int crash_no_exchange(void)
{
    return 0;
}
#endif

#endif
