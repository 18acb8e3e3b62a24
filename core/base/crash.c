/* crash.c: see crash.h. */
#include "base/crash.h"

static const char *const names[] = {
#define X(name, text) text,
    CRASH_POINTS(X)
#undef X
};

const char *crash_name(enum crash_id id)
{
    return names[id];
}

#ifdef ORCHESTRATE_TEST_HOOKS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void trace(const char *name)
{
    const char *path = getenv("ORCHESTRATE_CRASH_TRACE");
    if (path == NULL) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return;
    }
    char line[128];
    int n = snprintf(line, sizeof(line), "%s\n", name);
    ssize_t ignored = write(fd, line, (size_t)n);
    (void)ignored;
    (void)close(fd);
}

void crash_point(enum crash_id id)
{
    static _Atomic long reached[CRASH_COUNT];
    const char *name = names[id];
    long count = atomic_fetch_add(&reached[id], 1) + 1;
    trace(name);
    const char *wanted = getenv("ORCHESTRATE_CRASH_AT");
    if (wanted == NULL) {
        return;
    }
    size_t len = strlen(name);
    if (strncmp(wanted, name, len) != 0 || (wanted[len] != 0 && wanted[len] != ':')) {
        return;
    }
    long at = wanted[len] == ':' ? strtol(wanted + len + 1, NULL, 10) : 1;
    if (count == at) {
        (void)kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    }
}

#endif
