/* test_shell.c: configured commands: their status, their time limit, and nothing left behind. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "folder.h"
#include "run/shell.h"
#include "testing.h"

#define LONG_MS 60000

static char dir[FOLDER_TEXT];
static struct orch_error err;

static void setup(void)
{
    folder_make(dir);
    err = (struct orch_error)ORCH_ERROR_INIT;
}

static void teardown(void)
{
    folder_remove(dir);
}

static const struct {
    const char *command;
    int32_t rc;
    const char *says;
} commands[] = {
    {"true", ORCH_OK, ""},
    {"exit 0", ORCH_OK, ""},
    {"exit 3", ORCH_E_FAILED, "command \"exit 3\" ended with exit status 3"},
    {"no-such-command-here 2>&-", ORCH_E_FAILED, "ended with exit status 127"},
    {"kill -9 $$", ORCH_E_FAILED, "was killed by signal 9"},
    {"", ORCH_OK, ""},
    /* Standard input is empty, not the user's terminal. */
    {"read line; test $? -ne 0", ORCH_OK, ""},
    /* A pipeline whose reader ends first is killed as usual, though we ignore the signal. */
    {"sh -c 'while :; do echo y; done' | head -1 >/dev/null", ORCH_OK, ""},
    {"sh -c 'kill -PIPE $$; exit 0'", ORCH_E_FAILED, "exit status 141"},
};

/* No secret of ours gets into a command; what it is told does. */
START_TEST(test_environment)
{
    const char *facts[] = {"ORCHESTRATE_RUN=r1", NULL};
    char command[512];
    ck_assert_int_eq(setenv("APP_PASSWORD", "hidden", 1), 0);
    (void)snprintf(command, sizeof(command),
                   "test -z \"$APP_PASSWORD\" && test \"$ORCHESTRATE_RUN\" = r1 && test "
                   "\"$PATH\" = '%s'",
                   getenv("PATH"));
    ASSERT_OK(shell_run(command, facts, LONG_MS, NULL, &err), err);
    ASSERT_OK(shell_run("test -z \"$ORCHESTRATE_RUN\"", NULL, LONG_MS, NULL, &err), err);
    ck_assert_int_eq(unsetenv("APP_PASSWORD"), 0);
}
END_TEST

START_TEST(test_status)
{
    (void)signal(SIGPIPE, SIG_IGN);
    int32_t rc = shell_run(commands[_i].command, NULL, LONG_MS, NULL, &err);
    if (commands[_i].rc == ORCH_OK) {
        ASSERT_OK(rc, err);
    } else {
        ASSERT_FAILS(rc, commands[_i].rc, err, commands[_i].says);
    }
}
END_TEST

/* The JSON document on standard output stays the only thing there. */
START_TEST(test_output_goes_to_standard_error)
{
    CLEANUP_FREE char *out = folder_path(dir, "out"), *log = folder_path(dir, "err");
    int out_fd = open(out, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int err_fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int real_out = dup(STDOUT_FILENO), real_err = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(out_fd, STDOUT_FILENO), 0);
    ck_assert_int_ge(dup2(err_fd, STDERR_FILENO), 0);
    int32_t rc = shell_run("echo to-out; echo to-err >&2", NULL, LONG_MS, NULL, &err);
    ck_assert_int_ge(dup2(real_out, STDOUT_FILENO), 0);
    ck_assert_int_ge(dup2(real_err, STDERR_FILENO), 0);
    (void)close(out_fd);
    (void)close(err_fd);
    (void)close(real_out);
    (void)close(real_err);
    ASSERT_OK(rc, err);
    CLEANUP_FREE char *on_out = folder_read(dir, "out"), *on_err = folder_read(dir, "err");
    ck_assert_str_eq(on_out, "");
    ck_assert_str_eq(on_err, "to-out\nto-err\n");
}
END_TEST

/* A fifo that the command and its children hold open for writing: it ends when they are all gone.
 */
static int make_fifo(char path[FOLDER_TEXT + 8])
{
    (void)snprintf(path, FOLDER_TEXT + 8, "%s/fifo", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void wait_for_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char some[64];
    ck_assert_int_eq(poll(&p, 1, 20000), 1);
    while (read(fd, some, sizeof(some)) > 0) {
        ck_assert_int_eq(poll(&p, 1, 20000), 1);
    }
}

START_TEST(test_timeout_ends_the_whole_group)
{
    char path[FOLDER_TEXT + 8], command[256];
    CLEANUP_FD int fd = make_fifo(path);
    /* The shell does not die of itself, nor do its children in the background. */
    (void)snprintf(command, sizeof(command),
                   "exec >%s; echo up; trap '' TERM; sleep 1000 & sleep 1000 & wait", path);
    int64_t start = clock_monotonic_ms();
    ASSERT_FAILS(shell_run(command, NULL, 1500, NULL, &err), ORCH_E_TIMEOUT, err,
                 "it did not end within 1 s");
    ck_assert_ptr_nonnull(strstr(err.message, "command \"exec >"));
    ck_assert_int_ge(clock_monotonic_ms() - start, 1500);
    ck_assert_int_lt(clock_monotonic_ms() - start, 20000);
    wait_for_end(fd);
}
END_TEST

struct canceller {
    int fd;
    volatile int cancel;
};

/* Asks for a cancel once the command is at work. */
static void *cancel_when_up(void *arg)
{
    struct canceller *c = arg;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, 20000) == 1) {
        __atomic_store_n(&c->cancel, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

START_TEST(test_cancel)
{
    char path[FOLDER_TEXT + 8], command[256];
    CLEANUP_FD int fd = make_fifo(path);
    struct canceller canceller = {.fd = fd};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_when_up, &canceller), 0);
    (void)snprintf(command, sizeof(command), "exec >%s; echo up; sleep 1000", path);
    ASSERT_FAILS(shell_run(command, NULL, LONG_MS, &canceller.cancel, &err), ORCH_E_CANCELLED, err,
                 "the run was cancelled");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    wait_for_end(fd);
}
END_TEST

/* The command has a group of its own: the terminal's Ctrl-C reaches us, and we end it. */
START_TEST(test_group_of_its_own)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "test \"$(ps -o pgid= -p $$ | tr -d ' ')\" = $$");
    ASSERT_OK(shell_run(command, NULL, LONG_MS, NULL, &err), err);
}
END_TEST

/* A message has room for a long command's beginning. */
START_TEST(test_long_command)
{
    char command[3000];
    memset(command, ' ', sizeof(command) - 1);
    memcpy(command, "exit 4 #", 8);
    memset(command + 8, 'x', sizeof(command) - 9);
    command[sizeof(command) - 1] = 0;
    ASSERT_FAILS(shell_run(command, NULL, LONG_MS, NULL, &err), ORCH_E_FAILED, err,
                 "exit status 4");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shell");
    TCase *tests = tcase_create("shell");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_environment);
    tcase_add_loop_test(tests, test_status, 0, (int)COUNT_OF(commands));
    tcase_add_test(tests, test_output_goes_to_standard_error);
    tcase_add_test(tests, test_timeout_ends_the_whole_group);
    tcase_add_test(tests, test_cancel);
    tcase_add_test(tests, test_group_of_its_own);
    tcase_add_test(tests, test_long_command);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
