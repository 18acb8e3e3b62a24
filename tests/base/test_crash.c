/* test_crash.c: the list of crash points, and, in builds that have them, that they kill. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crash.h"
#include "folder.h"
#include "testing.h"

/* A name that began another would fire with it; a doubled one would fire twice. */
START_TEST(test_names_are_unique)
{
    for (int i = 0; i < CRASH_COUNT; i++) {
        const char *name = crash_name((enum crash_id)i);
        ck_assert_uint_gt(strlen(name), 0);
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
        for (int k = 0; k < i; k++) {
            ck_assert_str_ne(name, crash_name((enum crash_id)k));
        }
    }
}
END_TEST

START_TEST(test_names_belong_to_their_ids)
{
    ck_assert_str_eq(crash_name(CRASH_PUT_CREATED), "put-created");
    ck_assert_str_eq(crash_name(CRASH_SET_STORED), "set-stored");
    ck_assert_str_eq(crash_name(CRASH_RESTORE_FINISHED), "restore-finished");
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
/* Comes to `set-before` once and to `set-stored` three times; the signal that killed it, or 0. */
static int killed_by(const char *at, const char *trace)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)(at == NULL ? unsetenv("ORCHESTRATE_CRASH_AT")
                          : setenv("ORCHESTRATE_CRASH_AT", at, 1));
        (void)setenv("ORCHESTRATE_CRASH_TRACE", trace, 1);
        crash_point(CRASH_SET_BEFORE);
        for (int i = 0; i < 3; i++) {
            crash_point(CRASH_SET_STORED);
        }
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static const struct {
    const char *at;
    int signal;
    const char *trace;
} deaths[] = {
    {NULL, 0, "set-before\nset-stored\nset-stored\nset-stored\n"},
    {"", 0, "set-before\nset-stored\nset-stored\nset-stored\n"},
    {"set", 0, "set-before\nset-stored\nset-stored\nset-stored\n"},
    {"set-stored-late", 0, "set-before\nset-stored\nset-stored\nset-stored\n"},
    {"set-before", SIGKILL, "set-before\n"},
    {"set-stored", SIGKILL, "set-before\nset-stored\n"},
    {"set-stored:1", SIGKILL, "set-before\nset-stored\n"},
    {"set-stored:3", SIGKILL, "set-before\nset-stored\nset-stored\nset-stored\n"},
    {"set-stored:4", 0, "set-before\nset-stored\nset-stored\nset-stored\n"},
};

START_TEST(test_points_kill)
{
    char dir[FOLDER_TEXT];
    folder_make(dir);
    CLEANUP_FREE char *path = folder_path(dir, "trace");
    ck_assert_int_eq(killed_by(deaths[_i].at, path), deaths[_i].signal);
    CLEANUP_FREE char *trace = folder_read(dir, "trace");
    ck_assert_str_eq(trace, deaths[_i].trace);
    folder_remove(dir);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("crash");
    TCase *tests = tcase_create("crash");
    tcase_add_test(tests, test_names_are_unique);
    tcase_add_test(tests, test_names_belong_to_their_ids);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tests, test_points_kill, 0, (int)COUNT_OF(deaths));
#endif
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
