/* child.c: see child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "conninfo.h"
#include "text.h"

#define WAIT_MS 200
#define KEPT_MAX 8192 /* of stderr; the rest is read and dropped */

extern char **environ;

struct child {
    const struct orch_host *host;
    const char *name; /* the program's own name, in `program` */
    char *program;
    pid_t pid; /* 0 once waited for */
    int data;  /* our end of the data pipe, or -1 */
    int errors;
    unsigned direction;
    size_t kept_len;
    char kept[KEPT_MAX];
};

/* ---- starting --------------------------------------------------------------------------- */

/* A pipe whose ends lie above the numbers that the child's own streams get. */
static int make_pipe(int ends[2])
{
    int raw[2] = {-1, -1};
    if (pipe2(raw, O_CLOEXEC) != 0) {
        return -1;
    }
    ends[0] = fcntl(raw[0], F_DUPFD_CLOEXEC, 10);
    ends[1] = fcntl(raw[1], F_DUPFD_CLOEXEC, 10);
    int failed = ends[0] < 0 || ends[1] < 0 ? errno : 0;
    (void)close(raw[0]);
    (void)close(raw[1]);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

static void close_slot(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* The environment without what would override the connection string or carry a secret. */
static char **child_environment(void)
{
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL) {
        count++;
    }
    char **copy = calloc(count + 1, sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "PGPASSWORD=", 11) != 0 &&
            strncmp(environ[i], "PGOPTIONS=", 10) != 0) {
            copy[n++] = environ[i];
        }
    }
    return copy;
}

static int spawn(struct child *child, char *const *argv, int child_data, int child_errors,
                 int passfile)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    int reads = child->direction == CHILD_WRITE;
    int rc =
        reads ? posix_spawn_file_actions_adddup2(&actions, child_data, STDIN_FILENO)
              : posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    rc |= reads
              ? posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
              : posix_spawn_file_actions_adddup2(&actions, child_data, STDOUT_FILENO);
    rc |= posix_spawn_file_actions_adddup2(&actions, child_errors, STDERR_FILENO);
    if (passfile >= 0) {
        rc |= posix_spawn_file_actions_adddup2(&actions, passfile, CONNINFO_PASSFILE_FD);
    }
    sigset_t none;
    sigset_t defaults;
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)sigaddset(&defaults, SIGTERM);
    (void)sigaddset(&defaults, SIGINT);
    rc |= posix_spawnattr_setsigmask(&attributes, &none);
    rc |= posix_spawnattr_setsigdefault(&attributes, &defaults);
    rc |= posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    CLEANUP_FREE char **environment = child_environment();
    if (rc == 0) {
        rc = environment == NULL
                 ? ENOMEM
                 : posix_spawn(&child->pid, argv[0], &actions, &attributes, argv, environment);
    }
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        child->pid = 0;
    }
    return rc;
}

int32_t child_start(const struct orch_host *host, char *const *argv, unsigned direction,
                    int passfile, struct child **out, struct orch_error *err)
{
    struct child *child = calloc(1, sizeof(*child));
    char *program = strdup(argv[0]);
    if (child == NULL || program == NULL) {
        free(child);
        free(program);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to start %s", argv[0]);
    }
    const char *slash = strrchr(program, '/');
    child->host = host;
    child->program = program;
    child->name = slash == NULL ? program : slash + 1;
    child->direction = direction;
    int data[2] = {-1, -1};
    int errors[2] = {-1, -1};
    int failed = make_pipe(data) != 0 || make_pipe(errors) != 0 ? errno : 0;
    int mine = direction == CHILD_READ ? 0 : 1;
    if (failed == 0) {
        failed = spawn(child, argv, data[1 - mine], errors[1], passfile);
    }
    child->data = data[mine];
    child->errors = errors[0];
    close_slot(&data[1 - mine]);
    close_slot(&errors[1]);
    if (failed != 0) {
        child_free(child);
        return orch_fail_errno(err, failed, "cannot start %s", argv[0]);
    }
    /* A child that stands still must not hold us in write(2). */
    (void)fcntl(child->data, F_SETFL, fcntl(child->data, F_GETFL) | O_NONBLOCK);
    *out = child;
    return ORCH_OK;
}

/* ---- pumping ---------------------------------------------------------------------------- */

static void take_errors(struct child *child)
{
    char space[4096];
    ssize_t n = read(child->errors, space, sizeof(space));
    if (n == 0 || (n < 0 && errno != EINTR)) {
        close_slot(&child->errors);
        return;
    }
    size_t room = sizeof(child->kept) - 1 - child->kept_len;
    size_t take = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room;
    memcpy(child->kept + child->kept_len, space, take);
    child->kept_len += take;
    child->kept[child->kept_len] = 0;
}

/* Waits for the data pipe or stderr; *ready tells that the data pipe can be used. */
static int32_t wait_pipes(struct child *child, int *ready, struct orch_error *err)
{
    *ready = 0;
    if (child->host->cancelled(child->host->ctx)) {
        return orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    struct pollfd fds[2] = {
        {.fd = child->data, .events = child->direction == CHILD_READ ? POLLIN : POLLOUT},
        {.fd = child->errors, .events = POLLIN},
    };
    int n = poll(fds, 2, WAIT_MS);
    if (n < 0 && errno != EINTR) {
        return orch_fail_errno(err, errno, "cannot wait for %s", child->name);
    }
    if (n > 0) {
        if (fds[1].revents != 0) {
            take_errors(child);
        }
        *ready = fds[0].revents != 0;
    }
    return ORCH_OK;
}

int32_t child_read(struct child *child, void *space, size_t capacity, size_t *got,
                   struct orch_error *err)
{
    *got = 0;
    for (;;) {
        int ready = 0;
        int32_t rc = wait_pipes(child, &ready, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!ready) {
            continue;
        }
        ssize_t n = read(child->data, space, capacity);
        if (n >= 0) {
            *got = (size_t)n;
            return ORCH_OK;
        }
        if (errno != EINTR && errno != EAGAIN) {
            return orch_fail_errno(err, errno, "cannot read from %s", child->name);
        }
    }
}

/* write(2) to a pipe without a reader, where the signal is not ours to change for good. */
static ssize_t write_quietly(int fd, const void *data, size_t len, int *failed)
{
    sigset_t pipe_signal;
    sigset_t before;
    sigset_t pending;
    (void)sigemptyset(&pipe_signal);
    (void)sigaddset(&pipe_signal, SIGPIPE);
    (void)sigpending(&pending);
    int was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t n = write(fd, data, len);
    *failed = n < 0 ? errno : 0;
    if (*failed == EPIPE && !was_pending) {
        const struct timespec at_once = {0};
        (void)sigtimedwait(&pipe_signal, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

int32_t child_write(struct child *child, const void *data, size_t len, struct orch_error *err)
{
    const char *at = data;
    while (len > 0) {
        int ready = 0;
        int32_t rc = wait_pipes(child, &ready, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!ready) {
            continue;
        }
        int failed = 0;
        ssize_t n = write_quietly(child->data, at, len, &failed);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (failed == EPIPE) {
            rc = child_finish(child, err);
            return rc != ORCH_OK ? rc
                                 : orch_fail(err, ORCH_E_FAILED,
                                             "%s ended before it had read everything", child->name);
        } else if (failed != EINTR && failed != EAGAIN) {
            return orch_fail_errno(err, failed, "cannot write to %s", child->name);
        }
    }
    return ORCH_OK;
}

/* ---- ending ----------------------------------------------------------------------------- */

/* What the child complained about, from its first error on. */
static const char *complaint(const struct child *child, char *line, size_t size)
{
    const char *start = strstr(child->kept, "ERROR:");
    const char *other = strstr(child->kept, "error:");
    if (start == NULL || (other != NULL && other < start)) {
        start = other;
    }
    text_one_line(start == NULL ? child->kept : start, line, size);
    return *line != 0 ? line : "it gave no reason";
}

int32_t child_finish(struct child *child, struct orch_error *err)
{
    if (child->direction == CHILD_WRITE) {
        close_slot(&child->data);
    }
    while (child->errors >= 0) {
        int ready = 0;
        int32_t rc = wait_pipes(child, &ready, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (ready) {
            close_slot(&child->data); /* its stream was read to the end before */
        }
    }
    int status = 0;
    pid_t pid = child->pid;
    child->pid = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return orch_fail_errno(err, errno, "cannot wait for %s", child->name);
        }
    }
    char line[800];
    if (WIFSIGNALED(status)) {
        return orch_fail(err, ORCH_E_FAILED, "%s was killed by signal %d: %s", child->name,
                         WTERMSIG(status), complaint(child, line, sizeof(line)));
    }
    if (WEXITSTATUS(status) != 0) {
        return orch_fail(err, ORCH_E_FAILED, "%s failed: %s", child->name,
                         complaint(child, line, sizeof(line)));
    }
    if (child->kept_len > 0) {
        text_one_line(child->kept, line, sizeof(line));
        orch_log(child->host, ORCH_LOG_WARNING, "%s says: %s", child->name, line);
    }
    return ORCH_OK;
}

void child_free(struct child *child)
{
    if (child == NULL) {
        return;
    }
    close_slot(&child->data);
    close_slot(&child->errors);
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    free(child->program);
    free(child);
}
