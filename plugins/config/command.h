/*
 * command.h: runs the check command.
 */
#ifndef PLUGINS_CONFIG_COMMAND_H
#define PLUGINS_CONFIG_COMMAND_H

#include <orchestrate/plugin.h>

#define COMMAND_TAIL_MAX 600u

struct command_result {
    int good;     /* it exited with 0 */
    char how[64]; /* "exited with 3", "was killed by signal 9", "did not end within 60 s" */
    char tail[COMMAND_TAIL_MAX]; /* the end of what it printed, one line */
};

/* `/bin/sh -c command` with ORCHESTRATE_PATHS=paths, in a process group of its own that is killed
 * at the limit or on cancel. A failure is one of running it; its own is in `result`. */
int32_t command_run(const struct orch_host *host, const char *command, const char *paths,
                    int64_t timeout_ms, struct command_result *result,
                    struct orch_error *err) ORCH_CHECKED;

#endif
