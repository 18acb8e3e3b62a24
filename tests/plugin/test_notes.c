/*
 * test_notes.c: the template plugin, backed up and restored through a worker. The plugin comes from
 * the folder on the command line, so that one that was built outside the tree can be tried too.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"

#define RUN "abc123"

static char root[64];
static char live[128];

static const struct {
    const char *name;
    size_t len;
    mode_t mode;
} files[] = {
    {"A note", 12, 0640},
    {"a note", 0, 0600},
    {"b\xff\n.txt", 5000, 0644},
    {"large", 3 * 1024 * 1024 + 17, 0400},
    {"zz", 1, 0755},
};
#define FILES (sizeof(files) / sizeof(files[0]))

static const char *at(const char *folder, const char *name)
{
    static char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, size_t len, mode_t mode, char fill)
{
    char *data = malloc(len + 1);
    memset(data, fill, len + 1);
    ASSERT_OK(file_replace(at(live, name), data, len, mode, &ok));
    ck_assert_int_eq(chmod(at(live, name), mode), 0);
    free(data);
}

static void set_up(void)
{
    strcpy(root, "/tmp/orchestrate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(live, sizeof(live), "%s/notes", root);
    ck_assert_int_eq(mkdir(live, 0750), 0);
    for (size_t i = 0; i < FILES; i++) {
        write_file(files[i].name, files[i].len, files[i].mode, (char)('a' + i));
    }
}

static void tear_down(void)
{
    char command[100];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

static void check_files(void)
{
    for (size_t i = 0; i < FILES; i++) {
        CLEANUP_BUFFER struct buffer content = BUFFER_INIT;
        struct stat st;
        ASSERT_OK(file_read(at(live, files[i].name), 10u << 20, &content, &ok));
        ck_assert_uint_eq(content.len, files[i].len);
        for (size_t k = 0; k < content.len; k++) {
            if (content.data[k] != 'a' + i) {
                ck_abort_msg("%s differs at byte %zu", files[i].name, k);
            }
        }
        ck_assert_int_eq(stat(at(live, files[i].name), &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, files[i].mode);
    }
}

/* How many entries lie in a folder. */
static int entries(const char *folder)
{
    int count = -2;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

static struct worker *open_notes(int mode)
{
    struct worker *worker = fixture_start("notes", mode);
    struct fixture_values values = {0};
    fixture_text(&values, "path", live);
    fixture_number(&values, "durable", 0);
    fixture_finish(&values);
    ASSERT_OK(worker_open(worker, &values.options, &ok));
    return worker;
}

static int32_t back_up(struct worker *worker, struct recorder *earlier, struct recorder *recorder,
                       struct orch_error *err)
{
    struct worker_done done;
    struct event_sink sink = recorder_sink(recorder);
    struct event_source source = {0};
    if (earlier != NULL) {
        source = recorder_source(earlier);
    }
    return worker_backup(worker, earlier == NULL ? NULL : &source, &sink, &done, err);
}

static int32_t intent(void *ctx, const char *action, const char *target, const char *aside,
                      struct orch_error *err)
{
    (void)err;
    ck_assert_str_eq(action, "rename");
    ck_assert_str_eq(target, live);
    ck_assert_ptr_nonnull(strstr(aside, RUN));
    *(int *)ctx += 1;
    return ORCH_OK;
}

static int32_t done_with(void *ctx, const char *action, const char *target, struct orch_error *err)
{
    (void)action;
    (void)target;
    (void)err;
    *(int *)ctx += 100;
    return ORCH_OK;
}

static int32_t restore_all(struct worker *worker, struct recorder *recorder, int *journal,
                           struct orch_error *err)
{
    struct worker_done done;
    struct orch_restore restore = fixture_restore(recorder, "{}");
    struct worker_services services = {.ctx = journal, .intent = intent, .done = done_with};
    struct event_source source = recorder_source(recorder);
    return worker_restore(worker, &restore, &source, &services, &done, err);
}

static uint32_t worst(struct worker_verdicts *verdicts)
{
    uint32_t severity = ORCH_VERDICT_GO;
    for (size_t i = 0; i < verdicts->count; i++) {
        severity = verdicts->items[i].severity > severity ? verdicts->items[i].severity : severity;
    }
    worker_verdicts_free(verdicts);
    return severity;
}

START_TEST(test_back_and_forth)
{
    struct recorder recorder = {0};
    struct worker_verdicts verdicts = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_probe probe;
    int journal = 0;
    struct worker *worker = open_notes(_i);
    ASSERT_OK(worker_probe(worker, &probe, &ok));
    ck_assert_uint_eq(probe.items, FILES);
    ck_assert_int_eq(back_up(worker, NULL, &recorder, &err), 0);
    ck_assert_uint_eq(recorder.objects, FILES);
    ck_assert_str_eq(worker_facts(worker), "{\"files\":5}");

    /* Damage: one gone, one changed, one too many. */
    ck_assert_int_eq(unlink(at(live, "zz")), 0);
    write_file("A note", 99, 0600, 'X');
    write_file("new", 3, 0600, 'X');

    struct orch_restore restore = fixture_restore(&recorder, "{}");
    ASSERT_OK(worker_check(worker, &restore, NULL, &verdicts, &ok));
    ck_assert_uint_eq(worst(&verdicts), ORCH_VERDICT_GO);
    ck_assert_msg(restore_all(worker, &recorder, &journal, &err) == 0, "%s", err.message);
    ck_assert_int_eq(journal, 101);
    check_files();
    ck_assert_int_eq(entries(live), FILES);
    ck_assert_int_eq(entries(root), 2); /* and what was set aside */
    ck_assert_int_eq(access(at(live, "../notes.orchestrate-" RUN ".old/new"), F_OK), 0);

    /* A second attempt does not set the first one's work aside as if it were the old state. */
    ck_assert_int_eq(restore_all(worker, &recorder, &journal, &err), 0);
    check_files();
    ck_assert_int_eq(entries(root), 2);
    ck_assert_int_eq(access(at(live, "../notes.orchestrate-" RUN ".old/new"), F_OK), 0);

    ASSERT_OK(worker_verify(worker, &restore, &verdicts, &ok));
    ck_assert_uint_eq(worst(&verdicts), ORCH_VERDICT_GO);
    write_file("another", 1, 0600, 'X');
    ASSERT_OK(worker_verify(worker, &restore, &verdicts, &ok));
    ck_assert_uint_eq(worst(&verdicts), ORCH_VERDICT_REFUSE);
    ASSERT_OK(worker_settle(worker, &restore, ORCH_SETTLE_FAILED, NULL, &ok));
    ck_assert_int_eq(entries(root), 2);
    ASSERT_OK(worker_settle(worker, &restore, ORCH_SETTLE_VERIFIED, NULL, &ok));
    ck_assert_int_eq(entries(root), 1);
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

START_TEST(test_unchanged)
{
    struct recorder first = {0};
    struct recorder second = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct worker *worker = open_notes(_i);
    ck_assert_int_eq(back_up(worker, NULL, &first, &err), 0);
    write_file("large", 77, 0600, 'X');
    write_file("more", 3, 0600, 'X');
    ck_assert_int_eq(back_up(worker, &first, &second, &err), 0);
    ck_assert_uint_eq(second.unchanged, FILES - 1);
    ck_assert_uint_eq(second.objects, 2);
    ck_assert_uint_eq(second.bytes, 80);
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&first);
    recorder_free(&second);
}
END_TEST

/* An attempt that fails in its middle leaves the live folder alone. */
START_TEST(test_failed_restore)
{
    struct recorder recorder = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    int journal = 0;
    struct worker *worker = open_notes(_i);
    ck_assert_int_eq(back_up(worker, NULL, &recorder, &err), 0);
    recorder.fail_after = 6;
    ck_assert_int_eq(restore_all(worker, &recorder, &journal, &err), ORCH_E_CORRUPT);
    ck_assert_int_eq(journal, 0);
    check_files();
    recorder.fail_after = 0;
    ck_assert_int_eq(restore_all(worker, &recorder, &journal, &err), 0);
    check_files();
    ASSERT_OK(worker_close(worker, &ok));
    recorder_free(&recorder);
}
END_TEST

/* Names in a part that would lead out of the folder. */
START_TEST(test_hostile_names)
{
    static const struct {
        const char *name;
        uint32_t len;
    } names[] = {{"../x", 4}, {"/x", 2}, {"..", 2}, {".", 1}, {"a/b", 3}, {"a\0b", 3}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct recorder recorder = {0};
        struct event_sink sink = recorder_sink(&recorder);
        struct orch_error err = ORCH_ERROR_INIT;
        struct orch_event event = {.type = ORCH_EVENT_OBJECT,
                                   .object = {.name = (const uint8_t *)names[i].name,
                                              .name_len = names[i].len,
                                              .kind = 'f',
                                              .meta = (const uint8_t *)"\0\0\0\0",
                                              .meta_len = 4}};
        ck_assert_int_eq(sink.put(sink.ctx, &event, &err), 0);
        event.type = ORCH_EVENT_ITEM_END;
        ck_assert_int_eq(sink.put(sink.ctx, &event, &err), 0);
        int journal = 0;
        struct worker *worker = open_notes(MODE_RING);
        ck_assert_int_eq(restore_all(worker, &recorder, &journal, &err), ORCH_E_CORRUPT);
        check_files();
        ASSERT_OK(worker_close(worker, &ok));
        recorder_free(&recorder);
    }
}
END_TEST

START_TEST(test_refusals)
{
    struct recorder none = {0};
    struct worker_verdicts verdicts = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_restore restore = fixture_restore(&none, "{}");
    struct worker *worker = open_notes(_i);
    restore.strategy = ORCH_STRATEGY_MERGE_PRESERVE;
    ASSERT_OK(worker_check(worker, &restore, NULL, &verdicts, &ok));
    ck_assert_uint_eq(worst(&verdicts), ORCH_VERDICT_REFUSE);
    restore.strategy = ORCH_STRATEGY_REPLACE;
    restore.size_bytes = UINT64_MAX / 4;
    ASSERT_OK(worker_check(worker, &restore, NULL, &verdicts, &ok));
    ck_assert_uint_eq(worst(&verdicts), ORCH_VERDICT_REFUSE);
    /* A folder inside the folder: said, not left out in silence. */
    ck_assert_int_eq(mkdir(at(live, "inner"), 0700), 0);
    ck_assert_int_eq(back_up(worker, NULL, &none, &err), ORCH_E_UNSUPPORTED);
    ASSERT_SAYS(err, "/inner is no regular file");
    ASSERT_OK(worker_close(worker, &ok));
}
END_TEST

int main(int argc, char **argv)
{
    int status = fixture_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("notes");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, test_back_and_forth, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_unchanged, 0, MODE_COUNT);
    tcase_add_loop_test(tcase, test_failed_restore, 0, MODE_COUNT);
    tcase_add_test(tcase, test_hostile_names);
    tcase_add_loop_test(tcase, test_refusals, 0, MODE_COUNT);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
