/* test_journal.c: the journal of a restore: what survives a crash, damage, and two processes. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "folder.h"
#include "run/journal.h"
#include "testing.h"

#define RUN "00112233445566778899aabbccddeeff"
#define OTHER "ffeeddccbbaa99887766554433221100"

static char dir[FOLDER_TEXT];
static struct config config;
static struct orch_error err;
static json_t *request, *resolved;

static void setup(void)
{
    folder_make(dir);
    config = (struct config){.state_dir = dir};
    err = (struct orch_error)ORCH_ERROR_INIT;
    request = json_pack("{s:s}", "set", "latest");
    resolved = json_pack("{s:s, s:{s:s, s:s}}", "set", "abc", "components", "kb", "p1", "db", "p2");
}

static void teardown(void)
{
    json_decref(request);
    json_decref(resolved);
    folder_remove(dir);
}

static struct journal *create(const char *run)
{
    struct journal *journal = NULL;
    ASSERT_OK(journal_create(&config, run, request, resolved, &journal, &err), err);
    return journal;
}

static void append(struct journal *journal, const char *event, const char *component)
{
    ASSERT_OK(journal_append(journal, event, component, NULL, &err), err);
}

static int32_t resume(struct journal **journal)
{
    *journal = NULL;
    return journal_resume(&config, request, journal, &err);
}

static char *content(const char *run)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "journals/%s.jsonl", run);
    char *text = folder_read(dir, name);
    ck_assert_ptr_nonnull(text);
    return text;
}

static void set_content(const char *run, const char *text)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "journals/%s.jsonl", run);
    folder_write(dir, name, text);
}

static char *unfinished(const char *component)
{
    char *text = NULL;
    ASSERT_OK(journal_unfinished(&config, &component, 1, &text, &err), err);
    return text;
}

START_TEST(test_create_and_resume)
{
    struct journal *journal = create(RUN);
    ck_assert_str_eq(journal_run_id(journal), RUN);
    append(journal, "begun", "kb");
    append(journal, "verified", "kb");
    append(journal, "begun", "db");
    append(journal, "failed", "db");
    append(journal, "begun", "db");
    ASSERT_OK(journal_append(journal, "step-passed", NULL, json_pack("{s:i}", "step", 2), &err),
              err);
    journal_close(journal);
    ASSERT_OK(resume(&journal), err);
    ck_assert_str_eq(journal_run_id(journal), RUN);
    ck_assert(json_equal(journal_resolved(journal), resolved));
    struct journal_component kb = journal_component(journal, "kb");
    struct journal_component db = journal_component(journal, "db");
    struct journal_component none = journal_component(journal, "none");
    ck_assert(kb.verified && !kb.settled && kb.attempts == 1);
    ck_assert(!db.verified && !db.settled && db.attempts == 2);
    ck_assert(!none.verified && !none.settled && none.attempts == 0);
    ck_assert_str_eq(none.name, "none");
    ck_assert(journal_step_passed(journal, 2));
    ck_assert(!journal_step_passed(journal, 0) && !journal_step_passed(journal, 3));
    append(journal, "settled", "kb");
    ck_assert(journal_component(journal, "kb").settled);
    append(journal, "finished", NULL);
    journal_close(journal);
    ASSERT_FAILS(resume(&journal), ORCH_E_NOT_FOUND, err, "no unfinished restore");
    journal_close(NULL);
}
END_TEST

/* The files are nobody else's to read; each line is JSON with a time; details are kept. */
START_TEST(test_the_file)
{
    struct journal *journal = create(RUN);
    ASSERT_OK(journal_append(journal, "intent", "kb",
                             json_pack("{s:s, s:n}", "target", "/srv/kb", "aside"), &err),
              err);
    journal_close(journal);
    CLEANUP_FREE char *folder = folder_path(dir, "journals");
    CLEANUP_FREE char *path = folder_path(dir, "journals/" RUN ".jsonl");
    struct stat st;
    ck_assert_int_eq(stat(folder, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    CLEANUP_FREE char *text = content(RUN);
    char *second = strchr(text, '\n') + 1;
    json_t *line = json_loads(second, JSON_DISABLE_EOF_CHECK, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "intent");
    ck_assert_str_eq(json_string_value(json_object_get(line, "component")), "kb");
    ck_assert_str_eq(json_string_value(json_object_get(line, "target")), "/srv/kb");
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(line, "time"))), 20);
    json_decref(line);
}
END_TEST

START_TEST(test_a_run_has_one_journal)
{
    struct journal *journal = create(RUN), *second = NULL;
    ASSERT_FAILS(journal_create(&config, RUN, request, resolved, &second, &err), ORCH_E_IO, err,
                 RUN);
    ck_assert_ptr_null(second);
    journal_close(journal);
}
END_TEST

/* A crash cuts the last line anywhere: what was whole counts, and the next line stands alone. */
START_TEST(test_torn_line)
{
    struct journal *journal = create(RUN);
    append(journal, "begun", "kb");
    journal_close(journal);
    CLEANUP_FREE char *good = content(RUN);
    journal = NULL;
    ASSERT_OK(resume(&journal), err);
    append(journal, "verified", "kb");
    journal_close(journal);
    CLEANUP_FREE char *longer = content(RUN);
    for (size_t len = strlen(good); len < strlen(longer); len++) {
        CLEANUP_FREE char *torn = strndup(longer, len);
        set_content(RUN, torn);
        ASSERT_OK(resume(&journal), err);
        ck_assert(!journal_component(journal, "kb").verified);
        append(journal, "applied", "kb");
        journal_close(journal);
        ASSERT_OK(resume(&journal), err);
        ck_assert_uint_eq(journal_component(journal, "kb").attempts, 1);
        journal_close(journal);
    }
}
END_TEST

/* Giving up a restore that a crash ended in the middle of a line leaves a sound journal too. */
START_TEST(test_torn_line_of_an_abandoned_one)
{
    struct journal *journal = create(RUN);
    append(journal, "begun", "kb");
    journal_close(journal);
    CLEANUP_FREE char *good = content(RUN);
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%s{\"event\":\"ver", good);
    set_content(RUN, buffer_string(&text));
    const char *kb = "kb";
    ASSERT_OK(journal_abandon(&config, &kb, 1, &err), err);
    CLEANUP_FREE char *runs = unfinished("kb");
    ck_assert_str_eq(runs, "");
    ck_assert_int_eq(resume(&journal), ORCH_E_NOT_FOUND);
}
END_TEST

/* Not even its first line became whole: nothing was done, and it is in nobody's way. */
START_TEST(test_torn_first_line)
{
    static const char *const texts[] = {"", "{\"run\":", "{\"run\":\"" RUN "\"}"};
    set_content(RUN, texts[_i]);
    struct journal *journal = NULL;
    ASSERT_FAILS(resume(&journal), ORCH_E_NOT_FOUND, err, "no unfinished restore");
    CLEANUP_FREE char *runs = unfinished("kb");
    ck_assert_str_eq(runs, "");
}
END_TEST

/* Damage anywhere else is an error that names the file: what the run did cannot be told. */
START_TEST(test_damage)
{
    static const char *const lines[] = {"{\"event\":\"begun\"\n", "\n", "[1]\n", "7\n",
                                        "\x01\xff\n"};
    struct journal *journal = create(RUN);
    append(journal, "begun", "kb");
    journal_close(journal);
    CLEANUP_FREE char *good = content(RUN);
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%s%s%s", good, lines[_i], "{\"event\":\"finished\"}\n");
    set_content(RUN, buffer_string(&text));
    char expected[64], *runs = NULL;
    const char *kb = "kb";
    (void)snprintf(expected, sizeof(expected), "is damaged at byte %zu", strlen(good));
    ASSERT_FAILS(resume(&journal), ORCH_E_CORRUPT, err, expected);
    ASSERT_FAILS(journal_unfinished(&config, &kb, 1, &runs, &err), ORCH_E_CORRUPT, err, RUN);
    ck_assert_ptr_null(runs);
    ASSERT_FAILS(journal_abandon(&config, &kb, 1, &err), ORCH_E_CORRUPT, err, "move it away");
}
END_TEST

/* In a process of its own, where files may grow to `limit` bytes: an append that does not fit
 * leaves no half line, so that a later one is no damage. */
START_TEST(test_full_disk)
{
    struct journal *journal = create(RUN);
    append(journal, "begun", "kb");
    CLEANUP_FREE char *before = content(RUN);
    size_t room = strlen(before) + (size_t)_i * 13;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {room, RLIM_INFINITY};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
            journal_append(journal, "verified", "kb", NULL, &err) == ORCH_OK ||
            journal_component(journal, "kb").verified) {
            _exit(1);
        }
        limit.rlim_cur = RLIM_INFINITY;
        _exit(setrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                      journal_append(journal, "failed", "kb", NULL, &err) == ORCH_OK
                  ? 0
                  : 2);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    journal_close(journal);
    ASSERT_OK(resume(&journal), err);
    ck_assert(!journal_component(journal, "kb").verified);
    ck_assert_uint_eq(journal_component(journal, "kb").attempts, 1);
    journal_close(journal);
    CLEANUP_FREE char *after = content(RUN);
    ck_assert_ptr_nonnull(strstr(after, "\"failed\""));
}
END_TEST

START_TEST(test_newest_with_the_same_request)
{
    struct journal *journal = create(RUN);
    append(journal, "begun", "kb");
    journal_close(journal);
    json_t *mine = request;
    request = json_pack("{s:s}", "set", "other");
    journal_close(create("0000000000000000000000000000000a")); /* newer, of another request */
    json_decref(request);
    request = mine;
    ASSERT_OK(resume(&journal), err);
    ck_assert_str_eq(journal_run_id(journal), RUN);
    journal_close(journal);
    journal_close(create(OTHER));
    ASSERT_OK(resume(&journal), err);
    ck_assert_str_eq(journal_run_id(journal), OTHER);
    journal_close(journal);
}
END_TEST

/* What else lies in the folder is not looked at. */
START_TEST(test_other_files)
{
    struct journal *journal = NULL;
    folder_write(dir, "journals/notes.txt", "hello\n");
    folder_write(dir, "journals/" RUN ".jsonl.old", "hello\n");
    folder_write(dir, "journals/short.jsonl", "hello\n");
    ck_assert_int_eq(resume(&journal), ORCH_E_NOT_FOUND);
}
END_TEST

START_TEST(test_no_folder_yet)
{
    struct journal *journal = NULL;
    const char *kb = "kb";
    ck_assert_int_eq(resume(&journal), ORCH_E_NOT_FOUND);
    CLEANUP_FREE char *runs = unfinished("kb");
    ck_assert_str_eq(runs, "");
    ASSERT_OK(journal_abandon(&config, &kb, 1, &err), err);
}
END_TEST

START_TEST(test_unfinished_and_abandon)
{
    struct journal *journal = create(RUN);
    /* Planned alone has touched nothing. */
    CLEANUP_FREE char *planned = unfinished("kb");
    ck_assert_str_eq(planned, "");
    append(journal, "begun", "kb");
    CLEANUP_FREE char *begun = unfinished("kb");
    ck_assert_str_eq(begun, RUN);
    CLEANUP_FREE char *other = unfinished("settings");
    ck_assert_str_eq(other, "");
    const char *kb = "kb", *settings = "settings";
    ASSERT_FAILS(journal_abandon(&config, &kb, 1, &err), ORCH_E_BUSY, err, "at work");
    journal_close(journal);
    ASSERT_OK(journal_abandon(&config, &settings, 1, &err), err); /* not its components */
    CLEANUP_FREE char *still = unfinished("db");
    ck_assert_str_eq(still, RUN);
    ASSERT_OK(journal_abandon(&config, &kb, 1, &err), err);
    CLEANUP_FREE char *gone = unfinished("kb");
    ck_assert_str_eq(gone, "");
    ck_assert_int_eq(resume(&journal), ORCH_E_NOT_FOUND);
    /* It is put away for people to read; also one whose run was killed before that. */
    CLEANUP_FREE char *left = folder_read(dir, "journals/" RUN ".jsonl");
    ck_assert_ptr_null(left);
    CLEANUP_FREE char *text = folder_read(dir, "journals/finished/" RUN ".jsonl");
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(strstr(text, "\"abandoned\""));
    set_content(RUN, text);
    CLEANUP_FREE char *again = unfinished("kb");
    ck_assert_str_eq(again, "");
    left = folder_read(dir, "journals/" RUN ".jsonl");
    ck_assert_ptr_null(left);
}
END_TEST

/* A run is never resumed while it is at work, and can be as soon as its process is gone. */
START_TEST(test_at_work_elsewhere)
{
    int ready[2], go[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(go[1]);
        append(create(RUN), "begun", "kb");
        if (write(ready[1], "y", 1) == 1 && read(go[0], &byte, 1) == 0) {
            (void)kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    struct journal *journal = NULL;
    ASSERT_FAILS(resume(&journal), ORCH_E_BUSY, err, "run " RUN " is at work in another process");
    ck_assert_ptr_null(journal);
    (void)close(go[1]);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ASSERT_OK(resume(&journal), err);
    ck_assert_uint_eq(journal_component(journal, "kb").attempts, 1);
    journal_close(journal);
}
END_TEST

static void *append_many(void *arg)
{
    struct orch_error mine = ORCH_ERROR_INIT;
    for (int i = 0; i < 50; i++) {
        if (journal_append(arg, "begun", i % 2 == 0 ? "kb" : "db", NULL, &mine) != ORCH_OK) {
            return arg;
        }
        (void)journal_component(arg, "kb");
        (void)journal_step_passed(arg, 1);
    }
    return NULL;
}

START_TEST(test_threads)
{
    struct journal *journal = create(RUN);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, append_many, journal), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    journal_close(journal);
    ASSERT_OK(resume(&journal), err);
    ck_assert_uint_eq(journal_component(journal, "kb").attempts, 100);
    ck_assert_uint_eq(journal_component(journal, "db").attempts, 100);
    journal_close(journal);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tests = tcase_create("journal");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_create_and_resume);
    tcase_add_test(tests, test_the_file);
    tcase_add_test(tests, test_a_run_has_one_journal);
    tcase_add_test(tests, test_torn_line);
    tcase_add_test(tests, test_torn_line_of_an_abandoned_one);
    tcase_add_loop_test(tests, test_torn_first_line, 0, 3);
    tcase_add_loop_test(tests, test_damage, 0, 5);
    tcase_add_loop_test(tests, test_full_disk, 0, 4);
    tcase_add_test(tests, test_newest_with_the_same_request);
    tcase_add_test(tests, test_other_files);
    tcase_add_test(tests, test_no_folder_yet);
    tcase_add_test(tests, test_unfinished_and_abandon);
    tcase_add_test(tests, test_at_work_elsewhere);
    tcase_add_test(tests, test_threads);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
