/* test_volumes_check.c: the volumes plugin: what check refuses and what verify finds. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"
#include "volumetree.h"

static void set_up(void)
{
    treecase_set_up("data");
}

static void change_nothing_but(int which)
{
    switch (which) {
    case 0:
        ck_assert_int_eq(unlink(treecase_at("empty")), 0);
        break;
    case 1:
        tree_text(treecase_at("extra"), "");
        break;
    case 2:
        ck_assert_int_eq(chmod(treecase_at("a/file"), 0600), 0);
        break;
    case 3:
        treecase_set_time(treecase_at("a/file"), 7, 7);
        break;
    case 4:
        ck_assert_int_eq(setxattr(treecase_at("empty"), "user.note", "other", 5, 0), 0);
        break;
    case 5:
        ck_assert_int_eq(unlink(treecase_at("link")), 0);
        ck_assert_int_eq(symlink("elsewhere", treecase_at("link")), 0);
        break;
    case 6:
        tree_text(treecase_at("a/file"), "longer than before");
        break;
    default:
        ck_assert_int_eq(chown(treecase_at("a/file"), 4, 4), 0);
        break;
    }
}

START_TEST(test_verify_finds)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    change_nothing_but(_i);
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_REFUSE);
}
END_TEST

START_TEST(test_check_work_dir)
{
    free(t.work);
    t.work = strdup(_i == 0 ? treecase_at("state") : t.scratch);
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(treecase_verdict("target-is-work-dir", ""), 1);
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_REFUSE);
}
END_TEST

START_TEST(test_check_space)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    char *facts = strdup(harness_facts(t.host));
    char *number = strstr(facts, "\"data_bytes\":");
    ck_assert_ptr_nonnull(number);
    char *changed = NULL;
    *number = 0;
    ck_assert_int_ge(asprintf(&changed, "%s\"data_bytes\":%lld,\"was\":%s", facts,
                              (long long)INT64_MAX / 2, number + 13),
                     0);
    harness_set_facts(t.host, changed);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(treecase_verdict("no-space", ""), 1);
    free(facts);
    free(changed);
}
END_TEST

START_TEST(test_check_paths)
{
    char paths[3 * PATH_MAX];
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    if (_i == 0) { /* one more than the backup has: said, and left alone */
        (void)snprintf(paths, sizeof(paths), "%s,%s/other", t.data, t.scratch);
        char *other = tree_join(t.scratch, "other");
        char *file = tree_join(other, "file");
        tree_mkdir(other, 0755);
        tree_text(file, "stays");
        treecase_must(harness_option(t.host, "paths", paths, &t.err));
        treecase_reopen();
        treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
        ck_assert_int_eq(treecase_verdict("path-not-in-set", ""), 1);
        treecase_restore_whole(TREECASE_RUN);
        ck_assert_int_eq(access(file, F_OK), 0);
        free(other);
        free(file);
    } else { /* another one: refused, by check and by the restore itself */
        (void)snprintf(paths, sizeof(paths), "%s/other", t.scratch);
        treecase_must(harness_option(t.host, "paths", paths, &t.err));
        treecase_reopen();
        treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
        ck_assert_int_eq(treecase_verdict("paths-differ", ""), 1);
        ck_assert_int_eq(harness_restore(t.host, TREECASE_RUN, 1, &t.err), ORCH_E_CONFIG);
    }
}
END_TEST

START_TEST(test_check_symlink)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_wipe();
    ck_assert_int_eq(symlink("/", t.data), 0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(treecase_verdict("target-symlink", ""), 1);
}
END_TEST

/* Noted files that are there now go with the old tree: a warning counts them and names the first.
 */
START_TEST(test_check_noted)
{
    char part[PATH_MAX + 64];
    volumetree_back_up_noted();
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    (void)snprintf(part, sizeof(part), "(3 of them, %s first)", treecase_at("closed"));
    ck_assert_int_eq(treecase_verdict("noted-files-lost", part), 1);
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_WARN);
    ck_assert_int_eq(chmod(treecase_at("closed"), 0700), 0);
    tree_remove(treecase_at("closed"));
    ck_assert_int_eq(unlink(treecase_at("no")), 0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(treecase_verdict("noted-files-lost", "(1 of them, "), 1);
    ck_assert_int_eq(treecase_verdict("noted-files-lost", "odd\\x0a\\xff first)"), 1);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    ck_assert_int_eq(access(treecase_at("odd\n\xff"), F_OK), -1);
    ck_assert_int_eq(access(treecase_at("a"), F_OK), 0);
}
END_TEST

/* The folder comes back as closed as it was, and empty: who cannot enter it can verify even so. */
START_TEST(test_verify_noted_folder)
{
    volumetree_back_up_noted();
    treecase_restore_whole(TREECASE_RUN);
    ck_assert_int_eq(tree_count(t.scratch, "orch-"), 0);
    tree_text(treecase_at("more"), "x");
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    ck_assert_int_eq(chmod(treecase_at("closed"), 0700), 0);
    ck_assert_int_eq(rmdir(treecase_at("closed")), 0);
}
END_TEST

/* 0: none is there; 1: restored elsewhere; 2: facts of a part without such; 3: odd facts. */
START_TEST(test_check_noted_none)
{
    static const char *const names[] = {"\"unreadable\"", "\"names\""};
    volumetree_back_up_noted();
    if (_i == 0) {
        ck_assert_int_eq(chmod(treecase_at("closed"), 0700), 0);
        treecase_wipe();
    } else if (_i == 1) {
        treecase_must(harness_option(t.host, "root", t.scratch, &t.err));
        treecase_reopen();
    } else {
        char *facts = strdup(harness_facts(t.host));
        char *at = strstr(facts, "\"unreadable\"");
        ck_assert_ptr_nonnull(at);
        at = strstr(at, names[_i - 2]);
        ck_assert_ptr_nonnull(at);
        at[1] = 'X';
        harness_set_facts(t.host, facts);
        free(facts);
    }
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(treecase_verdict("noted-files-lost", ""), 0);
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
}
END_TEST

/* The facts name the first hundred only. */
START_TEST(test_check_noted_many)
{
    volumetree_back_up_noted();
    char *facts = strdup(harness_facts(t.host));
    char *count = strstr(facts, "\"unreadable\":{\"count\":3");
    ck_assert_ptr_nonnull(count);
    *strchr(count, '3') = '4';
    harness_set_facts(t.host, facts);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(treecase_verdict("noted-files-lost", "(at least 3 of them, "), 1);
    free(facts);
}
END_TEST

int main(void)
{
    int root = geteuid() == 0;
    Suite *suite = suite_create("volumes-check");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, treecase_tear_down);
    tcase_add_loop_test(tc, test_verify_finds, 0, root ? 8 : 7);
    tcase_add_loop_test(tc, test_check_work_dir, 0, 2);
    tcase_add_test(tc, test_check_space);
    tcase_add_loop_test(tc, test_check_paths, 0, 2);
    tcase_add_test(tc, test_check_symlink);
    tcase_add_test(tc, test_check_noted);
    tcase_add_test(tc, test_verify_noted_folder);
    tcase_add_loop_test(tc, test_check_noted_none, 0, 4);
    tcase_add_test(tc, test_check_noted_many);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
