/* test_check.c: what preflight and verification see. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "case.h"

static struct harness *prepared(void)
{
    server_create(&the_server, "small");
    server_sql(&the_server, "small",
               "CREATE EXTENSION hstore; CREATE TABLE t (a int PRIMARY KEY); CREATE SEQUENCE s;"
               "INSERT INTO t SELECT generate_series(1, 10); SELECT lo_create(60)");
    struct harness *harness = case_on("small");
    case_backup(harness);
    return harness;
}

/* ---- check ------------------------------------------------------------------------------ */

static const struct {
    const char *group; /* the fact, or its member's parent */
    const char *member;
    const char *json; /* what it becomes */
    const char *code;
    uint32_t severity;
    const char *says;
} misfits[] = {
    {"server", "major", "99", "server-version", ORCH_VERDICT_REFUSE, "PostgreSQL 99"},
    {"server", "major", "13", NULL, ORCH_VERDICT_GO, ""},
    {"extensions", "no_such_thing", "\"1.0\"", "extensions", ORCH_VERDICT_REFUSE, "no_such_thing"},
    {"extensions", "hstore", "\"0.9\"", "extension-version", ORCH_VERDICT_WARN, "hstore"},
    {"roles", NULL, "[\"postgres\", \"ghost\", \"spook\"]", "roles", ORCH_VERDICT_REFUSE,
     "ghost, spook"},
    {"tablespaces", NULL, "[\"fast_disk\"]", "tablespaces", ORCH_VERDICT_REFUSE, "fast_disk"},
    {"database", "tablespace", "\"elsewhere\"", "tablespaces", ORCH_VERDICT_WARN, "elsewhere"},
    {"database", "encoding", "\"KLINGON\"", "encoding", ORCH_VERDICT_REFUSE, "encoding"},
    {"database", "collate", "\"xx_XX.UTF-8\"", "locale", ORCH_VERDICT_REFUSE, "xx_XX"},
    {"database", "ctype", "\"yy_YY.UTF-8\"", "locale", ORCH_VERDICT_REFUSE, "yy_YY"},
    {"database", "provider", "\"b\"", "locale", ORCH_VERDICT_REFUSE, "provider"},
    {"database", "size_bytes", "9000000000000000000", "space", ORCH_VERDICT_REFUSE, "MiB"},
};

START_TEST(test_misfits)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    json_t *facts = json_loads(harness_facts(harness), 0, NULL);
    json_t *value = json_loads(misfits[_i].json, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(facts);
    ck_assert_ptr_nonnull(value);
    if (misfits[_i].member == NULL) {
        ck_assert_int_eq(json_object_set_new(facts, misfits[_i].group, value), 0);
    } else {
        json_t *group = json_object_get(facts, misfits[_i].group);
        ck_assert_int_eq(json_object_set_new(group, misfits[_i].member, value), 0);
    }
    char *text = json_dumps(facts, 0);
    harness_set_facts(harness, text);
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    ck_assert_uint_eq(harness_worst(harness), misfits[_i].severity);
    if (misfits[_i].code != NULL) {
        const struct harness_verdict *verdict = case_verdict(harness, misfits[_i].code);
        ck_assert_ptr_nonnull(verdict);
        ck_assert_uint_eq(verdict->severity, misfits[_i].severity);
        ck_assert_msg(strstr(verdict->message, misfits[_i].says) != NULL, "%s", verdict->message);
    }
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    free(text);
    json_decref(facts);
    harness_free(harness);
}
END_TEST

/* The state of the target: there or not, in use, not to be renamed. */
START_TEST(test_target)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_GO);
    ck_assert_ptr_nonnull(
        strstr(case_verdict(harness, "target")->message, "small_orch_aside_" RUN8));

    PGconn *user = server_connect(&the_server, "small");
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_WARN);
    ck_assert_ptr_nonnull(strstr(case_verdict(harness, "sessions")->message, "1 sessions"));

    PQclear(PQexec(user, "BEGIN; INSERT INTO t VALUES (11); PREPARE TRANSACTION 'held'"));
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
    ck_assert_ptr_nonnull(case_verdict(harness, "prepared-transactions"));
    /* And were it gone about all the same, the swap fails and nothing is lost. */
    ck_assert_int_lt(harness_restore(harness, RUN, 1, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.message, "prepared transaction"));
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    PQfinish(user);
    server_sql(&the_server, "small", "ROLLBACK PREPARED 'held'");

    server_drop(&the_server, "small");
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_GO);
    ck_assert_ptr_nonnull(strstr(case_verdict(harness, "target")->message, "created"));
    harness_free(harness);
}
END_TEST

/* A user without the rights is told before anything is tried. */
START_TEST(test_plain_user)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    ck_assert_ok(harness_option(harness, "conninfo",
                                server_conninfo(&the_server, "app_reader", "small"), &err),
                 err);
    case_reopen(harness);
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    ck_assert_uint_eq(harness_worst(harness), ORCH_VERDICT_REFUSE);
    ck_assert_ptr_nonnull(case_verdict(harness, "privilege"));
    harness_free(harness);
}
END_TEST

/* A user who owns the database and may create others needs to be no superuser. */
START_TEST(test_owner_without_superuser)
{
    struct orch_error err = ORCH_ERROR_INIT;
    server_drop(&the_server, "owned");
    server_sql(&the_server, "postgres",
               "DROP ROLE IF EXISTS maker; CREATE ROLE maker LOGIN CREATEDB");
    server_sql(&the_server, "postgres", "CREATE DATABASE owned OWNER maker");
    server_sql(&the_server, "owned",
               "SET ROLE maker; CREATE EXTENSION hstore;"
               "CREATE TABLE t (a serial, h hstore); INSERT INTO t (h) VALUES ('a=>1');"
               "SELECT lo_from_bytea(61, 'mine')");
    struct harness *harness = case_load("maker", "owned");
    case_open(harness);
    case_backup(harness);
    server_sql(&the_server, "owned", "DELETE FROM t");
    case_reopen(harness);
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    case_restore(harness, 1);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    ck_assert_int_eq(server_number(&the_server, "owned", "SELECT count(*) FROM t"), 1);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    server_drop(&the_server, "owned");
    server_sql(&the_server, "postgres", "DROP ROLE maker");
    harness_free(harness);
}
END_TEST

/* ---- verify ----------------------------------------------------------------------------- */

static const struct {
    const char *damage;
    const char *code;
    const char *subject;
} damages[] = {
    {"DELETE FROM t WHERE a = 3", "row-count", "public.t"},
    {"INSERT INTO t VALUES (99)", "row-count", "public.t"},
    {"DROP TABLE t", "table-missing", "public.t"},
    {"CREATE TABLE more (a int)", "table-extra", "public.more"},
    {"SELECT nextval('s')", "sequence-value", "public.s"},
    {"DROP SEQUENCE s", "sequence-missing", "public.s"},
    {"CREATE SEQUENCE s2", "sequence-extra", "public.s2"},
    {"SELECT lo_unlink(60)", "large-objects", "pg_largeobject_metadata"},
};

START_TEST(test_verify_sees)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    case_restore(harness, 1);
    server_sql(&the_server, "small", damages[_i].damage);
    ck_assert_ok(harness_verify(harness, RUN, &err), err);
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(verdicts[0].severity, ORCH_VERDICT_REFUSE);
    ck_assert_str_eq(verdicts[0].code, damages[_i].code);
    ck_assert_str_eq(verdicts[0].subject, damages[_i].subject);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    harness_free(harness);
}
END_TEST

/* Thousands of tables: facts in several pieces; as many mismatches: a list that ends. */
START_TEST(test_many_tables)
{
    struct orch_error err = ORCH_ERROR_INIT;
    server_create(&the_server, "many");
    server_sql(&the_server, "many",
               "DO $$ BEGIN FOR i IN 1..1100 LOOP EXECUTE format('CREATE TABLE t%s (a int);"
               " CREATE SEQUENCE s%s', i, i); END LOOP; END $$");
    struct harness *harness = case_on("many");
    case_backup(harness);
    ck_assert_ptr_nonnull(strstr(harness_facts(harness), "\"tables.2\""));
    ck_assert_ptr_nonnull(strstr(harness_facts(harness), "\"sequences.2\""));
    server_drop(&the_server, "many");
    case_reopen(harness);
    case_restore(harness, 1);
    server_sql(&the_server, "many",
               "DO $$ BEGIN FOR i IN 1..1100 LOOP EXECUTE format('DROP TABLE t%s', i);"
               " IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$");
    ck_assert_ok(harness_verify(harness, RUN, &err), err);
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    ck_assert_uint_eq(count, 21);
    ck_assert_ptr_nonnull(strstr(verdicts[20].message, "1080 more"));
    server_drop(&the_server, "many");
    harness_free(harness);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

void check_cases(Suite *suite)
{
    TCase *tc = tcase_create("check and verify");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, case_clean, NULL);
    tcase_add_loop_test(tc, test_misfits, 0, COUNT(misfits));
    tcase_add_test(tc, test_target);
    tcase_add_test(tc, test_plain_user);
    tcase_add_test(tc, test_owner_without_superuser);
    tcase_add_loop_test(tc, test_verify_sees, 0, COUNT(damages));
    tcase_add_test(tc, test_many_tables);
    suite_add_tcase(suite, tc);
}
