/*
 * config_command.c: a secret from a command.
 *
 * The command runs by /bin/sh -c in a process group of its own, with /dev/null as its input and our
 * stderr. It is done when the shell has exited, also when something it left in the background still
 * holds the pipe. What it prints is never shown.
 */
#include "plan/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

extern char **environ;

struct command {
    pid_t pid;
    int pid_fd;
    int output; /* our end of the pipe, non-blocking */
    char *data; /* CONFIG_SECRET_MAX + 2 bytes: one more than a line and its end */
    size_t len;
};

/* The attributes of the child: own group, signals as a fresh program expects them. */
static int prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t defaults;
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)sigaddset(&defaults, SIGINT);
    (void)sigaddset(&defaults, SIGTERM);
    (void)sigaddset(&defaults, SIGCHLD);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    rc = rc != 0 ? rc : posix_spawnattr_setpgroup(attributes, 0);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attributes, &none);
    return rc != 0 ? rc : posix_spawnattr_setsigdefault(attributes, &defaults);
}

/* Gives 0 or an errno. */
static int spawn_shell(const char *text, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)text, NULL};
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return rc;
    }
    rc = prepare_attributes(&attributes);
    rc = rc != 0
             ? rc
             : posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    rc = rc != 0 ? rc : posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Reads what is there; false once the pipe has ended. What does not fit is dropped. */
static bool drain(struct command *command)
{
    size_t capacity = CONFIG_SECRET_MAX + 2;
    char spill[4096];
    for (;;) {
        bool full = command->len == capacity;
        ssize_t n =
            full ? read(command->output, spill, sizeof(spill))
                 : read(command->output, command->data + command->len, capacity - command->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        explicit_bzero(spill, sizeof(spill));
        if (n <= 0) {
            return n < 0 && errno == EAGAIN;
        }
        if (full) {
            return true; /* one step at a time, so that the time limit is looked at */
        }
        command->len += (size_t)n;
    }
}

/* Until the shell exits or the time is up; false for the latter. */
static bool wait_exit(struct command *command, int64_t deadline_ms)
{
    bool open = true;
    for (;;) {
        int64_t left = deadline_ms - clock_monotonic_ms();
        struct pollfd fds[2] = {{command->pid_fd, POLLIN, 0},
                                {open ? command->output : -1, POLLIN, 0}};
        int n = left <= 0 ? 0 : poll(fds, 2, left > 60000 ? 60000 : (int)left);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n == 0 && deadline_ms <= clock_monotonic_ms()) {
            return false;
        }
        if (n > 0 && fds[1].revents != 0) {
            open = drain(command);
        }
        if (n > 0 && fds[0].revents != 0) {
            if (open) {
                (void)drain(command);
            }
            return true;
        }
    }
}

static int32_t judge_status(int status, const char *what, struct orch_error *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return ORCH_OK;
    }
    if (WIFEXITED(status)) {
        return orch_fail(err, ORCH_E_CONFIG, "%s_command: the command failed with exit status %d%s",
                         what, WEXITSTATUS(status),
                         WEXITSTATUS(status) == 127 ? " (was it found?)" : "");
    }
    return orch_fail(err, ORCH_E_CONFIG, "%s_command: the command was killed by signal %d", what,
                     WTERMSIG(status));
}

/* Starts nothing; waits for `command` and judges how it ended. */
static int32_t finish(struct command *command, const char *what, int64_t limit_ms,
                      struct orch_error *err)
{
    command->pid_fd = pidfd_open(command->pid, 0);
    int why = errno;
    bool in_time = command->pid_fd >= 0 && wait_exit(command, clock_monotonic_ms() + limit_ms);
    if (!in_time) {
        /* Not reaped yet, so neither the process id nor the group's can be anybody else's. */
        (void)kill(-command->pid, SIGKILL);
    }
    int status = 0;
    pid_t got;
    do {
        got = waitpid(command->pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (command->pid_fd < 0) {
        return orch_fail_errno(err, why, "%s_command: cannot watch the command", what);
    }
    (void)close(command->pid_fd);
    if (!in_time) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "%s_command: the command did not end within %lld seconds and was killed",
                         what, (long long)((limit_ms + 999) / 1000));
    }
    if (got < 0) {
        return orch_fail_errno(err, errno, "%s_command: cannot learn how the command ended", what);
    }
    return judge_status(status, what, err);
}

int32_t config_secret_run(const char *text, const char *what, int64_t limit_ms, char **out,
                          struct orch_error *err)
{
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return orch_fail_errno(err, errno, "%s_command: cannot make a pipe", what);
    }
    CLEANUP_FD int output = ends[0];
    CLEANUP_FD int input = ends[1];
    struct command command = {.output = output, .data = malloc(CONFIG_SECRET_MAX + 2)};
    if (command.data == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for %s", what);
    }
    int rc =
        fcntl(output, F_SETFL, O_NONBLOCK) != 0 ? errno : spawn_shell(text, input, &command.pid);
    int32_t result;
    if (rc != 0) {
        result = orch_fail_errno(err, rc, "%s_command: cannot run /bin/sh", what);
    } else {
        (void)close(steal_fd(&input));
        result = finish(&command, what, limit_ms, err);
    }
    if (result == ORCH_OK) {
        result = config_secret_first_line(command.data, command.len, what, "the command", out, err);
    }
    explicit_bzero(command.data, CONFIG_SECRET_MAX + 2);
    free(command.data);
    return result;
}
