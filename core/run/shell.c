/* shell.c: see shell.h. */
#include "run/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

extern char **environ;

static bool passes(const char *entry)
{
    static const char *const names[] = {
        "PATH=", "HOME=", "USER=", "LOGNAME=", "LANG=", "LC_", "TZ=", "TMPDIR="};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(entry, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* A new array of borrowed entries. */
static char **make_environment(const char *const *facts)
{
    size_t count = 0, n = 0;
    for (size_t i = 0; environ != NULL && environ[i] != NULL; i++) {
        count++;
    }
    for (size_t i = 0; facts != NULL && facts[i] != NULL; i++) {
        count++;
    }
    char **out = calloc(count + 1, sizeof(*out));
    for (size_t i = 0; out != NULL && environ != NULL && environ[i] != NULL; i++) {
        if (passes(environ[i])) {
            out[n++] = environ[i];
        }
    }
    for (size_t i = 0; out != NULL && facts != NULL && facts[i] != NULL; i++) {
        out[n++] = (char *)(uintptr_t)facts[i];
    }
    return out;
}

static int32_t spawn(const char *command, const char *const *facts, pid_t *pid,
                     struct orch_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    /* We ignore SIGPIPE; a pipeline in the command counts on it. */
    sigset_t usual;
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE);
    (void)posix_spawnattr_setsigdefault(&attributes, &usual);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    char shell[] = "/bin/sh", flag[] = "-c";
    char *text = strdup(command);
    char *argv[] = {shell, flag, text, NULL};
    CLEANUP_FREE char **envp = make_environment(facts);
    int rc = text == NULL || envp == NULL
                 ? ENOMEM
                 : posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, envp);
    free(text);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return rc == 0 ? ORCH_OK : orch_fail_errno(err, rc, "cannot start /bin/sh");
}

/* Waits by a pidfd in short turns, so that a cancel is seen. */
static int32_t wait_for(pid_t pid, int64_t timeout_ms, const volatile int *cancel,
                        struct orch_error *err)
{
    CLEANUP_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t end = clock_monotonic_ms() + timeout_ms;
    if (fd < 0) {
        return orch_fail_errno(err, errno, "cannot watch the command");
    }
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (poll(&poll_fd, 1, 100) > 0) {
            return ORCH_OK;
        }
        if (cancel != NULL && __atomic_load_n(cancel, __ATOMIC_RELAXED) != 0) {
            return orch_fail(err, ORCH_E_CANCELLED, "the run was cancelled");
        }
        if (clock_monotonic_ms() >= end) {
            return orch_fail(err, ORCH_E_TIMEOUT, "it did not end within %lld s",
                             (long long)(timeout_ms / 1000));
        }
    }
}

int32_t shell_run(const char *command, const char *const *facts, int64_t timeout_ms,
                  const volatile int *cancel, struct orch_error *err)
{
    pid_t pid = -1;
    int32_t rc = spawn(command, facts, &pid, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = wait_for(pid, timeout_ms, cancel, err);
    if (rc != ORCH_OK) {
        (void)kill(-pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (rc != ORCH_OK) {
        return orch_wrap(err, "command \"%.200s\"", command);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return ORCH_OK;
    }
    return WIFEXITED(status)
               ? orch_fail(err, ORCH_E_FAILED, "command \"%.200s\" ended with exit status %d",
                           command, WEXITSTATUS(status))
               : orch_fail(err, ORCH_E_FAILED, "command \"%.200s\" was killed by signal %d",
                           command, WTERMSIG(status));
}
