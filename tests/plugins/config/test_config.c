/* test_config.c: the config plugin through the host in one process. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"
#include "treecase.h"

static void set_up(void)
{
    treecase_set_up("etc");
    treecase_load(PLUGIN_PATH, t.data);
}

static void make_etc(void)
{
    tree_mkdir(t.data, 0755);
    tree_mkdir(treecase_at("conf.d"), 0750);
    tree_mkdir(treecase_at("empty"), 0700);
    tree_text(treecase_at("main.conf"), "listen = 80\n");
    tree_text(treecase_at("conf.d/10-a.conf"), "a = 1\n");
    tree_text(treecase_at("conf.d/20-b.conf"), "b = 2\n");
    ck_assert_int_eq(symlink("conf.d/10-a.conf", treecase_at("current")), 0);
    ck_assert_int_eq(chmod(treecase_at("main.conf"), 0640), 0);
    ck_assert_int_eq(setxattr(treecase_at("main.conf"), "user.note", "x", 1, 0), 0);
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 1000, .tv_nsec = 5}};
    ck_assert_int_eq(utimensat(AT_FDCWD, treecase_at("main.conf"), times, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, treecase_at("conf.d"), times, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, t.data, times, 0), 0);
}

/* What somebody did to it since: a changed file, one more, one less, kinds exchanged. */
static void spoil(void)
{
    tree_text(treecase_at("main.conf"), "listen = 81\n# broken\n");
    tree_text(treecase_at("conf.d/30-new.conf"), "c = 3\n");
    tree_mkdir(treecase_at("more"), 0755);
    tree_text(treecase_at("more/file"), "x");
    ck_assert_int_eq(unlink(treecase_at("conf.d/20-b.conf")), 0);
    ck_assert_int_eq(rmdir(treecase_at("empty")), 0);
    tree_text(treecase_at("empty"), "a file now");
    ck_assert_int_eq(unlink(treecase_at("current")), 0);
    tree_mkdir(treecase_at("current"), 0755);
    tree_text(treecase_at("current/in"), "y");
}

static void open_and_backup(void)
{
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
}

static char *aside_path(const char *run)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/aside/%s%s", t.work, run, t.data), 0);
    return path;
}

/* 0: as root; 1: as an ordinary user. Live files were changed, or are gone. */
START_TEST(test_round)
{
    if (_i % 2 == 1) {
        tree_become_ordinary(t.scratch);
    }
    make_etc();
    char *before = tree_describe(t.data);
    open_and_backup();
    if (_i < 2) {
        spoil();
    } else {
        tree_remove(t.data);
    }
    char *spoiled = tree_describe(t.data);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    treecase_verify_good(TREECASE_RUN);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_VERIFIED, &t.err));
    treecase_is_as(before);
    char *aside = aside_path(TREECASE_RUN);
    char *kept = tree_describe(aside);
    ck_assert_str_eq(kept, spoiled);
    ck_assert_int_eq(tree_count(t.work, "stage"), 0);
    ck_assert_ptr_nonnull(strstr(harness_journal(t.host), "aside/" TREECASE_RUN));
    free(aside);
    free(kept);
    free(spoiled);
    free(before);
}
END_TEST

START_TEST(test_facts)
{
    make_etc();
    open_and_backup();
    ck_assert_ptr_nonnull(strstr(harness_facts(t.host), "\"stable_while_read\":true"));
    const struct harness_item *item = harness_find(t.host, treecase_at("main.conf"));
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_ne(item->object.flags & ORCH_OBJECT_IS_FILE, 0);
}
END_TEST

START_TEST(test_check_command)
{
    static const struct command_case {
        const char *command;
        int good;
        const char *part;
    } cases[] = {
        {"grep -q 'listen = 80' \"$ORCHESTRATE_PATHS/main.conf\"", 1, ""},
        {"echo first; echo 'line 3: bad directive' >&2; exit 3", 0, "line 3: bad directive"},
        {"exit 3", 0, "exited with 3"},
        {"kill -9 $$", 0, "signal 9"},
        {"sleep 1000 & sleep 1000", 0, "did not end within"},
        {"yes | head -c 1000000; exit 1", 0, "exited with 1"},
        {"sleep 1000 & exit 0", 1, ""},
    };
    make_etc();
    treecase_must(harness_option(t.host, "check_command", cases[_i].command, &t.err));
    treecase_must(harness_option(t.host, "check_timeout", _i == 4 ? "300" : "20000", &t.err));
    open_and_backup();
    spoil();
    char *spoiled = tree_describe(t.data);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_int_eq(harness_worst(t.host) != ORCH_VERDICT_REFUSE, cases[_i].good);
    if (!cases[_i].good) {
        ck_assert_int_eq(treecase_verdict("check-command", cases[_i].part), 1);
        treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
        char *now = tree_describe(t.data);
        ck_assert_str_eq(now, spoiled);
        free(now);
    }
    free(spoiled);
}
END_TEST

/* Failing before everything has come touches nothing. */
START_TEST(test_failed_stream)
{
    make_etc();
    open_and_backup();
    spoil();
    char *before = tree_describe(t.data);
    harness_fail_next_after(t.host, (uint64_t)_i * 4);
    ck_assert_int_eq(harness_restore(t.host, TREECASE_RUN, 1, &t.err), ORCH_E_CORRUPT);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    treecase_is_as(before);
    ck_assert_int_eq(tree_count(t.work, "stage"), 0);
    free(before);
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
static const char *const points[] = {"config-staged", "aside-copied",   "config-aside-made",
                                     "install-file",  "install-placed", "config-installed"};

/* Killed anywhere: resumed it finishes (even), given up it goes back (odd), and the copy of what
 * was live before the run is never overwritten by what the run itself installed. */
START_TEST(test_crash)
{
    make_etc();
    char *wanted = tree_describe(t.data);
    open_and_backup();
    spoil();
    char *original = tree_describe(t.data);
    treecase_killed_at(points[_i / 2], 1);
    if (_i % 2 == 0) {
        treecase_must(harness_restore(t.host, TREECASE_RUN, 2, &t.err));
        treecase_verify_good(TREECASE_RUN);
        char *aside = aside_path(TREECASE_RUN);
        char *kept = tree_describe(aside);
        ck_assert_str_eq(kept, original);
        free(kept);
        free(aside);
        treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_VERIFIED, &t.err));
    } else {
        treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    }
    char *now = tree_describe(t.data);
    ck_assert_str_eq(now, _i % 2 == 0 ? wanted : original);
    free(now);
    free(wanted);
    free(original);
}
END_TEST
#endif

/* Nothing was there before: given up, nothing is there again. */
START_TEST(test_roll_back_to_nothing)
{
    make_etc();
    open_and_backup();
    tree_remove(t.data);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    ck_assert_int_eq(access(treecase_at("main.conf"), F_OK), 0);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    ck_assert_int_eq(access(t.data, F_OK), -1);
}
END_TEST

/* Excluded files are in no backup, and a restore leaves the live ones where they are. */
START_TEST(test_excluded_stay)
{
    make_etc();
    treecase_must(harness_option(t.host, "exclude", "*.secret,/more/", &t.err));
    open_and_backup();
    tree_mkdir(treecase_at("more"), 0700);
    tree_text(treecase_at("more/file"), "mine");
    tree_mkdir(treecase_at("odd"), 0755);
    tree_text(treecase_at("odd/key.secret"), "mine too");
    tree_text(treecase_at("odd/else"), "goes");
    tree_text(treecase_at("main.conf"), "other");
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    char *text = tree_read(treecase_at("more/file"));
    ck_assert_str_eq(text, "mine");
    free(text);
    text = tree_read(treecase_at("odd/key.secret"));
    ck_assert_str_eq(text, "mine too");
    free(text);
    ck_assert_int_eq(access(treecase_at("odd/else"), F_OK), -1);
    text = tree_read(treecase_at("main.conf"));
    ck_assert_str_eq(text, "listen = 80\n");
    free(text);
}
END_TEST

/* A file is replaced by rename: who has it open still reads the old one whole. */
START_TEST(test_atomic_per_file)
{
    make_etc();
    open_and_backup();
    tree_text(treecase_at("main.conf"), "old");
    int fd = open(treecase_at("main.conf"), O_RDONLY | O_CLOEXEC);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    char got[16] = "";
    ck_assert_int_eq(read(fd, got, sizeof(got)), 3);
    ck_assert_str_eq(got, "old");
    (void)close(fd);
}
END_TEST

START_TEST(test_single_files)
{
    char paths[2 * PATH_MAX];
    char *a = tree_join(t.scratch, "a.conf");
    char *b = tree_join(t.scratch, "gone/b.conf");
    char *gone = tree_join(t.scratch, "gone");
    (void)snprintf(paths, sizeof(paths), "%s,%s", a, b);
    treecase_must(harness_option(t.host, "paths", paths, &t.err));
    tree_text(a, "A");
    tree_mkdir(gone, 0755);
    tree_text(b, "B");
    open_and_backup();
    tree_text(a, "changed");
    tree_remove(gone);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    treecase_verify_good(TREECASE_RUN);
    char *text = tree_read(a);
    ck_assert_str_eq(text, "A");
    free(text);
    text = tree_read(b);
    ck_assert_str_eq(text, "B");
    free(text);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    text = tree_read(a);
    ck_assert_str_eq(text, "changed");
    free(text);
    ck_assert_int_eq(access(b, F_OK), -1);
    free(a);
    free(b);
    free(gone);
}
END_TEST

START_TEST(test_aside_keep)
{
    char keep[2] = {(char)('0' + _i), 0};
    make_etc();
    treecase_must(harness_option(t.host, "aside_keep", keep, &t.err));
    open_and_backup();
    for (int i = 0; i < 5; i++) {
        char run[33];
        (void)snprintf(run, sizeof(run), "0000000%1u%024u", (unsigned)i % 10, 0U);
        treecase_must(harness_restore(t.host, run, 1, &t.err));
        treecase_must(harness_settle(t.host, run, ORCH_SETTLE_VERIFIED, &t.err));
    }
    char *aside = tree_join(t.work, "aside");
    ck_assert_int_eq(tree_count(aside, "0000"), _i);
    if (_i > 0) { /* the newest is among them */
        ck_assert_int_eq(tree_count(aside, "00000004"), 1);
    }
    free(aside);
}
END_TEST

START_TEST(test_too_large)
{
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    make_etc();
    tree_text(treecase_at("large"), "");
    ck_assert_int_eq(truncate(treecase_at("large"), (off_t)64 * 1024 * 1024 + 1), 0);
    treecase_must(harness_open(t.host, &t.err));
    ck_assert_int_eq(harness_backup(t.host, 0, &probe, &freeze, &t.err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(t.err.message, "large"));
}
END_TEST

/* Temporary files of a restore that was killed are no configuration. */
START_TEST(test_own_leftovers)
{
    make_etc();
    tree_text(treecase_at("conf.d/.10-a.conf.orch-new-0123abcd"), "half");
    open_and_backup();
    ck_assert_ptr_null(harness_find(t.host, treecase_at("conf.d/.10-a.conf.orch-new-0123abcd")));
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    ck_assert_int_eq(access(treecase_at("conf.d/.10-a.conf.orch-new-0123abcd"), F_OK), -1);
}
END_TEST

START_TEST(test_other_place)
{
    make_etc();
    char *place = tree_join(t.scratch, "place");
    char *there = NULL;
    ck_assert_int_ge(asprintf(&there, "%s%s", place, t.data), 0);
    open_and_backup();
    char *before = tree_describe(t.data);
    char *facts = strdup(harness_facts(t.host));
    treecase_must(harness_option(t.host, "root", place, &t.err));
    harness_close(t.host);
    treecase_must(harness_open(t.host, &t.err));
    harness_set_facts(t.host, facts);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    treecase_verify_good(TREECASE_RUN);
    char *after = tree_describe(there);
    ck_assert_str_eq(before, after);
    free(facts);
    free(before);
    free(after);
    free(there);
    free(place);
}
END_TEST

START_TEST(test_refusals)
{
    static const char *const names[] = {"relative", "/", "/a/../b"};
    treecase_must(harness_option(t.host, "paths", names[_i], &t.err));
    ck_assert_int_eq(harness_open(t.host, &t.err), ORCH_E_CONFIG);
}
END_TEST

/* A file that is mounted alone, as containers do: written in place, and put back in place. */
START_TEST(test_mounted_file)
{
    make_etc();
    char *outside = tree_join(t.scratch, "outside");
    tree_text(outside, "mounted");
    ck_assert_msg(mount(outside, treecase_at("main.conf"), NULL, MS_BIND, NULL) == 0, "%s",
                  strerror(errno));
    open_and_backup();
    tree_text(treecase_at("main.conf"), "changed since");
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    char *text = tree_read(treecase_at("main.conf"));
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    char *back = tree_read(treecase_at("main.conf"));
    int left = tree_count(t.data, "orch-");
    ck_assert_int_eq(umount(treecase_at("main.conf")), 0);
    ck_assert_str_eq(text, "mounted");
    ck_assert_str_eq(back, "changed since");
    ck_assert_int_eq(left, 0);
    free(text);
    free(back);
    free(outside);
}
END_TEST

/* A configuration with two things that an ordinary user cannot read, backed up by that user. */
static void back_up_noted(void)
{
    tree_become_ordinary(t.scratch);
    make_etc();
    ck_assert_int_eq(chmod(treecase_at("conf.d/10-a.conf"), 0), 0);
    ck_assert_int_eq(chmod(treecase_at("empty"), 0), 0);
    treecase_must(harness_option(t.host, "on_unreadable", "note", &t.err));
    open_and_backup();
    ck_assert_int_eq(treecase_fact_count("unreadable"), 2);
}

/* What cannot be read cannot be set aside: refused before anything is touched. */
START_TEST(test_unreadable_refused)
{
    back_up_noted();
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    ck_assert_int_eq(treecase_verdict("target-not-readable", "2 of them cannot be read"), 1);
    ck_assert_int_eq(treecase_verdict("target-not-readable", "conf.d/10-a.conf first"), 1);
    ck_assert_int_eq(treecase_verdict("target-not-readable", "make them readable"), 1);
    ck_assert_int_eq(access(t.work, F_OK), -1);
    /* Made readable, they are removed and kept in the copy: a warning, and the restore works. */
    ck_assert_int_eq(chmod(treecase_at("conf.d/10-a.conf"), 0400), 0);
    ck_assert_int_eq(rmdir(treecase_at("empty")), 0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_WARN);
    ck_assert_int_eq(treecase_verdict("noted-files-lost", "(1 of them, "), 1);
    ck_assert_int_eq(treecase_verdict("noted-files-lost", "aside_keep = 3"), 1);
    char *before = tree_describe(t.data);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    treecase_verify_good(TREECASE_RUN);
    ck_assert_int_eq(access(treecase_at("conf.d/10-a.conf"), F_OK), -1);
    ck_assert_int_eq(access(treecase_at("empty"), F_OK), 0);
    char *aside = aside_path(TREECASE_RUN);
    char *copy = tree_join(aside, "conf.d/10-a.conf");
    char *text = tree_read(copy);
    ck_assert_str_eq(text, "a = 1\n");
    /* Given up, all is back, and the folder that nobody may enter is gone again. */
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_FAILED, &t.err));
    treecase_is_as(before);
    free(before);
    free(text);
    free(copy);
    free(aside);
}
END_TEST

/* Root can read it all: a warning, no refusal. */
START_TEST(test_noted_as_root)
{
    back_up_noted();
    tree_become_root_again();
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_WARN);
    ck_assert_int_eq(treecase_verdict("noted-files-lost", "(2 of them, "), 1);
    treecase_restore_whole(TREECASE_RUN);
    ck_assert_int_eq(access(treecase_at("conf.d/10-a.conf"), F_OK), -1);
}
END_TEST

/* 0: an excluded file stays where it is, so nobody has to read it. 1: a run that is resumed has its
 * copy already. */
START_TEST(test_unreadable_no_matter)
{
    tree_become_ordinary(t.scratch);
    make_etc();
    treecase_must(harness_option(t.host, "exclude", "*.secret", &t.err));
    open_and_backup();
    if (_i == 1) {
        treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    }
    const char *file = treecase_at(_i == 0 ? "key.secret" : "main.conf");
    tree_text(file, "x");
    ck_assert_int_eq(chmod(file, 0), 0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 2, &t.err));
    treecase_verify_good(TREECASE_RUN);
}
END_TEST

int main(void)
{
    int root = geteuid() == 0;
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, treecase_tear_down);
    tcase_add_loop_test(tc, test_round, 0, 4);
    tcase_add_test(tc, test_facts);
    tcase_add_loop_test(tc, test_check_command, 0, 7);
    tcase_add_loop_test(tc, test_failed_stream, 0, 5);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tc, test_crash, 0, 12);
#endif
    tcase_add_test(tc, test_roll_back_to_nothing);
    tcase_add_test(tc, test_excluded_stay);
    tcase_add_test(tc, test_atomic_per_file);
    tcase_add_test(tc, test_single_files);
    tcase_add_loop_test(tc, test_aside_keep, 0, 4);
    tcase_add_test(tc, test_too_large);
    tcase_add_test(tc, test_own_leftovers);
    tcase_add_test(tc, test_other_place);
    tcase_add_loop_test(tc, test_refusals, 0, 3);
    tcase_add_test(tc, test_unreadable_refused);
    tcase_add_loop_test(tc, test_unreadable_no_matter, 0, 2);
    if (root) {
        tcase_add_test(tc, test_noted_as_root);
        tcase_add_test(tc, test_mounted_file);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK); /* tests that change or end their process */
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
