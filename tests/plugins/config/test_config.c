/* test_config.c: the config plugin through the host in one process. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "harness.h"
#include "tree.h"

#define RUN "0123456789abcdef0123456789abcdef"

static char *scratch;
static char *etc; /* SCRATCH/etc, the configuration */
static char *work;
static struct harness *host;
static struct orch_error err;

static void must(int32_t rc)
{
    ck_assert_msg(rc == 0, "%d: %s", rc, err.message);
}

static void setup(void)
{
    scratch = tree_scratch();
    etc = tree_join(scratch, "etc");
    work = tree_join(scratch, "work");
    host = NULL;
    memset(&err, 0, sizeof(err));
    must(harness_load(PLUGIN_PATH, &host, &err));
    harness_work_dir(host, work);
    must(harness_option(host, "paths", etc, &err));
}

static void teardown(void)
{
    harness_free(host);
    tree_become_root_again();
    tree_remove(scratch);
    free(scratch);
    free(etc);
    free(work);
}

static const char *at(const char *name)
{
    static char paths[8][PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, PATH_MAX, "%s/%s", etc, name);
    return path;
}

static void make_etc(void)
{
    tree_mkdir(etc, 0755);
    tree_mkdir(at("conf.d"), 0750);
    tree_mkdir(at("empty"), 0700);
    tree_text(at("main.conf"), "listen = 80\n");
    tree_text(at("conf.d/10-a.conf"), "a = 1\n");
    tree_text(at("conf.d/20-b.conf"), "b = 2\n");
    ck_assert_int_eq(symlink("conf.d/10-a.conf", at("current")), 0);
    ck_assert_int_eq(chmod(at("main.conf"), 0640), 0);
    ck_assert_int_eq(setxattr(at("main.conf"), "user.note", "x", 1, 0), 0);
    struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 1000, .tv_nsec = 5}};
    ck_assert_int_eq(utimensat(AT_FDCWD, at("main.conf"), times, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, at("conf.d"), times, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, etc, times, 0), 0);
}

/* What somebody did to it since: a changed file, one more, one less, kinds exchanged. */
static void spoil(void)
{
    tree_text(at("main.conf"), "listen = 81\n# broken\n");
    tree_text(at("conf.d/30-new.conf"), "c = 3\n");
    tree_mkdir(at("more"), 0755);
    tree_text(at("more/file"), "x");
    ck_assert_int_eq(unlink(at("conf.d/20-b.conf")), 0);
    ck_assert_int_eq(rmdir(at("empty")), 0);
    tree_text(at("empty"), "a file now");
    ck_assert_int_eq(unlink(at("current")), 0);
    tree_mkdir(at("current"), 0755);
    tree_text(at("current/in"), "y");
}

static void backup(void)
{
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    must(harness_backup(host, 0, &probe, &freeze, &err));
}

static void open_and_backup(void)
{
    must(harness_open(host, &err));
    backup();
}

static void verify_good(void)
{
    must(harness_verify(host, RUN, &err));
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(host, &count);
    ck_assert_msg(harness_worst(host) != ORCH_VERDICT_REFUSE, "%s",
                  count > 0 ? verdicts[0].message : "");
}

static int has_verdict(const char *code, const char *part)
{
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(host, &count);
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(verdicts[i].code, code) == 0 && strstr(verdicts[i].message, part) != NULL) {
            return 1;
        }
    }
    return 0;
}

static char *aside_path(const char *run)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/aside/%s%s", work, run, etc), 0);
    return path;
}

/* 0: as root; 1: as an ordinary user. Live files were changed, or are gone. */
START_TEST(test_round)
{
    if (_i % 2 == 1) {
        tree_become_ordinary(scratch);
    }
    make_etc();
    char *before = tree_describe(etc);
    open_and_backup();
    if (_i < 2) {
        spoil();
    } else {
        tree_remove(etc);
    }
    char *spoiled = tree_describe(etc);
    must(harness_check(host, RUN, &err));
    ck_assert_uint_ne(harness_worst(host), ORCH_VERDICT_REFUSE);
    must(harness_restore(host, RUN, 1, &err));
    verify_good();
    must(harness_settle(host, RUN, ORCH_SETTLE_VERIFIED, &err));
    char *after = tree_describe(etc);
    ck_assert_str_eq(before, after);
    char *aside = aside_path(RUN);
    char *kept = tree_describe(aside);
    ck_assert_str_eq(kept, spoiled);
    ck_assert_int_eq(tree_count(work, "stage"), 0);
    ck_assert_ptr_nonnull(strstr(harness_journal(host), "aside/" RUN));
    free(aside);
    free(kept);
    free(spoiled);
    free(before);
    free(after);
}
END_TEST

START_TEST(test_facts)
{
    make_etc();
    open_and_backup();
    ck_assert_ptr_nonnull(strstr(harness_facts(host), "\"stable_while_read\":true"));
    const struct harness_item *item = harness_find(host, at("main.conf"));
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
    must(harness_option(host, "check_command", cases[_i].command, &err));
    must(harness_option(host, "check_timeout", _i == 4 ? "300" : "20000", &err));
    open_and_backup();
    spoil();
    char *spoiled = tree_describe(etc);
    must(harness_restore(host, RUN, 1, &err));
    must(harness_verify(host, RUN, &err));
    ck_assert_int_eq(harness_worst(host) != ORCH_VERDICT_REFUSE, cases[_i].good);
    if (!cases[_i].good) {
        ck_assert_int_eq(has_verdict("check-command", cases[_i].part), 1);
        must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
        char *now = tree_describe(etc);
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
    char *before = tree_describe(etc);
    harness_fail_next_after(host, (uint64_t)_i * 4);
    ck_assert_int_eq(harness_restore(host, RUN, 1, &err), ORCH_E_CORRUPT);
    must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
    char *after = tree_describe(etc);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(tree_count(work, "stage"), 0);
    free(before);
    free(after);
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
static const char *const points[] = {"config-staged", "aside-copied",   "config-aside-made",
                                     "install-file",  "install-placed", "config-installed"};

static void killed_at(const char *point, uint32_t attempt)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)setenv("ORCHESTRATE_CRASH_AT", point, 1);
        (void)harness_restore(host, RUN, attempt, &err);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was not reached", point);
}

/* Killed anywhere: resumed it finishes (even), given up it goes back (odd), and the copy of what
 * was live before the run is never overwritten by what the run itself installed. */
START_TEST(test_crash)
{
    make_etc();
    char *wanted = tree_describe(etc);
    open_and_backup();
    spoil();
    char *original = tree_describe(etc);
    killed_at(points[_i / 2], 1);
    if (_i % 2 == 0) {
        must(harness_restore(host, RUN, 2, &err));
        verify_good();
        char *aside = aside_path(RUN);
        char *kept = tree_describe(aside);
        ck_assert_str_eq(kept, original);
        free(kept);
        free(aside);
        must(harness_settle(host, RUN, ORCH_SETTLE_VERIFIED, &err));
    } else {
        must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
    }
    char *now = tree_describe(etc);
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
    tree_remove(etc);
    must(harness_restore(host, RUN, 1, &err));
    ck_assert_int_eq(access(at("main.conf"), F_OK), 0);
    must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
    ck_assert_int_eq(access(etc, F_OK), -1);
}
END_TEST

/* Excluded files are in no backup, and a restore leaves the live ones where they are. */
START_TEST(test_excluded_stay)
{
    make_etc();
    must(harness_option(host, "exclude", "*.secret,/more/", &err));
    open_and_backup();
    tree_mkdir(at("more"), 0700);
    tree_text(at("more/file"), "mine");
    tree_mkdir(at("odd"), 0755);
    tree_text(at("odd/key.secret"), "mine too");
    tree_text(at("odd/else"), "goes");
    tree_text(at("main.conf"), "other");
    must(harness_restore(host, RUN, 1, &err));
    char *text = tree_read(at("more/file"));
    ck_assert_str_eq(text, "mine");
    free(text);
    text = tree_read(at("odd/key.secret"));
    ck_assert_str_eq(text, "mine too");
    free(text);
    ck_assert_int_eq(access(at("odd/else"), F_OK), -1);
    text = tree_read(at("main.conf"));
    ck_assert_str_eq(text, "listen = 80\n");
    free(text);
}
END_TEST

/* A file is replaced by rename: who has it open still reads the old one whole. */
START_TEST(test_atomic_per_file)
{
    make_etc();
    open_and_backup();
    tree_text(at("main.conf"), "old");
    int fd = open(at("main.conf"), O_RDONLY | O_CLOEXEC);
    must(harness_restore(host, RUN, 1, &err));
    char got[16] = "";
    ck_assert_int_eq(read(fd, got, sizeof(got)), 3);
    ck_assert_str_eq(got, "old");
    (void)close(fd);
}
END_TEST

START_TEST(test_single_files)
{
    char paths[2 * PATH_MAX];
    char *a = tree_join(scratch, "a.conf");
    char *b = tree_join(scratch, "gone/b.conf");
    char *gone = tree_join(scratch, "gone");
    (void)snprintf(paths, sizeof(paths), "%s,%s", a, b);
    must(harness_option(host, "paths", paths, &err));
    tree_text(a, "A");
    tree_mkdir(gone, 0755);
    tree_text(b, "B");
    open_and_backup();
    tree_text(a, "changed");
    tree_remove(gone);
    must(harness_check(host, RUN, &err));
    ck_assert_uint_ne(harness_worst(host), ORCH_VERDICT_REFUSE);
    must(harness_restore(host, RUN, 1, &err));
    verify_good();
    char *text = tree_read(a);
    ck_assert_str_eq(text, "A");
    free(text);
    text = tree_read(b);
    ck_assert_str_eq(text, "B");
    free(text);
    must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
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
    must(harness_option(host, "aside_keep", keep, &err));
    open_and_backup();
    for (int i = 0; i < 5; i++) {
        char run[33];
        (void)snprintf(run, sizeof(run), "%08d%024d", i, 0);
        must(harness_restore(host, run, 1, &err));
        must(harness_settle(host, run, ORCH_SETTLE_VERIFIED, &err));
    }
    char *aside = tree_join(work, "aside");
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
    tree_text(at("large"), "");
    ck_assert_int_eq(truncate(at("large"), (off_t)64 * 1024 * 1024 + 1), 0);
    must(harness_open(host, &err));
    ck_assert_int_eq(harness_backup(host, 0, &probe, &freeze, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "large"));
}
END_TEST

/* Temporary files of a restore that was killed are no configuration. */
START_TEST(test_own_leftovers)
{
    make_etc();
    tree_text(at("conf.d/.10-a.conf.orch-new-0123abcd"), "half");
    open_and_backup();
    ck_assert_ptr_null(harness_find(host, at("conf.d/.10-a.conf.orch-new-0123abcd")));
    must(harness_restore(host, RUN, 1, &err));
    ck_assert_int_eq(access(at("conf.d/.10-a.conf.orch-new-0123abcd"), F_OK), -1);
}
END_TEST

START_TEST(test_other_place)
{
    make_etc();
    char *place = tree_join(scratch, "place");
    char *there = NULL;
    ck_assert_int_ge(asprintf(&there, "%s%s", place, etc), 0);
    open_and_backup();
    char *before = tree_describe(etc);
    char *facts = strdup(harness_facts(host));
    must(harness_option(host, "root", place, &err));
    harness_close(host);
    must(harness_open(host, &err));
    harness_set_facts(host, facts);
    must(harness_restore(host, RUN, 1, &err));
    verify_good();
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
    must(harness_option(host, "paths", names[_i], &err));
    ck_assert_int_eq(harness_open(host, &err), ORCH_E_CONFIG);
}
END_TEST

/* A file that is mounted alone, as containers do: written in place, and put back in place. */
START_TEST(test_mounted_file)
{
    make_etc();
    char *outside = tree_join(scratch, "outside");
    tree_text(outside, "mounted");
    ck_assert_msg(mount(outside, at("main.conf"), NULL, MS_BIND, NULL) == 0, "%s", strerror(errno));
    open_and_backup();
    tree_text(at("main.conf"), "changed since");
    must(harness_restore(host, RUN, 1, &err));
    char *text = tree_read(at("main.conf"));
    must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
    char *back = tree_read(at("main.conf"));
    int left = tree_count(etc, "orch-");
    ck_assert_int_eq(umount(at("main.conf")), 0);
    ck_assert_str_eq(text, "mounted");
    ck_assert_str_eq(back, "changed since");
    ck_assert_int_eq(left, 0);
    free(text);
    free(back);
    free(outside);
}
END_TEST

int main(void)
{
    int root = geteuid() == 0;
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
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
    if (root) {
        tcase_add_test(tc, test_mounted_file);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
