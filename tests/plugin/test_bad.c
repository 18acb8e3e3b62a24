/* test_bad.c: what becomes of each plugin that misbehaves: the right code and words, no process
 * left. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fixture.h"

/* A sanitizer turns a fatal signal into an exit with a report. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- those that are refused when they are loaded ---- */

static const struct {
    const char *plugin;
    int32_t code;
    const char *says;
} refused[] = {
    {"other-abi", ORCH_E_VERSION, "was built for plugin ABI 2, but this orchestrate has ABI 1"},
    {"no-symbol", ORCH_E_INVALID, "is not an orchestrate plugin: it does not export orch_plugin"},
    {"wrong-magic", ORCH_E_INVALID,
     "is not an orchestrate plugin: its descriptor has another magic"},
    {"unknown-need", ORCH_E_VERSION, "need bits 0x8000000000000000"},
    {"twice-option", ORCH_E_INVALID, "declares option size twice"},
    {"no-restore", ORCH_E_INVALID, "lacks the callback restore"},
};

START_TEST(test_refused)
{
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        struct worker *worker = NULL;
        struct orch_error err = ORCH_ERROR_INIT;
        struct worker_options options = fixture_options(refused[_i].plugin, mode);
        ck_assert_int_eq(worker_start(&options, &worker, &err), refused[_i].code);
        ASSERT_SAYS(err, refused[_i].says);
        ck_assert_ptr_null(worker);
    }
}
END_TEST

/* A text file, no file at all, and a plugin under another name. */
START_TEST(test_no_plugin_at_all)
{
    char folder[] = "/tmp/orchestrate-test-XXXXXX";
    char text[64];
    char other[64];
    struct worker *worker = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker_options options = fixture_options("mixed", _i);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(text, sizeof(text), "%s/text.so", folder);
    (void)snprintf(other, sizeof(other), "%s/other.so", folder);
    FILE *file = fopen(text, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs("this is no shared object\n", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(symlink(fixture_path("mixed"), other), 0);

    options.plugin_path = text;
    ck_assert_int_eq(worker_start(&options, &worker, &err), ORCH_E_INVALID);
    ASSERT_SAYS(err, "text.so cannot be loaded as a plugin");
    options.plugin_path = other;
    ck_assert_int_eq(worker_start(&options, &worker, &err), ORCH_E_INVALID);
    ASSERT_SAYS(err, "calls itself \"mixed\": a plugin's file must be named NAME.so");
    ck_assert_int_eq(unlink(text), 0);
    ck_assert_int_eq(unlink(other), 0);
    ck_assert_int_eq(rmdir(folder), 0);
    options.plugin_path = text;
    ck_assert_int_eq(worker_start(&options, &worker, &err), ORCH_E_INVALID);
    ASSERT_SAYS(err, "No such file");
}
END_TEST

/* A longer descriptor with longer options loads and works. */
START_TEST(test_longer_struct)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct worker *worker = fixture_open("longer-struct", _i, NULL, NULL);
    ck_assert_uint_eq(worker_info(worker)->abi_minor, ORCH_ABI_MINOR + 7);
    ck_assert_uint_eq(worker_info(worker)->option_count, 2);
    ck_assert_str_eq(worker_info(worker)->options[1].name, "path");
    ck_assert_str_eq(worker_info(worker)->options[0].default_value, "one");
    struct event_sink sink = recorder_sink(&recorder);
    ASSERT_OK(worker_backup(worker, NULL, &sink, &done, &ok));
    ck_assert_uint_eq(done.items, 1);
    struct event_source source = recorder_source(&recorder);
    struct orch_restore restore = fixture_restore(&recorder, "{}");
    ASSERT_OK(worker_restore(worker, &restore, &source, NULL, &done, &ok));
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* ---- those that fail in backup ---- */

static int32_t back_up(struct worker *worker, struct recorder *recorder, struct orch_error *err)
{
    struct worker_done done;
    struct event_sink sink = recorder_sink(recorder);
    int32_t rc = worker_backup(worker, NULL, &sink, &done, err);
    ck_assert_int_eq(recorder->ended, rc == ORCH_OK);
    return rc;
}

static const struct {
    const char *plugin, *how;
    int32_t code;
    const char *says;
    bool dead; /* the worker is gone, and every later call says so */
} failing[] = {
    {"short-stream", "return", ORCH_E_PROTOCOL, "returned success in the middle of an item", false},
    {"short-stream", "exit", ORCH_E_CRASHED,
     "ended with exit status 0 in the middle of backup, without DONE", true},
    {"short-stream", "exit-three", ORCH_E_CRASHED, "ended with exit status 3 in backup", true},
    {"scribble", "after-commit", ORCH_E_CHANGED, "changed data after it had handed it over", false},
    {"garbage", "bytes", ORCH_E_PROTOCOL, "broke the rules of the wire", true},
    {"garbage", "huge", ORCH_E_PROTOCOL, "a frame of type 6 with 4294967295 bytes", true},
    {"garbage", "json", ORCH_E_PROTOCOL, "no JSON", true},
    {"garbage", "slot", ORCH_E_PROTOCOL, "block", true},
    {"rules", "order", ORCH_E_INVALID,
     "ascending byte order of their names, each once: \"a\" came "
     "after \"b\"",
     false},
    {"rules", "twice", ORCH_E_INVALID, "\"b\" came after \"b\"", false},
    {"rules", "long-name", ORCH_E_INVALID, "names have 1 to 65535 bytes", false},
    {"rules", "no-name", ORCH_E_INVALID, "without name", false},
    {"rules", "outside", ORCH_E_INVALID, "data outside an item", false},
    {"rules", "nested", ORCH_E_INVALID, "still open", false},
    {"rules", "record-long", ORCH_E_INVALID, "1 bytes too many", false},
    {"rules", "record-short", ORCH_E_INVALID, "1 bytes less", false},
    {"rules", "commit", ORCH_E_INVALID, "11 bytes, but 10 are reserved", false},
    {"rules", "next", ORCH_E_INVALID, "next() was called in backup: it belongs into restore",
     false},
    {"rules", "earlier", ORCH_E_INVALID, "without name", false},
    {"rules", "fact", ORCH_E_INVALID, "the fact broken is no JSON value", false},
    {"rules", "positive", ORCH_E_FAILED, "no reason was given", false},
    {"rules", "silent", ORCH_E_IO, "no reason was given (io)", false},
};

START_TEST(test_failing)
{
    for (int mode = 0; mode < MODE_PROCESSES; mode++) {
        struct recorder recorder = {0};
        struct orch_error err = ORCH_ERROR_INIT;
        struct worker *worker = fixture_open(failing[_i].plugin, mode, failing[_i].how, NULL);
        int32_t rc = back_up(worker, &recorder, &err);
        ck_assert_msg(rc == failing[_i].code, "%d: %s", rc, err.message);
        ASSERT_SAYS(err, failing[_i].says);
        if (failing[_i].dead) {
            ck_assert_int_eq(worker_thaw(worker, &err), ORCH_E_CRASHED);
            ASSERT_SAYS(err, failing[_i].says);
            ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
            ASSERT_SAYS(err, failing[_i].says);
        } else {
            ASSERT_OK(worker_thaw(worker, &ok));
            ASSERT_OK(worker_close(worker, &ok));
        }
        recorder_free(&recorder);
    }
}
END_TEST

START_TEST(test_null_deref)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = fixture_open("null-deref", _i, NULL, NULL);
    ck_assert_int_eq(back_up(worker, &recorder, &err), ORCH_E_CRASHED);
    ASSERT_SAYS(err, "plugin null-deref of component part-one");
    if (!SANITIZED) {
        ASSERT_SAYS(err, "died of signal 11 (SIGSEGV: Segmentation fault) in backup");
        ASSERT_SAYS(err, "it last wrote: about to fall over");
    }
    ck_assert(fixture_logged("about to fall over"));
    ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
    recorder_free(&recorder);
}
END_TEST

START_TEST(test_closes_socket)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = fixture_open("garbage", _i, "close", NULL);
    ck_assert_int_eq(back_up(worker, &recorder, &err), ORCH_E_PROTOCOL);
    ASSERT_SAYS(err, "it closed its connection, but lives on");
    ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
    recorder_free(&recorder);
}
END_TEST

START_TEST(test_short_restore)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = fixture_open("longer-struct", _i, NULL, NULL);
    ck_assert_int_eq(back_up(worker, &recorder, &err), 0);
    ASSERT_OK(worker_close(worker, &ok));
    worker = fixture_open("short-stream", _i, NULL, NULL);
    struct event_source source = recorder_source(&recorder);
    struct orch_restore restore = fixture_restore(&recorder, "{}");
    ck_assert_int_eq(worker_restore(worker, &restore, &source, NULL, &done, &err), ORCH_E_PROTOCOL);
    ASSERT_SAYS(err, "restore returned success after 1 items, without taking the rest");
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* ---- scribbling over blocks ---- */

/* Through an old pointer into a slot that is its own again: the host had its copy, all is well. */
START_TEST(test_scribble_reuse)
{
    struct recorder recorder = {.expect = 'x'};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = fixture_open("scribble", _i, "reuse", NULL);
    ck_assert_msg(back_up(worker, &recorder, &err) == 0, "%s", err.message);
    ck_assert_uint_gt(recorder.bytes, 30u << 20);
    ck_assert_uint_eq(recorder.wrong, 0);
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* All the time: what arrives is either exactly what was meant, or the backup fails. */
START_TEST(test_scribble_always)
{
    int caught = 0;
    for (int round = 0; round < 10; round++) {
        struct recorder recorder = {.expect = 'x'};
        struct orch_error err = ORCH_ERROR_INIT;
        struct worker *worker = fixture_open("scribble", _i, "always", NULL);
        int32_t rc = back_up(worker, &recorder, &err);
        ck_assert(rc == ORCH_OK || rc == ORCH_E_CHANGED);
        ck_assert(rc != ORCH_OK || recorder.wrong == 0);
        caught += rc == ORCH_E_CHANGED ? 1 : 0;
        ASSERT_OK(worker_close(worker, &ok));
        recorder_free(&recorder);
    }
    printf("scribble always: caught in %d of 10\n", caught);
}
END_TEST

/* ---- those that hang ---- */

static int32_t start_hang(int mode, const char *how, const char *fifo, struct worker **worker,
                          void (*limits)(struct worker_options *))
{
    struct worker_options options = fixture_options("hang", mode);
    options.grace_ms = 300;
    struct fixture_values values = {0};
    limits(&options);
    fixture_text(&values, "how", how);
    fixture_text(&values, "path", fifo);
    fixture_finish(&values);
    ASSERT_OK(worker_start(&options, worker, &ok));
    ASSERT_OK(worker_open(*worker, &values.options, &ok));
    return ORCH_OK;
}

static void short_limits(struct worker_options *options)
{
    options->call_timeout_ms = 500;
    options->stall_timeout_ms = 500;
}

static void job_limit(struct worker_options *options)
{
    options->job_timeout_ms = 500;
}

static void no_limits(struct worker_options *options)
{
    (void)options;
}

static const struct {
    const char *how, *says;
} hanging[] = {
    {"backup", "gave no sign of life in backup for 0.500 s; it did not stop when asked and was "
               "killed"},
    {"polite", "it did not stop when asked and was terminated"},
    {"probe", "was not done with probe after 0.500 s; it did not stop when asked and was killed"},
    {"thaw", "was not done with thaw after 0.500 s; it did not stop when asked and was killed"},
    {"restore", "gave no sign of life in restore for 0.500 s"},
    {"job", "was not done with backup after 0.500 s"},
};

static int32_t run_into(struct worker *worker, const char *how, struct orch_error *err)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct orch_probe probe;
    if (strcmp(how, "probe") == 0) {
        return worker_probe(worker, &probe, err);
    }
    if (strcmp(how, "thaw") == 0) {
        return worker_thaw(worker, err);
    }
    if (strcmp(how, "restore") == 0) {
        struct event_source source = recorder_source(&recorder);
        struct orch_restore restore = fixture_restore(&recorder, "{}");
        return worker_restore(worker, &restore, &source, NULL, &done, err);
    }
    int32_t rc = back_up(worker, &recorder, err);
    recorder_free(&recorder);
    return rc;
}

START_TEST(test_hang)
{
    for (int mode = 0; mode < MODE_PROCESSES; mode++) {
        char fifo[64];
        int fd = -1;
        struct worker *worker = NULL;
        struct orch_error err = ORCH_ERROR_INIT;
        const char *how = hanging[_i].how;
        fixture_fifo(fifo, &fd);
        (void)start_hang(mode, how, fifo, &worker,
                         strcmp(how, "job") == 0 ? job_limit : short_limits);
        int64_t began = clock_monotonic_ms();
        ck_assert_int_eq(run_into(worker, how, &err), ORCH_E_TIMEOUT);
        ASSERT_SAYS(err, hanging[_i].says);
        ck_assert_int_lt(clock_monotonic_ms() - began, 8000);
        ck_assert(fixture_fifo_ended(fd));
        ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
        (void)close(fd);
        fixture_fifo_remove(fifo);
    }
}
END_TEST

static volatile int cancel_flag;

static void *cancel_when_at_work(void *arg)
{
    fixture_fifo_started(*(int *)arg);
    __atomic_store_n(&cancel_flag, 1, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(test_cancel_hang)
{
    char fifo[64];
    int fd = -1;
    struct worker *worker = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker_options options = fixture_options("hang", _i);
    options.grace_ms = 300;
    struct fixture_values values = {0};
    struct recorder recorder = {0};
    pthread_t thread;
    fixture_fifo(fifo, &fd);
    cancel_flag = 0;
    options.cancel = &cancel_flag;
    fixture_text(&values, "path", fifo);
    fixture_finish(&values);
    ASSERT_OK(worker_start(&options, &worker, &ok));
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_when_at_work, &fd), 0);
    int64_t began = clock_monotonic_ms();
    ck_assert_int_eq(back_up(worker, &recorder, &err), ORCH_E_CANCELLED);
    ck_assert_int_lt(clock_monotonic_ms() - began, 3 * 300 + 3000);
    ASSERT_SAYS(err, "was cancelled; it did not stop when asked and was killed");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
    ck_assert(fixture_fifo_ended(fd));
    (void)close(fd);
    fixture_fifo_remove(fifo);
    recorder_free(&recorder);
}
END_TEST

/* ---- processes that would be left behind ---- */

START_TEST(test_children_end_with_the_worker)
{
    for (int mode = 0; mode < MODE_PROCESSES; mode++) {
        char fifo[64];
        int fd = -1;
        struct recorder recorder = {0};
        struct orch_error err = ORCH_ERROR_INIT;
        fixture_fifo(fifo, &fd);
        struct worker *worker = fixture_open("stay-behind", mode, _i == 0 ? "" : "crash", fifo);
        int32_t rc = back_up(worker, &recorder, &err);
        ck_assert_int_eq(rc, _i == 0 ? ORCH_OK : ORCH_E_CRASHED);
        int32_t end = worker_close(worker, &err);
        ck_assert_int_eq(end, _i == 0 ? ORCH_OK : ORCH_E_CRASHED);
        ck_assert(fixture_fifo_ended(fd));
        (void)close(fd);
        fixture_fifo_remove(fifo);
        recorder_free(&recorder);
    }
}
END_TEST

/* The host itself is killed: its workers and their children must not survive it. */
static void host_that_is_killed(const char *plugin, int mode, const char *fifo)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = NULL;
    if (strcmp(plugin, "hang") == 0) {
        (void)start_hang(mode, "", fifo, &worker, no_limits);
    } else {
        worker = fixture_open(plugin, mode, "", fifo);
    }
    int32_t rc = back_up(worker, &recorder, &err);
    (void)rc;
    for (;;) {
        (void)pause();
    }
}

START_TEST(test_host_dies)
{
    const char *plugin = _i % 2 == 0 ? "hang" : "stay-behind";
    char fifo[64];
    int fd = -1;
    fixture_fifo(fifo, &fd);
    pid_t host = fork();
    ck_assert_int_ge(host, 0);
    if (host == 0) {
        host_that_is_killed(plugin, _i / 2, fifo);
        _exit(1);
    }
    fixture_fifo_started(fd);
    ck_assert_int_eq(kill(host, SIGKILL), 0);
    ck_assert_int_eq(waitpid(host, NULL, 0), host);
    ck_assert(fixture_fifo_ended(fd));
    (void)close(fd);
    fixture_fifo_remove(fifo);
}
END_TEST

START_TEST(test_bad_exit)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = fixture_open("bad-exit", _i, NULL, NULL);
    ck_assert_int_eq(back_up(worker, &recorder, &err), ORCH_OK);
    ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
    ASSERT_SAYS(err, "ended with exit status 7 after its close");
    recorder_free(&recorder);
}
END_TEST

START_TEST(test_flood)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = fixture_open("flood", _i, NULL, NULL);
    ck_assert_msg(back_up(worker, &recorder, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(recorder.objects, 1);
    ASSERT_OK(worker_close(worker, &ok));
    ck_assert(fixture_logged("line 999 of"));
    ck_assert(!fixture_logged("line 1001 of"));
    ck_assert(fixture_logged("further output is not shown"));
    ck_assert_uint_le(fixture_log_lines(), 5000 + 1001);
    recorder_free(&recorder);
}
END_TEST

/* A worker that is killed from outside, at some moment of a backup. */
struct killing {
    pid_t pid;
    useconds_t after_us;
};

static void *kill_later(void *arg)
{
    const struct killing *killing = arg;
    (void)usleep(killing->after_us);
    ck_assert_int_eq(kill(killing->pid, SIGKILL), 0);
    return NULL;
}

START_TEST(test_killed)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_probe probe;
    struct fixture_values values = {0};
    pthread_t thread;
    struct worker *worker = fixture_start("mixed", _i % 2);
    fixture_number(&values, "items", 5000);
    fixture_finish(&values);
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    ASSERT_OK(worker_probe(worker, &probe, &ok));
    const char *pid = strstr(worker_facts(worker), "\"pid\":");
    ck_assert_ptr_nonnull(pid);
    struct killing killing = {(pid_t)atoi(pid + 6), (useconds_t)(_i * 4000)};
    ck_assert_int_eq(pthread_create(&thread, NULL, kill_later, &killing), 0);
    int32_t rc = back_up(worker, &recorder, &err);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(rc == ORCH_OK || rc == ORCH_E_CRASHED);
    if (rc == ORCH_E_CRASHED) {
        ASSERT_SAYS(err, "died of signal 9 (SIGKILL: Killed) in backup");
    }
    ck_assert_int_eq(worker_close(worker, &err), ORCH_E_CRASHED);
    recorder_free(&recorder);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("bad plugins");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_loop_test(tcase, test_no_plugin_at_all, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_longer_struct, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_failing, 0, (int)(sizeof(failing) / sizeof(failing[0])));
    tcase_add_loop_test(tcase, test_null_deref, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_closes_socket, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_short_restore, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_scribble_reuse, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_scribble_always, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_hang, 0, (int)(sizeof(hanging) / sizeof(hanging[0])));
    tcase_add_loop_test(tcase, test_cancel_hang, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_children_end_with_the_worker, 0, 2);
    tcase_add_loop_test(tcase, test_host_dies, 0, 4);
    tcase_add_loop_test(tcase, test_bad_exit, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_flood, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_killed, 0, 20);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(int argc, char **argv)
{
    int status = fixture_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    SRunner *runner = srunner_create(make_suite());
    srunner_set_fork_status(runner, CK_FORK); /* tests that change or end their process */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
