/* test_ledger.c: history and audit: lasting, whole lines, from several processes at once. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "folder.h"
#include "run/ledger.h"
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

static void append(int number)
{
    ASSERT_OK(ledger_append(&config, LEDGER_HISTORY, json_pack("{s:i}", "n", number), &err), err);
}

/* The numbers of all entries, as text. */
static char *numbers(void)
{
    json_t *entries = NULL, *entry = NULL;
    struct buffer text = BUFFER_INIT;
    size_t i = 0;
    ASSERT_OK(ledger_read(&config, LEDGER_HISTORY, &entries, &err), err);
    json_array_foreach(entries, i, entry)
    {
        buffer_printf(&text, "%d ", (int)json_integer_value(json_object_get(entry, "n")));
    }
    json_decref(entries);
    return buffer_string(&text);
}

START_TEST(test_append_and_read)
{
    CLEANUP_FREE char *none = numbers();
    ck_assert_str_eq(none, "");
    append(1);
    append(2);
    CLEANUP_FREE char *both = numbers();
    ck_assert_str_eq(both, "1 2 ");
    json_t *entries = NULL;
    ASSERT_OK(ledger_read(&config, LEDGER_HISTORY, &entries, &err), err);
    const json_t *entry = json_array_get(entries, 1);
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "user")), getuid());
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(entry, "time"))), 20);
    json_decref(entries);
    ASSERT_OK(ledger_read(&config, LEDGER_AUDIT, &entries, &err), err); /* a book of its own */
    ck_assert_uint_eq(json_array_size(entries), 0);
    json_decref(entries);
    CLEANUP_FREE char *path = folder_path(dir, LEDGER_HISTORY);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
}
END_TEST

/* A crash cut the last line: the next entry is not glued to it. */
START_TEST(test_torn_line)
{
    static const char *const torn[] = {"{", "{\"n\": 2", "{\"n\": 2}", "\xff\xfe"};
    static const char *const before[] = {"1 ", "1 ", "1 2 ", "1 "};
    static const char *const after[] = {"1 3 ", "1 3 ", "1 2 3 ", "1 3 "};
    append(1);
    CLEANUP_FREE char *good = folder_read(dir, LEDGER_HISTORY);
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%s%s", good, torn[_i]);
    folder_write(dir, LEDGER_HISTORY, buffer_string(&text));
    CLEANUP_FREE char *cut = numbers();
    ck_assert_str_eq(cut, before[_i]);
    append(3);
    CLEANUP_FREE char *more = numbers();
    ck_assert_str_eq(more, after[_i]);
}
END_TEST

/* Processes append side by side: no entry is lost, none is mixed with another. */
START_TEST(test_processes)
{
    enum { PROCESSES = 4, ENTRIES = 40 };
    char padding[6000]; /* more than a page, so that a write is not done at once */
    memset(padding, 'x', sizeof(padding) - 1);
    padding[sizeof(padding) - 1] = 0;
    pid_t pids[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            for (int i = 0; i < ENTRIES; i++) {
                json_t *entry = json_pack("{s:i, s:s}", "n", p * ENTRIES + i, "text", padding);
                if (ledger_append(&config, LEDGER_HISTORY, entry, &err) != ORCH_OK) {
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status = -1;
        ck_assert_int_eq(waitpid(pids[p], &status, 0), pids[p]);
        ck_assert_int_eq(status, 0);
    }
    bool seen[PROCESSES * ENTRIES] = {false};
    json_t *entries = NULL, *entry = NULL;
    size_t i = 0;
    ASSERT_OK(ledger_read(&config, LEDGER_HISTORY, &entries, &err), err);
    ck_assert_uint_eq(json_array_size(entries), PROCESSES * ENTRIES);
    json_array_foreach(entries, i, entry)
    {
        json_int_t n = json_integer_value(json_object_get(entry, "n"));
        ck_assert(n >= 0 && n < PROCESSES * ENTRIES && !seen[n]);
        seen[n] = true;
        ck_assert_str_eq(json_string_value(json_object_get(entry, "text")), padding);
    }
    json_decref(entries);
}
END_TEST

START_TEST(test_refused)
{
    folder_write(dir, "file", "");
    CLEANUP_FREE char *file = folder_path(dir, "file");
    config.state_dir = file;
    ASSERT_FAILS(ledger_append(&config, LEDGER_AUDIT, json_object(), &err), ORCH_E_EXISTS, err,
                 "set state_dir in the configuration");
    config.state_dir = dir;
    CLEANUP_FREE char *folder = folder_path(dir, LEDGER_AUDIT);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    json_t *entries = NULL;
    ASSERT_FAILS(ledger_append(&config, LEDGER_AUDIT, json_object(), &err), ORCH_E_IO, err, folder);
    ASSERT_FAILS(ledger_read(&config, LEDGER_AUDIT, &entries, &err), ORCH_E_IO, err, folder);
    ck_assert_ptr_null(entries);
}
END_TEST

/* In a process of its own, in which files may not grow: the entry is refused, and said so. */
START_TEST(test_full_disk)
{
    append(1);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {64, 64};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(99);
        }
        json_t *entry = json_pack("{s:s}", "text", "0123456789012345678901234567890123456789");
        _exit(ledger_append(&config, LEDGER_HISTORY, entry, &err) == ORCH_E_IO ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    append(2);
    CLEANUP_FREE char *text = numbers();
    ck_assert_str_eq(text, "1 2 ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tests = tcase_create("ledger");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_append_and_read);
    tcase_add_loop_test(tests, test_torn_line, 0, 4);
    tcase_add_test(tests, test_processes);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_full_disk);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
