/* test_worker.c: a plugin that behaves, in each mode: the whole lifecycle, cancel, limits. */
#include <check.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fixture.h"

static struct worker *open_mixed(int mode, int64_t items, int64_t epoch, int64_t slow)
{
    static const char *const texts[] = {"a", "b\xff"};
    struct worker *worker = fixture_start("mixed", mode);
    struct fixture_values values = {0};
    fixture_number(&values, "items", items);
    fixture_number(&values, "epoch", epoch);
    fixture_number(&values, "slow", slow);
    fixture_text(&values, "secret", "hunter2");
    values.values[values.options.count++] = (struct orch_value){
        .name = "list", .type = ORCH_OPTION_STRING_LIST, .strings = texts, .count = 2};
    fixture_finish(&values);
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    return worker;
}

/* ---- services of the host ---- */

struct services_seen {
    int intents, dones;
    bool fail;
};

static int32_t take_intent(void *ctx, const char *action, const char *target, const char *aside,
                           struct orch_error *err)
{
    struct services_seen *seen = ctx;
    seen->intents++;
    if (seen->fail) {
        return orch_fail(err, ORCH_E_IO, "the journal cannot be written");
    }
    ck_assert_str_eq(action, "swap");
    ck_assert_str_eq(target, "/live");
    ck_assert_str_eq(aside, "/aside\xff");
    return ORCH_OK;
}

static int32_t take_done(void *ctx, const char *action, const char *target, struct orch_error *err)
{
    struct services_seen *seen = ctx;
    (void)err;
    ck_assert_str_eq(action, "swap");
    ck_assert_str_eq(target, "/live");
    seen->dones++;
    return ORCH_OK;
}

static int32_t give_file(void *ctx, const char *path, struct buffer *out, struct orch_error *err)
{
    (void)ctx;
    (void)err;
    ck_assert_str_eq(path, "/etc/app.conf");
    buffer_append(out, "model\0=x", 8);
    return ORCH_OK;
}

static struct worker_services services_for(struct services_seen *seen)
{
    return (struct worker_services){
        .ctx = seen, .intent = take_intent, .done = take_done, .future_file = give_file};
}

/* ---- the lifecycle ---- */

START_TEST(test_info)
{
    struct worker *worker = fixture_start("mixed", _i);
    const struct plugin_info *info = worker_info(worker);
    ck_assert_str_eq(info->name, "mixed");
    ck_assert_str_eq(info->version, "1.2.3");
    ck_assert_str_eq(info->path, fixture_path("mixed"));
    ck_assert_uint_eq(info->data_format, 3);
    ck_assert_uint_eq(info->data_format_oldest, 2);
    ck_assert_uint_eq(info->callbacks, PLUGIN_HAS_FREEZE | PLUGIN_HAS_QUIESCE | PLUGIN_HAS_SETTLE);
    ck_assert_uint_eq(info->option_count, 5);
    ck_assert_str_eq(info->options[0].name, "items");
    ck_assert_str_eq(info->options[0].default_value, "200");
    ck_assert_uint_eq(info->options[3].flags, ORCH_OPTION_SECRET);
    ck_assert_ptr_null(info->options[3].default_value);
    ck_assert_str_eq(plugin_option_type_name(info->options[4].type), "list of strings");
    ASSERT_OK(worker_close(worker, &ok));
}
END_TEST

static void check_facts(struct worker *worker, int mode)
{
    json_t *facts = json_loads(worker_facts(worker), 0, NULL);
    ck_assert_ptr_nonnull(facts);
    ck_assert_str_eq(json_string_value(json_object_get(facts, "text")),
                     "gr\xc3\xbc\xc3\x9f \"dich\"");
    ck_assert_int_eq(json_integer_value(json_object_get(facts, "sent")), 120);
    if (mode != MODE_IN_PROCESS) {
        ck_assert_str_eq(json_string_value(json_object_get(facts, "environment")), "clean");
        ck_assert_int_eq(json_integer_value(json_object_get(facts, "own_group")), 1);
        /* stdin, output twice, the socket, and the ring */
        ck_assert_int_eq(json_integer_value(json_object_get(facts, "descriptors")),
                         mode == MODE_RING ? 5 : 4);
    }
    json_decref(facts);
}

static void run_backup(struct worker *worker, struct recorder *recorder, struct worker_done *done)
{
    struct event_sink sink = recorder_sink(recorder);
    struct orch_probe probe = {0};
    struct orch_freeze freeze = {0};
    ASSERT_OK(worker_probe(worker, &probe, &ok));
    ck_assert_uint_eq(probe.items, 240);
    ck_assert_uint_eq(probe.size_bytes, ORCH_SIZE_UNKNOWN);
    ck_assert_str_eq(probe.version, "mixed 1");
    ck_assert_str_eq(probe.identity, "id\xe9ntity");
    ASSERT_OK(worker_quiesce(worker, &ok));
    ASSERT_OK(worker_freeze(worker, &freeze, &ok));
    ck_assert_uint_eq(freeze.consistency, ORCH_CONSISTENCY_SNAPSHOT);
    ck_assert_uint_eq(freeze.flags, ORCH_FREEZE_COSTLY);
    ck_assert_str_eq(freeze.cost, "a fork");
    ASSERT_OK(worker_resume(worker, &ok));
    ASSERT_OK(worker_backup(worker, NULL, &sink, done, &ok));
    ASSERT_OK(worker_thaw(worker, &ok));
    ck_assert(recorder->ended);
    ck_assert_uint_eq(recorder->objects, 120);
    ck_assert_uint_eq(recorder->records, 120);
    ck_assert_uint_eq(done->items, 240);
    ck_assert_uint_eq(done->bytes, recorder->bytes);
}

START_TEST(test_lifecycle)
{
    (void)setenv("AWS_SECRET_ACCESS_KEY", "must not be seen", 1);
    struct recorder recorder = {0};
    struct worker_done done;
    struct worker *worker = open_mixed(_i, 120, 0, 0);
    run_backup(worker, &recorder, &done);
    check_facts(worker, _i);
    CLEANUP_FREE char *facts = strdup(worker_facts(worker));
    ASSERT_OK(worker_close(worker, &ok));
    ck_assert(fixture_logged("thawed"));

    struct services_seen seen = {0};
    struct worker_services services = services_for(&seen);
    struct worker_verdicts verdicts = {0};
    struct orch_restore restore = fixture_restore(&recorder, facts);
    worker = open_mixed(_i, 120, 0, 0);
    ASSERT_OK(worker_check(worker, &restore, &services, &verdicts, &ok));
    ck_assert_uint_eq(verdicts.count, 1);
    ck_assert_uint_eq(verdicts.items[0].flags, ORCH_VERDICT_AUDIT);
    ck_assert_str_eq(verdicts.items[0].code, "file");
    ck_assert_str_eq(verdicts.items[0].subject, "/etc/app.conf");
    ck_assert_str_eq(verdicts.items[0].message, "it will say model");
    worker_verdicts_free(&verdicts);

    struct event_source source = recorder_source(&recorder);
    ASSERT_OK(worker_restore(worker, &restore, &source, &services, &done, &ok));
    ck_assert_uint_eq(done.items, 240);
    ck_assert_uint_eq(done.bytes, recorder.bytes);
    ck_assert_int_eq(seen.intents, 1);
    ck_assert_int_eq(seen.dones, 1);
    ASSERT_OK(worker_verify(worker, &restore, &verdicts, &ok));
    ck_assert_uint_eq(verdicts.count, 1);
    ck_assert_str_eq(verdicts.items[0].message, "240 items");
    worker_verdicts_free(&verdicts);
    ASSERT_OK(worker_settle(worker, &restore, ORCH_SETTLE_VERIFIED, NULL, &ok));
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(worker_settle(worker, &restore, ORCH_SETTLE_FAILED, NULL, &err), ORCH_E_BUSY);
    ck_assert_str_eq(err.message, "outcome 2");
    ck_assert_int_eq(worker_scratch(worker, "/tmp", &err), ORCH_E_UNSUPPORTED);
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

START_TEST(test_check_without_services)
{
    struct recorder none = {0};
    struct worker_verdicts verdicts = {0};
    struct orch_restore restore = fixture_restore(&none, "{}");
    struct worker *worker = open_mixed(_i, 1, 0, 0);
    ASSERT_OK(worker_check(worker, &restore, NULL, &verdicts, &ok));
    ck_assert_uint_eq(verdicts.count, 1);
    ck_assert_str_eq(verdicts.items[0].code, "no-file");
    ck_assert_uint_eq(verdicts.items[0].severity, ORCH_VERDICT_WARN);
    worker_verdicts_free(&verdicts);
    struct orch_error err = ORCH_ERROR_INIT;
    restore.facts_json = "[]";
    ck_assert_int_eq(worker_check(worker, &restore, NULL, &verdicts, &err), ORCH_E_CORRUPT);
    ASSERT_OK(worker_close(worker, &ok));
}
END_TEST

/* ---- unchanged objects ---- */

START_TEST(test_unchanged)
{
    struct recorder first = {0};
    struct recorder second = {0};
    struct recorder third = {0};
    struct worker_done done;
    struct worker *worker = open_mixed(_i, 120, 0, 0);
    struct event_sink sink = recorder_sink(&first);
    ASSERT_OK(worker_backup(worker, NULL, &sink, &done, &ok));
    ck_assert_uint_eq(done.unchanged, 0);
    /* The same again: all objects with a token (three of four). */
    struct event_source earlier = recorder_source(&first);
    sink = recorder_sink(&second);
    ASSERT_OK(worker_backup(worker, &earlier, &sink, &done, &ok));
    ck_assert_uint_eq(done.unchanged, 90);
    ck_assert_uint_eq(second.unchanged, 90);
    ck_assert_uint_eq(second.objects, 30);
    ASSERT_OK(worker_close(worker, &ok));
    /* Every third object has another token now, and there are more of them. */
    worker = open_mixed(_i, 150, 1, 0);
    earlier = recorder_source(&first);
    sink = recorder_sink(&third);
    ASSERT_OK(worker_backup(worker, &earlier, &sink, &done, &ok));
    ck_assert_uint_eq(third.unchanged, 60);
    ck_assert_uint_eq(third.objects, 90);
    for (size_t i = 0; i < third.count; i++) {
        uint64_t number = third.events[i].object.token.inode - 1;
        ck_assert(third.events[i].type != EVENT_UNCHANGED || (number % 3 != 0 && number < 120));
    }
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&first);
    recorder_free(&second);
    recorder_free(&third);
}
END_TEST

/* Far more earlier entries than the walk wants, and a source that fails. */
START_TEST(test_earlier_is_longer)
{
    struct recorder first = {0};
    struct recorder second = {0};
    struct worker_done done;
    struct worker *worker = open_mixed(_i, 3000, 0, 0);
    struct event_sink sink = recorder_sink(&first);
    ASSERT_OK(worker_backup(worker, NULL, &sink, &done, &ok));
    ASSERT_OK(worker_close(worker, &ok));
    worker = open_mixed(_i, 4, 0, 0);
    struct event_source earlier = recorder_source(&first);
    sink = recorder_sink(&second);
    ASSERT_OK(worker_backup(worker, &earlier, &sink, &done, &ok));
    ck_assert_uint_eq(done.unchanged, 3);
    struct recorder third = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    earlier = recorder_source(&first);
    first.fail_after = 2;
    sink = recorder_sink(&third);
    int32_t rc = worker_backup(worker, &earlier, &sink, &done, &err);
    ck_assert_int_eq(rc, ORCH_E_CORRUPT);
    ck_assert_str_eq(err.message, "a chunk is damaged");
    ck_assert(!third.ended);
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&first);
    recorder_free(&second);
    recorder_free(&third);
}
END_TEST

/* ---- failures of the host's side ---- */

/* A backup of so many of each whose sink fails: with its reason, and not one that has ended. */
static void sink_fails(int mode, int each, struct recorder recorder)
{
    struct worker_done done;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = open_mixed(mode, each, 0, 0);
    struct event_sink sink = recorder_sink(&recorder);
    ck_assert_int_eq(worker_backup(worker, NULL, &sink, &done, &err), ORCH_E_NO_SPACE);
    ck_assert_str_eq(err.message, "the repository is full");
    ck_assert(!recorder.ended);
    /* The plugin stopped in good order: its worker lives. */
    ASSERT_OK(worker_thaw(worker, &ok));
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}

START_TEST(test_sink_fails)
{
    sink_fails(_i, 1000, (struct recorder){.fail_after = 50});
}
END_TEST

/* The plugin has sent everything and is done by then. */
START_TEST(test_sink_fails_late)
{
    sink_fails(_i, 5, (struct recorder){.fail_after = 2, .block_ms = 300});
}
END_TEST

START_TEST(test_source_fails)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct orch_error err = ORCH_ERROR_INIT;
    struct services_seen seen = {0};
    struct worker_services services = services_for(&seen);
    struct worker *worker = open_mixed(_i, 300, 0, 0);
    struct event_sink sink = recorder_sink(&recorder);
    ASSERT_OK(worker_backup(worker, NULL, &sink, &done, &ok));
    recorder.fail_after = 400;
    struct orch_restore restore = fixture_restore(&recorder, "{}");
    struct event_source source = recorder_source(&recorder);
    ck_assert_int_eq(worker_restore(worker, &restore, &source, &services, &done, &err),
                     ORCH_E_CORRUPT);
    ck_assert_str_eq(err.message, "a chunk is damaged");
    ck_assert_int_eq(seen.dones, 0);
    /* And a journal that cannot be written: the plugin hears of it and stops. */
    recorder.fail_after = 0;
    seen.fail = true;
    source = recorder_source(&recorder);
    ck_assert_int_eq(worker_restore(worker, &restore, &source, &services, &done, &err), ORCH_E_IO);
    ck_assert_str_eq(err.message, "the journal cannot be written");
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* ---- cancel ---- */

static void *cancel_soon(void *arg)
{
    (void)usleep(50000);
    worker_cancel(arg);
    return NULL;
}

START_TEST(test_cancel)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct orch_error err = ORCH_ERROR_INIT;
    pthread_t thread;
    struct worker *worker = open_mixed(_i, 10, 0, 1);
    struct event_sink sink = recorder_sink(&recorder);
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, worker), 0);
    ck_assert_int_eq(worker_backup(worker, NULL, &sink, &done, &err), ORCH_E_CANCELLED);
    ASSERT_SAYS(err, "backup of plugin mixed of component part-one was cancelled");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(!recorder.ended);
    /* Nothing new is begun, but what must be put in order is. */
    struct orch_probe probe;
    ck_assert_int_eq(worker_probe(worker, &probe, &err), ORCH_E_CANCELLED);
    ASSERT_OK(worker_thaw(worker, &ok));
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

static volatile int cancel_flag;

static void *set_flag_soon(void *arg)
{
    (void)usleep(50000);
    __atomic_store_n(&cancel_flag, 1, __ATOMIC_RELAXED);
    return arg;
}

START_TEST(test_cancel_by_flag)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = NULL;
    struct worker_options options = fixture_options("mixed", _i);
    struct fixture_values values = {0};
    pthread_t thread;
    cancel_flag = 0;
    options.cancel = &cancel_flag;
    fixture_number(&values, "slow", 1);
    fixture_number(&values, "items", 3);
    fixture_finish(&values);
    ASSERT_OK(worker_start(&options, &worker, &ok));
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    ck_assert_int_eq(pthread_create(&thread, NULL, set_flag_soon, NULL), 0);
    struct event_source source = recorder_source(&recorder);
    struct orch_restore restore = fixture_restore(&recorder, "{}");
    ck_assert_int_eq(worker_restore(worker, &restore, &source, NULL, &done, &err),
                     ORCH_E_CANCELLED);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ASSERT_OK(worker_settle(worker, &restore, ORCH_SETTLE_VERIFIED, NULL, &ok));
    ASSERT_OK(worker_close(worker, &ok));
}
END_TEST

/* ---- limits ---- */

/* A sink that takes longer than the stall limit: that is our fault, not the worker's. */
START_TEST(test_slow_host_is_no_stall)
{
    struct recorder recorder = {.block_ms = 1500};
    struct worker_done done;
    struct worker *worker = NULL;
    struct worker_options options = fixture_options("mixed", _i);
    struct fixture_values values = {0};
    options.stall_timeout_ms = 1000;
    fixture_number(&values, "items", 300);
    fixture_finish(&values);
    ASSERT_OK(worker_start(&options, &worker, &ok));
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    struct event_sink sink = recorder_sink(&recorder);
    ASSERT_OK(worker_backup(worker, NULL, &sink, &done, &ok));
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* The plugin asks whether it is cancelled, and so it lives; but the whole job takes too long. */
START_TEST(test_job_timeout)
{
    struct recorder recorder = {0};
    struct worker_done done;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = NULL;
    struct worker_options options = fixture_options("mixed", _i);
    struct fixture_values values = {0};
    options.stall_timeout_ms = 2000;
    options.job_timeout_ms = 3000;
    fixture_number(&values, "slow", 1);
    fixture_number(&values, "items", 1);
    fixture_finish(&values);
    ASSERT_OK(worker_start(&options, &worker, &ok));
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    struct event_sink sink = recorder_sink(&recorder);
    ck_assert_int_eq(worker_backup(worker, NULL, &sink, &done, &err), ORCH_E_TIMEOUT);
    ASSERT_SAYS(err, "was not done with backup after 3.000 s");
    ASSERT_OK(worker_thaw(worker, &ok));
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* What asks whether it is cancelled may take longer than a call that is silent. */
START_TEST(test_a_long_call_lives)
{
    struct recorder recorder = {0};
    struct worker_verdicts verdicts = {0};
    struct worker *worker = NULL;
    struct worker_options options = fixture_options("mixed", _i);
    struct fixture_values values = {0};
    options.call_timeout_ms = 3000;
    fixture_number(&values, "slow", 1);
    fixture_finish(&values);
    ASSERT_OK(worker_start(&options, &worker, &ok));
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    struct orch_restore restore = fixture_restore(&recorder, "{}");
    ASSERT_OK(worker_verify(worker, &restore, &verdicts, &ok));
    ck_assert_uint_eq(verdicts.count, 1);
    worker_verdicts_free(&verdicts);
    ASSERT_OK(worker_close(worker, &ok));
}
END_TEST

/* ---- start ---- */

START_TEST(test_no_program)
{
    struct worker *worker = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker_options options = fixture_options("mixed", MODE_RING);
    (void)setenv("ORCHESTRATE_WORKER_EXE", "/nonexistent/orchestrate", 1);
    ck_assert_int_eq(worker_start(&options, &worker, &err), ORCH_E_NOT_FOUND);
    ASSERT_SAYS(err, "cannot run /nonexistent/orchestrate as a worker");
    (void)setenv("ORCHESTRATE_WORKER_EXE", "/bin/false", 1);
    ck_assert_int_eq(worker_start(&options, &worker, &err), ORCH_E_CRASHED);
    ASSERT_SAYS(err, "ended with exit status 1 in start");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("worker");
    TCase *tcase = tcase_create("modes");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_info, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_lifecycle, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_check_without_services, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_unchanged, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_earlier_is_longer, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_sink_fails, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_sink_fails_late, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_source_fails, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_cancel, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_cancel_by_flag, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_slow_host_is_no_stall, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_job_timeout, 0, MODE_PROCESSES);
    tcase_add_loop_test(tcase, test_a_long_call_lives, 0, MODE_PROCESSES);
    tcase_add_test(tcase, test_no_program);
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
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
