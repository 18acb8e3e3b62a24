/* process.c: see process.h. */
#include "plugin/process.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin/spawn.h"

#define LINE_MAX_BYTES 1000u
#define LINES_MAX 1000u /* of one worker; a flood is read and counted, but not passed on */
#define LAST_LINES 4u
#define LAST_LINE_BYTES 240u
/* How long to wait for output that may still be in the pipe when the process is dead. */
#define DRAIN_MS 500

struct process {
    const char *exe;
    int socket;
    pid_t pid;
    int pidfd;
    int output; /* read end of stdout and stderr */
    int stop;   /* eventfd: the thread shall end */
    void (*line)(void *ctx, const char *text);
    void *line_ctx;
    pthread_t thread;
    bool joined;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, drained;
    struct orch_error start_error;
    char last[LAST_LINES][LAST_LINE_BYTES];
    uint64_t lines;

    char partial[LINE_MAX_BYTES + 1]; /* the thread's own */
    size_t partial_len;
};

static void emit_line(struct process *p)
{
    p->partial[p->partial_len] = 0;
    p->partial_len = 0;
    if (p->partial[0] == 0) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    uint64_t number = p->lines++;
    char *keep = p->last[number % LAST_LINES];
    (void)snprintf(keep, LAST_LINE_BYTES, "%.*s", (int)LAST_LINE_BYTES - 1, p->partial);
    (void)pthread_mutex_unlock(&p->lock);
    if (number < LINES_MAX) {
        p->line(p->line_ctx, p->partial);
    } else if (number == LINES_MAX) {
        p->line(p->line_ctx, "(it writes a lot: further output is not shown)");
    }
}

static void take_output(struct process *p, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            emit_line(p);
            continue;
        }
        if (p->partial_len == LINE_MAX_BYTES) {
            emit_line(p);
        }
        p->partial[p->partial_len++] = data[i] == 0 ? ' ' : data[i];
    }
}

/* False at the end of the output. */
static bool read_output(struct process *p)
{
    char data[4096];
    ssize_t n = read(p->output, data, sizeof(data));
    if (n > 0) {
        take_output(p, data, (size_t)n);
        return true;
    }
    return n < 0 && errno == EINTR;
}

static void set_drained(struct process *p)
{
    emit_line(p);
    (void)pthread_mutex_lock(&p->lock);
    p->drained = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

static void *attend(void *arg)
{
    struct process *p = arg;
    struct spawned spawned = SPAWNED_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = spawn_worker(p->exe, p->socket, &spawned, &err);
    (void)pthread_mutex_lock(&p->lock);
    p->pid = spawned.pid;
    p->pidfd = spawned.pidfd;
    p->output = spawned.output;
    p->start_error = err;
    p->started = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    if (rc != ORCH_OK) {
        return NULL;
    }
    struct pollfd fds[2] = {{.fd = p->stop, .events = POLLIN}, {.fd = p->output, .events = POLLIN}};
    while (fds[0].revents == 0) {
        (void)poll(fds, 2, -1);
        if (fds[1].revents != 0 && !read_output(p)) {
            fds[1].fd = -1; /* go on only for the sake of the parent-death signal */
            fds[1].revents = 0;
            set_drained(p);
        }
    }
    return NULL;
}

static void release(struct process *p)
{
    cleanup_fd(&p->pidfd);
    cleanup_fd(&p->output);
    cleanup_fd(&p->stop);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

int32_t process_start(const char *exe, int socket, void (*line)(void *ctx, const char *text),
                      void *line_ctx, struct process **out, struct orch_error *err)
{
    struct process *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to start a process");
    }
    *p = (struct process){.exe = exe,
                          .socket = socket,
                          .pidfd = -1,
                          .output = -1,
                          .line = line,
                          .line_ctx = line_ctx};
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->changed, NULL);
    p->stop = eventfd(0, EFD_CLOEXEC);
    if (p->stop < 0) {
        int32_t rc = orch_fail_errno(err, errno, "cannot make an eventfd");
        release(p);
        return rc;
    }
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&p->thread, NULL, attend, p);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        release(p);
        return orch_fail_errno(err, failed, "cannot start a thread");
    }
    (void)pthread_mutex_lock(&p->lock);
    while (!p->started) {
        (void)pthread_cond_wait(&p->changed, &p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (p->start_error.code != ORCH_OK) {
        (void)pthread_join(p->thread, NULL);
        *err = p->start_error;
        int32_t rc = p->start_error.code;
        release(p);
        return rc;
    }
    *out = p;
    return ORCH_OK;
}

int process_pidfd(const struct process *p)
{
    return p->pidfd;
}

bool process_wait(const struct process *p, int64_t wait_ms)
{
    struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
    int64_t end = clock_monotonic_ms() + wait_ms;
    for (;;) {
        int64_t left = end - clock_monotonic_ms();
        int n = poll(&fd, 1, left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left);
        if (n > 0 || (n == 0 && left <= 0)) {
            return n > 0;
        }
    }
}

void process_signal(const struct process *p, int signal)
{
    (void)kill(-p->pid, signal);
}

static void wait_drained(struct process *p)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += DRAIN_MS * 1000000L;
    end.tv_sec += end.tv_nsec / 1000000000L;
    end.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->drained && pthread_cond_timedwait(&p->changed, &p->lock, &end) == 0) {
    }
    (void)pthread_mutex_unlock(&p->lock);
}

void process_end(struct process *p, int64_t wait_ms, int64_t grace_ms, struct process_exit *how)
{
    if (!process_wait(p, wait_ms)) {
        process_signal(p, SIGTERM);
        if (!process_wait(p, grace_ms)) {
            process_signal(p, SIGKILL);
            while (!process_wait(p, 1000)) { /* SIGKILL needs no more than the kernel's time */
            }
        }
    }
    /* The leader is not reaped yet, so its group's number cannot belong to anybody else. */
    process_signal(p, SIGKILL);
    siginfo_t info = {0};
    int rc = -1;
    do {
        rc = waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED);
    } while (rc != 0 && errno == EINTR);
    how->by_signal = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    how->status =
        rc == 0 ? info.si_status : 255; /* somebody else reaped it: not known, so not good */

    wait_drained(p);
    uint64_t one = 1;
    ssize_t ignored = write(p->stop, &one, sizeof(one));
    (void)ignored;
    (void)pthread_join(p->thread, NULL);
    p->joined = true;
}

void process_last_words(struct process *p, char *text, size_t size)
{
    size_t len = 0;
    text[0] = 0;
    (void)pthread_mutex_lock(&p->lock);
    uint64_t first = p->lines > LAST_LINES ? p->lines - LAST_LINES : 0;
    for (uint64_t i = first; i < p->lines && len + 8 < size; i++) {
        int n =
            snprintf(text + len, size - len, "%s%s", len > 0 ? " | " : "", p->last[i % LAST_LINES]);
        len = n < 0 || (size_t)n >= size - len ? size - 1 : len + (size_t)n;
    }
    (void)pthread_mutex_unlock(&p->lock);
}

void process_free(struct process *p)
{
    if (p != NULL) {
        release(p);
    }
}
