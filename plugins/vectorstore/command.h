/*
 * command.h: runs a configured shell command and takes what it prints, within limits.
 */
#ifndef VECTORSTORE_COMMAND_H
#define VECTORSTORE_COMMAND_H

#include <stddef.h>

#include <orchestrate/error.h>

/*
 * Runs `line` with /bin/sh, standard input empty, in a process group of its own, and puts its
 * standard output into `out`: fewer than `size` bytes, *len of them. Its standard error goes where
 * ours goes. ORCH_E_TIMEOUT when it takes longer than `timeout_ms`, ORCH_E_FAILED when it exits
 * with something else than 0 or prints too much; the group is killed in both cases.
 */
int32_t command_run(const char *line, int64_t timeout_ms, char *out, size_t size, size_t *len,
                    struct orch_error *err) ORCH_CHECKED;

#endif
