/* test_backup.c: backups from a real redis-server, and from a fake one that misbehaves. */
#include "fixture.h"

#include "bytes.h"
#include "crc64.h"
#include "rdb.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

static struct server server;

/* Diskless snapshots without the delay, so that the tests do not wait 5 seconds each. */
static const char *const PROMPT[] = {"repl-diskless-sync-delay 0", "save ", NULL};

static void start(void)
{
    server_start(&server, PROMPT);
}

static void stop(void)
{
    server_stop(&server);
}

static json_t *facts_of(struct harness *harness)
{
    json_t *facts = json_loads(harness_facts(harness), 0, NULL);
    ck_assert_ptr_nonnull(facts);
    return facts;
}

/* Every record must be exactly what DUMP and PEXPIRETIME of the live server say. */
static void expect_same_as_live(struct harness *harness)
{
    uint64_t count = 0;
    const struct harness_item *items = harness_items(harness, &count);
    for (uint64_t i = 0; i < count; i++) {
        const struct orch_record *record = &items[i].rec;
        ck_assert_int_eq(items[i].is_record, 1);
        if (record->space == UINT32_MAX) {
            continue;
        }
        server_do(&server, "SELECT %d", (int)record->space);
        redisReply *dump = server_ask(&server, "DUMP %b", record->key, (size_t)record->key_len);
        ck_assert_int_eq(dump->type, REDIS_REPLY_STRING);
        ck_assert_uint_eq((uint64_t)dump->len, items[i].data_len);
        ck_assert_msg(memcmp(dump->str, items[i].data, (size_t)dump->len) == 0, "%.*s",
                      (int)record->key_len, (const char *)record->key);
        int64_t expiry =
            server_number(&server, "PEXPIRETIME %b", record->key, (size_t)record->key_len);
        ck_assert_int_eq(expiry < 0 ? ORCH_NO_EXPIRY : expiry, record->expires_ms);
        freeReplyObject(dump);
    }
}

struct method {
    const char *const *options;
    const char *fact;
    uint32_t consistency;
};
static const char *const BY_DISKLESS[] = {"diskless yes", NULL};
static const char *const BY_DISK[] = {"diskless no", NULL};
static const char *const BY_SCAN[] = {"method scan", "batch 7", NULL};
static const struct method METHODS[] = {
    {BY_DISKLESS, "sync", ORCH_CONSISTENCY_SNAPSHOT},
    {BY_DISK, "sync-disk", ORCH_CONSISTENCY_SNAPSHOT},
    {BY_SCAN, "scan", ORCH_CONSISTENCY_FUZZY},
};

START_TEST(records_are_what_dump_says)
{
    const struct method *method = &METHODS[_i];
    struct orch_probe probe;
    struct orch_freeze freeze;
    server_fill(&server, 0);
    server_fill(&server, 7);
    server_do(&server, "FUNCTION LOAD %s",
              "#!lua name=first\nredis.register_function('one', function() return 1 end)");
    struct harness *harness = fixture_open(server.url, server.work, method->options);
    fixture_backup(harness, &probe, &freeze);
    uint64_t count = 0;
    (void)harness_items(harness, &count);
    ck_assert_str_eq(probe.version, "Redis 7.0.15");
    ck_assert_uint_eq(probe.items + 1, count); /* and the library */
    ck_assert_uint_eq(freeze.consistency, method->consistency);
    expect_same_as_live(harness);
    const struct harness_item *library = harness_find(harness, "first");
    ck_assert_ptr_nonnull(library);
    ck_assert_uint_eq(library->rec.space, UINT32_MAX);
    ck_assert_int_eq(memcmp(library->data, "#!lua name=first\n", 17), 0);
    json_t *facts = facts_of(harness);
    ck_assert_str_eq(json_string_value(json_object_get(facts, "method")), method->fact);
    ck_assert_int_eq(json_integer_value(json_object_get(facts, "rdb_version")), 10);
    ck_assert_int_eq(json_integer_value(json_object_get(facts, "keys")), (json_int_t)probe.items);
    ck_assert_uint_eq(json_array_size(json_object_get(facts, "sample")), 64);
    ck_assert_int_eq(json_is_string(json_object_get(facts, "repl_id")),
                     method->consistency == ORCH_CONSISTENCY_SNAPSHOT);
    json_decref(facts);
    harness_free(harness);
}
END_TEST

START_TEST(one_database_is_one_database)
{
    server_fill(&server, 0);
    server_do(&server, "SELECT 3");
    server_do(&server, "SET only here");
    char url[160];
    (void)snprintf(url, sizeof(url), "%s?db=3", server.url);
    struct orch_probe probe;
    struct harness *harness = fixture_open(url, server.work, NULL);
    fixture_backup(harness, &probe, NULL);
    uint64_t count = 0;
    const struct harness_item *items = harness_items(harness, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(probe.items, 1);
    ck_assert_uint_eq(items[0].rec.space, 3);
    harness_free(harness);
}
END_TEST

START_TEST(an_empty_server_is_an_empty_part)
{
    struct orch_probe probe;
    struct harness *harness = fixture_open(server.url, server.work, METHODS[_i].options);
    fixture_backup(harness, &probe, NULL);
    uint64_t count = 1;
    (void)harness_items(harness, &count);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(probe.items, 0);
    ck_assert_uint_ne(harness_plugin(harness)->capabilities & ORCH_CAP_EMPTY_OK, 0);
    harness_free(harness);
}
END_TEST

START_TEST(idle_time_and_frequency_travel_along)
{
    static const struct {
        const char *policy;
        char tag;
        uint32_t len;
    } CASES[] = {{"allkeys-lru", 'I', 9}, {"allkeys-lfu", 'F', 2}, {"noeviction", 0, 0}};
    server_do(&server, "CONFIG SET maxmemory-policy %s", CASES[_i].policy);
    server_do(&server, "SET key value");
    struct harness *harness = fixture_open(server.url, server.work, NULL);
    fixture_backup(harness, NULL, NULL);
    const struct harness_item *item = harness_find(harness, "key");
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->rec.extra_len, CASES[_i].len);
    if (CASES[_i].len > 0) {
        ck_assert_int_eq(item->rec.extra[0], CASES[_i].tag);
    }
    harness_free(harness);
}
END_TEST

/* The smallest users that can take a backup, as the README has them. */
START_TEST(the_minimal_user_suffices)
{
    static const char *const OPTIONS[] = {"user backup", "password secret", NULL};
    static const char *const SCANNING[] = {"user backup", "password secret", "method scan", NULL};
    static const char *const RULES[] = {
        "ACL SETUSER backup on >secret -@all resetkeys +sync +psync +replconf +ping +info",
        "ACL SETUSER backup on >secret -@all ~* +info +ping +select +scan +dump +pexpiretime "
        "+function|dump",
    };
    server_do(&server, "SET key value");
    server_do(&server, RULES[_i]);
    struct orch_freeze freeze;
    struct harness *harness = fixture_open(server.url, server.work, _i == 0 ? OPTIONS : SCANNING);
    fixture_backup(harness, NULL, &freeze);
    ck_assert_ptr_nonnull(harness_find(harness, "key"));
    ck_assert_uint_eq(freeze.consistency,
                      _i == 0 ? ORCH_CONSISTENCY_SNAPSHOT : ORCH_CONSISTENCY_FUZZY);
    harness_free(harness);
}
END_TEST

START_TEST(without_sync_auto_scans_and_sync_refuses)
{
    static const char *const AUTO[] = {"user app", "password secret", NULL};
    static const char *const SYNC[] = {"user app", "password secret", "method sync", NULL};
    server_do(&server, "SET key value");
    server_do(&server, "ACL SETUSER app on >secret +@all -sync -psync allkeys");
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct harness *harness = fixture_open(server.url, server.work, AUTO);
    fixture_backup(harness, NULL, &freeze);
    ck_assert_uint_eq(freeze.consistency, ORCH_CONSISTENCY_FUZZY);
    ck_assert_ptr_nonnull(harness_find(harness, "key"));
    harness_free(harness);
    harness = fixture_open(server.url, server.work, SYNC);
    fixture_fails(harness_backup(harness, 0, &probe, &freeze, &err), ORCH_E_ACCESS, "ACL");
    harness_free(harness);
}
END_TEST

START_TEST(a_wrong_password_is_said_and_not_shown)
{
    static const char *const WRONG[] = {"password wrong-secret", NULL};
    server_do(&server, "CONFIG SET requirepass right-secret");
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct harness *harness = fixture_open(server.url, server.work, WRONG);
    struct orch_error shown = ORCH_ERROR_INIT;
    ck_assert_int_eq(harness_backup(harness, 0, &probe, &freeze, &shown), ORCH_E_ACCESS);
    ck_assert_ptr_nonnull(strstr(shown.message, "password"));
    ck_assert_ptr_null(strstr(shown.message, "secret"));
    harness_free(harness);
    harness = fixture_open(server.url, server.work, NULL);
    fixture_fails(harness_backup(harness, 0, &probe, &freeze, &err), ORCH_E_ACCESS, "password");
    harness_free(harness);
}
END_TEST

START_TEST(no_server_is_unreachable)
{
    struct orch_probe probe;
    struct orch_freeze freeze;
    server_kill(&server);
    struct harness *harness = fixture_open(server.url, server.work, NULL);
    fixture_fails(harness_backup(harness, 0, &probe, &freeze, &err), ORCH_E_UNREACHABLE,
                  server.socket);
    harness_free(harness);
}
END_TEST

/* Killed while it streams: the forked child goes on for a moment, then the stream breaks off. */
START_TEST(a_server_killed_in_the_stream_is_an_error)
{
    static const char *const SLOW[] = {"diskless yes", NULL};
    server_do(&server, "DEBUG POPULATE 20000 key 2000");
    server_do(&server, "CONFIG SET rdb-key-save-delay 200");
    struct harness *harness = fixture_open(server.url, server.work, SLOW);
    pid_t killer =
        server_kill_when(&server, 0, "INFO persistence", "current_save_keys_processed", 1000);
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = harness_backup(harness, 0, &probe, &freeze, &err);
    ck_assert_msg(rc == ORCH_E_UNREACHABLE, "%d %s", rc, err.message);
    ck_assert_ptr_nonnull(strstr(err.message, "broke off"));
    ck_assert_int_eq(waitpid(killer, NULL, 0), killer);
    harness_free(harness);
}
END_TEST

START_TEST(cancelling_stops_it)
{
    server_do(&server, "DEBUG POPULATE 5000");
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct harness *harness = fixture_open(server.url, server.work, METHODS[_i].options);
    harness_cancel(harness);
    fixture_fails(harness_backup(harness, 0, &probe, &freeze, &err), ORCH_E_CANCELLED, "ancelled");
    harness_free(harness);
}
END_TEST

/* SCAN names keys twice while its table shrinks or grows; records stay unique. */
START_TEST(scan_gives_each_key_once)
{
    static const char *const OPTIONS[] = {"method scan", "batch 3", NULL};
    server_do(&server, "DEBUG POPULATE 3000");
    struct harness *harness = fixture_open(server.url, server.work, OPTIONS);
    fixture_backup(harness, NULL, NULL);
    uint64_t count = 0;
    (void)harness_items(harness, &count);
    ck_assert_uint_eq(count, 3000);
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
    struct harness *harness = fixture_open(server.url, server.work, METHODS[_i].options);
    double begin = seconds();
    fixture_backup(harness, NULL, NULL);
    double took = seconds() - begin;
    printf("%s: 100000 keys in %.2f s\n", METHODS[_i].fact, took);
    ck_assert_msg(took < 5 * SPEED_LIMIT, "%.2f s", took);
    harness_free(harness);
}
END_TEST

/* ---- a server that misbehaves ---- */

#define INFO_TEXT                                                                                  \
    "redis_version:7.0.15\r\nrun_id:0123\r\nrole:master\r\nloading:0\r\nused_memory_dataset:1\r\n" \
    "db0:keys=1,expires=0,avg_ttl=0\r\n"
#define MARK "0123456789012345678901234567890123456789"
/* A key "k" with the value "v", without checksum. */
#define RDB "REDIS0010\xfe\x00\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0"
#define RDB_LEN "25"

static const char *info_reply(const char *text)
{
    static char reply[1024];
    (void)snprintf(reply, sizeof(reply), "$%zu\r\n%s\r\n", strlen(text), text);
    return reply;
}

struct stream_case {
    const char *answer;
    size_t len;
    size_t piece;
    int32_t code;
    const char *word;
};
#define S(text, piece, code, word)                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, piece, code, word                                                  \
    }
static const struct stream_case STREAMS[] = {
    S("$EOF:" MARK "\r\n" RDB MARK, 0, ORCH_OK, ""),
    S("\n\n\n$EOF:" MARK "\r\n" RDB MARK, 1, ORCH_OK, ""),
    S("\n$EOF:" MARK "\r\n" RDB MARK, 7, ORCH_OK, ""),
    S("$" RDB_LEN "\r\n" RDB, 0, ORCH_OK, ""),
    S("\n$" RDB_LEN "\r\n" RDB, 1, ORCH_OK, ""),
    /* what follows the RDB is the command stream of a server that does not know rdb-only */
    S("$" RDB_LEN "\r\n" RDB "*1\r\n$4\r\nPING\r\n", 0, ORCH_OK, ""),
    S("$EOF:" MARK "\r\n" RDB, 0, ORCH_E_UNREACHABLE, "end mark"),
    S("$EOF:" MARK "\r\n" RDB "0123456789012345678901234567890123456xxx", 0, ORCH_E_CORRUPT,
      "mark"),
    S("$EOF:" MARK "\r\nREDIS0010\xfe\x00\x00\x01k", 0, ORCH_E_UNREACHABLE, "broke off"),
    S("$EOF:" MARK "\r\nREDIS0010\xfe\x00\x00\x01k" MARK, 0, ORCH_E_UNREACHABLE, "broke off"),
    S("$10\r\n" RDB, 0, ORCH_E_CORRUPT, "ends early"),
    S("$26\r\n" RDB "x", 0, ORCH_E_CORRUPT, "goes on"),
    S("$1000\r\n" RDB, 0, ORCH_E_CORRUPT, "goes on"),
    S("$0\r\n", 0, ORCH_E_CORRUPT, "ends early"),
    S("$-1\r\n", 0, ORCH_E_PROTOCOL, "answered SYNC"),
    S("$12x\r\n", 0, ORCH_E_PROTOCOL, "answered SYNC"),
    S("$99999999999999999999999\r\n", 0, ORCH_E_PROTOCOL, "answered SYNC"),
    S("$EOF:short\r\n", 0, ORCH_E_PROTOCOL, "answered SYNC"),
    S("hello\r\n", 0, ORCH_E_PROTOCOL, "answered SYNC"),
    S("\n\n\n", 0, ORCH_E_UNREACHABLE, "waiting for the snapshot"),
    S("-LOADING Redis is loading the dataset in memory\r\n", 0, ORCH_E_BUSY, "loading"),
    S("-MASTERDOWN Link with MASTER is down\r\n", 0, ORCH_E_UNREACHABLE, "replica"),
    S("-NOMASTERLINK Can't SYNC while not connected with my master\r\n", 0, ORCH_E_UNREACHABLE,
      "replica"),
    S("-ERR something else\r\n", 0, ORCH_E_FAILED, "something else"),
};

START_TEST(streams_end_well_or_clearly)
{
    const struct stream_case *one = &STREAMS[_i];
    const struct fake_answer answers[] = {
        {"INFO", info_reply(INFO_TEXT), 0, 0, 0},
        {"CONFIG", "-NOPERM no\r\n", 0, 0, 0},
        {"SYNC", one->answer, one->len, one->piece, 1},
    };
    struct fake fake;
    fake_start(&fake, answers, sizeof(answers) / sizeof(answers[0]));
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = fixture_open(fake.url, "/tmp", NULL);
    int32_t rc = harness_backup(harness, 0, &probe, &freeze, &err);
    ck_assert_msg(rc == one->code, "case %d: %d %s", _i, rc, err.message);
    ck_assert_msg(strstr(err.message, one->word) != NULL, "case %d: %s", _i, err.message);
    if (rc == ORCH_OK) {
        const struct harness_item *item = harness_find(harness, "k");
        ck_assert_ptr_nonnull(item);
        ck_assert_uint_eq(item->data_len, 13);
    }
    harness_free(harness);
    fake_stop(&fake);
}
END_TEST

static const struct {
    const char *info;
    int32_t code;
    const char *word;
} INFOS[] = {
    {"redis_version:7.0.15\r\nloading:1\r\n", ORCH_E_BUSY, "loading"},
    {"redis_version:7.0.15\r\nrole:slave\r\nmaster_link_status:down\r\n", ORCH_E_UNREACHABLE,
     "primary"},
    {"redis_version:7.0.15\r\ncluster_enabled:1\r\n", ORCH_E_UNSUPPORTED, "cluster"},
    {"redis_mode:standalone\r\n", ORCH_E_PROTOCOL, "version"},
};

START_TEST(probe_tells_what_is_wrong)
{
    const struct fake_answer answers[] = {{"INFO", info_reply(INFOS[_i].info), 0, 0, 0}};
    struct fake fake;
    fake_start(&fake, answers, 1);
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct harness *harness = fixture_open(fake.url, "/tmp", NULL);
    fixture_fails(harness_backup(harness, 0, &probe, &freeze, &err), INFOS[_i].code,
                  INFOS[_i].word);
    harness_free(harness);
    fake_stop(&fake);
}
END_TEST

START_TEST(a_silent_server_times_out)
{
    static const char *const OPTIONS[] = {"sync_timeout 300", NULL};
    const struct fake_answer answers[] = {{"INFO", "$5", 0, 0, 0}};
    struct fake fake;
    fake_start(&fake, answers, 1);
    struct orch_probe probe;
    struct orch_freeze freeze;
    struct harness *harness = fixture_open(fake.url, "/tmp", OPTIONS);
    fixture_fails(harness_backup(harness, 0, &probe, &freeze, &err), ORCH_E_TIMEOUT, "no sign");
    harness_free(harness);
    fake_stop(&fake);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis-backup");
    TCase *real = tcase_create("server");
    tcase_set_timeout(real, 120);
    tcase_add_checked_fixture(real, start, stop);
    tcase_add_loop_test(real, records_are_what_dump_says, 0, 3);
    tcase_add_test(real, one_database_is_one_database);
    tcase_add_loop_test(real, an_empty_server_is_an_empty_part, 0, 3);
    tcase_add_loop_test(real, idle_time_and_frequency_travel_along, 0, 3);
    tcase_add_loop_test(real, the_minimal_user_suffices, 0, 2);
    tcase_add_test(real, without_sync_auto_scans_and_sync_refuses);
    tcase_add_test(real, a_wrong_password_is_said_and_not_shown);
    tcase_add_test(real, no_server_is_unreachable);
    tcase_add_test(real, a_server_killed_in_the_stream_is_an_error);
    tcase_add_loop_test(real, cancelling_stops_it, 0, 3);
    tcase_add_test(real, scan_gives_each_key_once);
    tcase_add_loop_test(real, a_hundred_thousand_keys_are_fast, 0, 3);
    suite_add_tcase(suite, real);
    TCase *fake = tcase_create("fake");
    tcase_set_timeout(fake, 60);
    tcase_add_loop_test(fake, streams_end_well_or_clearly, 0,
                        (int)(sizeof(STREAMS) / sizeof(STREAMS[0])));
    tcase_add_loop_test(fake, probe_tells_what_is_wrong, 0,
                        (int)(sizeof(INFOS) / sizeof(INFOS[0])));
    tcase_add_test(fake, a_silent_server_times_out);
    suite_add_tcase(suite, fake);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
