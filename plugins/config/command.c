/* command.c: see command.h. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "files/bytes.h"
#include "files/cleanup.h"
#include "files/name.h"

extern char **environ;

#define CANCEL_LOOK_MS 200

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The environment with ORCHESTRATE_PATHS set; the array is for free(), `setting` outlives it. */
static char **environment_with(char *setting)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **all = calloc(count + 2, sizeof(*all));
    size_t used = 0;
    for (size_t i = 0; all != NULL && i < count; i++) {
        if (strncmp(environ[i], "ORCHESTRATE_", 12) != 0) {
            all[used++] = environ[i];
        }
    }
    if (all != NULL) {
        all[used] = setting;
    }
    return all;
}

static int spawn_shell(const char *command, char **environment, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, output, 1);
    (void)posix_spawn_file_actions_adddup2(&actions, output, 2);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    char shell[] = "/bin/sh";
    char flag[] = "-c";
    char *copy = strdup(command);
    char *const argv[] = {shell, flag, copy, NULL};
    int error =
        copy == NULL ? ENOMEM : posix_spawn(pid, shell, &actions, &attributes, argv, environment);
    free(copy);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Keeps the last bytes of what comes. */
static void keep_tail(struct bytes *tail, const char *data, size_t len)
{
    const size_t most = COMMAND_TAIL_MAX;
    if (bytes_add(tail, data, len) == 0 && tail->len > most) {
        memmove(tail->data, tail->data + tail->len - most, most);
        tail->len = most;
    }
}

static void read_some(int fd, struct bytes *tail, int *open)
{
    char block[4096];
    ssize_t n = read(fd, block, sizeof(block));
    if (n > 0) {
        keep_tail(tail, block, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        *open = 0;
    }
}

/* Reads until the shell has ended. 0; ETIMEDOUT; ECANCELED. */
static int watch(const struct orch_host *host, int pidfd, int output, int64_t deadline,
                 struct bytes *tail)
{
    int open = 1;
    for (;;) {
        struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN},
                                {.fd = open ? output : -1, .events = POLLIN}};
        int64_t left = deadline - now_ms();
        if (left <= 0) {
            return ETIMEDOUT;
        }
        if (host->cancelled(host->ctx)) {
            return ECANCELED;
        }
        (void)poll(fds, 2, left < CANCEL_LOOK_MS ? (int)left : CANCEL_LOOK_MS);
        if (fds[1].revents != 0) {
            read_some(output, tail, &open);
            continue;
        }
        if (fds[0].revents != 0) {
            return 0;
        }
    }
}

static void describe(struct command_result *result, int status, int ended, int64_t timeout_ms)
{
    result->good = ended == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ended != 0) {
        (void)snprintf(result->how, sizeof(result->how), "did not end within %lld s",
                       (long long)(timeout_ms / 1000));
    } else if (WIFEXITED(status)) {
        (void)snprintf(result->how, sizeof(result->how), "exited with %d", WEXITSTATUS(status));
    } else {
        (void)snprintf(result->how, sizeof(result->how), "was killed by signal %d",
                       WTERMSIG(status));
    }
}

/* Lines become " | ", so that it fits a message; unprintable bytes are shown as such. */
static void tail_text(struct command_result *result, const struct bytes *tail)
{
    size_t n = 0;
    size_t end = tail->len;
    while (end > 0 && (tail->data[end - 1] == '\n' || tail->data[end - 1] == ' ')) {
        end--;
    }
    size_t start = end > 400 ? end - 400 : 0;
    for (size_t i = start; i < end && n + 8 < sizeof(result->tail); i++) {
        if (tail->data[i] == '\n') {
            n += (size_t)snprintf(result->tail + n, sizeof(result->tail) - n, " | ");
        } else if (tail->data[i] >= 0x20 && tail->data[i] < 0x7f) {
            result->tail[n++] = (char)tail->data[i];
        } else {
            result->tail[n++] = '?';
        }
    }
    result->tail[n] = 0;
}

int32_t command_run(const struct orch_host *host, const char *command, const char *paths,
                    int64_t timeout_ms, struct command_result *result, struct orch_error *err)
{
    *result = (struct command_result){0};
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return orch_fail_errno(err, errno, "cannot make a pipe for the check command");
    }
    CLEANUP_FD int output = pipe_fds[0];
    CLEANUP_FD int input = pipe_fds[1];
    (void)fcntl(output, F_SETFL, O_NONBLOCK);
    CLEANUP_FREE char *setting = NULL;
    if (asprintf(&setting, "ORCHESTRATE_PATHS=%s", paths) < 0) {
        setting = NULL;
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the check command");
    }
    CLEANUP_FREE char **environment = environment_with(setting);
    pid_t pid = -1;
    int error = environment == NULL ? ENOMEM : spawn_shell(command, environment, input, &pid);
    if (error != 0) {
        return orch_fail_errno(err, error, "cannot start the check command");
    }
    (void)close(steal_fd(&input));
    struct bytes tail CLEANUP_BYTES = {0};
    CLEANUP_FD int pidfd = pidfd_open(pid, 0);
    int ended = pidfd < 0 ? errno : watch(host, pidfd, output, now_ms() + timeout_ms, &tail);
    /* Whatever it left behind in its group ends with it. */
    (void)kill(-pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (ended == ECANCELED) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled during the check command");
    }
    if (ended != 0 && ended != ETIMEDOUT) {
        return orch_fail_errno(err, ended, "cannot watch the check command");
    }
    int open = 1;
    for (int i = 0; i < 64 && open && ended == 0; i++) {
        size_t before = tail.len;
        read_some(output, &tail, &open);
        open = open && tail.len != before;
    }
    describe(result, status, ended, timeout_ms);
    tail_text(result, &tail);
    return ORCH_OK;
}
