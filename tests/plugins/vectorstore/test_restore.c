/*
 * test_restore.c: check, restore, verify and settle: what is replaced, set aside, refused, and what
 * is still there when a restore dies between two renames.
 */
#include "fixture.h"
#include "generate.h"
#include "harness_internal.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN "0123abcd"

static struct fixture f;

/* Two stores, other files, a folder and a link; backed up. */
static void setup(void)
{
    fixture_open(&f);
    fixture_option(&f, "embedding.model", "m");
    fixture_index(&f, "one.faiss", "Flat", 50, 8, GENERATE_IP, 1);
    fixture_write(&f, "one.pkl", "one's docstore");
    fixture_mkdir(&f, "two");
    fixture_index(&f, "two/index.faiss", "HNSW", 60, 8, GENERATE_IP, 2);
    fixture_write(&f, "two/docstore.json", "{}");
    fixture_write(&f, "zz.txt", "other");
    char link[512];
    (void)snprintf(link, sizeof(link), "%s/current", f.path);
    ck_assert_int_eq(symlink("two", link), 0);
    fixture_backup(&f);
}

static void teardown(void)
{
    fixture_close(&f);
}

static void path_of(const char *name, char out[600])
{
    (void)snprintf(out, 600, "%s/%s", f.path, name);
}

static void expect_text(const char *name, const char *expected)
{
    char *text = fixture_read(&f, name);
    ck_assert_msg(text != NULL, "%s is missing", name);
    ck_assert_str_eq(text, expected);
    free(text);
}

/* The application's state before a restore: other content under the same and other names. */
static void change_all(void)
{
    fixture_index(&f, "one.faiss", "Flat", 7, 8, GENERATE_IP, 77);
    fixture_write(&f, "one.pkl", "changed");
    fixture_write(&f, "extra.txt", "not in the backup");
    fixture_mkdir(&f, "later");
    fixture_write(&f, "later/x", "not in the backup");
}

static void settle(uint32_t outcome)
{
    ck_assert_msg(harness_settle(f.h, RUN, outcome, &f.err) == 0, "%s", f.err.message);
}

/* ---- all of it -------------------------------------------------------------------------- */

START_TEST(test_lost_folder)
{
    char link[600], target[64] = "";
    fixture_wipe(&f);
    ck_assert_uint_ne(fixture_check(&f, NULL), ORCH_VERDICT_REFUSE);
    fixture_restore(&f, RUN, 1);
    fixture_verify(&f, RUN);
    settle(ORCH_SETTLE_VERIFIED);
    expect_text("one.pkl", "one's docstore");
    path_of("current", link);
    ck_assert_int_eq(readlink(link, target, sizeof(target) - 1), 3);
    ck_assert_str_eq(target, "two");
}
END_TEST

START_TEST(test_metadata)
{
    struct stat before, after;
    char path[600];
    path_of("one.pkl", path);
    ck_assert_int_eq(chmod(path, 0640), 0);
    fixture_age(&f, "one.pkl");
    path_of("two", path);
    ck_assert_int_eq(chmod(path, 0710), 0);
    fixture_age(&f, "two");
    fixture_age(&f, ".");
    fixture_backup(&f);
    static const char *const names[] = {"one.pkl", "two", "."};
    struct stat kept[3];
    for (size_t i = 0; i < 3; i++) {
        path_of(names[i], path);
        ck_assert_int_eq(stat(path, &kept[i]), 0);
    }
    fixture_wipe(&f);
    fixture_restore(&f, RUN, 1);
    settle(ORCH_SETTLE_VERIFIED);
    for (size_t i = 0; i < 3; i++) {
        before = kept[i];
        path_of(names[i], path);
        ck_assert_int_eq(stat(path, &after), 0);
        ck_assert_uint_eq(after.st_mode, before.st_mode);
        ck_assert_uint_eq(after.st_uid, before.st_uid);
        ck_assert_int_eq(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
        ck_assert_int_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    }
}
END_TEST

START_TEST(test_replace)
{
    change_all();
    fixture_restore(&f, RUN, 1);
    fixture_verify(&f, RUN);
    expect_text("one.pkl", "one's docstore");
    expect_text(".one.pkl.orch-aside-" RUN, "changed");
    expect_text(".extra.txt.orch-aside-" RUN, "not in the backup");
    expect_text(".later.orch-aside-" RUN "/x", "not in the backup");
    ck_assert(!fixture_exists(&f, "extra.txt") && !fixture_exists(&f, "later"));
    const char *journal = harness_journal(f.h);
    char line[1400];
    (void)snprintf(line, sizeof(line), "intent rename %s/one.pkl -> %s/.one.pkl.orch-aside-" RUN,
                   f.path, f.path);
    ck_assert_ptr_nonnull(strstr(journal, line));
    (void)snprintf(line, sizeof(line), "done rename %s/one.pkl\n", f.path);
    ck_assert_ptr_nonnull(strstr(journal, line));
    settle(ORCH_SETTLE_VERIFIED);
    ck_assert(!fixture_exists(&f, ".one.pkl.orch-aside-" RUN) &&
              !fixture_exists(&f, ".extra.txt.orch-aside-" RUN) &&
              !fixture_exists(&f, ".later.orch-aside-" RUN) &&
              !fixture_exists(&f, ".one.faiss.orch-new-" RUN));
    fixture_verify(&f, RUN);
}
END_TEST

START_TEST(test_settle_failed)
{
    change_all();
    fixture_write(&f, ".one.pkl.orch-aside-another", "of another run");
    fixture_restore(&f, RUN, 1);
    settle(ORCH_SETTLE_FAILED);
    expect_text(".one.pkl.orch-aside-" RUN, "changed");
    settle(ORCH_SETTLE_VERIFIED);
    expect_text(".one.pkl.orch-aside-another", "of another run");
}
END_TEST

/* What the backup leaves out, a restore leaves alone. */
START_TEST(test_excluded_stay)
{
    fixture_option(&f, "exclude", "*.tmp");
    fixture_write(&f, "a.tmp", "excluded");
    fixture_backup(&f);
    fixture_mkdir(&f, "later");
    fixture_write(&f, "later/b.tmp", "excluded");
    fixture_write(&f, "later/x", "not in the backup");
    fixture_restore(&f, RUN, 1);
    expect_text("a.tmp", "excluded");
    expect_text("later/b.tmp", "excluded");
    expect_text("later/.x.orch-aside-" RUN, "not in the backup");
}
END_TEST

/* A folder is in the place of a file: it goes aside whole. */
START_TEST(test_folder_in_place_of_file)
{
    char path[600];
    path_of("zz.txt", path);
    ck_assert_int_eq(unlink(path), 0);
    fixture_mkdir(&f, "zz.txt");
    fixture_write(&f, "zz.txt/inside", "kept");
    fixture_restore(&f, RUN, 1);
    expect_text("zz.txt", "other");
    expect_text(".zz.txt.orch-aside-" RUN "/inside", "kept");
    settle(ORCH_SETTLE_VERIFIED);
    ck_assert(!fixture_exists(&f, ".zz.txt.orch-aside-" RUN));
}
END_TEST

/* ---- selections ------------------------------------------------------------------------- */

static struct orch_restore restore_of(const char *const *selects, uint32_t attempt)
{
    struct orch_restore r = {.struct_size = (uint32_t)sizeof(r),
                             .strategy = ORCH_STRATEGY_REPLACE,
                             .attempt = attempt,
                             .data_format = 1,
                             .run_id = RUN,
                             .facts_json = harness_facts(f.h),
                             .selects = selects,
                             .select_count = selects == NULL ? 0 : 1};
    return r;
}

static const struct {
    const char *select;
    int one, two, other; /* what comes back */
} selections[] = {
    {"one", 1, 0, 0},    {"two", 0, 1, 0},       {"t*", 0, 1, 0},
    {"zz.txt", 0, 0, 1}, {"one.faiss", 1, 0, 0}, {"two/docstore.json", 0, 2, 0},
    {"*", 1, 1, 1},
};

START_TEST(test_select)
{
    const char *selects[] = {selections[_i].select};
    struct orch_restore r = restore_of(selects, 1);
    fixture_wipe(&f);
    ck_assert_int_eq(mkdir(f.path, 0755), 0);
    fixture_write(&f, "extra.txt", "stays");
    harness_rewind(f.h);
    ck_assert_msg(f.h->plugin->restore(f.h->instance, &r, &f.err) == 0, "%s", f.err.message);
    ck_assert_int_eq(fixture_exists(&f, "one.faiss"), selections[_i].one);
    ck_assert_int_eq(fixture_exists(&f, "one.pkl"), selections[_i].one);
    ck_assert_int_eq(fixture_exists(&f, "two/index.faiss"), selections[_i].two == 1);
    ck_assert_int_eq(fixture_exists(&f, "two/docstore.json"), selections[_i].two > 0);
    ck_assert_int_eq(fixture_exists(&f, "two"), selections[_i].two > 0);
    ck_assert_int_eq(fixture_exists(&f, "zz.txt"), selections[_i].other);
    expect_text("extra.txt", "stays");
    f.h->verdict_count = 0;
    ck_assert_int_eq(f.h->plugin->verify(f.h->instance, &r, &f.err), 0);
    ck_assert_uint_eq(harness_worst(f.h), ORCH_VERDICT_GO);
}
END_TEST

START_TEST(test_select_nothing)
{
    const char *selects[] = {"no-such-store"};
    struct orch_restore r = restore_of(selects, 1);
    f.h->verdict_count = 0;
    ck_assert_int_eq(f.h->plugin->check(f.h->instance, &r, &f.err), 0);
    ck_assert_uint_eq(harness_worst(f.h), ORCH_VERDICT_REFUSE);
    ck_assert_str_eq(f.h->verdicts[0].code, "selection-empty");
    ck_assert_ptr_nonnull(strstr(f.h->verdicts[0].message, "one, two"));
}
END_TEST

/* ---- what goes wrong -------------------------------------------------------------------- */

/* The stream breaks after any number of events: nothing of the target is touched. */
START_TEST(test_broken_stream)
{
    change_all();
    harness_fail_next_after(f.h, (uint64_t)_i);
    ck_assert_int_eq(harness_restore(f.h, RUN, 1, &f.err), ORCH_E_CORRUPT);
    expect_text("one.pkl", "changed");
    expect_text("extra.txt", "not in the backup");
    ck_assert(!fixture_exists(&f, ".one.pkl.orch-aside-" RUN));
    harness_fail_next_after(f.h, UINT64_MAX);
    fixture_restore(&f, RUN, 2);
    fixture_verify(&f, RUN);
    expect_text(".one.pkl.orch-aside-" RUN, "changed");
    settle(ORCH_SETTLE_VERIFIED);
}
END_TEST

START_TEST(test_wrong_bytes)
{
    struct harness_item *item =
        (struct harness_item *)(uintptr_t)harness_find(f.h, "two/index.faiss");
    item->data[item->data_len / 2] ^= 1;
    change_all();
    ck_assert_int_eq(harness_restore(f.h, RUN, 1, &f.err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(f.err.message, "two/index.faiss"));
    expect_text("one.pkl", "changed");
    settle(ORCH_SETTLE_FAILED);
    ck_assert(!fixture_exists(&f, ".one.pkl.orch-new-" RUN));
}
END_TEST

static const struct {
    const char *name, *meta;
    char kind;
} hostile[] = {
    {"../evil", "644 0 0 1 ", 'f'},
    {"/etc/evil", "644 0 0 1 ", 'f'},
    {"a/../../evil", "644 0 0 1 ", 'f'},
    {"evil", "644 0 0 1 ", 'c'},
    {"evil", "", 'f'},
    {"evil", "644 0 0 1 ", 'f'},
};

START_TEST(test_hostile_part)
{
    struct harness_item *item = (struct harness_item *)(uintptr_t)harness_find(f.h, "zz.txt");
    struct orch_object kept = item->object;
    item->object.name = (const uint8_t *)hostile[_i].name;
    item->object.name_len = (uint32_t)strlen(hostile[_i].name);
    item->object.meta = (const uint8_t *)hostile[_i].meta;
    item->object.meta_len = (uint32_t)strlen(hostile[_i].meta);
    item->object.kind = (uint32_t)hostile[_i].kind;
    ck_assert_int_eq(harness_restore(f.h, RUN, 1, &f.err), ORCH_E_CORRUPT);
    ck_assert_uint_gt(strlen(f.err.message), 10);
    item->object = kept;
    fixture_verify(&f, RUN);
}
END_TEST

/* A link where the backup has a folder is never followed. */
START_TEST(test_link_in_place_of_folder)
{
    char path[600], outside[600], command[1400];
    const char *code = NULL;
    path_of("two", path);
    (void)snprintf(outside, sizeof(outside), "%s/outside", f.dir);
    (void)snprintf(command, sizeof(command), "rm -r %s", path);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(mkdir(outside, 0755), 0);
    ck_assert_int_eq(symlink(outside, path), 0);
    ck_assert_uint_eq(fixture_check(&f, &code), ORCH_VERDICT_REFUSE);
    ck_assert_str_eq(code, "target-shape");
    ck_assert_int_eq(harness_restore(f.h, RUN, 1, &f.err), ORCH_E_EXISTS);
    ck_assert_int_eq(rmdir(outside), 0); /* still empty */
}
END_TEST

/* ---- dying between two acts ------------------------------------------------------------- */

static int acts_left;

static int32_t dying_intent(void *ctx, const char *action, const char *target, const char *aside,
                            struct orch_error *err)
{
    (void)ctx;
    (void)action;
    (void)target;
    (void)aside;
    (void)err;
    if (acts_left-- == 0) {
        _exit(9);
    }
    return ORCH_OK;
}

static int32_t dying_done(void *ctx, const char *action, const char *target, struct orch_error *err)
{
    return dying_intent(ctx, action, target, NULL, err);
}

/* Acts: five files and the link swapped, one file and one folder set aside: 8 intents, 8 dones. */
START_TEST(test_killed_between_renames)
{
    int status = 0;
    change_all();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        acts_left = _i;
        f.h->host.intent = dying_intent;
        f.h->host.done = dying_done;
        _exit(harness_restore(f.h, RUN, 1, &f.err) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 9);
    fixture_restore(&f, RUN, 2);
    fixture_verify(&f, RUN);
    expect_text("one.pkl", "one's docstore");
    expect_text(".one.pkl.orch-aside-" RUN, "changed");
    expect_text(".extra.txt.orch-aside-" RUN, "not in the backup");
    expect_text(".later.orch-aside-" RUN "/x", "not in the backup");
    settle(ORCH_SETTLE_VERIFIED);
    fixture_verify(&f, RUN);
}
END_TEST

/* A file that had no original gets no aside from a later attempt. */
START_TEST(test_no_false_aside)
{
    char path[600];
    path_of("one.pkl", path);
    ck_assert_int_eq(unlink(path), 0);
    fixture_restore(&f, RUN, 1);
    ck_assert(!fixture_exists(&f, ".one.pkl.orch-aside-" RUN));
    fixture_restore(&f, RUN, 2);
    ck_assert(!fixture_exists(&f, ".one.pkl.orch-aside-" RUN));
}
END_TEST

/* ---- verify ----------------------------------------------------------------------------- */

static void expect_refusal(const char *code)
{
    uint64_t count = 0;
    int found = 0;
    ck_assert_msg(harness_verify(f.h, RUN, &f.err) == 0, "%s", f.err.message);
    const struct harness_verdict *v = harness_verdicts(f.h, &count);
    for (uint64_t i = 0; i < count; i++) {
        found |= v[i].severity == ORCH_VERDICT_REFUSE && strcmp(v[i].code, code) == 0;
    }
    ck_assert_msg(found, "no refusal %s among %d verdicts", code, (int)count);
}

START_TEST(test_verify_notices)
{
    char path[600];
    fixture_verify(&f, RUN);
    fixture_write(&f, "two/docstore.json", "{ }");
    expect_refusal("file-differs");
    path_of("two/docstore.json", path);
    ck_assert_int_eq(unlink(path), 0);
    expect_refusal("file-missing");
    fixture_index(&f, "one.faiss", "Flat", 50, 8, GENERATE_IP, 99); /* other vectors */
    expect_refusal("store-searches-differ");
    fixture_index(&f, "one.faiss", "Flat", 51, 8, GENERATE_IP, 1);
    expect_refusal("store-differs");
    fixture_index(&f, "one.faiss", "HNSW", 50, 8, GENERATE_IP, 1);
    expect_refusal("store-differs");
    fixture_write(&f, "one.faiss", "no index");
    expect_refusal("store-unreadable");
}
END_TEST

/* ---- check ------------------------------------------------------------------------------ */

START_TEST(test_check_refuses)
{
    struct orch_restore r = restore_of(NULL, 1);
    static const struct {
        uint32_t strategy, format;
        uint64_t size;
        const char *facts, *code;
    } cases[] = {
        {ORCH_STRATEGY_MERGE_PRESERVE, 1, 1, NULL, "strategy"},
        {ORCH_STRATEGY_REPLACE, 2, 1, NULL, "data-format"},
        {ORCH_STRATEGY_REPLACE, 1, UINT64_MAX / 2, NULL, "no-space"},
        {ORCH_STRATEGY_REPLACE, 1, 1, "{\"stores\": [", "facts-invalid"},
        {ORCH_STRATEGY_REPLACE, 1, 1, "{\"stores\": {}, \"files\": {\"a\": 1}}", "facts-invalid"},
        {ORCH_STRATEGY_REPLACE, 1, 1, "{}", "facts-invalid"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        r.strategy = cases[i].strategy;
        r.data_format = cases[i].format;
        r.size_bytes = cases[i].size;
        r.facts_json = cases[i].facts == NULL ? harness_facts(f.h) : cases[i].facts;
        f.h->verdict_count = 0;
        ck_assert_int_eq(f.h->plugin->check(f.h->instance, &r, &f.err), 0);
        ck_assert_uint_eq(f.h->verdicts[0].severity, ORCH_VERDICT_REFUSE);
        ck_assert_str_eq(f.h->verdicts[0].code, cases[i].code);
        ck_assert_uint_eq(f.h->verdicts[0].flags & ORCH_VERDICT_OVERRIDABLE, 0);
    }
}
END_TEST

START_TEST(test_check_target)
{
    char path[600], command[1300];
    const char *code = NULL;
    char *facts = strdup(harness_facts(f.h));
    harness_set_facts(f.h, facts);
    free(facts);
    (void)snprintf(path, sizeof(path), "%s/file", f.dir);
    (void)snprintf(command, sizeof(command), "touch %s", path);
    ck_assert_int_eq(system(command), 0);
    fixture_option(&f, "path", path);
    fixture_reopen(&f);
    ck_assert_uint_eq(fixture_check(&f, &code), ORCH_VERDICT_REFUSE);
    ck_assert_str_eq(code, "target-folder");
    (void)snprintf(path, sizeof(path), "%s/deep/er/stores", f.dir);
    fixture_option(&f, "path", path);
    fixture_reopen(&f);
    ck_assert_uint_ne(fixture_check(&f, &code), ORCH_VERDICT_REFUSE);
    fixture_restore(&f, RUN, 1); /* the part fits any folder */
    fixture_verify(&f, RUN);
}
END_TEST

START_TEST(test_newer_faiss_warns)
{
    char *facts = strdup(harness_facts(f.h));
    const char *code = NULL;
    char *at = strstr(facts, "\"faiss_version\":\"");
    ck_assert_ptr_nonnull(at);
    at[strlen("\"faiss_version\":\"")] = '9';
    harness_set_facts(f.h, facts);
    ck_assert_uint_eq(fixture_check(&f, NULL), ORCH_VERDICT_WARN);
    uint64_t count = 0;
    code = harness_verdicts(f.h, &count)[0].code;
    ck_assert_str_eq(code, "faiss-version");
    free(facts);
}
END_TEST

START_TEST(test_scratch)
{
    char path[600];
    struct stat st;
    ck_assert_int_eq(f.h->plugin->scratch(f.h->instance, f.dir, &f.err), 0);
    fixture_restore(&f, RUN, 1);
    fixture_verify(&f, RUN);
    (void)snprintf(path, sizeof(path), "%s/vectors/one.faiss", f.dir);
    ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("vectorstore restore");
    TCase *tests = tcase_create("restore");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_lost_folder);
    tcase_add_test(tests, test_metadata);
    tcase_add_test(tests, test_replace);
    tcase_add_test(tests, test_settle_failed);
    tcase_add_test(tests, test_excluded_stay);
    tcase_add_test(tests, test_folder_in_place_of_file);
    tcase_add_loop_test(tests, test_select, 0, COUNT(selections));
    tcase_add_test(tests, test_select_nothing);
    tcase_add_loop_test(tests, test_broken_stream, 0, 21);
    tcase_add_test(tests, test_wrong_bytes);
    tcase_add_loop_test(tests, test_hostile_part, 0, COUNT(hostile));
    tcase_add_test(tests, test_link_in_place_of_folder);
    tcase_add_loop_test(tests, test_killed_between_renames, 0, 16);
    tcase_add_test(tests, test_no_false_aside);
    tcase_add_test(tests, test_verify_notices);
    tcase_add_test(tests, test_check_refuses);
    tcase_add_test(tests, test_check_target);
    tcase_add_test(tests, test_newer_faiss_warns);
    tcase_add_test(tests, test_scratch);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
