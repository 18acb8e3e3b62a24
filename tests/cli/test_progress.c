/* test_progress.c: what a run tells when nobody sits at a terminal, and at one. */
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture.h"
#include "cli/progress.h"
#include "folder.h"
#include "testing.h"

static char dir[FOLDER_TEXT];
static struct report_receiver receiver;

static void setup(void)
{
    folder_make(dir);
}

static void teardown(void)
{
    folder_remove(dir);
}

static void send(enum report_kind kind, const char *component, const char *text, uint64_t items,
                 uint64_t bytes)
{
    struct report_event event = {
        .kind = kind, .component = component, .text = text, .items = items, .bytes = bytes};
    receiver.event(receiver.ctx, &event);
}

static void tell_all(void)
{
    send(REPORT_PHASE, NULL, "streaming", 0, 0);
    send(REPORT_COMPONENT, "kb", "probing", 0, 0);
    send(REPORT_PROGRESS, "kb", NULL, 5, 500); /* too soon for another plain line */
    send(REPORT_COMPONENT, "kb", "streamed", 12345, 1500000);
    send(REPORT_WARNING, "kb", "odd", 0, 0);
    send(REPORT_NOTE, NULL, "look", 0, 0);
    send(REPORT_FAILURE, "db", "gone", 0, 0);
    send(REPORT_FAILURE, NULL, "all lost", 0, 0);
}

START_TEST(test_plain)
{
    struct capture capture;
    capture_start(&capture, dir);
    progress_start(false, _i == 1, &receiver); /* with --json the same, on standard error */
    tell_all();
    progress_end();
    capture_stop(&capture);
    CLEANUP_FREE char *out = folder_read(dir, "out"), *told = folder_read(dir, "err");
    ck_assert_str_eq(out, "");
    ck_assert_str_eq(told, "streaming\n"
                           "  kb               probing\n"
                           "  kb               streamed                   12,345 items    1.5 MB\n"
                           "  kb               warning: odd\n"
                           "note: look\n"
                           "  db               FAILED: gone\n"
                           "FAILED: all lost\n");
}
END_TEST

START_TEST(test_quiet)
{
    struct capture capture;
    capture_start(&capture, dir);
    progress_start(true, false, &receiver);
    tell_all();
    progress_end();
    capture_stop(&capture);
    CLEANUP_FREE char *told = folder_read(dir, "err");
    ck_assert_str_eq(told, "  db               FAILED: gone\nFAILED: all lost\n");
}
END_TEST

/* More components than lines are kept for: each is still told by its own name. */
START_TEST(test_many_components)
{
    struct capture capture;
    char name[70];
    capture_start(&capture, dir);
    progress_start(false, false, &receiver);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "component-%d", i);
        send(REPORT_COMPONENT, name, "probing", 0, 0);
    }
    memset(name, 'n', 63);
    name[63] = 0;
    send(REPORT_COMPONENT, name,
         "a state that is much longer than what there is room for in a line "
         "of a terminal, as a plugin might have it",
         UINT64_MAX, UINT64_MAX);
    progress_end();
    progress_end();
    capture_stop(&capture);
    CLEANUP_FREE char *told = folder_read(dir, "err");
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "  component-%d ", i);
        ck_assert_msg(strstr(told, name) != NULL, "%s", name);
    }
    memset(name, 'n', 63);
    name[63] = 0;
    ck_assert_ptr_nonnull(strstr(told, name));
}
END_TEST

/* At a terminal of 40 columns: lines that are drawn again in place, none longer than the screen. */
START_TEST(test_terminal)
{
    struct winsize window = {.ws_row = 24, .ws_col = 40};
    int terminal = -1;
    pid_t pid = forkpty(&terminal, NULL, NULL, &window);
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        progress_start(false, false, &receiver);
        tell_all();
        progress_end();
        send(REPORT_PHASE, NULL, "the end", 0, 0);
        _exit(0);
    }
    char text[8192];
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len<sizeof(text) - 1; len += n> 0 ? (size_t)n : 0) {
        n = read(terminal, text + len, sizeof(text) - 1 - len);
    }
    text[len] = 0;
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    (void)close(terminal);
    ck_assert_ptr_nonnull(strstr(text, "\033[1A\033[2K")); /* one line up, and erased */
    ck_assert_ptr_nonnull(strstr(text, "FAILED: all lost"));
    ck_assert_ptr_nonnull(strstr(text, "the end"));
    for (char *line = strtok(text, "\r\n"); line != NULL; line = strtok(NULL, "\r\n")) {
        const char *shown = strstr(line, "\033[2K") == NULL ? line : strrchr(line, 'K') + 1;
        ck_assert_uint_le(strlen(shown), 40);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *tests = tcase_create("progress");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_plain, 0, 2);
    tcase_add_test(tests, test_quiet);
    tcase_add_test(tests, test_many_components);
    tcase_add_test(tests, test_terminal);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
