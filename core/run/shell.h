/* shell.h: runs a configured command by /bin/sh -c with a time limit. */
#ifndef CORE_RUN_SHELL_H
#define CORE_RUN_SHELL_H

#include <stdint.h>

#include <orchestrate/error.h>

/* The command's environment is PATH, HOME, USER, LOGNAME, LANG, LC_*, TZ and TMPDIR of ours, and
 * `facts` ("NAME=value", zero-terminated; NULL: none); nothing else, so that no secret of ours is
 * in it. Standard input is /dev/null, output goes to standard error. ORCH_E_FAILED for an exit
 * status other than 0, ORCH_E_TIMEOUT after `timeout_ms` (its process group is killed),
 * ORCH_E_CANCELLED when *cancel becomes non-zero (NULL: never). */
int32_t shell_run(const char *command, const char *const *facts, int64_t timeout_ms,
                  const volatile int *cancel, struct orch_error *err) ORCH_CHECKED;

#endif
