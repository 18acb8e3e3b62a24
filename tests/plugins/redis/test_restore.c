/* test_restore.c: restores to a real redis-server: identical, and what was there is set aside. */
#include "restorecase.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Everything of every kind, two databases, functions: lost, and back identical. */
START_TEST(all_comes_back_identical)
{
    server_fill(&server, 0);
    server_fill(&server, 5);
    server_do(&server, "FUNCTION LOAD %s", RESTORECASE_LIBRARY);
    struct server_content first = server_content(&server, 0);
    struct server_content second = server_content(&server, 5);
    struct harness *harness = fixture_open(server.url, server.work, restorecase_asides[_i]);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "SELECT 0");
    server_do(&server, "SET intruder 1");
    server_do(&server, "DEL list:long hash:table");
    server_do(&server, "SELECT 5");
    server_do(&server, "FLUSHDB");
    server_do(&server, "SELECT 9");
    server_do(&server, "SET other-database 1");
    server_do(&server, "FUNCTION LOAD REPLACE %s", RESTORECASE_LIBRARY2);
    server_do(&server, "FUNCTION LOAD REPLACE %s", RESTORECASE_OTHER);
    fixture_restore(harness, RESTORECASE_RUN);
    restorecase_expect(0, first);
    restorecase_expect(5, second);
    ck_assert_uint_eq(restorecase_keys(), first.keys + second.keys); /* no marker, no aside */
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    ck_assert(!restorecase_has_library("other"));
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
    server_do(&server, "FUNCTION LOAD %s", RESTORECASE_LIBRARY);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FUNCTION LOAD REPLACE %s", RESTORECASE_LIBRARY2);
    server_do(&server, "FUNCTION LOAD %s", RESTORECASE_OTHER);
    server_do(&server, "SELECT 2");
    server_do(&server, "SET old 1");
    fixture_move(harness, url2, server.work, NULL);
    fixture_restore(harness, RESTORECASE_RUN);
    restorecase_expect(2, content);
    restorecase_expect(0, content);
    server_do(&server, "SELECT 4");
    ck_assert_int_eq(server_number(&server, "EXISTS bystander"), 1);
    ck_assert_int_eq(server_number(&server, "FCALL one 0"), 1);
    ck_assert(restorecase_has_library("other"));
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
    fixture_restore(harness, RESTORECASE_RUN);
    restorecase_expect(5, content);
    ck_assert_uint_eq(restorecase_keys(), 3);
    harness_free(harness);
}
END_TEST

START_TEST(an_empty_part_empties)
{
    struct harness *harness = fixture_open(server.url, server.work, restorecase_asides[_i]);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "SET later 1");
    fixture_restore(harness, RESTORECASE_RUN);
    ck_assert_uint_eq(restorecase_keys(), 0);
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
    struct harness *harness = fixture_open(server.url0, server.work, restorecase_asides[_i % 2]);
    fixture_backup(harness, NULL, NULL);
    uint64_t count = 0;
    const struct harness_item *items = harness_items(harness, &count);
    ck_assert_uint_eq(count, 201);
    for (uint64_t i = 0; i < count; i++) { /* as if the backup were old */
        if (memcmp(items[i].rec.key, "goes:", 5) == 0) {
            ((struct harness_item *)(uintptr_t)&items[i])->rec.expires_ms = PAST[_i / 2];
        }
    }
    fixture_ok(harness_restore(harness, RESTORECASE_RUN, 1, &err));
    fixture_ok(harness_verify(harness, RESTORECASE_RUN, &err));
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
    fixture_ok(harness_restore(harness, RESTORECASE_RUN, 1, &err));
    ck_assert_int_ge(server_number(&server, CASES[_i].question), 190);
    harness_free(harness);
}
END_TEST

START_TEST(the_old_data_is_kept_until_settled)
{
    server_fill(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    server_do(&server, "MSET old 1 older 2");
    struct server_content old = server_content(&server, 0);
    fixture_restore_only(harness, RESTORECASE_RUN, 1);
    ck_assert_ptr_nonnull(strstr(harness_journal(harness), "swap database 0 -> database 15"));
    fixture_ok(harness_settle(harness, RESTORECASE_RUN, ORCH_SETTLE_FAILED, &err));
    server_do(&server, "SELECT 15");
    ck_assert_int_eq(server_number(&server, "DEL orchestrate:restore"), 1);
    restorecase_expect(15, old);
    harness_free(harness);
}
END_TEST

/* The file is a real RDB: a fresh server that starts on it has the old keys. */
START_TEST(the_old_data_in_a_file_can_be_loaded)
{
    char path[256], target[256];
    server_fill(&server, 0);
    server_do(&server, "FUNCTION LOAD %s", RESTORECASE_LIBRARY);
    struct server_content old = server_content(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, restorecase_asides[_i]);
    fixture_backup(harness, NULL, NULL);
    fixture_restore_only(harness, RESTORECASE_RUN, 1);
    fixture_ok(harness_settle(harness, RESTORECASE_RUN, ORCH_SETTLE_FAILED, &err));
    harness_free(harness);
    (void)snprintf(path, sizeof(path), "%s/aside-" RESTORECASE_RUN ".rdb", server.work);
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0600);
    server_kill(&server);
    (void)snprintf(target, sizeof(target), "%s/dump.rdb", server.dir);
    ck_assert_int_eq(rename(path, target), 0);
    server_restart(&server, restorecase_prompt);
    restorecase_expect(0, old);
    ck_assert(restorecase_has_library("lib"));
}
END_TEST

/* An aside that somebody has begun to use is not emptied. */
START_TEST(a_used_aside_is_left)
{
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    fixture_restore_only(harness, RESTORECASE_RUN, 1);
    server_do(&server, "SELECT 15");
    server_do(&server, "SET somebody-else 1");
    fixture_ok(harness_settle(harness, RESTORECASE_RUN, ORCH_SETTLE_VERIFIED, &err));
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
    fixture_ok(harness_restore(harness, RESTORECASE_RUN, 1, &err));
    server_do(&server, "SET a 3");
    fixture_restore(harness, RESTORECASE_RUN2);
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
    fixture_ok(harness_check(harness, RESTORECASE_RUN, &err));
    const struct harness_verdict *verdict = fixture_verdict(harness, "replaces");
    ck_assert_ptr_nonnull(verdict);
    ck_assert_ptr_nonnull(strstr(verdict->message, "replaces 2 keys by 2"));
    ck_assert_ptr_nonnull(strstr(verdict->message, "a file"));
    fixture_restore(harness, RESTORECASE_RUN);
    restorecase_expect(7, content);
    ck_assert_ptr_nonnull(strstr(harness_journal(harness), "flush database 7 -> "));
    fixture_move(harness, server.url, server.work, restorecase_by_database);
    fixture_ok(harness_check(harness, RESTORECASE_RUN2, &err));
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
    fixture_fails(harness_restore(harness, RESTORECASE_RUN2, 1, &err), ORCH_E_NO_SPACE,
                  "empty databases");
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
    fixture_ok(harness_restore(harness, RESTORECASE_RUN, 1, &err));
    fixture_ok(harness_verify(harness, RESTORECASE_RUN, &err));
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
    fixture_ok(harness_restore(harness, RESTORECASE_RUN, 1, &err));
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
    fixture_ok(harness_verify(harness, RESTORECASE_RUN, &err));
    ck_assert_uint_ne(harness_worst(harness), ORCH_VERDICT_REFUSE);
    harness_free(harness);
}
END_TEST

/* The user for restores, as the README has it. */
START_TEST(the_restore_user_suffices)
{
    static const char *const OPTIONS[] = {"user restorer", "password secret", NULL};
    server_fill(&server, 0);
    server_do(&server, "FUNCTION LOAD %s", RESTORECASE_LIBRARY);
    struct server_content content = server_content(&server, 0);
    server_do(&server,
              "ACL SETUSER restorer on >secret -@all allkeys +sync +psync +replconf +ping +info "
              "+select +dbsize +restore +dump +pexpiretime +get +set +del +flushdb +swapdb +multi "
              "+exec +watch +time +config|get +function|dump +function|restore");
    struct harness *harness = fixture_open(server.url, server.work, OPTIONS);
    fixture_backup(harness, NULL, NULL);
    server_do(&server, "FLUSHALL");
    server_do(&server, "FUNCTION FLUSH");
    fixture_restore(harness, RESTORECASE_RUN);
    restorecase_expect(0, content);
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
    struct server_content old = restorecase_old_data();
    fixture_fails(harness_restore(harness, RESTORECASE_RUN, 1, &err), ORCH_E_ACCESS, "ACL");
    restorecase_expect(0, old);
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
    struct harness *harness = fixture_open(server.url0, server.work, restorecase_asides[_i]);
    fixture_backup(harness, NULL, NULL);
    double begin = seconds();
    fixture_restore(harness, RESTORECASE_RUN);
    double took = seconds() - begin;
    printf("restore, %s: 100000 keys in %.2f s\n", restorecase_asides[_i][0], took);
    ck_assert_msg(took < 5 * SPEED_LIMIT, "%.2f s", took);
    harness_free(harness);
}
END_TEST

int main(void)
{
    TCase *cases = NULL;
    Suite *suite = restorecase_suite("redis-restore", &cases);
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
    tcase_add_test(cases, other_encodings_are_the_same_data);
    tcase_add_test(cases, old_encodings_are_restored);
    tcase_add_test(cases, the_restore_user_suffices);
    tcase_add_test(cases, a_user_who_may_not_restore_is_told);
    tcase_add_loop_test(cases, a_hundred_thousand_keys_are_fast, 0, 2);
    return restorecase_run(suite);
}
