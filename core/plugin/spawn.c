/* spawn.c: see spawn.h. */
#include "plugin/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin/process.h"

#define EXEC_FD (PROCESS_SOCKET_FD + 1) /* closes at exec: says that it worked */
#define HIGH_FD 20                      /* above every descriptor that is assigned below */

static bool passes(const char *entry)
{
    static const char *const names[] = {
        "PATH=",        "HOME=",     "USER=",     "LOGNAME=",    "SHELL=",
        "LANG=",        "LANGUAGE=", "TZ=",       "TMPDIR=",     "http_proxy=",
        "https_proxy=", "no_proxy=", "HOSTNAME=", "FAKEROOTKEY="};
    static const char *const prefixes[] = {"LC_",
                                           "LD_",
                                           "XDG_",
                                           "SSL_CERT_",
                                           "CURL_",
                                           "PG",
                                           "OMP_",
                                           "GOMP_",
                                           "KMP_",
                                           "OPENBLAS_",
                                           "MALLOC_",
                                           "GLIBC_",
                                           "ASAN_",
                                           "LSAN_",
                                           "UBSAN_",
                                           "TSAN_",
                                           "LLVM_PROFILE_",
                                           "GCOV_",
                                           "ORCHESTRATE_CRASH_",
                                           "ORCHESTRATE_TEST_"};
    if (strncmp(entry, "PGPASSWORD=", 11) == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(entry, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* A new array of borrowed entries. */
static char **make_environment(void)
{
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL) {
        count++;
    }
    char **out = calloc(count + 1, sizeof(*out));
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < count; i++) {
        if (passes(environ[i])) {
            out[n++] = environ[i];
        }
    }
    return out;
}

struct child {
    const char *exe;
    char *const *argv;
    char *const *envp;
    pid_t parent;
    int null, socket, output, exec;
};

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int i = 1; i <= SIGRTMAX; i++) {
        (void)sigaction(i, &action, NULL);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int place(int from, int to, int flags)
{
    int high = fcntl(from, F_DUPFD, HIGH_FD);
    return high < 0 ? -1 : dup3(high, to, flags);
}

/* Runs between fork and exec: only calls that are safe there. `c` lies in memory of our own. */
static void __attribute__((noreturn)) run_child(const struct child *c)
{
    int exec_fd = fcntl(c->exec, F_DUPFD, HIGH_FD);
    int null = fcntl(c->null, F_DUPFD, HIGH_FD);
    int socket = fcntl(c->socket, F_DUPFD, HIGH_FD);
    int output = fcntl(c->output, F_DUPFD, HIGH_FD);
    bool ok = exec_fd >= 0 && null >= 0 && socket >= 0 && output >= 0;
    ok = ok && setpgid(0, 0) == 0;
    ok = ok && prctl(PR_SET_PDEATHSIG, (unsigned long)PROCESS_ORPHAN_SIGNAL) == 0;
    if (getppid() != c->parent) {
        _exit(127); /* the parent died before the signal was set up */
    }
    ok = ok && place(null, 0, 0) == 0 && place(output, 1, 0) == 1 && place(output, 2, 0) == 2;
    ok = ok && place(socket, PROCESS_SOCKET_FD, 0) == PROCESS_SOCKET_FD;
    ok = ok && place(exec_fd, EXEC_FD, O_CLOEXEC) == EXEC_FD;
    if (ok) {
        exec_fd = EXEC_FD;
        ok = close_range(EXEC_FD + 1, ~0U, 0) == 0;
    }
    if (ok) {
        reset_signals();
        (void)execve(c->exe, c->argv, c->envp);
    }
    int why = errno;
    ssize_t ignored = write(exec_fd, &why, sizeof(why));
    (void)ignored;
    _exit(127);
}

/* 0, or the errno with which the child failed before or in exec. */
static int exec_result(int fd)
{
    int why = 0;
    ssize_t n = 0;
    do {
        n = read(fd, &why, sizeof(why));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(why) ? why : 0;
}

static int32_t make_pipe(int ends[2], struct orch_error *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return orch_fail_errno(err, errno, "cannot make a pipe");
    }
    return ORCH_OK;
}

static int32_t fork_child(const struct child *child, struct spawned *out, struct orch_error *err)
{
    pid_t pid = fork();
    if (pid < 0) {
        return orch_fail_errno(err, errno, "cannot start a worker process");
    }
    if (pid == 0) {
        run_child(child);
    }
    (void)setpgid(pid, pid); /* both do it, so that it is true for whoever comes first */
    out->pid = pid;
    out->pidfd = pidfd_open(pid, 0);
    if (out->pidfd < 0) {
        int why = errno;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return orch_fail_errno(err, why, "cannot watch the worker process");
    }
    return ORCH_OK;
}

int32_t spawn_worker(const char *exe, int socket, struct spawned *out, struct orch_error *err)
{
    CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int output_read = -1;
    CLEANUP_FD int output_write = -1;
    CLEANUP_FD int exec_read = -1;
    CLEANUP_FD int exec_write = -1;
    CLEANUP_FREE char **envp = make_environment();
    if (null < 0 || envp == NULL) {
        return orch_fail_errno(err, errno, "cannot prepare a worker process");
    }
    int ends[2] = {-1, -1};
    int32_t rc = make_pipe(ends, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    output_read = ends[0];
    output_write = ends[1];
    rc = make_pipe(ends, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    exec_read = ends[0];
    exec_write = ends[1];

    char name[] = "orchestrate";
    char flag[] = "--worker";
    char number[] = "3";
    char *argv[] = {name, flag, number, NULL};
    struct child child = {.exe = exe,
                          .argv = argv,
                          .envp = envp,
                          .parent = getpid(),
                          .null = null,
                          .socket = socket,
                          .output = output_write,
                          .exec = exec_write};
    rc = fork_child(&child, out, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)close(steal_fd(&exec_write));
    int why = exec_result(exec_read);
    if (why != 0) {
        (void)waitpid(out->pid, NULL, 0);
        (void)close(steal_fd(&out->pidfd));
        return orch_fail_errno(err, why, "cannot run %s as a worker", exe);
    }
    out->output = steal_fd(&output_read);
    return ORCH_OK;
}
