/* test_backup.c: backup runs over scripted components: order, partial sets, retries, empty sources,
 * verification, cancel. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/runlog.h"
#include "runtest.h"

static struct runtest t;
static struct orch_error err;
static struct backup_result result;

/* A provider, two that depend on it, and one that depends on one of those. */
static const char *const four[] = {"base", "left: base", "right: base", "top: left", NULL};
static const char *const two[] = {"a", "b", NULL};

static int32_t backup(const char *type)
{
    struct backup_options options = {.type = type};
    backup_result_clear(&result);
    err = (struct orch_error)ORCH_ERROR_INIT;
    return backup_run(&t.ctx, &options, &result, &err);
}

static void finish(void)
{
    backup_result_clear(&result);
    runtest_remove(&t);
}

/* The state of the newest run, by its log in the repository. */
static void assert_run(const char *state)
{
    json_t *runs = NULL;
    ASSERT_OK(runlog_list(t.ctx.repo, &runs, &err), err);
    const json_t *newest = json_array_get(runs, 0);
    ck_assert_str_eq(json_string_value(json_object_get(newest, "state")), state);
    ck_assert_str_eq(json_string_value(json_object_get(newest, "id")), result.run_id);
    json_decref(runs);
}

/* No set, no lease, and no worker's handle is left. */
static void assert_no_set(size_t sets)
{
    ck_assert_ptr_null(result.set);
    ck_assert_uint_eq(folder_count(t.dir, "repo/sets"), sets);
    ck_assert_uint_eq(folder_count(t.dir, "repo/leases"), 0);
}

START_TEST(test_order)
{
    runtest_make(&t, four, NULL);
    runtest_script(&t, "left", "freeze costly\n");
    ASSERT_OK(backup("full"), err);
    CLEANUP_FREE char *log = runtest_log(&t);
    /* Frozen and streamed: consumers before what they depend on. */
    static const char *const pairs[][2] = {{"top freeze", "left freeze"},
                                           {"left freeze", "base freeze"},
                                           {"right freeze", "base freeze"},
                                           {"right backup-end", "base backup"},
                                           {"top backup-end", "right backup"}};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        ck_assert_int_ge(runtest_place(log, pairs[i][0]), 0);
        ck_assert_msg(runtest_place(log, pairs[i][0]) < runtest_place(log, pairs[i][1]),
                      "%s comes after %s in\n%s", pairs[i][0], pairs[i][1], log);
    }
    /* All are frozen before the first byte is read, and a costly handle is drained first. */
    ck_assert_int_lt(runtest_place(log, "base freeze"), runtest_place(log, "left backup"));
    ck_assert_int_lt(runtest_place(log, "left backup-end"), runtest_place(log, "top backup"));
    ck_assert_uint_eq(runtest_times(log, "left thaw"), 1);
    ck_assert_int_eq(result.set->state, SET_COMPLETED);
    ck_assert_uint_eq(result.set->component_count, 4);
    ck_assert_int_ge(result.set->skew_ns, 0);
    ck_assert_uint_eq(folder_count(t.dir, "repo/leases"), 0);
    assert_run(RUN_COMPLETED);
    finish();
}
END_TEST

/* One component fails in a phase: the set is partial, says why, and holds the others. */
static const struct {
    const char *script, *says, *code;
    bool thawed; /* its handle was let go */
} failures[] = {
    {"open failed\n", "the script says failed", "failed", false},
    {"probe unreachable\n", "the probe failed, nothing was read: the script says", "unreachable",
     false},
    {"probe crash\n", "the probe failed, nothing was read: ", "crashed", false},
    {"freeze io\n", "the script says io", "io", false},
    {"backup failed\n", "the script says failed", "failed", true},
    {"backup crash\n", "", "crashed", false},
    {"thaw io\n", "the point-in-time handle could not be let go: the script says io", "io", true},
    {"backup empty\n", "nothing came out of a source in which the probe saw 1 items", "empty",
     true},
};

START_TEST(test_partial)
{
    runtest_make(&t, two, NULL);
    runtest_script(&t, "a", failures[_i].script);
    ASSERT_FAILS(backup("full"), ORCH_E_FAILED, err, "is partial");
    ck_assert_ptr_nonnull(result.set);
    ck_assert_int_eq(result.set->state, SET_PARTIAL);
    const struct set_component *bad = set_component_find(result.set, "a");
    const struct set_component *good = set_component_find(result.set, "b");
    ck_assert(!bad->good && good->good);
    ck_assert_msg(strstr(bad->error, failures[_i].says) != NULL, "%s", bad->error);
    ck_assert_str_eq(runtest_member(result.components, "a", "state"), "failed");
    ck_assert_str_eq(runtest_member(result.components, "a", "code"), failures[_i].code);
    ck_assert_str_eq(runtest_member(result.components, "a", "error"), bad->error);
    ck_assert_str_eq(runtest_member(result.components, "b", "state"), "completed");
    ck_assert(runtest_told(&t, "failure a"));
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "a thaw"), failures[_i].thawed);
    assert_run(RUN_PARTIAL);
    finish();
}
END_TEST

START_TEST(test_all_fail)
{
    runtest_make(&t, two, NULL);
    runtest_script(&t, "a", "probe failed\n");
    runtest_script(&t, "b", "backup failed\n");
    ASSERT_FAILS(backup("full"), ORCH_E_FAILED, err, "every component failed; there is no new set");
    assert_no_set(0);
    assert_run(RUN_FAILED);
    finish();
}
END_TEST

START_TEST(test_the_only_one_fails)
{
    runtest_make(&t, (const char *const[]){"only", NULL}, NULL);
    runtest_script(&t, "only", "backup failed\n");
    ASSERT_FAILS(backup("full"), ORCH_E_FAILED, err, "only: the script says failed");
    assert_no_set(0);
    finish();
}
END_TEST

/* A message that is no text (a file name in Latin-1, an escape sequence) arrives readable. */
START_TEST(test_a_message_of_any_bytes)
{
    runtest_make(&t, two, NULL);
    runtest_script(&t, "a", "backup bytes\n");
    ck_assert_int_eq(backup("full"), ORCH_E_FAILED);
    static const char expected[] = "cannot read caf\\xe9";
    const char *error = runtest_member(result.components, "a", "error");
    ck_assert_msg(strncmp(error, expected, sizeof(expected) - 1) == 0, "%s", error);
    ck_assert_ptr_null(strchr(error, '\033'));
    ck_assert_str_eq(set_component_find(result.set, "a")->error, error);
    finish();
}
END_TEST

/* ---- empty sources ---- */

static const struct {
    const char *component, *data, *script;
    int32_t rc;
    const char *says;
} empties[] = {
    /* A plugin whose sources are never empty. */
    {"c", "", "", ORCH_E_FAILED, "the source is empty; a backup of nothing"},
    {"c", "x=\n", "", ORCH_OK, ""}, /* one empty item is something */
    {"c", "x=1\n", "backup empty\n", ORCH_E_FAILED, "the probe saw 1 items"},
    {"c", "x=1\n", "probe empty\nbackup empty\n", ORCH_E_FAILED, "the source is empty"},
    /* One whose sources may be. */
    {"c/e", "", "", ORCH_OK, ""},
    {"c/e", "x=1\n", "backup empty\n", ORCH_E_FAILED, "the probe saw 1 items"},
    {"c/e", "x=1\n", "probe empty\nbackup empty\n", ORCH_OK, ""},
    {"c/e", "", "probe items\n", ORCH_E_FAILED, "the probe saw 7 items"},
};

START_TEST(test_empty)
{
    runtest_make(&t, (const char *const[]){empties[_i].component, NULL}, NULL);
    runtest_data(&t, "c", empties[_i].data);
    runtest_script(&t, "c", empties[_i].script);
    if (empties[_i].rc == ORCH_OK) {
        ASSERT_OK(backup("full"), err);
        ck_assert_int_eq(result.set->state, SET_COMPLETED);
    } else {
        ASSERT_FAILS(backup("full"), empties[_i].rc, err, empties[_i].says);
        ck_assert_str_eq(runtest_member(result.components, "c", "code"), "empty");
        assert_no_set(0);
    }
    finish();
}
END_TEST

/* ---- retries ---- */

static const struct {
    const char *settings, *script;
    bool completed;
    size_t probes;
} retries[] = {
    {"retries = 2;", "backup changed 2\n", true, 3},
    {"retries = 2;", "backup changed 3\n", false, 3},
    {"retries = 1;", "probe unreachable 1\n", true, 2},
    {"retries = 1;", "freeze io 1\n", true, 2},
    {"retries = 1;", "backup crash 1\n", true, 2},
    {"retries = 1;", "probe unreachable 1\nbackup changed 1\n", false, 2},
    {"", "backup changed 1\n", false, 1},
    /* What will not pass by itself is not tried again. */
    {"retries = 5;", "backup failed 1\n", false, 1},
    {"retries = 5;", "backup empty 1\n", false, 1},
};

START_TEST(test_retries)
{
    runtest_make(&t, two, retries[_i].settings);
    runtest_data(&t, "a", "one=1\ntwo=22\n");
    runtest_script(&t, "a", retries[_i].script);
    ck_assert_int_eq(backup("full"), retries[_i].completed ? ORCH_OK : ORCH_E_FAILED);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "a probe"), retries[_i].probes);
    ck_assert_uint_eq(runtest_times(log, "b probe"), 1);
    if (retries[_i].completed) {
        /* The last try alone counts: nothing is there twice. */
        ck_assert_uint_eq(set_component_find(result.set, "a")->items, 2);
        ck_assert_uint_eq(set_component_find(result.set, "a")->size_bytes, 3);
        ck_assert(runtest_told(&t, "trying again (1 of"));
    }
    finish();
}
END_TEST

/* ---- what is asked for ---- */

static const struct {
    const char *components[3];
    const char *type, *base;
    int32_t rc;
    const char *says;
} requests[] = {
    {{"a", "b"}, "full", NULL, ORCH_OK, ""},
    {{"b"}, "full", NULL, ORCH_OK, ""},
    {{"a", "nothing"}, "full", NULL, ORCH_E_CONFIG, "there is no component \"nothing\""},
    {{"a", "a"}, "full", NULL, ORCH_E_CONFIG, "component \"a\" is named twice"},
    {{"a"}, "incremental", NULL, ORCH_OK, ""},
    {{"a"}, "incremental", "ffff", ORCH_E_NOT_FOUND, "ffff"},
};

START_TEST(test_requests)
{
    runtest_make(&t, two, NULL);
    struct backup_options options = {.components = requests[_i].components,
                                     .type = requests[_i].type,
                                     .label = "nightly",
                                     .base = requests[_i].base};
    while (options.components[options.component_count] != NULL) {
        options.component_count++;
    }
    int32_t rc = backup_run(&t.ctx, &options, &result, &err);
    if (requests[_i].rc == ORCH_OK) {
        ASSERT_OK(rc, err);
        ck_assert_uint_eq(result.set->component_count, options.component_count);
        ck_assert_str_eq(result.set->label, "nightly");
        ck_assert_str_eq(result.set->type, requests[_i].type);
    } else {
        ASSERT_FAILS(rc, requests[_i].rc, err, requests[_i].says);
        CLEANUP_FREE char *log = runtest_log(&t);
        ck_assert_str_eq(log, ""); /* nothing was started for it */
        assert_no_set(0);
    }
    finish();
}
END_TEST

/* The index cannot be opened while sources are probed: these are let go, and nothing is read. */
START_TEST(test_no_writer)
{
    runtest_make(&t, two, NULL);
    folder_write(t.dir, "repo/marks/0123456789abcdef0123456789abcdef", "no mark");
    ASSERT_FAILS(backup("full"), ORCH_E_CORRUPT, err, "marks/0123456789abcdef");
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_uint_eq(runtest_times(log, "a open"), runtest_times(log, "a close"));
    ck_assert_uint_eq(runtest_times(log, "b open"), runtest_times(log, "b close"));
    ck_assert_int_eq(runtest_place(log, "a freeze"), -1);
    ck_assert_int_eq(runtest_place(log, "b freeze"), -1);
    assert_no_set(0);
    finish();
}
END_TEST

/* An increment compares with the newest good part, or with that of the base. */
START_TEST(test_incremental)
{
    char first[ID_TEXT], second[ID_TEXT];
    runtest_make(&t, two, NULL);
    runtest_backup(&t, first);
    runtest_backup(&t, second);
    runtest_script(&t, "a", "backup failed 1\n");
    ck_assert_int_eq(backup("full"), ORCH_E_FAILED); /* a's newest good part stays in `second` */
    ASSERT_OK(backup("incremental"), err);
    char part[ID_TEXT], of_second[ID_TEXT], of_first[ID_TEXT];
    struct set_list sets = {0};
    ASSERT_OK(set_list_load(t.ctx.repo, NULL, NULL, &sets, &err), err);
    const struct set *found = NULL;
    ASSERT_OK(set_find(&sets, second, NULL, 0, &found, &err), err);
    memcpy(of_second, set_component_find(found, "a")->part, ID_TEXT);
    ASSERT_OK(set_find(&sets, first, NULL, 0, &found, &err), err);
    memcpy(of_first, set_component_find(found, "a")->part, ID_TEXT);
    memcpy(part, set_component_find(result.set, "a")->part, ID_TEXT);
    struct part *loaded = NULL;
    ASSERT_OK(part_load(t.ctx.repo, part, &loaded, &err), err);
    ck_assert_str_eq(loaded->earlier, of_second);
    part_free(loaded);
    set_list_free(&sets);
    struct backup_options options = {.type = "incremental", .base = first};
    backup_result_clear(&result);
    ASSERT_OK(backup_run(&t.ctx, &options, &result, &err), err);
    ASSERT_OK(part_load(t.ctx.repo, set_component_find(result.set, "a")->part, &loaded, &err), err);
    ck_assert_str_eq(loaded->earlier, of_first);
    ck_assert_str_eq(result.set->base, first);
    part_free(loaded);
    finish();
}
END_TEST

/* ---- verification ---- */

static const struct {
    const char *repository, *level;
    bool read_back;
} levels[] = {
    {"", "data", true},
    {"verify = \"data\";", "data", true},
    {"verify = \"index\";", "index", false},
    {"verify = \"manifest\";", "manifest", false},
    {"verify = \"none\";", "none", false},
};

START_TEST(test_levels)
{
    runtest_make_with(&t, two, NULL, levels[_i].repository);
    ASSERT_OK(backup("full"), err);
    ck_assert_str_eq(result.verified, levels[_i].level);
    ck_assert(result.verified_bytes > 0 || !levels[_i].read_back);
    ck_assert_int_eq(runtest_told(&t, "reading new packs back"), levels[_i].read_back);
    ck_assert_int_eq(runtest_told(&t, "verifying set"), _i != 4);
    finish();
}
END_TEST

/* Flips a byte in the middle of every file below repo/NAME, or takes them away. */
static void hurt(const struct runtest *where, const char *name, bool take_away)
{
    char command[256];
    (void)snprintf(command, sizeof(command),
                   take_away ? "find '%s/repo/%s' -type f -delete"
                             : "find '%s/repo/%s' -type f | while read f; do printf '\\377' | dd "
                               "of=\"$f\" bs=1 seek=60 conv=notrunc status=none; done",
                   where->dir, name);
    ck_assert_int_eq(system(command), 0);
}

static void hurt_packs(struct runtest *where, const struct report_event *event)
{
    if (event->kind == REPORT_PHASE && strcmp(event->text, "reading new packs back") == 0) {
        hurt(where, "packs", false);
    }
}

static void lose_parts(struct runtest *where, const struct report_event *event)
{
    if (event->kind == REPORT_PHASE && strncmp(event->text, "verifying set", 13) == 0) {
        hurt(where, "parts", true);
    }
}

/* What was just written turns out wrong: there is no set, neither before nor after its manifest. */
START_TEST(test_what_does_not_verify)
{
    runtest_make(&t, two, NULL);
    t.on_event = _i == 0 ? hurt_packs : lose_parts;
    ASSERT_FAILS(backup("full"), ORCH_E_CORRUPT, err, "what was just written does not verify");
    ck_assert_int_eq(strstr(err.message, "was withdrawn") != NULL, _i == 1);
    assert_no_set(0);
    assert_run(RUN_FAILED);
    finish();
}
END_TEST

/* ---- cancel ---- */

static const char *cancel_at;

static void cancel(struct runtest *where, const struct report_event *event)
{
    if (event->text != NULL && strcmp(event->text, cancel_at) == 0) {
        __atomic_store_n(&where->cancel, 1, __ATOMIC_RELAXED);
    }
}

START_TEST(test_cancel)
{
    static const char *const moments[] = {"probing", "freezing", "streaming", "streamed"};
    runtest_make(&t, two, "retries = 3;");
    cancel_at = moments[_i];
    t.on_event = cancel;
    ASSERT_FAILS(backup("full"), ORCH_E_CANCELLED, err, "cancelled; there is no new set");
    assert_no_set(0);
    assert_run(RUN_CANCELLED);
    ck_assert(!runtest_told(&t, "trying again"));
    ck_assert_str_ne(runtest_member(result.components, "a", "error"), "");
    finish();
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("backup");
    TCase *tests = tcase_create("backup");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_order);
    tcase_add_test(tests, test_no_writer);
    tcase_add_loop_test(tests, test_partial, 0, (int)COUNT_OF(failures));
    tcase_add_test(tests, test_all_fail);
    tcase_add_test(tests, test_the_only_one_fails);
    tcase_add_test(tests, test_a_message_of_any_bytes);
    tcase_add_loop_test(tests, test_empty, 0, (int)COUNT_OF(empties));
    tcase_add_loop_test(tests, test_retries, 0, (int)COUNT_OF(retries));
    tcase_add_loop_test(tests, test_requests, 0, (int)COUNT_OF(requests));
    tcase_add_test(tests, test_incremental);
    tcase_add_loop_test(tests, test_levels, 0, (int)COUNT_OF(levels));
    tcase_add_loop_test(tests, test_what_does_not_verify, 0, 2);
    tcase_add_loop_test(tests, test_cancel, 0, 4);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
