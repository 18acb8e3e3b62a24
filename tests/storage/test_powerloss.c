/*
 * test_powerloss.c: what a power loss leaves of a directory store, by the model in
 * powerloss_model.c; first that the model would find a driver that syncs too little.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "powerloss_model.h"
#include "storagetest.h"

static char dir[64];  /* holds the journal and the repository */
static char repo[80]; /* dir/repo */
static char journal[80];
static struct storage *storage;
static struct orch_error err;

static void setup(void)
{
    st_make_dir(dir);
    memset(&err, 0, sizeof err);
    (void)snprintf(repo, sizeof repo, "%s/repo", dir);
    (void)snprintf(journal, sizeof journal, "%s/journal", dir);
    ck_assert_int_eq(mkdir(repo, 0700), 0);
    ck_assert_int_eq(setenv("ORCHESTRATE_POWERLOSS_LOG", journal, 1), 0);
    st_ok(storage_open(repo, false, &storage, &err), err);
}

static void teardown(void)
{
    storage_close(storage);
    (void)unsetenv("ORCHESTRATE_POWERLOSS_LOG");
    st_remove_dir(dir);
}

static struct powerloss_result lose_power(void)
{
    struct powerloss_result result;
    ck_assert_int_eq(powerloss_model_apply(journal, 0, &result), 0);
    ck_assert_int_eq(st_count(dir, "journal.saved"), 0);
    return result;
}

static const char *text(const char *name)
{
    static char out[256];
    return st_text(repo, name, out);
}

/* Writes a journal by hand, as a driver would that forgets something. */
static void write_journal(const char *const *lines)
{
    FILE *file = fopen(journal, "ae");
    ck_assert_ptr_nonnull(file);
    for (; *lines != NULL; lines++) {
        for (const char *p = *lines; *p != '\0'; p++) {
            if (*p == '@') {
                (void)fputs(repo, file);
            } else {
                (void)fputc(*p, file);
            }
        }
        (void)fputc('\n', file);
    }
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(test_a_missing_fsync_of_the_file_is_found)
{
    st_write(repo, "a", "0123456789", 10);
    st_write(repo, "b", "0123456789", 10);
    st_write(repo, "c", "0123456789", 10);
    const char *const lines[] = {"create\t@/tmp/1",
                                 "rename\t@/tmp/1\t@/a\t-",
                                 "syncdir\t@",
                                 "create\t@/tmp/2",
                                 "rename\t@/tmp/2\t@/b\t-",
                                 "syncdir\t@",
                                 "create\t@/tmp/3",
                                 "sync\t@/tmp/3\t10",
                                 "rename\t@/tmp/3\t@/c\t-",
                                 "syncdir\t@",
                                 NULL};
    write_journal(lines);
    struct powerloss_result result = lose_power();
    ck_assert_uint_eq(result.torn, 2);
    ck_assert_str_eq(text("a"), "");
    ck_assert_str_eq(text("b"), "01234");
    ck_assert_str_eq(text("c"), "0123456789");
}
END_TEST

START_TEST(test_a_missing_fsync_of_the_folder_is_found)
{
    st_write(repo, "a", "0123456789", 10);
    const char *const lines[] = {"create\t@/tmp/1", "sync\t@/tmp/1\t10", "rename\t@/tmp/1\t@/a\t-",
                                 NULL};
    write_journal(lines);
    (void)lose_power();
    ck_assert_str_eq(text("a"), "(none)");
}
END_TEST

START_TEST(test_a_new_folder_must_be_synced_into_its_parent)
{
    char path[512];
    ck_assert_int_eq(mkdir(st_path(path, repo, "packs"), 0700), 0);
    st_write(repo, "packs/a", "0123456789", 10);
    const char *const lines[] = {"mkdir\t@/packs",    "create\t@/tmp/1",
                                 "sync\t@/tmp/1\t10", "rename\t@/tmp/1\t@/packs/a\t-",
                                 "syncdir\t@/packs",  NULL};
    write_journal(lines);
    (void)lose_power();
    ck_assert(!st_exists(repo, "packs"));
}
END_TEST

START_TEST(test_durable_put_survives)
{
    char listed[1024];
    st_ok(st_put(storage, "packs/ab/one", "hello", STORAGE_DURABLE, &err), err);
    (void)lose_power();
    ck_assert_str_eq(text("packs/ab/one"), "hello");
    ck_assert_str_eq(st_list(storage, "", listed), "packs/ab/one");
}
END_TEST

START_TEST(test_barrier)
{
    st_ok(st_put(storage, "packs/ab/one", "hello", 0, &err), err);
    st_ok(st_put(storage, "parts/two", "hello", 0, &err), err);
    st_ok(storage_barrier(storage, &err), err);
    st_ok(st_put(storage, "packs/ab/three", "hello", 0, &err), err);
    st_ok(st_put(storage, "packs/cd/four", "hello", 0, &err), err);
    (void)lose_power();
    ck_assert_str_eq(text("packs/ab/one"), "hello");
    ck_assert_str_eq(text("parts/two"), "hello");
    ck_assert_str_eq(text("packs/ab/three"), "(none)");
    ck_assert(!st_exists(repo, "packs/cd"));
}
END_TEST

START_TEST(test_a_folder_made_by_somebody_else)
{
    struct storage *other = NULL;
    st_ok(storage_open(repo, false, &other, &err), err);
    st_ok(st_put(other, "packs/ab/one", "hello", 0, &err), err); /* makes it, syncs nothing */
    st_ok(st_put(storage, "packs/ab/two", "hello", STORAGE_DURABLE, &err), err);
    (void)lose_power();
    ck_assert_str_eq(text("packs/ab/two"), "hello");
    storage_close(other);
}
END_TEST

START_TEST(test_replaced_and_removed)
{
    st_ok(st_put(storage, "a", "old", STORAGE_DURABLE, &err), err);
    st_ok(st_put(storage, "b", "old", STORAGE_DURABLE, &err), err);
    st_ok(st_put(storage, "c", "old", STORAGE_DURABLE, &err), err);
    (void)lose_power(); /* now they are older than the journal */
    st_ok(st_put(storage, "a", "new", 0, &err), err);
    st_ok(storage_remove(storage, "b", &err), err);
    (void)lose_power();
    ck_assert_str_eq(text("a"), "old");
    ck_assert_str_eq(text("b"), "old");
    st_ok(st_put(storage, "a", "new", 0, &err), err);
    st_ok(storage_remove(storage, "b", &err), err);
    st_ok(storage_barrier(storage, &err), err);
    st_ok(storage_remove(storage, "c", &err), err);
    (void)lose_power();
    ck_assert_str_eq(text("a"), "new");
    ck_assert_str_eq(text("b"), "(none)");
    ck_assert_str_eq(text("c"), "old");
}
END_TEST

START_TEST(test_refused_puts)
{
    st_ok(st_put(storage, "a", "old", STORAGE_DURABLE, &err), err);
    ck_assert_int_eq(st_put(storage, "a", "new", STORAGE_IF_ABSENT | STORAGE_DURABLE, &err),
                     ORCH_E_EXISTS);
    (void)lose_power();
    ck_assert_str_eq(text("a"), "old");
    ck_assert_int_eq(st_put(storage, "a", "new", STORAGE_IF_ABSENT, &err), ORCH_E_EXISTS);
    (void)lose_power();
    ck_assert_str_eq(text("a"), "old");
}
END_TEST

/* What another process has put and not synced, and we have seen and gone on from, is not to vanish
 * under what we put. */
START_TEST(test_what_was_listed_is_synced)
{
    char listed[1024];
    struct storage *killed = NULL;
    st_ok(storage_open(repo, false, &killed, &err), err);
    st_ok(st_put(killed, "index/one", "hello", 0, &err), err);
    st_ok(st_put(killed, "sets/gone", "hello", STORAGE_DURABLE, &err), err);
    st_ok(storage_remove(killed, "sets/gone", &err), err);
    ck_assert_str_eq(st_list(storage, "index", listed), "index/one");
    ck_assert_str_eq(st_list(storage, "sets", listed), "");
    ck_assert_str_eq(st_list(storage, "nowhere", listed), "");
    st_ok(storage_barrier(storage, &err), err);
    (void)lose_power();
    ck_assert_str_eq(text("index/one"), "hello");
    ck_assert_str_eq(text("sets/gone"), "(none)");
    ck_assert(!st_exists(repo, "nowhere"));
    storage_close(killed);
}
END_TEST

/* With a seed, any mixture of old and new can come out of it, but what was synced stays. */
START_TEST(test_by_chance)
{
    int outcomes[2][2] = {{0, 0}, {0, 0}};
    st_ok(st_put(storage, "packs/kept", "hello", STORAGE_DURABLE, &err), err);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct powerloss_result result;
        st_ok(st_put(storage, "packs/old", "hello", STORAGE_DURABLE, &err), err);
        ck_assert_int_eq(powerloss_model_apply(journal, 0, &result), 0);
        st_ok(storage_remove(storage, "packs/old", &err), err);
        st_ok(st_put(storage, "packs/new", "hello", 0, &err), err);
        ck_assert_int_eq(powerloss_model_apply(journal, seed, &result), 0);
        bool old = st_exists(repo, "packs/old");
        bool new = st_exists(repo, "packs/new");
        outcomes[old][new]++;
        ck_assert(!new || strcmp(text("packs/new"), "hello") == 0);
        ck_assert_str_eq(text("packs/kept"), "hello");
        if (new) {
            st_ok(storage_remove(storage, "packs/new", &err), err);
        }
        st_ok(storage_barrier(storage, &err), err);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_gt(outcomes[i / 2][i % 2], 2);
    }
}
END_TEST

START_TEST(test_torn_by_chance)
{
    int shorter = 0, wrong = 0, whole = 0;
    char content[256];
    memset(content, 'x', 200);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct powerloss_result result;
        FILE *file = fopen(journal, "we");
        ck_assert_ptr_nonnull(file);
        fprintf(file, "create\t%s/a\nsync\t%s/a\t50\nsyncdir\t%s\n", repo, repo, repo);
        ck_assert_int_eq(fclose(file), 0);
        st_write(repo, "a", content, 200);
        ck_assert_int_eq(powerloss_model_apply(journal, seed, &result), 0);
        char out[256] = "";
        size_t len = strlen(st_text(repo, "a", out)); /* zeros end it */
        struct stat st;
        char path[512];
        ck_assert_int_eq(stat(st_path(path, repo, "a"), &st), 0);
        ck_assert_int_eq(memcmp(out, content, 50), 0);
        if (st.st_size < 200) {
            shorter++;
        } else if (memcmp(out, content, 200) != 0) {
            wrong++;
        } else {
            whole++;
        }
        ck_assert_uint_eq(result.torn, (unsigned)(st.st_size < 200 || len < 200 ||
                                                  memcmp(out, content, 200) != 0));
    }
    ck_assert_int_gt(shorter, 3);
    ck_assert_int_gt(wrong, 10);
    ck_assert_int_gt(whole, 3);
}
END_TEST

/* A process is killed at each point of a put, the power goes, and whatever has a name is whole. */
static const char *const points[] = {"put-created",   "put-written",   "put-synced",
                                     "put-renamed",   "put-created:2", "put-written:2",
                                     "put-synced:2",  "put-renamed:2", "put-created:3",
                                     "put-written:3", "put-synced:3",  "put-renamed:3"};

static void work_and_die(int told)
{
    struct orch_error mine = ORCH_ERROR_INIT;
    struct storage *own = NULL;
    int32_t rc = storage_open(repo, false, &own, &mine);
    rc = rc != ORCH_OK ? rc : st_put(own, "packs/a", "0123456789", STORAGE_DURABLE, &mine);
    if (rc == ORCH_OK) {
        rc = write(told, "a", 1) == 1 ? 0 : -1;
    }
    rc = rc != ORCH_OK ? rc : st_put(own, "packs/b", "0123456789", 0, &mine);
    rc = rc != ORCH_OK ? rc : storage_barrier(own, &mine);
    if (rc == ORCH_OK) {
        rc = write(told, "b", 1) == 1 ? 0 : -1;
    }
    rc = rc != ORCH_OK ? rc : st_put(own, "old", "new56789", STORAGE_DURABLE, &mine);
    _exit(rc == ORCH_OK ? 0 : 1);
}

START_TEST(test_killed_at)
{
    int pipes[2];
    char told[8] = "";
    st_ok(st_put(storage, "old", "old56789", STORAGE_DURABLE, &err), err);
    (void)lose_power();
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* Points that this process passed before the fork are counted already. */
        char at[64];
        const char *colon = strchr(points[_i], ':');
        int len = (int)(colon == NULL ? strlen(points[_i]) : (size_t)(colon - points[_i]));
        long number = colon == NULL ? 1 : strtol(colon + 1, NULL, 10);
        (void)snprintf(at, sizeof at, "%.*s:%ld", len, points[_i], number + 1);
        (void)setenv("ORCHESTRATE_CRASH_AT", at, 1);
        work_and_die(pipes[1]);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
    (void)close(pipes[1]);
    ck_assert_int_ge(read(pipes[0], told, sizeof told - 1), 0);
    (void)close(pipes[0]);
    (void)lose_power();
    char content[256];
    const char *a = st_text(repo, "packs/a", content);
    ck_assert(strcmp(a, "0123456789") == 0 ||
              (strcmp(a, "(none)") == 0 && strchr(told, 'a') == NULL));
    const char *b = st_text(repo, "packs/b", content);
    ck_assert(strcmp(b, "0123456789") == 0 ||
              (strcmp(b, "(none)") == 0 && strchr(told, 'b') == NULL));
    const char *old = st_text(repo, "old", content);
    ck_assert(strcmp(old, "old56789") == 0 || strcmp(old, "new56789") == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("powerloss");
    TCase *tests = tcase_create("powerloss");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_a_missing_fsync_of_the_file_is_found);
    tcase_add_test(tests, test_a_missing_fsync_of_the_folder_is_found);
    tcase_add_test(tests, test_a_new_folder_must_be_synced_into_its_parent);
    tcase_add_test(tests, test_durable_put_survives);
    tcase_add_test(tests, test_barrier);
    tcase_add_test(tests, test_a_folder_made_by_somebody_else);
    tcase_add_test(tests, test_replaced_and_removed);
    tcase_add_test(tests, test_refused_puts);
    tcase_add_test(tests, test_what_was_listed_is_synced);
    tcase_add_test(tests, test_by_chance);
    tcase_add_test(tests, test_torn_by_chance);
    tcase_add_loop_test(tests, test_killed_at, 0, (int)(sizeof points / sizeof points[0]));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK); /* tests that change or end their process */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
