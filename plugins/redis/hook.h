/*
 * hook.h: places where a test kills the process. In builds without test hooks they are nothing.
 *
 * ORCHESTRATE_REDIS_CRASH_AT=name names the place.
 */
#ifndef REDIS_HOOK_H
#define REDIS_HOOK_H

#ifdef ORCHESTRATE_TEST_HOOKS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void hook_crash(const char *name)
{
    const char *wanted = getenv("ORCHESTRATE_REDIS_CRASH_AT");
    if (wanted != NULL && strcmp(wanted, name) == 0) {
        (void)raise(SIGKILL);
    }
}
#else
static inline void hook_crash(const char *name)
{
    (void)name;
}
#endif

#endif
