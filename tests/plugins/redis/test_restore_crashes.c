/* test_restore_crashes.c: restores to a real redis-server that are killed anywhere, and are found
 * again. */
#include "restorecase.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampling.h"

static const char *const CRASHES[] = {"chosen",          "loaded",       "functions-before",
                                      "functions-after", "swap-before",  "swap-after",
                                      "aside-written",   "flush-before", "flush-after"};

/* Restores in a child that is killed at a named place. 1 when the place was reached. */
static int killed_at(struct harness *harness, const char *name, uint32_t attempt)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct orch_error err = ORCH_ERROR_INIT;
        (void)setenv("ORCHESTRATE_REDIS_CRASH_AT", name, 1);
        _exit(harness_restore(harness, RESTORECASE_RUN, attempt, &err) == ORCH_OK ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* The aside holds the original, in a database or in a file. */
static void expect_original(struct server_content old)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/aside-" RESTORECASE_RUN ".rdb", server.work);
    if (access(path, F_OK) == 0) {
        server_kill(&server);
        char target[256];
        (void)snprintf(target, sizeof(target), "%s/dump.rdb", server.dir);
        ck_assert_int_eq(rename(path, target), 0);
        server_restart(&server, restorecase_prompt);
        restorecase_expect(0, old);
        return;
    }
    server_do(&server, "SELECT 0");
    for (int db = 15; db > 0; db--) {
        server_do(&server, "SELECT %d", db);
        redisReply *marker = server_ask(&server, "GET orchestrate:restore");
        int aside = marker->type == REDIS_REPLY_STRING && strstr(marker->str, "aside") != NULL;
        freeReplyObject(marker);
        if (aside) {
            server_do(&server, "DEL orchestrate:restore");
            restorecase_expect(db, old);
            return;
        }
    }
    ck_abort_msg("no aside");
}

/* Killed once or twice anywhere, then finished: the part is live, the aside is the original. */
static void crash_and_finish(const char *const *options, const char *first, const char *second,
                             int *reached)
{
    server_do(&server, "FLUSHALL");
    server_fill(&server, 0);
    server_do(&server, "FUNCTION LOAD REPLACE %s", RESTORECASE_LIBRARY);
    struct server_content content = server_content(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, options);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    server_do(&server, "FUNCTION LOAD REPLACE %s", RESTORECASE_LIBRARY2);
    server_do(&server, "SELECT 0");
    server_do(&server, "MSET old 1 older 2 oldest 3");
    struct server_content old = server_content(&server, 0);
    *reached = killed_at(harness, first, 1);
    uint32_t attempt = 2;
    if (second != NULL) {
        (void)killed_at(harness, second, attempt++);
    }
    struct server_content now = server_content(&server, 0);
    int whole = (now.keys == old.keys && now.digest == old.digest) ||
                (now.keys == content.keys && now.digest == content.digest);
    ck_assert_msg(whole || options == (const char *const *)restorecase_by_file,
                  "half done after %s", first);
    fixture_restore_only(harness, RESTORECASE_RUN, attempt);
    restorecase_expect(0, content);
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    fixture_ok(harness_settle(harness, RESTORECASE_RUN, ORCH_SETTLE_FAILED, &err));
    harness_free(harness);
    expect_original(old);
    char command[256];
    (void)snprintf(command, sizeof(command), "%s", server.work);
    for (int i = 0; i < 2; i++) { /* what a settled run leaves is not for the next of this test */
        static const char *const NAMES[] = {"functions-" RESTORECASE_RUN ".dump",
                                            "restore-" RESTORECASE_RUN ".json"};
        char path[300];
        (void)snprintf(path, sizeof(path), "%s/%s", command, NAMES[i]);
        (void)unlink(path);
    }
}

START_TEST(a_kill_anywhere_is_mended_by_swap)
{
    int reached = 0;
    crash_and_finish(restorecase_by_database, CRASHES[_i], NULL, &reached);
    ck_assert_int_eq(reached, _i < 6);
}
END_TEST

START_TEST(a_kill_anywhere_is_mended_by_file)
{
    int reached = 0;
    crash_and_finish(restorecase_by_file, CRASHES[_i], NULL, &reached);
    ck_assert_int_eq(reached, _i < 4 || _i > 5);
}
END_TEST

START_TEST(two_kills_are_mended)
{
    int reached = 0;
    crash_and_finish(restorecase_by_database, CRASHES[_i / 6], CRASHES[_i % 6], &reached);
    ck_assert_int_eq(reached, 1);
}
END_TEST

/* The server itself dies after the swap and comes back with nothing: said, and started again. */
START_TEST(a_server_that_lost_its_memory_is_filled_again)
{
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    fixture_ok(harness_restore(harness, RESTORECASE_RUN, 1, &err));
    server_kill(&server);
    server_restart(&server, restorecase_prompt);
    ck_assert_uint_eq(restorecase_keys(), 0);
    fixture_restore_only(harness, RESTORECASE_RUN, 2);
    fixture_ok(harness_settle(harness, RESTORECASE_RUN, ORCH_SETTLE_VERIFIED, &err));
    ck_assert_uint_eq(restorecase_keys(), 1);
    ck_assert_int_eq(fixture_files(server.work), 0);
    harness_free(harness);
}
END_TEST

int main(void)
{
    TCase *cases = NULL;
    Suite *suite = restorecase_suite("redis-restore-crashes", &cases);
    tcase_add_loop_test(cases, a_kill_anywhere_is_mended_by_swap, 0, 9);
    tcase_add_loop_test(cases, a_kill_anywhere_is_mended_by_file, 0, 9);
    SAMPLING_ADD(cases, two_kills_are_mended, 36);
    tcase_add_test(cases, a_server_that_lost_its_memory_is_filled_again);
    return restorecase_run(suite);
}
