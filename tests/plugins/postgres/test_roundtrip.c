/* test_roundtrip.c: databases that come back as they were. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "fingerprint.h"

static void dress(const char *database)
{
    char sql[1024];
    (void)snprintf(sql, sizeof(sql),
                   "ALTER DATABASE %s OWNER TO app_owner;"
                   "ALTER DATABASE %s CONNECTION LIMIT 9;"
                   "ALTER DATABASE %s SET search_path TO app, \"$user\", \"Odd \"\"x, y\";"
                   "ALTER DATABASE %s SET work_mem TO '5MB';"
                   "ALTER DATABASE %s SET my.\"own\" TO 'it''s \\ here';"
                   "ALTER DATABASE %s SET default_transaction_read_only TO on;"
                   "ALTER ROLE app_reader IN DATABASE %s SET statement_timeout TO '3s';"
                   "GRANT CONNECT ON DATABASE %s TO app_reader WITH GRANT OPTION;"
                   "REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC;"
                   "COMMENT ON DATABASE %s IS 'it''s the \\ application'",
                   database, database, database, database, database, database, database, database,
                   database, database);
    server_sql(&the_server, "postgres", sql);
}

static void make_rich(void)
{
    server_create(&the_server, "rich");
    server_file(&the_server, "rich", RICH_SQL);
    dress("rich");
}

/* Lost entirely and brought back: the same in every respect, and sequences go on. */
START_TEST(test_disaster)
{
    make_rich();
    char *before = fingerprint_take(&the_server, "rich");
    struct harness *harness = case_on("rich");
    case_backup(harness);
    ck_assert_ptr_nonnull(harness_find(harness, "2-data/app.users"));
    ck_assert_ptr_null(harness_find(harness, "2-data/public.elsewhere"));
    ck_assert_ptr_null(harness_find(harness, "2-data/public.log"));
    ck_assert_ptr_nonnull(strstr(harness_facts(harness), "foreign table"));
    server_drop(&the_server, "rich");
    case_reopen(harness);
    case_restore(harness, 1);
    ck_assert_str_eq(case_verdict(harness, "none") == NULL ? "" : "?", "");
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    char *after = fingerprint_take(&the_server, "rich");
    fingerprint_same(before, after);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    ck_assert_int_eq(server_number(&the_server, "rich",
                                   "BEGIN READ WRITE; SELECT nextval('public.old_serial_id_seq')"),
                     11);
    ck_assert_int_eq(server_number(&the_server, "rich",
                                   "BEGIN READ WRITE; SELECT nextval('public.never_called')"),
                     77);
    free(before);
    free(after);
    harness_free(harness);
}
END_TEST

/* Over a changed database in use: that one is kept aside until it is settled. */
START_TEST(test_replace)
{
    make_rich();
    char *before = fingerprint_take(&the_server, "rich");
    struct harness *harness = case_on("rich");
    case_backup(harness);
    server_sql(&the_server, "rich",
               "BEGIN READ WRITE; DROP TABLE public.wide; DELETE FROM app.users; COMMIT");
    PGconn *busy = server_connect(&the_server, "rich");
    PQclear(PQexec(busy, "BEGIN; SELECT count(*) FROM app.users"));
    case_reopen(harness);
    case_restore(harness, 1);
    ck_assert_str_eq(harness_journal(harness),
                     "intent rename rich -> rich_orch_aside_" RUN8 "\ndone rename rich\n");
    PQclear(PQexec(busy, "SELECT 1"));
    ck_assert_int_eq(PQstatus(busy), CONNECTION_BAD);
    PQfinish(busy);
    char *after = fingerprint_take(&the_server, "rich");
    fingerprint_same(before, after);
    ck_assert_int_eq(
        server_number(&the_server, "rich_orch_aside_" RUN8, "SELECT count(*) FROM app.users"), 0);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    free(before);
    free(after);
    harness_free(harness);
}
END_TEST

static struct harness *small_backup(void)
{
    server_create(&the_server, "small");
    server_sql(&the_server, "small",
               "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT i, 'row ' || i"
               " FROM generate_series(1, 1000) AS i");
    struct harness *harness = case_on("small");
    case_backup(harness);
    server_sql(&the_server, "small", "TRUNCATE t; INSERT INTO t VALUES (0, 'the original')");
    case_reopen(harness);
    return harness;
}

/* However often a run is resumed, the aside holds what was there before it. */
START_TEST(test_attempts)
{
    struct harness *harness = small_backup();
    server_create(&the_server, "small_orch_new_" RUN8);
    server_sql(&the_server, "small_orch_new_" RUN8, "CREATE TABLE t (half int)");
    case_restore(harness, 1);
    for (uint32_t attempt = 2; attempt < 4; attempt++) {
        server_sql(&the_server, "small", "TRUNCATE t");
        case_restore(harness, attempt);
        ck_assert_int_eq(server_number(&the_server, "small", "SELECT count(*) FROM t"), 1000);
        ck_assert_int_eq(server_number(&the_server, "small_orch_aside_" RUN8,
                                       "SELECT count(*) FROM t WHERE b = 'the original'"),
                         1);
        ck_assert_int_eq(server_leftovers(&the_server), 1);
    }
    case_settle(harness, ORCH_SETTLE_FAILED);
    ck_assert_int_eq(server_has(&the_server, "small_orch_aside_" RUN8), 1);
    ck_assert_int_eq(server_leftovers(&the_server), 1);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    case_settle(harness, ORCH_SETTLE_VERIFIED); /* again: nothing left to do */
    harness_free(harness);
}
END_TEST

static const struct {
    const char *create;
    const char *fill;
} kinds[] = {
    {"CREATE DATABASE kind TEMPLATE template0", "SELECT 1"},
    {"CREATE DATABASE kind TEMPLATE template0", "DROP SCHEMA public; DROP EXTENSION plpgsql"},
    {"CREATE DATABASE kind TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'",
     "CREATE TABLE \"t\u00e4\" (\"\u00fc\" text); INSERT INTO \"t\u00e4\" VALUES"
     " ('\u00e4\u00f6\u00fc\u00df')"},
    {"CREATE DATABASE kind TEMPLATE template0 ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'",
     "CREATE TABLE t (a text); INSERT INTO t VALUES (E'\\xe4\\xff'), ('x')"},
    {"CREATE DATABASE kind TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk'"
     " LOCALE 'C'",
     "CREATE TABLE t (a text UNIQUE); INSERT INTO t VALUES ('\u00e4'), ('z'), ('a')"},
};

/* Databases of other encodings and locales, empty ones, ones without what initdb gives them. */
START_TEST(test_kinds)
{
    server_drop(&the_server, "kind");
    server_sql(&the_server, "postgres", kinds[_i].create);
    PGconn *conn = server_connect(&the_server, "kind");
    if (strstr(kinds[_i].create, "SQL_ASCII") != NULL) {
        PQclear(PQexec(conn, "SET client_encoding = SQL_ASCII"));
    }
    PGresult *result = PQexec(conn, kinds[_i].fill);
    ck_assert_str_eq(PQresultErrorMessage(result), "");
    PQclear(result);
    PQfinish(conn);
    char *before = fingerprint_take(&the_server, "kind");
    struct harness *harness = case_on("kind");
    case_backup(harness);
    server_drop(&the_server, "kind");
    case_reopen(harness);
    case_restore(harness, 1);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    char *after = fingerprint_take(&the_server, "kind");
    fingerprint_same(before, after);
    server_drop(&the_server, "kind");
    free(before);
    free(after);
    harness_free(harness);
}
END_TEST

static const char *const odd_names[] = {
    "With \"quotes\" and 'more'",
    "a=b host=nowhere",
    "postgres://x/y",
    /* 63 bytes, the longest, where cuts fall into characters of two bytes. */
    "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
    "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
    "\u00e4x",
};

START_TEST(test_database_names)
{
    const char *name = odd_names[_i];
    server_create(&the_server, name);
    server_sql(&the_server, name, "CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    struct harness *harness = case_on(name);
    case_backup(harness);
    case_reopen(harness);
    server_sql(&the_server, name, "DELETE FROM t");
    case_restore(harness, 1);
    ck_assert_int_eq(server_leftovers(&the_server), 1);
    case_restore(harness, 2);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    ck_assert_int_eq(server_number(&the_server, name, "SELECT a FROM t"), 7);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    server_drop(&the_server, name);
    harness_free(harness);
}
END_TEST

/* Moves amounts between two tables for ever; the sum over both stays. */
static void write_for_ever(void)
{
    PGconn *conn = server_connect(&the_server, "moving");
    for (;;) {
        PGresult *result = PQexec(
            conn, "BEGIN; UPDATE a_left SET v = v - 1 WHERE id = (SELECT 1 + n % 100 FROM writes);"
                  "INSERT INTO z_right VALUES (1); UPDATE writes SET n = n + 1; COMMIT");
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            _exit(1);
        }
        PQclear(result);
    }
}

START_TEST(test_consistent_under_writers)
{
    server_create(&the_server, "moving");
    server_sql(&the_server, "moving",
               "CREATE TABLE a_left (id int PRIMARY KEY, v bigint); CREATE TABLE z_right (v int);"
               "CREATE TABLE writes (n bigint); INSERT INTO writes VALUES (0);"
               "INSERT INTO a_left SELECT i, 1000 FROM generate_series(1, 100) AS i;"
               "CREATE TABLE m_between (x text); INSERT INTO m_between SELECT repeat('x', 100)"
               " FROM generate_series(1, 100000)");
    pid_t writer = fork();
    ck_assert_int_ge(writer, 0);
    if (writer == 0) {
        write_for_ever();
    }
    while (server_number(&the_server, "moving", "SELECT n FROM writes") < 20) {
    }
    struct harness *harness = case_on("moving");
    case_backup(harness);
    long at_end = server_number(&the_server, "moving", "SELECT n FROM writes");
    ck_assert_int_eq(kill(writer, SIGKILL), 0);
    ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
    case_reopen(harness);
    case_restore(harness, 1);
    ck_assert_int_eq(server_number(&the_server, "moving",
                                   "SELECT (SELECT sum(v) FROM a_left) + (SELECT sum(v)"
                                   " FROM z_right)"),
                     100000);
    long saved = server_number(&the_server, "moving", "SELECT n FROM writes");
    ck_assert_int_ge(saved, 20);
    ck_assert_int_lt(saved, at_end); /* it was being written while it was read */
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    server_drop(&the_server, "moving");
    harness_free(harness);
}
END_TEST

/* Rows of an extension's configuration tables come along, by its condition. */
START_TEST(test_extension_configuration)
{
    server_create(&the_server, "extended");
    server_sql(&the_server, "extended",
               "CREATE EXTENSION hstore; CREATE TABLE settings (k text, own bool);"
               "CREATE TABLE inner_table (k text); INSERT INTO inner_table VALUES ('x');"
               "INSERT INTO settings VALUES ('shipped', false), ('mine', true);"
               "ALTER EXTENSION hstore ADD TABLE settings;"
               "ALTER EXTENSION hstore ADD TABLE inner_table;"
               "UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid],"
               " extcondition = ARRAY['WHERE own'] WHERE extname = 'hstore'");
    struct harness *harness = case_on("extended");
    case_backup(harness);
    const struct harness_item *item = harness_find(harness, "2-data/public.settings");
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->data_len, 7);
    ck_assert_int_eq(memcmp(item->data, "mine\tt\n", 7), 0);
    ck_assert_ptr_null(harness_find(harness, "2-data/public.inner_table"));
    server_drop(&the_server, "extended");
    harness_free(harness);
}
END_TEST

void roundtrip_cases(Suite *suite)
{
    TCase *tc = tcase_create("roundtrip");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, case_clean, NULL);
    tcase_add_test(tc, test_disaster);
    tcase_add_test(tc, test_replace);
    tcase_add_test(tc, test_attempts);
    tcase_add_loop_test(tc, test_kinds, 0, (int)(sizeof(kinds) / sizeof(kinds[0])));
    tcase_add_loop_test(tc, test_database_names, 0,
                        (int)(sizeof(odd_names) / sizeof(odd_names[0])));
    tcase_add_test(tc, test_consistent_under_writers);
    tcase_add_test(tc, test_extension_configuration);
    suite_add_tcase(suite, tc);
}
