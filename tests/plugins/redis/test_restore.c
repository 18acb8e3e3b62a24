/* test_restore.c: restores to a real redis-server: identical, never half done, and found again. */
#include "fixture.h"

#include <check.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN "0123456789abcdef"
#define RUN2 "fedcba9876543210"
#define LIBRARY "#!lua name=lib\nredis.register_function('one', function() return 1 end)"
#define LIBRARY2 "#!lua name=lib\nredis.register_function('two', function() return 2 end)"
#define OTHER "#!lua name=other\nredis.register_function('three', function() return 3 end)"

static struct server server; /* the target; also the source unless a test says otherwise */

static const char *const PROMPT[] = {"repl-diskless-sync-delay 0", "save ", NULL};

static void start(void)
{
    server_start(&server, PROMPT);
}

static void stop(void)
{
    server_stop(&server);
}

static uint64_t total_keys(void)
{
    uint64_t keys = 0;
    for (int db = 0; db < 16; db++) {
        server_do(&server, "SELECT %d", db);
        keys += (uint64_t)server_number(&server, "DBSIZE");
    }
    return keys;
}

static void expect_content(int db, struct server_content want)
{
    struct server_content have = server_content(&server, db);
    ck_assert_uint_eq(have.keys, want.keys);
    ck_assert_uint_eq(have.digest, want.digest);
}

static int has_library(const char *name)
{
    redisReply *reply = server_ask(&server, "FUNCTION LIST LIBRARYNAME %s", name);
    int found = reply->elements > 0;
    freeReplyObject(reply);
    return found;
}

static const char *const BY_DATABASE[] = {"aside database", NULL};
static const char *const BY_FILE[] = {"aside file", NULL};
static const char *const BY_FILE_SCAN[] = {"aside file", "method scan", "batch 10", NULL};
static const char *const *const ASIDES[] = {BY_DATABASE, BY_FILE, BY_FILE_SCAN};

/* Everything of every kind, two databases, functions: lost, and back identical. */
START_TEST(all_comes_back_identical)
{
    server_fill(&server, 0);
    server_fill(&server, 5);
    server_do(&server, "FUNCTION LOAD %s", LIBRARY);
    struct server_content first = server_content(&server, 0);
    struct server_content second = server_content(&server, 5);
    struct harness *harness = fixture_open(server.url, server.work, ASIDES[_i]);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "SELECT 0");
    server_do(&server, "SET intruder 1");
    server_do(&server, "DEL list:long hash:table");
    server_do(&server, "SELECT 5");
    server_do(&server, "FLUSHDB");
    server_do(&server, "SELECT 9");
    server_do(&server, "SET other-database 1");
    server_do(&server, "FUNCTION LOAD REPLACE %s", LIBRARY2);
    server_do(&server, "FUNCTION LOAD REPLACE %s", OTHER);
    fixture_restore(harness, RUN);
    expect_content(0, first);
    expect_content(5, second);
    ck_assert_uint_eq(total_keys(), first.keys + second.keys); /* no marker, no aside */
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    ck_assert(!has_library("other"));
    ck_assert_int_eq(fixture_files(server.work), 0);
    harness_free(harness);
}
END_TEST

/* One database: others and their functions are left alone; from database 0 to database 2. */
START_TEST(one_database_goes_where_the_url_says)
{
    char url2[160];
    (void)snprintf(url2, sizeof(url2), "%s?db=2", server.url);
    server_fill(&server, 0);
    struct server_content content = server_content(&server, 0);
    server_do(&server, "SELECT 4");
    server_do(&server, "SET bystander 1");
    server_do(&server, "FUNCTION LOAD %s", LIBRARY);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FUNCTION LOAD REPLACE %s", LIBRARY2);
    server_do(&server, "FUNCTION LOAD %s", OTHER);
    server_do(&server, "SELECT 2");
    server_do(&server, "SET old 1");
    fixture_move(harness, url2, server.work, NULL);
    fixture_restore(harness, RUN);
    expect_content(2, content);
    expect_content(0, content);
    server_do(&server, "SELECT 4");
    ck_assert_int_eq(server_number(&server, "EXISTS bystander"), 1);
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    ck_assert(has_library("other"));
    harness_free(harness);
}
END_TEST

START_TEST(a_part_of_all_gives_one_database)
{
    char url5[160];
    (void)snprintf(url5, sizeof(url5), "%s?db=5", server.url);
    server_fill(&server, 0);
    server_do(&server, "SELECT 5");
    server_do(&server, "MSET a 1 b 2 c 3");
    struct server_content content = server_content(&server, 5);
    struct harness *harness = fixture_open(server.url, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    fixture_move(harness, url5, server.work, NULL);
    fixture_restore(harness, RUN);
    expect_content(5, content);
    ck_assert_uint_eq(total_keys(), 3);
    harness_free(harness);
}
END_TEST

START_TEST(an_empty_part_empties)
{
    struct harness *harness = fixture_open(server.url, server.work, ASIDES[_i]);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "SET later 1");
    fixture_restore(harness, RUN);
    ck_assert_uint_eq(total_keys(), 0);
    harness_free(harness);
}
END_TEST

/* Keys whose time was over before the restore; those of the others stay. */
START_TEST(expired_keys_are_no_loss)
{
    static const int64_t PAST[] = {1, 0, -5, 1500000000000};
    server_do(&server, "SET stays 1");
    for (int i = 0; i < 100; i++) {
        server_do(&server, "SET goes:%d 1 PXAT 4102444800000", i);
        server_do(&server, "SET later:%d 1 PXAT 4102444800000", i);
    }
    struct harness *harness = fixture_open(server.url0, server.work, ASIDES[_i % 2]);
    fixture_backup(harness, NULL, NULL);
    uint64_t count = 0;
    const struct harness_item *items = harness_items(harness, &count);
    ck_assert_uint_eq(count, 201);
    for (uint64_t i = 0; i < count; i++) { /* as if the backup were old */
        if (memcmp(items[i].rec.key, "goes:", 5) == 0) {
            ((struct harness_item *)(uintptr_t)&items[i])->rec.expires_ms = PAST[_i / 2];
        }
    }
    fixture_ok(harness_restore(harness, RUN, 1, &err));
    fixture_ok(harness_verify(harness, RUN, &err));
    ck_assert_uint_eq(fixture_verdict(harness, "key-count")->severity, ORCH_VERDICT_GO);
    ck_assert_uint_eq(server_content(&server, 0).keys, 101);
    harness_free(harness);
}
END_TEST

START_TEST(usage_is_restored)
{
    static const struct {
        const char *policy, *question;
    } CASES[] = {{"allkeys-lru", "OBJECT IDLETIME key"}, {"allkeys-lfu", "OBJECT FREQ key"}};
    server_do(&server, "CONFIG SET maxmemory-policy %s", CASES[_i].policy);
    server_do(&server, "SET key value");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    const struct harness_item *item = harness_find(harness, "key");
    ck_assert_ptr_nonnull(item);
    uint8_t *extra = (uint8_t *)(uintptr_t)item->rec.extra;
    extra[1] = 200; /* idle seconds, or the frequency's logarithm */
    fixture_ok(harness_restore(harness, RUN, 1, &err));
    ck_assert_int_ge(server_number(&server, CASES[_i].question), 190);
    harness_free(harness);
}
END_TEST

/* ---- what is set aside ---- */

START_TEST(the_old_data_is_kept_until_settled)
{
    server_fill(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    server_do(&server, "MSET old 1 older 2");
    struct server_content old = server_content(&server, 0);
    fixture_restore_only(harness, RUN, 1);
    ck_assert_ptr_nonnull(strstr(harness_journal(harness), "swap database 0 -> database 15"));
    fixture_ok(harness_settle(harness, RUN, ORCH_SETTLE_FAILED, &err));
    server_do(&server, "SELECT 15");
    ck_assert_int_eq(server_number(&server, "DEL orchestrate:restore"), 1);
    expect_content(15, old);
    harness_free(harness);
}
END_TEST

/* The file is a real RDB: a fresh server that starts on it has the old keys. */
START_TEST(the_old_data_in_a_file_can_be_loaded)
{
    char path[256], target[256];
    server_fill(&server, 0);
    server_do(&server, "FUNCTION LOAD %s", LIBRARY);
    struct server_content old = server_content(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, ASIDES[_i]);
    fixture_backup(harness, NULL, NULL);
    fixture_restore_only(harness, RUN, 1);
    fixture_ok(harness_settle(harness, RUN, ORCH_SETTLE_FAILED, &err));
    harness_free(harness);
    (void)snprintf(path, sizeof(path), "%s/aside-" RUN ".rdb", server.work);
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0600);
    server_kill(&server);
    (void)snprintf(target, sizeof(target), "%s/dump.rdb", server.dir);
    ck_assert_int_eq(rename(path, target), 0);
    server_restart(&server, PROMPT);
    expect_content(0, old);
    ck_assert(has_library("lib"));
}
END_TEST

/* An aside that somebody has begun to use is not emptied. */
START_TEST(a_used_aside_is_left)
{
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    fixture_restore_only(harness, RUN, 1);
    server_do(&server, "SELECT 15");
    server_do(&server, "SET somebody-else 1");
    fixture_ok(harness_settle(harness, RUN, ORCH_SETTLE_VERIFIED, &err));
    ck_assert_int_eq(server_number(&server, "EXISTS a somebody-else"), 2);
    harness_free(harness);
}
END_TEST

/* The aside of one run is neither spare nor target of another, nor part of its data. */
START_TEST(another_runs_aside_is_respected)
{
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "SET a 2");
    fixture_ok(harness_restore(harness, RUN, 1, &err));
    server_do(&server, "SET a 3");
    fixture_restore(harness, RUN2);
    server_do(&server, "SELECT 15");
    redisReply *value = server_ask(&server, "GET a");
    ck_assert_str_eq(value->str, "2");
    freeReplyObject(value);
    harness_free(harness);
}
END_TEST

START_TEST(without_spares_a_file_serves)
{
    for (int db = 0; db < 16; db++) {
        server_do(&server, "SELECT %d", db);
        server_do(&server, "MSET a %d b %d", db, db);
    }
    struct server_content content = server_content(&server, 7);
    struct harness *harness = fixture_open(server.url, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "SELECT 7");
    server_do(&server, "SET a changed");
    fixture_ok(harness_check(harness, RUN, &err));
    const struct harness_verdict *verdict = fixture_verdict(harness, "replaces");
    ck_assert_ptr_nonnull(verdict);
    ck_assert_ptr_nonnull(strstr(verdict->message, "replaces 2 keys by 2"));
    ck_assert_ptr_nonnull(strstr(verdict->message, "a file"));
    fixture_restore(harness, RUN);
    expect_content(7, content);
    ck_assert_ptr_nonnull(strstr(harness_journal(harness), "flush database 7 -> "));
    fixture_move(harness, server.url, server.work, BY_DATABASE);
    fixture_ok(harness_check(harness, RUN2, &err));
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
    fixture_fails(harness_restore(harness, RUN2, 1, &err), ORCH_E_NO_SPACE, "empty databases");
    harness_free(harness);
}
END_TEST

/* ---- killed at every point ---- */

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
        _exit(harness_restore(harness, RUN, attempt, &err) == ORCH_OK ? 0 : 1);
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
    (void)snprintf(path, sizeof(path), "%s/aside-" RUN ".rdb", server.work);
    if (access(path, F_OK) == 0) {
        server_kill(&server);
        char target[256];
        (void)snprintf(target, sizeof(target), "%s/dump.rdb", server.dir);
        ck_assert_int_eq(rename(path, target), 0);
        server_restart(&server, PROMPT);
        expect_content(0, old);
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
            expect_content(db, old);
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
    server_do(&server, "FUNCTION LOAD REPLACE %s", LIBRARY);
    struct server_content content = server_content(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, options);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    server_do(&server, "FUNCTION LOAD REPLACE %s", LIBRARY2);
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
    ck_assert_msg(whole || options == (const char *const *)BY_FILE, "half done after %s", first);
    fixture_restore_only(harness, RUN, attempt);
    expect_content(0, content);
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    fixture_ok(harness_settle(harness, RUN, ORCH_SETTLE_FAILED, &err));
    harness_free(harness);
    expect_original(old);
    char command[256];
    (void)snprintf(command, sizeof(command), "%s", server.work);
    for (int i = 0; i < 2; i++) { /* what a settled run leaves is not for the next of this test */
        static const char *const NAMES[] = {"functions-" RUN ".dump", "restore-" RUN ".json"};
        char path[300];
        (void)snprintf(path, sizeof(path), "%s/%s", command, NAMES[i]);
        (void)unlink(path);
    }
}

START_TEST(a_kill_anywhere_is_mended_by_swap)
{
    int reached = 0;
    crash_and_finish(BY_DATABASE, CRASHES[_i], NULL, &reached);
    ck_assert_int_eq(reached, _i < 6);
}
END_TEST

START_TEST(a_kill_anywhere_is_mended_by_file)
{
    int reached = 0;
    crash_and_finish(BY_FILE, CRASHES[_i], NULL, &reached);
    ck_assert_int_eq(reached, _i < 4 || _i > 5);
}
END_TEST

START_TEST(two_kills_are_mended)
{
    int reached = 0;
    crash_and_finish(BY_DATABASE, CRASHES[_i / 6], CRASHES[_i % 6], &reached);
    ck_assert_int_eq(reached, 1);
}
END_TEST

/* The server itself dies after the swap and comes back with nothing: said, and started again. */
START_TEST(a_server_that_lost_its_memory_is_filled_again)
{
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    fixture_ok(harness_restore(harness, RUN, 1, &err));
    server_kill(&server);
    server_restart(&server, PROMPT);
    ck_assert_uint_eq(total_keys(), 0);
    fixture_restore_only(harness, RUN, 2);
    fixture_ok(harness_settle(harness, RUN, ORCH_SETTLE_VERIFIED, &err));
    ck_assert_uint_eq(total_keys(), 1);
    ck_assert_int_eq(fixture_files(server.work), 0);
    harness_free(harness);
}
END_TEST

/* ---- failures that leave the target as it was ---- */

/* The old data of the tests below: in database 0, and it must stay. */
static struct server_content old_data(void)
{
    server_do(&server, "FLUSHALL");
    server_do(&server, "SELECT 0");
    server_do(&server, "MSET old 1 older 2 oldest 3");
    return server_content(&server, 0);
}

START_TEST(a_damaged_part_leaves_the_target)
{
    static const uint64_t AFTER[] = {0, 1, 2, 100, 200};
    server_fill(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = old_data();
    harness_fail_next_after(harness, AFTER[_i]);
    struct orch_error error = ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_restore(harness, RUN, 1, &error), ORCH_E_CORRUPT);
    expect_content(0, old);
    ck_assert_uint_eq(total_keys(), old.keys); /* the spare is empty again */
    harness_free(harness);
}
END_TEST

START_TEST(damaged_values_are_refused_by_name)
{
    server_do(&server, "SET innocent value");
    server_do(&server, "SET damaged value");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = old_data();
    const struct harness_item *item = harness_find(harness, "damaged");
    ck_assert_ptr_nonnull(item);
    item->data[3] ^= 1;
    fixture_fails(harness_restore(harness, RUN, 1, &err), ORCH_E_INCOMPATIBLE, "'damaged'");
    expect_content(0, old);
    ck_assert_uint_eq(total_keys(), old.keys);
    harness_free(harness);
}
END_TEST

START_TEST(keys_that_the_facts_do_not_count_are_found)
{
    server_do(&server, "MSET a 1 b 2");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = old_data();
    static const char *const FACTS[] = {
        "{\"scope\":0,\"databases\":{\"0\":{\"keys\":3,\"expiring\":0}},\"sample\":[]}",
        "{\"scope\":0,\"databases\":{},\"sample\":[]}",
        "{\"scope\":\"all\",\"databases\":{\"1\":{\"keys\":2,\"expiring\":0}},\"sample\":[]}",
        "{\"scope\":0,\"databases\":{\"0\":{\"keys\":1,\"expiring\":2}},\"sample\":[]}",
        "{\"scope\":0,\"databases\":{\"0\":{\"keys\":2}},\"sample\":[{\"key\":\"zz\"}]}",
        "{\"scope\":-7,\"databases\":{}}",
        "{}",
        "[1",
    };
    for (size_t i = 0; i < sizeof(FACTS) / sizeof(FACTS[0]); i++) {
        struct orch_error error = ORCH_ERROR_INIT;
        harness_set_facts(harness, FACTS[i]);
        int32_t rc = harness_restore(harness, RUN, 1, &error);
        ck_assert_msg(rc == ORCH_E_CORRUPT, "case %zu: %d %s", i, rc, error.message);
        expect_content(0, old);
    }
    harness_free(harness);
}
END_TEST

START_TEST(no_memory_leaves_the_target)
{
    static const struct {
        const char *policy;
        int32_t code;
    } CASES[] = {{"noeviction", ORCH_E_NO_SPACE}, {"volatile-lru", ORCH_E_NO_SPACE}};
    server_do(&server, "DEBUG POPULATE 4000 key 4000");
    struct harness *harness = fixture_open(server.url0, server.work, BY_DATABASE);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = old_data();
    int64_t limit = 8 << 20;
    server_do(&server, "CONFIG SET maxmemory-policy %s", CASES[_i].policy);
    server_do(&server, "CONFIG SET maxmemory %lld", (long long)limit);
    fixture_ok(harness_check(harness, RUN, &err));
    ck_assert_ptr_nonnull(fixture_verdict(harness, "memory"));
    fixture_fails(harness_restore(harness, RUN, 1, &err), CASES[_i].code, "maxmemory");
    expect_content(0, old);
    ck_assert_uint_eq(total_keys(), old.keys);
    harness_free(harness);
}
END_TEST

/* Room for one of the two only: in place, the old data in a file. */
START_TEST(tight_memory_restores_in_place)
{
    server_do(&server, "DEBUG POPULATE 4000 key 4000");
    struct server_content content = server_content(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    uint64_t count = 0;
    (void)harness_items(harness, &count);
    server_do(&server, "CONFIG SET maxmemory 25mb");
    fixture_restore(harness, RUN);
    ck_assert_ptr_nonnull(strstr(harness_journal(harness), "flush"));
    expect_content(0, content);
    harness_free(harness);
}
END_TEST

/* Keys evicted while they were loaded are missed before the swap. */
START_TEST(evicted_keys_are_missed)
{
    server_do(&server, "DEBUG POPULATE 4000 key 4000");
    struct harness *harness = fixture_open(server.url0, server.work, BY_DATABASE);
    fixture_backup(harness, NULL, NULL);
    (void)old_data();
    server_do(&server, "CONFIG SET maxmemory-policy allkeys-random");
    server_do(&server, "CONFIG SET maxmemory 8mb");
    struct orch_error error = ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_restore(harness, RUN, 1, &error), ORCH_E_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(error.message, "evicts"));
    harness_free(harness);
}
END_TEST

START_TEST(a_server_killed_in_the_restore_is_an_error)
{
    server_do(&server, "DEBUG POPULATE 100000 key 1000");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    pid_t killer = server_kill_when(&server, 15, "DBSIZE", "", 1000);
    struct orch_error error = ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_restore(harness, RUN, 1, &error), ORCH_E_UNREACHABLE);
    ck_assert_int_eq(waitpid(killer, NULL, 0), killer);
    server_kill(&server);
    server_restart(&server, PROMPT);
    fixture_restore_only(harness, RUN, 2);
    ck_assert_int_eq(server_number(&server, "DBSIZE"), 100000);
    harness_free(harness);
}
END_TEST

/* ---- check and verify ---- */

START_TEST(check_refuses_what_cannot_be)
{
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    static const struct {
        const char *facts, *code;
    } CASES[] = {
        {"{\"scope\":\"all\",\"databases\":{},\"rdb_version\":11,\"redis_version\":\"7.2.0\"}",
         "server-version"},
        {"{\"scope\":\"all\",\"databases\":{\"16\":{\"keys\":1,\"expiring\":0}}}", "databases"},
        {"{\"scope\":\"all\",\"databases\":{},\"max_payload_bytes\":600000000}", "value-size"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        harness_set_facts(harness, CASES[i].facts);
        fixture_ok(harness_check(harness, RUN, &err));
        ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
        const struct harness_verdict *verdict = fixture_verdict(harness, CASES[i].code);
        ck_assert_ptr_nonnull(verdict);
        ck_assert_uint_eq(verdict->severity, ORCH_VERDICT_REFUSE);
    }
    ck_assert_uint_eq(total_keys(), 1);
    harness_free(harness);
}
END_TEST

START_TEST(a_replica_is_refused)
{
    struct server primary;
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_start(&primary, PROMPT);
    server_do(&primary, "CONFIG SET bind 127.0.0.1");
    int port = 20000 + (int)(getpid() % 20000);
    redisReply *reply = NULL;
    while (reply == NULL || reply->type == REDIS_REPLY_ERROR) { /* until a port is free */
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        reply = redisCommand(primary.redis, "CONFIG SET port %d", ++port);
    }
    freeReplyObject(reply);
    server_do(&server, "REPLICAOF 127.0.0.1 %d", port);
    for (int tries = 0; tries < 600; tries++) {
        redisReply *info = server_ask(&server, "INFO replication");
        int up = strstr(info->str, "master_link_status:up") != NULL;
        freeReplyObject(info);
        if (up) {
            break;
        }
        (void)usleep(50000); /* the replica connects by its own clock */
    }
    fixture_ok(harness_check(harness, RUN, &err));
    ck_assert_ptr_nonnull(fixture_verdict(harness, "replica"));
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
    fixture_fails(harness_restore(harness, RUN, 1, &err), ORCH_E_INCOMPATIBLE, "replica");
    fixture_backup(harness, NULL, NULL); /* reading from one is fine */
    harness_free(harness);
    server_stop(&primary);
}
END_TEST

/* What an application may do to the data between restore and verify; verify must see each. */
START_TEST(verify_sees_what_is_wrong)
{
    static const struct {
        const char *command, *code;
    } CASES[] = {
        {"DEL string", "key-count"},
        {"SET another 1", "key-count"},
        {"SET string another", "sample"},
        {"SADD set extra", "sample"},
        {"PERSIST expiring", "sample"},
        {"PEXPIREAT string 4102444800000", "sample"},
        {"EVAL redis.call('DEL','list');redis.call('SADD','list','a') 0", "sample"},
        {"RENAME string renamed", "sample"},
    };
    server_do(&server, "MSET string value expiring value");
    server_do(&server, "PEXPIREAT expiring 4102444800000");
    server_do(&server, "SADD set a b c");
    server_do(&server, "RPUSH list a");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    fixture_restore_only(harness, RUN, 1);
    server_do(&server, "SELECT 0");
    if (strncmp(CASES[_i].command, "EVAL", 4) == 0) {
        server_do(&server, "DEL list");
        server_do(&server, "SADD list a");
    } else {
        server_do(&server, CASES[_i].command);
    }
    fixture_ok(harness_verify(harness, RUN, &err));
    const struct harness_verdict *verdict = fixture_verdict(harness, CASES[_i].code);
    ck_assert_ptr_nonnull(verdict);
    ck_assert_msg(verdict->severity == ORCH_VERDICT_REFUSE, "%s", verdict->message);
    harness_free(harness);
}
END_TEST

/* Other settings of the target change encodings: the same data, told with a warning. */
START_TEST(other_encodings_are_the_same_data)
{
    server_fill(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "CONFIG SET rdbcompression no");
    server_do(&server, "CONFIG SET hash-max-listpack-entries 4");
    server_do(&server, "CONFIG SET zset-max-listpack-entries 4");
    server_do(&server, "CONFIG SET set-max-intset-entries 4");
    fixture_ok(harness_restore(harness, RUN, 1, &err));
    fixture_ok(harness_verify(harness, RUN, &err));
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    ck_assert_uint_ge(count, 2);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_msg(verdicts[i].severity != ORCH_VERDICT_REFUSE, "%s", verdicts[i].message);
    }
    harness_free(harness);
}
END_TEST

/* Old encodings, as servers from 2.6 to 6.2 wrote them, become keys of this one. */
START_TEST(old_encodings_are_restored)
{
    /* a ziplist of "a" and "b": bytes, tail, count, entries (previous length, head, text), end */
#define ZL                                                                                         \
    "\x11\x11\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01"                                         \
    "a\x03\x01"                                                                                    \
    "b\xff"
    static const char RDB[] = "REDIS0009\xfe\x00"
                              "\x01\x04list\x02\x01"
                              "a\xc0\x05"
                              "\x03\x05zset1\x01\x01"
                              "a\x04"
                              "1.25"
                              "\x09\x06zipmap\x07\x01\x01"
                              "a\x01\x00"
                              "b\xff"
                              "\x0a\x05zlist" ZL "\x0c\x05zzset\x11\x11\x00\x00\x00\x0d\x00\x00\x00"
                              "\x02\x00\x00\x01"
                              "a\x03\x01"
                              "7\xff"
                              "\x0d\x05zhash" ZL "\x0e\x05qlist\x01" ZL "\xff\0\0\0\0\0\0\0\0";
    static char answer[512];
    int head = snprintf(answer, sizeof(answer), "$%zu\r\n", sizeof(RDB) - 1);
    memcpy(answer + head, RDB, sizeof(RDB) - 1);
    static const char INFO[] = "redis_version:6.2.0\r\nrole:master\r\ndb0:keys=7,expires=0\r\n";
    static char info[256];
    (void)snprintf(info, sizeof(info), "$%zu\r\n%s\r\n", sizeof(INFO) - 1, INFO);
    const struct fake_answer answers[] = {{"INFO", info, 0, 0, 0},
                                          {"SYNC", answer, (size_t)head + sizeof(RDB) - 1, 0, 1}};
    struct fake fake;
    fake_start(&fake, answers, 2);
    struct harness *harness = fixture_open(fake.url, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    fake_stop(&fake);
    fixture_move(harness, server.url0, server.work, NULL);
    fixture_ok(harness_restore(harness, RUN, 1, &err));
    server_do(&server, "SELECT 0");
    ck_assert_int_eq(server_number(&server, "DBSIZE"), 7);
    ck_assert_int_eq(server_number(&server, "LLEN list"), 2);
    ck_assert_int_eq(server_number(&server, "LLEN zlist"), 2);
    ck_assert_int_eq(server_number(&server, "LLEN qlist"), 2);
    ck_assert_int_eq(server_number(&server, "HEXISTS zhash a"), 1);
    ck_assert_int_eq(server_number(&server, "HEXISTS zipmap a"), 1);
    redisReply *score = server_ask(&server, "ZSCORE zset1 a");
    ck_assert_str_eq(score->str, "1.25");
    freeReplyObject(score);
    score = server_ask(&server, "ZSCORE zzset a");
    ck_assert_str_eq(score->str, "7");
    freeReplyObject(score);
    fixture_ok(harness_verify(harness, RUN, &err));
    ck_assert_uint_ne(harness_worst(harness), ORCH_VERDICT_REFUSE);
    harness_free(harness);
}
END_TEST

/* The user for restores, as the README has it. */
START_TEST(the_restore_user_suffices)
{
    static const char *const OPTIONS[] = {"user restorer", "password secret", NULL};
    server_fill(&server, 0);
    server_do(&server, "FUNCTION LOAD %s", LIBRARY);
    struct server_content content = server_content(&server, 0);
    server_do(&server,
              "ACL SETUSER restorer on >secret -@all allkeys +sync +psync +replconf +ping +info "
              "+select +dbsize +restore +dump +pexpiretime +get +set +del +flushdb +swapdb +multi "
              "+exec +watch +time +config|get +function|dump +function|restore");
    struct harness *harness = fixture_open(server.url, server.work, OPTIONS);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    server_do(&server, "FUNCTION FLUSH");
    fixture_restore(harness, RUN);
    expect_content(0, content);
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    harness_free(harness);
}
END_TEST

START_TEST(a_user_who_may_not_restore_is_told)
{
    static const char *const OPTIONS[] = {"user reader", "password secret", NULL};
    server_do(&server, "SET a 1");
    server_do(&server, "ACL SETUSER reader on >secret allkeys +@all -restore");
    struct harness *harness = fixture_open(server.url0, server.work, OPTIONS);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = old_data();
    fixture_fails(harness_restore(harness, RUN, 1, &err), ORCH_E_ACCESS, "ACL");
    expect_content(0, old);
    harness_free(harness);
}
END_TEST

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

START_TEST(a_hundred_thousand_keys_are_fast)
{
    server_do(&server, "DEBUG POPULATE 100000 key 200");
    struct harness *harness = fixture_open(server.url0, server.work, ASIDES[_i]);
    fixture_backup(harness, NULL, NULL);
    double begin = seconds();
    fixture_restore(harness, RUN);
    double took = seconds() - begin;
    printf("restore, %s: 100000 keys in %.2f s\n", ASIDES[_i][0], took);
    ck_assert_msg(took < 5 * SPEED_LIMIT, "%.2f s", took);
    harness_free(harness);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis-restore");
    TCase *cases = tcase_create("restore");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, start, stop);
    tcase_add_loop_test(cases, all_comes_back_identical, 0, 3);
    tcase_add_test(cases, one_database_goes_where_the_url_says);
    tcase_add_test(cases, a_part_of_all_gives_one_database);
    tcase_add_loop_test(cases, an_empty_part_empties, 0, 3);
    tcase_add_loop_test(cases, expired_keys_are_no_loss, 0, 8);
    tcase_add_loop_test(cases, usage_is_restored, 0, 2);
    tcase_add_test(cases, the_old_data_is_kept_until_settled);
    tcase_add_loop_test(cases, the_old_data_in_a_file_can_be_loaded, 1, 3);
    tcase_add_test(cases, a_used_aside_is_left);
    tcase_add_test(cases, another_runs_aside_is_respected);
    tcase_add_test(cases, without_spares_a_file_serves);
    tcase_add_loop_test(cases, a_kill_anywhere_is_mended_by_swap, 0, 9);
    tcase_add_loop_test(cases, a_kill_anywhere_is_mended_by_file, 0, 9);
    tcase_add_loop_test(cases, two_kills_are_mended, 0, 36);
    tcase_add_test(cases, a_server_that_lost_its_memory_is_filled_again);
    tcase_add_loop_test(cases, a_damaged_part_leaves_the_target, 0, 5);
    tcase_add_test(cases, damaged_values_are_refused_by_name);
    tcase_add_test(cases, keys_that_the_facts_do_not_count_are_found);
    tcase_add_loop_test(cases, no_memory_leaves_the_target, 0, 2);
    tcase_add_test(cases, tight_memory_restores_in_place);
    tcase_add_test(cases, evicted_keys_are_missed);
    tcase_add_test(cases, a_server_killed_in_the_restore_is_an_error);
    tcase_add_test(cases, check_refuses_what_cannot_be);
    tcase_add_test(cases, a_replica_is_refused);
    tcase_add_loop_test(cases, verify_sees_what_is_wrong, 0, 8);
    tcase_add_test(cases, other_encodings_are_the_same_data);
    tcase_add_test(cases, old_encodings_are_restored);
    tcase_add_test(cases, the_restore_user_suffices);
    tcase_add_test(cases, a_user_who_may_not_restore_is_told);
    tcase_add_loop_test(cases, a_hundred_thousand_keys_are_fast, 0, 2);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
