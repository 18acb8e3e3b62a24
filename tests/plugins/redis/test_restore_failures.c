/* test_restore_failures.c: restores that fail leave the target as it was; what check and verify
 * say. */
#include "restorecase.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(a_damaged_part_leaves_the_target)
{
    static const uint64_t AFTER[] = {0, 1, 2, 100, 200};
    server_fill(&server, 0);
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = restorecase_old_data();
    harness_fail_next_after(harness, AFTER[_i]);
    struct orch_error error = ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_restore(harness, RESTORECASE_RUN, 1, &error), ORCH_E_CORRUPT);
    restorecase_expect(0, old);
    ck_assert_uint_eq(restorecase_keys(), old.keys); /* the spare is empty again */
    harness_free(harness);
}
END_TEST

START_TEST(damaged_values_are_refused_by_name)
{
    server_do(&server, "SET innocent value");
    server_do(&server, "SET damaged value");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = restorecase_old_data();
    const struct harness_item *item = harness_find(harness, "damaged");
    ck_assert_ptr_nonnull(item);
    item->data[3] ^= 1;
    fixture_fails(harness_restore(harness, RESTORECASE_RUN, 1, &err), ORCH_E_INCOMPATIBLE,
                  "'damaged'");
    restorecase_expect(0, old);
    ck_assert_uint_eq(restorecase_keys(), old.keys);
    harness_free(harness);
}
END_TEST

START_TEST(keys_that_the_facts_do_not_count_are_found)
{
    server_do(&server, "MSET a 1 b 2");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = restorecase_old_data();
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
        int32_t rc = harness_restore(harness, RESTORECASE_RUN, 1, &error);
        ck_assert_msg(rc == ORCH_E_CORRUPT, "case %zu: %d %s", i, rc, error.message);
        restorecase_expect(0, old);
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
    struct harness *harness = fixture_open(server.url0, server.work, restorecase_by_database);
    fixture_backup(harness, NULL, NULL);
    struct server_content old = restorecase_old_data();
    int64_t limit = 8 << 20;
    server_do(&server, "CONFIG SET maxmemory-policy %s", CASES[_i].policy);
    server_do(&server, "CONFIG SET maxmemory %lld", (long long)limit);
    fixture_ok(harness_check(harness, RESTORECASE_RUN, &err));
    ck_assert_ptr_nonnull(fixture_verdict(harness, "memory"));
    fixture_fails(harness_restore(harness, RESTORECASE_RUN, 1, &err), CASES[_i].code, "maxmemory");
    restorecase_expect(0, old);
    ck_assert_uint_eq(restorecase_keys(), old.keys);
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
    fixture_restore(harness, RESTORECASE_RUN);
    ck_assert_ptr_nonnull(strstr(harness_journal(harness), "flush"));
    restorecase_expect(0, content);
    harness_free(harness);
}
END_TEST

/* Keys evicted while they were loaded are missed before the swap. */
START_TEST(evicted_keys_are_missed)
{
    server_do(&server, "DEBUG POPULATE 4000 key 4000");
    struct harness *harness = fixture_open(server.url0, server.work, restorecase_by_database);
    fixture_backup(harness, NULL, NULL);
    (void)restorecase_old_data();
    server_do(&server, "CONFIG SET maxmemory-policy allkeys-random");
    server_do(&server, "CONFIG SET maxmemory 8mb");
    struct orch_error error = ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_restore(harness, RESTORECASE_RUN, 1, &error), ORCH_E_NO_SPACE);
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
    ck_assert_int_eq(harness_restore(harness, RESTORECASE_RUN, 1, &error), ORCH_E_UNREACHABLE);
    ck_assert_int_eq(waitpid(killer, NULL, 0), killer);
    server_kill(&server);
    server_restart(&server, restorecase_prompt);
    fixture_restore_only(harness, RESTORECASE_RUN, 2);
    ck_assert_int_eq(server_number(&server, "DBSIZE"), 100000);
    harness_free(harness);
}
END_TEST

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
        fixture_ok(harness_check(harness, RESTORECASE_RUN, &err));
        ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
        const struct harness_verdict *verdict = fixture_verdict(harness, CASES[i].code);
        ck_assert_ptr_nonnull(verdict);
        ck_assert_uint_eq(verdict->severity, ORCH_VERDICT_REFUSE);
    }
    ck_assert_uint_eq(restorecase_keys(), 1);
    harness_free(harness);
}
END_TEST

START_TEST(a_replica_is_refused)
{
    struct server primary;
    server_do(&server, "SET a 1");
    struct harness *harness = fixture_open(server.url0, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    server_start(&primary, restorecase_prompt);
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
    fixture_ok(harness_check(harness, RESTORECASE_RUN, &err));
    ck_assert_ptr_nonnull(fixture_verdict(harness, "replica"));
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
    fixture_fails(harness_restore(harness, RESTORECASE_RUN, 1, &err), ORCH_E_INCOMPATIBLE,
                  "replica");
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
    fixture_restore_only(harness, RESTORECASE_RUN, 1);
    server_do(&server, "SELECT 0");
    if (strncmp(CASES[_i].command, "EVAL", 4) == 0) {
        server_do(&server, "DEL list");
        server_do(&server, "SADD list a");
    } else {
        server_do(&server, CASES[_i].command);
    }
    fixture_ok(harness_verify(harness, RESTORECASE_RUN, &err));
    const struct harness_verdict *verdict = fixture_verdict(harness, CASES[_i].code);
    ck_assert_ptr_nonnull(verdict);
    ck_assert_msg(verdict->severity == ORCH_VERDICT_REFUSE, "%s", verdict->message);
    harness_free(harness);
}
END_TEST

int main(void)
{
    TCase *cases = NULL;
    Suite *suite = restorecase_suite("redis-restore-failures", &cases);
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
    return restorecase_run(suite);
}
