/* command.c: see command.h. */
#include "command.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts the shell with `out` as its standard output. */
static int32_t start(const char *line, int out, pid_t *pid, struct orch_error *err)
{
    char *argv[] = {"/bin/sh", "-c", (char *)(uintptr_t)line, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to run a command");
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to run a command");
    }
    int rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    rc = rc != 0 ? rc : posix_spawn_file_actions_adddup2(&actions, out, 1);
    rc = rc != 0 ? rc : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    rc = rc != 0 ? rc : posix_spawnattr_setpgroup(&attributes, 0);
    rc = rc != 0 ? rc : posix_spawn(pid, argv[0], &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? ORCH_OK : orch_fail_errno(err, rc, "cannot run embedding.identity_command");
}

/* Reads to the end of the command's output, or until the deadline. */
static int32_t collect(int fd, int64_t deadline_ms, char *out, size_t size, size_t *len,
                       struct orch_error *err)
{
    *len = 0;
    for (;;) {
        int64_t left = deadline_ms - now_ms();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int n = left <= 0 ? 0 : poll(&ready, 1, left > 1000 ? 1000 : (int)left);
        if (left <= 0) {
            return orch_fail(err, ORCH_E_TIMEOUT,
                             "embedding.identity_command did not finish in time; see that it "
                             "answers, or raise embedding.identity_timeout");
        }
        if (n <= 0) {
            continue;
        }
        ssize_t got = read(fd, out + *len, size - *len);
        if (got < 0 && errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot read from embedding.identity_command");
        }
        if (got == 0) {
            return ORCH_OK;
        }
        *len += got > 0 ? (size_t)got : 0;
        if (*len == size) {
            return orch_fail(err, ORCH_E_FAILED,
                             "embedding.identity_command printed more than 1 MiB; it should print "
                             "one JSON object");
        }
    }
}

/* Waits for the end, at most until the deadline; then the group is killed. */
static int32_t finish(pid_t pid, int64_t deadline_ms, struct orch_error *err)
{
    int status = 0;
    pid_t got = 0;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && now_ms() < deadline_ms) {
        struct timespec pause = {.tv_nsec = 5000000};
        (void)nanosleep(&pause, NULL);
    }
    if (got == 0) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return orch_fail(err, ORCH_E_TIMEOUT, "embedding.identity_command did not end in time");
    }
    if (got < 0) {
        return orch_fail_errno(err, errno, "cannot wait for embedding.identity_command");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return orch_fail(err, ORCH_E_FAILED, "embedding.identity_command ended with %s %d",
                         WIFEXITED(status) ? "exit status" : "signal",
                         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return ORCH_OK;
}

int32_t command_run(const char *line, int64_t timeout_ms, char *out, size_t size, size_t *len,
                    struct orch_error *err)
{
    int64_t deadline = now_ms() + timeout_ms;
    int ends[2];
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return orch_fail_errno(err, errno, "cannot make a pipe");
    }
    CLEANUP_FD int from = ends[0];
    int32_t rc = start(line, ends[1], &pid, err);
    (void)close(ends[1]);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = collect(from, deadline, out, size, len, err);
    if (rc != ORCH_OK) {
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return rc;
    }
    return finish(pid, deadline, err);
}
