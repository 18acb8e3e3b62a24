/* test_log.c: levels, one line per call, and nothing that a terminal would obey. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "folder.h"
#include "testing.h"

static char dir[FOLDER_TEXT];
static int real_stderr = -1;

/* Standard error goes into a file for the time of a test. */
static void setup(void)
{
    folder_make(dir);
    CLEANUP_FREE char *path = folder_path(dir, "log");
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    real_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    log_set_level(ORCH_LOG_WARNING);
}

static char *logged(void)
{
    char *text = folder_read(dir, "log");
    ck_assert_ptr_nonnull(text);
    return text;
}

static void teardown(void)
{
    ck_assert_int_ge(dup2(real_stderr, STDERR_FILENO), 0);
    (void)close(real_stderr);
    folder_remove(dir);
}

START_TEST(test_levels)
{
    static const uint32_t levels[] = {ORCH_LOG_DEBUG, ORCH_LOG_INFO, ORCH_LOG_WARNING,
                                      ORCH_LOG_ERROR};
    static const char *const words[] = {"debug m: d", "info m: i", "warning m: w", "error m: e"};
    log_set_level(levels[_i]);
    ck_assert_uint_eq(log_level(), levels[_i]);
    log_debug("m", "d");
    log_info("m", "i");
    log_warning("m", "w");
    log_error("m", "e");
    log_line(ORCH_LOG_ERROR + 1, "m", "no such level");
    CLEANUP_FREE char *text = logged();
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(strstr(text, words[i]) != NULL, i >= _i);
    }
    ck_assert_ptr_null(strstr(text, "no such level"));
}
END_TEST

static const struct {
    const char *text, *shown;
} texts[] = {
    {"plain", "m: plain\n"},
    {"two\nlines\r\n", "m: two lines  \n"},
    {"tab\there", "m: tab here\n"},
    {"\033[31mred\033[0m", "m: \\x1b[31mred\\x1b[0m\n"},
    {"\x7f\x01", "m: \\x7f\\x01\n"},
    {"caf\xc3\xa9 \xe2\x82\xac", "m: caf\xc3\xa9 \xe2\x82\xac\n"},
    {"\xc2\x9b"
     "31m",
     "m: \\xc2\\x9b31m\n"}, /* CSI as one character of C1 */
    {"\xff\xfe", "m: \\xff\\xfe\n"},
};

START_TEST(test_nothing_a_terminal_obeys)
{
    log_warning("m", "%s", texts[_i].text);
    CLEANUP_FREE char *text = logged();
    const char *at = strstr(text, "m: ");
    ck_assert_ptr_nonnull(at);
    ck_assert_str_eq(at, texts[_i].shown);
}
END_TEST

START_TEST(test_long_lines_are_cut)
{
    char longer[5000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    if (_i == 1) {
        memset(longer, '\033', sizeof(longer) - 1); /* each grows to four bytes */
    }
    log_warning("a-component-name-of-sixty-three-characters-is-the-longest-there", "%s", longer);
    log_warning("m", "next");
    CLEANUP_FREE char *text = logged();
    const char *end = strchr(text, '\n');
    ck_assert_ptr_nonnull(end);
    ck_assert_int_gt(end - text, 2000);
    ck_assert_ptr_nonnull(strstr(end, "m: next\n"));
}
END_TEST

static void *log_many(void *arg)
{
    for (int i = 0; i < 300; i++) {
        log_warning("thread", "%s %s %s", (const char *)arg, (const char *)arg, (const char *)arg);
    }
    return NULL;
}

/* Lines of several threads are never mixed. */
START_TEST(test_threads)
{
    static char names[4][200];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        memset(names[i], 'a' + i, sizeof(names[i]) - 1);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    CLEANUP_FREE char *text = logged();
    size_t lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const char *words = strstr(line, "thread: ") + 8;
        char all[4] = {words[0], ' ', 0, 0};
        ck_assert_uint_eq(strspn(words, all), 3 * 199 + 2);
        ck_assert_uint_eq(strlen(words), 3 * 199 + 2);
        lines++;
    }
    ck_assert_uint_eq(lines, 1200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_levels, 0, 4);
    tcase_add_loop_test(tests, test_nothing_a_terminal_obeys, 0, (int)COUNT_OF(texts));
    tcase_add_loop_test(tests, test_long_lines_are_cut, 0, 2);
    tcase_add_test(tests, test_threads);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
