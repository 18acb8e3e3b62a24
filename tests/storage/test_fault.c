/*
 * test_fault.c: the rules of ORCHESTRATE_STORAGE_FAULT, and what the directory driver makes of each
 * kind of failure: the right code, a message that names the file and the reason, no name that leads
 * to half a file, no temporary file left, and nothing taken for safe that is not.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "powerloss_model.h"
#include "storage/fault_rule.h"
#include "storagetest.h"

#define BIG ((size_t)3 << 20)

static char dir[64];
static char repo[80];
static char journal[80];
static struct storage *storage;
static struct orch_error err;
static uint8_t *big;

static void setup(void)
{
    st_make_dir(dir);
    memset(&err, 0, sizeof err);
    (void)snprintf(repo, sizeof repo, "%s/repo", dir);
    (void)snprintf(journal, sizeof journal, "%s/journal", dir);
    ck_assert_int_eq(mkdir(repo, 0700), 0);
    big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (uint8_t)(i * 7 + (i >> 9));
    }
}

static void teardown(void)
{
    storage_close(storage);
    storage = NULL;
    free(big);
    st_remove_dir(dir);
}

/* Opens the store with a fault, and with the journal of powerloss_model.h. */
static void open_with(const char *fault)
{
    storage_close(storage);
    storage = NULL;
    ck_assert_int_eq(setenv("ORCHESTRATE_STORAGE_FAULT", fault, 1), 0);
    ck_assert_int_eq(setenv("ORCHESTRATE_POWERLOSS_LOG", journal, 1), 0);
    int32_t rc = storage_open(repo, false, &storage, &err);
    (void)unsetenv("ORCHESTRATE_STORAGE_FAULT");
    (void)unsetenv("ORCHESTRATE_POWERLOSS_LOG");
    st_ok(rc, err);
}

static const char *text(const char *name)
{
    static char out[256];
    return st_text(repo, name, out);
}

static int32_t put(const char *name, const char *content)
{
    return st_put(storage, name, content, STORAGE_DURABLE, &err);
}

/* ---- rules ---- */

static const char *const good_rules[] = {
    "eio",
    "eio:op=put,at=3",
    "enospc:op=write+create,name=packs/,at=2,for=5",
    "enospc:bytes=1000",
    "short:p=500000,seed=7",
    "cut:name=index/",
    "lost:op=syncdir,for=all",
    "eio:op=remove,done=1",
    "eio:at=1 lost:for=all",
    "eio:op=all",
    "short:op=all",
    "kill:op=syncdir,name=index/",
    "kill:op=rename,done=1",
};

START_TEST(test_good_rule)
{
    struct fault_rule rule;
    st_ok(fault_rule_parse(good_rules[_i], &rule, &err), err);
    ck_assert_uint_ne(rule.ops, 0);
}
END_TEST

static const char *const bad_rules[] = {
    "",
    "oops",
    "eio:",
    "eio:op",
    "eio:op=",
    "eio:op=fly",
    "eio:op=write+",
    "eio:at=0",
    "eio:at=x",
    "eio:at=1,",
    "eio,at=1",
    "eio:for=none",
    "lost:op=write",
    "cut:op=write",
    "enospc:op=read",
    "eio:bytes=",
    "eio:bytes=10",
    "eio:p=1000001",
    "enospc:done=1",
    "eio:colour=red",
    "eio:for=0",
    "eiox",
    "eio:at:1",
    "eio:at=1,,for=2",
    "short:op=remove",
    "eio:at=99999999999999999999",
    "enospc:bytes=1,op=sync",
};

START_TEST(test_bad_rule)
{
    struct fault_rule rule;
    ck_assert_int_eq(fault_rule_parse(bad_rules[_i], &rule, &err), ORCH_E_INVALID);
    if (bad_rules[_i][0] != '\0') { /* a store under such a rule would test nothing: it says so */
        ck_assert_int_eq(setenv("ORCHESTRATE_STORAGE_FAULT", bad_rules[_i], 1), 0);
        ck_assert_int_eq(storage_open(repo, false, &storage, &err), ORCH_E_INVALID);
        (void)unsetenv("ORCHESTRATE_STORAGE_FAULT");
        ck_assert_ptr_nonnull(strstr(err.message, bad_rules[_i]));
    }
}
END_TEST

START_TEST(test_which_calls_are_hit)
{
    struct fault_rule rule;
    st_ok(fault_rule_parse("eio:op=write+sync,name=packs/,at=2,for=2", &rule, &err), err);
    ck_assert(!fault_rule_hits(&rule, FAULT_WRITE, "index/a"));
    ck_assert(!fault_rule_hits(&rule, FAULT_READ, "packs/a"));
    ck_assert(!fault_rule_hits(&rule, FAULT_WRITE, "packs/a"));
    ck_assert(fault_rule_hits(&rule, FAULT_SYNC, "packs/a"));
    ck_assert(fault_rule_hits(&rule, FAULT_WRITE, "packs/b"));
    ck_assert(!fault_rule_hits(&rule, FAULT_WRITE, "packs/b"));
    st_ok(fault_rule_parse("eio:at=3,for=all", &rule, &err), err);
    for (int i = 1; i < 10; i++) {
        ck_assert_int_eq(fault_rule_hits(&rule, FAULT_LIST, "a/"), i >= 3);
    }
}
END_TEST

START_TEST(test_by_chance)
{
    struct fault_rule one;
    struct fault_rule same;
    struct fault_rule other;
    int hits = 0;
    int differs = 0;
    st_ok(fault_rule_parse("eio:p=100000,seed=5", &one, &err), err);
    st_ok(fault_rule_parse("eio:p=100000,seed=5", &same, &err), err);
    st_ok(fault_rule_parse("eio:p=100000,seed=6", &other, &err), err);
    for (int i = 0; i < 10000; i++) {
        bool hit = fault_rule_hits(&one, FAULT_WRITE, "a");
        ck_assert_int_eq(hit, fault_rule_hits(&same, FAULT_WRITE, "a"));
        differs += hit != fault_rule_hits(&other, FAULT_WRITE, "a");
        hits += hit;
    }
    ck_assert_int_gt(hits, 800);
    ck_assert_int_lt(hits, 1200);
    ck_assert_int_gt(differs, 1000);
}
END_TEST

/* ---- what the driver makes of them ---- */

static const struct {
    const char *fault;
    int32_t code;
    const char *says;
    const char *left; /* what the file, "old" before, has then */
} attempts[] = {
    {"eio:op=create", ORCH_E_IO, "Input/output error", "old"},
    {"eio:op=write", ORCH_E_IO, "Input/output error", "old"},
    {"eio:op=write,done=1", ORCH_E_IO, "Input/output error", "old"},
    {"eio:op=sync", ORCH_E_IO, "Input/output error", "old"},
    {"eio:op=sync,done=1", ORCH_E_IO, "Input/output error", "old"},
    {"eio:op=rename", ORCH_E_IO, "Input/output error", "old"},
    {"eio:op=rename,done=1", ORCH_E_IO, "Input/output error", "new"},
    {"eio:op=syncdir", ORCH_E_IO, "Input/output error", "new"},
    {"enospc:op=create", ORCH_E_NO_SPACE, "No space left", "old"},
    {"enospc:op=write", ORCH_E_NO_SPACE, "No space left", "old"},
    {"enospc:op=sync", ORCH_E_NO_SPACE, "No space left", "old"},
    {"enospc:bytes=2", ORCH_E_NO_SPACE, "No space left", "old"},
    {"short:op=write", ORCH_OK, NULL, "new"},
    {"short:op=write,for=all", ORCH_OK, NULL, "new"},
};

START_TEST(test_put)
{
    char path[128];
    open_with("");
    st_ok(put("packs/a", "old"), err);
    open_with(attempts[_i].fault);
    err = (struct orch_error)ORCH_ERROR_INIT;
    ck_assert_int_eq(put("packs/a", "new"), attempts[_i].code);
    if (attempts[_i].says != NULL) {
        (void)snprintf(path, sizeof path, "%s/", repo);
        ck_assert_ptr_nonnull(strstr(err.message, path));
        ck_assert_ptr_nonnull(strstr(err.message, "packs"));
        ck_assert_ptr_nonnull(strstr(err.message, attempts[_i].says));
    }
    ck_assert_str_eq(text("packs/a"), attempts[_i].left);
    ck_assert_int_eq(st_count(repo, "tmp"), 0);
    open_with("");
    st_ok(put("packs/a", "newer"), err);
    ck_assert_str_eq(text("packs/a"), "newer");
}
END_TEST

START_TEST(test_put_if_absent_leaves_no_name_behind)
{
    open_with("eio:op=syncdir");
    ck_assert_int_eq(st_put(storage, "sets/a", "new", STORAGE_IF_ABSENT | STORAGE_DURABLE, &err),
                     ORCH_E_IO);
    ck_assert_str_eq(text("sets/a"), "(none)");
}
END_TEST

/* Large files go past the page cache in blocks; short counts leave the alignment. */
START_TEST(test_large_put_in_short_pieces)
{
    uint8_t *back = malloc(BIG);
    open_with("short:op=write,p=600000,seed=3");
    st_ok(storage_put(storage, "packs/big", big, BIG - 5, STORAGE_DURABLE, &err), err);
    st_ok(storage_get(storage, "packs/big", 0, back, BIG - 5, &err), err);
    ck_assert_int_eq(memcmp(back, big, BIG - 5), 0);
    free(back);
}
END_TEST

START_TEST(test_disk_that_fills_up)
{
    open_with("enospc:bytes=2000000");
    st_ok(storage_put(storage, "packs/a", big, 1500000, STORAGE_DURABLE, &err), err);
    ck_assert_int_eq(storage_put(storage, "packs/b", big, 1500000, STORAGE_DURABLE, &err),
                     ORCH_E_NO_SPACE);
    ck_assert_str_eq(text("packs/b"), "(none)");
    ck_assert_int_eq(put("packs/c", "x"), ORCH_E_NO_SPACE);
    ck_assert_int_eq(st_count(repo, "tmp"), 0);
}
END_TEST

START_TEST(test_reads)
{
    uint8_t *back = malloc(BIG);
    CLEANUP_BUFFER struct buffer whole = BUFFER_INIT;
    struct storage_stat stat;
    char listed[1024];
    open_with("");
    st_ok(storage_put(storage, "packs/big", big, BIG, STORAGE_DURABLE, &err), err);
    open_with("short:op=read,p=500000,seed=1");
    st_ok(storage_get(storage, "packs/big", 10, back, BIG - 10, &err), err);
    ck_assert_int_eq(memcmp(back, big + 10, BIG - 10), 0);
    st_ok(storage_read(storage, "packs/big", BIG, &whole, &err), err);
    ck_assert_uint_eq(whole.len, BIG);
    open_with("cut");
    ck_assert_int_eq(storage_get(storage, "packs/big", 0, back, BIG, &err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, "packs/big"));
    ck_assert_ptr_nonnull(strstr(err.message, "cut short"));
    open_with("eio:op=read+open,for=2");
    ck_assert_int_eq(storage_get(storage, "packs/big", 0, back, BIG, &err), ORCH_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "packs/big: Input/output error"));
    ck_assert_int_eq(storage_read(storage, "packs/big", BIG, &whole, &err), ORCH_E_IO);
    open_with("eio:op=stat");
    ck_assert_int_eq(storage_stat(storage, "packs/big", &stat, &err), ORCH_E_IO);
    open_with("eio:op=stat"); /* what cannot be looked at is not left out of a list */
    ck_assert_int_eq(storage_list(storage, "packs", NULL, NULL, &err), ORCH_E_IO);
    open_with("eio:op=list,name=packs/"); /* nor is a list that breaks off taken for whole */
    ck_assert_str_eq(st_list(storage, "sets", listed), "");
    ck_assert_int_eq(storage_list(storage, "packs", NULL, NULL, &err), ORCH_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot list"));
    free(back);
}
END_TEST

START_TEST(test_removals)
{
    open_with("");
    st_ok(put("packs/a", "x"), err);
    open_with("eio:op=remove");
    ck_assert_int_eq(storage_remove(storage, "packs/a", &err), ORCH_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "packs/a"));
    ck_assert_str_eq(text("packs/a"), "x");
    open_with("eio:op=remove,done=1");
    ck_assert_int_eq(storage_remove(storage, "packs/a", &err), ORCH_E_IO);
    ck_assert_str_eq(text("packs/a"), "(none)");
}
END_TEST

/* Dies before or after one call on one file, whatever else is put. */
static const struct {
    const char *fault;
    const char *left;
} kills[] = {
    {"kill:op=rename,name=packs/b", "(none)"}, {"kill:op=rename,name=packs/b,done=1", "x"},
    {"kill:op=write,name=packs/b", "(none)"},  {"kill:op=create,name=packs/b,done=1", "(none)"},
    {"kill:op=syncdir,name=packs/,at=2", "x"},
};

START_TEST(test_kill)
{
    int status = 0;
    open_with(kills[_i].fault);
    pid_t pid = fork();
    if (pid == 0) {
        int32_t rc = put("packs/a", "x");
        rc = rc != ORCH_OK ? rc : put("packs/b", "x");
        _exit(rc == ORCH_OK ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
    ck_assert_str_eq(text("packs/a"), "x");
    ck_assert_str_eq(text("packs/b"), kills[_i].left);
}
END_TEST

/* ---- with a power loss behind it ---- */

static struct powerloss_result lose_power(uint64_t seed)
{
    struct powerloss_result result;
    ck_assert_int_eq(powerloss_model_apply(journal, seed, &result), 0);
    return result;
}

START_TEST(test_lost_syncs)
{
    open_with("lost:op=sync,name=packs/a");
    st_ok(put("packs/a", "0123456789"), err);
    st_ok(put("packs/b", "0123456789"), err);
    (void)lose_power(0);
    ck_assert_str_ne(text("packs/a"), "0123456789");
    ck_assert_str_eq(text("packs/b"), "0123456789");
    open_with("lost:op=syncdir,for=all,name=sets/");
    st_ok(put("sets/a", "x"), err);
    st_ok(put("index/a", "x"), err);
    (void)lose_power(0);
    ck_assert_str_eq(text("sets/a"), "(none)");
    ck_assert_str_eq(text("index/a"), "x");
}
END_TEST

/* A sync that failed is not made good by the next one that succeeds. */
START_TEST(test_folder_whose_sync_failed_stays_unsafe)
{
    open_with("eio:op=syncdir,name=packs/");
    st_ok(st_put(storage, "packs/a", "x", 0, &err), err);
    ck_assert_int_eq(storage_barrier(storage, &err), ORCH_E_IO);
    ck_assert_int_eq(storage_barrier(storage, &err), ORCH_E_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "an earlier sync"));
    ck_assert_int_eq(put("packs/b", "x"), ORCH_E_IO);
    st_ok(put("sets/a", "x"), err);
    (void)lose_power(0);
    ck_assert_str_eq(text("packs/a"), "(none)");
    ck_assert_str_eq(text("sets/a"), "x");
}
END_TEST

START_TEST(test_failed_calls_and_the_journal)
{
    open_with("");
    st_ok(put("packs/a", "x"), err);
    st_ok(put("packs/b", "x"), err);
    (void)lose_power(0);
    open_with("eio:op=remove,name=packs/a eio:op=remove,done=1,name=packs/b "
              "eio:op=rename,name=packs/c eio:op=rename,done=1,name=packs/d");
    ck_assert_int_eq(storage_remove(storage, "packs/a", &err), ORCH_E_IO); /* not made */
    ck_assert_int_eq(storage_remove(storage, "packs/b", &err), ORCH_E_IO); /* made */
    ck_assert_int_eq(put("packs/c", "x"), ORCH_E_IO);
    ck_assert_int_eq(put("packs/d", "x"), ORCH_E_IO);
    st_ok(put("packs/e", "x"), err); /* syncs the folder */
    (void)lose_power(0);
    ck_assert_str_eq(text("packs/a"), "x");
    ck_assert_str_eq(text("packs/b"), "(none)");
    ck_assert_str_eq(text("packs/c"), "(none)");
    ck_assert_str_eq(text("packs/d"), "x");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault");
    TCase *tests = tcase_create("fault");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_good_rule, 0, (int)(sizeof good_rules / sizeof good_rules[0]));
    tcase_add_loop_test(tests, test_bad_rule, 0, (int)(sizeof bad_rules / sizeof bad_rules[0]));
    tcase_add_test(tests, test_which_calls_are_hit);
    tcase_add_test(tests, test_by_chance);
    tcase_add_loop_test(tests, test_put, 0, (int)(sizeof attempts / sizeof attempts[0]));
    tcase_add_test(tests, test_put_if_absent_leaves_no_name_behind);
    tcase_add_test(tests, test_large_put_in_short_pieces);
    tcase_add_test(tests, test_disk_that_fills_up);
    tcase_add_test(tests, test_reads);
    tcase_add_test(tests, test_removals);
    tcase_add_loop_test(tests, test_kill, 0, (int)(sizeof kills / sizeof kills[0]));
    tcase_add_test(tests, test_lost_syncs);
    tcase_add_test(tests, test_folder_whose_sync_failed_stays_unsafe);
    tcase_add_test(tests, test_failed_calls_and_the_journal);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
