/* test_target_lock.c: two restores of one target exclude each other, for as long as they live. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "folder.h"
#include "run/target_lock.h"
#include "testing.h"

static char dir[FOLDER_TEXT];
static struct config config;
static struct orch_error err;

static void setup(void)
{
    folder_make(dir);
    config = (struct config){.state_dir = dir};
    err = (struct orch_error)ORCH_ERROR_INIT;
}

static void teardown(void)
{
    folder_remove(dir);
}

/* A process that holds the lock on "kb" until *go is closed; then it is killed, or ends by itself.
 */
static pid_t holder(int *go, bool killed)
{
    int ready[2], wait[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(wait), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct target_locks locks = {0};
        (void)close(wait[1]);
        if (target_lock(&config, "kb", &locks, &err) != ORCH_OK || write(ready[1], "y", 1) != 1 ||
            read(wait[0], &byte, 1) != 0) {
            _exit(1);
        }
        if (killed) {
            (void)kill(getpid(), SIGKILL);
        }
        _exit(0);
    }
    (void)close(wait[0]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    *go = wait[1];
    return pid;
}

START_TEST(test_another_process)
{
    int go = -1, status = -1;
    struct target_locks locks = {0};
    pid_t pid = holder(&go, _i == 1);
    ASSERT_OK(target_lock(&config, "db", &locks, &err), err); /* another target is free */
    ASSERT_FAILS(target_lock(&config, "kb", &locks, &err), ORCH_E_BUSY, err,
                 "component \"kb\" is being restored by another process");
    ck_assert_uint_eq(locks.count, 1);
    (void)close(go);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WIFSIGNALED(status), _i == 1);
    ASSERT_OK(target_lock(&config, "kb", &locks, &err), err); /* it ended with its holder */
    ck_assert_uint_eq(locks.count, 2);
    target_unlock_all(&locks);
}
END_TEST

START_TEST(test_unlock)
{
    struct target_locks first = {0}, second = {0};
    ASSERT_OK(target_lock(&config, "kb", &first, &err), err);
    ASSERT_FAILS(target_lock(&config, "kb", &second, &err), ORCH_E_BUSY, err, "kb");
    target_unlock_all(&first);
    ck_assert_uint_eq(first.count, 0);
    target_unlock_all(&first); /* again is fine */
    ASSERT_OK(target_lock(&config, "kb", &second, &err), err);
    target_unlock_all(&second);
}
END_TEST

START_TEST(test_modes)
{
    struct target_locks locks = {0};
    struct stat st;
    ASSERT_OK(target_lock(&config, "kb", &locks, &err), err);
    CLEANUP_FREE char *folder = folder_path(dir, "locks"), *file = folder_path(dir, "locks/kb");
    ck_assert_int_eq(stat(folder, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    target_unlock_all(&locks);
}
END_TEST

/* The lock is ours alone: a program that we start does not keep it alive. */
START_TEST(test_not_inherited)
{
    struct target_locks locks = {0};
    int wait[2];
    ck_assert_int_eq(pipe(wait), 0);
    ASSERT_OK(target_lock(&config, "kb", &locks, &err), err);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(wait[0], STDIN_FILENO);
        (void)close(wait[1]);
        (void)execl("/bin/cat", "cat", (char *)NULL);
        _exit(99);
    }
    (void)close(wait[0]);
    target_unlock_all(&locks);
    /* Until it has become another program it has a copy; then the lock is free. */
    int32_t rc = ORCH_E_BUSY;
    while (rc == ORCH_E_BUSY) {
        rc = target_lock(&config, "kb", &locks, &err);
    }
    ASSERT_OK(rc, err);
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0); /* it still runs */
    (void)close(wait[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    target_unlock_all(&locks);
}
END_TEST

START_TEST(test_no_state_folder)
{
    struct target_locks locks = {0};
    folder_write(dir, "file", "");
    CLEANUP_FREE char *file = folder_path(dir, "file");
    config.state_dir = file;
    ASSERT_FAILS(target_lock(&config, "kb", &locks, &err), ORCH_E_IO, err, "state_dir");
    ck_assert_uint_eq(locks.count, 0);
    target_unlock_all(&locks);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target-lock");
    TCase *tests = tcase_create("target-lock");
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_another_process, 0, 2);
    tcase_add_test(tests, test_unlock);
    tcase_add_test(tests, test_modes);
    tcase_add_test(tests, test_not_inherited);
    tcase_add_test(tests, test_no_state_folder);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
