/* spawn.h: fork and exec of a worker, with nothing but its socket and its output open. */
#ifndef CORE_PLUGIN_SPAWN_H
#define CORE_PLUGIN_SPAWN_H

#include <sys/types.h>

#include <orchestrate/error.h>

struct spawned {
    pid_t pid;
    int pidfd;
    int output; /* read end of what it writes to stdout and stderr */
};

#define SPAWNED_INIT                                                                               \
    {                                                                                              \
        -1, -1, -1                                                                                 \
    }

/*
 * Runs `exe --worker 3` in a process group of its own: `socket` becomes descriptor 3, stdin
 * /dev/null; signals are as in a fresh process; it gets PROCESS_ORPHAN_SIGNAL when the calling
 * *thread* ends. A failed exec is an error here.
 *
 * Of the environment it gets what programs and libraries need (see spawn.c), not the rest: secrets
 * and storage credentials of the runner are none of a plugin's business.
 */
int32_t spawn_worker(const char *exe, int socket, struct spawned *out,
                     struct orch_error *err) ORCH_CHECKED;

#endif
