/* test_failures.c: what goes wrong says so, and leaves the target as it was. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

/* ---- options ---------------------------------------------------------------------------- */

static const struct {
    const char *option;
    const char *value;
    const char *says;
} bad_options[] = {
    {"conninfo", "host=/tmp dbname=x password=sesame", "password"},
    {"conninfo", "postgresql://me:sesame@localhost/x", "password"},
    {"conninfo", "host=/tmp sslpassword=sesame dbname=x", "password"},
    {"conninfo", "host=/tmp user=x", "names no database"},
    {"conninfo", "dbname=x sesame", "not a valid connection string"},
    {"conninfo", "dbname=x hots=sesame", "not a valid connection string"},
    {"conninfo",
     "dbname=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "longer than 63"},
    {"mode", "physical", "not built"},
    {"maintenance_db", "small", "another one"},
    {"lock_timeout", "-1", "lock_timeout"},
    {"password", "two\nlines", "line break"},
};

START_TEST(test_bad_options)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = case_load("postgres", "small");
    ck_assert_ok(harness_option(harness, bad_options[_i].option, bad_options[_i].value, &err), err);
    ck_assert_int_eq(harness_open(harness, &err), ORCH_E_CONFIG);
    ck_assert_msg(strstr(err.message, bad_options[_i].says) != NULL, "%s", err.message);
    ck_assert_ptr_null(strstr(err.message, "sesame"));
    harness_free(harness);
}
END_TEST

/* ---- probing and backing up ------------------------------------------------------------- */

static int32_t try_backup(struct harness *harness, struct orch_error *err)
{
    struct orch_probe probe;
    struct orch_freeze freeze;
    return harness_backup(harness, 0, &probe, &freeze, err);
}

static void make_small(void)
{
    server_create(&the_server, "small");
    server_sql(&the_server, "small",
               "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE SEQUENCE s;"
               "INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 1000) AS i;"
               "SELECT lo_from_bytea(50, 'large')");
}

static const struct {
    const char *option;
    const char *value; /* %s: the server's folder */
    int32_t code;
    const char *says;
} unreachable[] = {
    {"conninfo", "host=%s user=locked dbname=small", ORCH_E_ACCESS, "password_file"},
    {"conninfo", "host=%s/nowhere user=postgres dbname=small", ORCH_E_UNREACHABLE, "running"},
    {"conninfo", "host=%s user=postgres dbname=missing", ORCH_E_UNREACHABLE, "missing"},
    {"conninfo", "host=%s user=nobody_here dbname=small", ORCH_E_UNREACHABLE, "nobody_here"},
    {"pg_dump", "%s/no-pg_dump", ORCH_E_NOT_FOUND, "no-pg_dump"},
};

START_TEST(test_unreachable)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char value[256];
    /* The value is one of the table above. */
    const char *mark = strstr(unreachable[_i].value, "%s");
    (void)snprintf(value, sizeof(value), "%.*s%s%s", (int)(mark - unreachable[_i].value),
                   unreachable[_i].value, the_server.folder, mark + 2);
    make_small();
    struct harness *harness = case_load("postgres", "small");
    ck_assert_ok(harness_option(harness, unreachable[_i].option, value, &err), err);
    case_open(harness);
    ck_assert_int_eq(try_backup(harness, &err), unreachable[_i].code);
    ck_assert_msg(strstr(err.message, unreachable[_i].says) != NULL, "%s", err.message);
    harness_free(harness);
}
END_TEST

START_TEST(test_wrong_password)
{
    struct orch_error err = ORCH_ERROR_INIT;
    make_small();
    struct harness *harness = case_load("locked", "small");
    ck_assert_ok(harness_option(harness, "password", "not-it-sesame", &err), err);
    case_open(harness);
    ck_assert_int_eq(try_backup(harness, &err), ORCH_E_ACCESS);
    ck_assert_ptr_nonnull(strstr(err.message, "password"));
    ck_assert_ptr_null(strstr(err.message, "sesame"));
    harness_free(harness);
}
END_TEST

static char *read_whole(const char *path)
{
    char *text = calloc(1, 65536);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, 65535, file);
    ck_assert_uint_gt(n, 0);
    (void)fclose(file);
    for (size_t i = 0; i < n; i++) {
        text[i] = text[i] == 0 ? '\n' : text[i];
    }
    return text;
}

/* Programs log in with the password, and neither their arguments nor environment hold it. */
START_TEST(test_password_stays_hidden)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char folder[128];
    char seen[160];
    static const char *const programs[] = {"pg_dump", "psql"};
    make_small();
    (void)snprintf(folder, sizeof(folder), "/tmp/orch-pg-spy-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(seen, sizeof(seen), "%s/seen", folder);
    char path[192];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, programs[i]);
        FILE *file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_gt(fprintf(file,
                                 "#!/bin/sh\necho run: %s \"$@\" >> %s\n"
                                 "cat /proc/$$/environ >> %s\nexec %s/%s \"$@\"\n",
                                 programs[i], seen, seen, the_server.bin, programs[i]),
                         0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path, 0700), 0);
    }
    struct harness *harness = case_load("locked", "small");
    ck_assert_ok(harness_option(harness, "password", the_server.secret, &err), err);
    (void)snprintf(path, sizeof(path), "%s/pg_dump", folder);
    ck_assert_ok(harness_option(harness, "pg_dump", path, &err), err);
    ck_assert_int_eq(setenv("PGPASSWORD", "from-environment", 1), 0);
    case_open(harness);
    case_backup(harness);
    case_reopen(harness);
    case_restore(harness, 1);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    char *text = read_whole(seen);
    ck_assert_ptr_nonnull(strstr(text, "run: pg_dump"));
    ck_assert_ptr_nonnull(strstr(text, "run: psql"));
    ck_assert_ptr_null(strstr(text, "s3cr"));
    ck_assert_ptr_null(strstr(text, "from-environment"));
    free(text);
    harness_free(harness);
    char *const argv[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, folder, NULL};
    server_run(&the_server, 0, NULL, argv);
}
END_TEST

START_TEST(test_locked_table)
{
    struct orch_error err = ORCH_ERROR_INIT;
    make_small();
    PGconn *holder = server_connect(&the_server, "small");
    PQclear(PQexec(holder, "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE"));
    struct harness *harness = case_load("postgres", "small");
    ck_assert_ok(harness_option(harness, "lock_timeout", "100", &err), err);
    case_open(harness);
    ck_assert_int_eq(try_backup(harness, &err), ORCH_E_BUSY);
    ck_assert_ptr_nonnull(strstr(err.message, "public.t is locked"));
    PQfinish(holder);
    case_backup(harness); /* the same instance, once the lock is gone */
    harness_free(harness);
}
END_TEST

/* A user who may not see all rows gets an error, not a part of them. */
START_TEST(test_hidden_rows)
{
    struct orch_error err = ORCH_ERROR_INIT;
    make_small();
    server_sql(&the_server, "small",
               "SELECT lo_unlink(50); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
               "CREATE POLICY few ON t USING (a < 10); GRANT SELECT ON t, s TO app_reader");
    struct harness *harness = case_load("app_reader", "small");
    case_open(harness);
    ck_assert_int_lt(try_backup(harness, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.message, "row-level security"));
    harness_free(harness);
}
END_TEST

/* Kills the server the hard way as soon as `when` (a query) gives a row. */
static pid_t crash_when(const char *database, const char *when)
{
    pid_t postmaster = server_pid(&the_server);
    ck_assert_int_gt(postmaster, 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        PGconn *conn = server_connect(&the_server, database);
        for (int i = 0; i < 30000; i++) {
            PGresult *result = PQexec(conn, when);
            if (PQresultStatus(result) != PGRES_TUPLES_OK) {
                _exit(1);
            }
            if (PQntuples(result) > 0) {
                _exit(kill(postmaster, SIGQUIT));
            }
            PQclear(result);
            (void)usleep(1000);
        }
        _exit(2); /* it never came */
    }
    return pid;
}

static void back_up_again(pid_t crasher)
{
    int status = -1;
    ck_assert_int_eq(waitpid(crasher, &status, 0), crasher);
    ck_assert_int_eq(status, 0);
    pid_t postmaster = server_pid(&the_server);
    while (postmaster > 0 && kill(postmaster, 0) == 0) {
        (void)usleep(1000);
    }
    server_start(&the_server);
}

#define BIG_ROWS "200000" /* long enough to be caught copying */

static void make_big(void)
{
    server_create(&the_server, "small");
    server_sql(&the_server, "small",
               "CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, repeat('x', 190)"
               " FROM generate_series(1, " BIG_ROWS ") AS i; CHECKPOINT");
}

START_TEST(test_server_dies_in_backup)
{
    struct orch_error err = ORCH_ERROR_INIT;
    make_big();
    struct harness *harness = case_on("small");
    pid_t crasher =
        crash_when("postgres", "SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 1000");
    int32_t rc = try_backup(harness, &err);
    back_up_again(crasher);
    ck_assert_msg(rc == ORCH_E_UNREACHABLE, "%d: %s", rc, err.message);
    ck_assert_ptr_nonnull(strstr(err.message, "public.t"));
    harness_free(harness);
}
END_TEST

/* ---- restoring -------------------------------------------------------------------------- */

/* A backup of "small", and then an original that must survive. */
static struct harness *prepared(void)
{
    make_small();
    struct harness *harness = case_on("small");
    case_backup(harness);
    server_sql(&the_server, "small", "DROP TABLE t; CREATE TABLE original (a int)");
    case_reopen(harness);
    return harness;
}

static void untouched(void)
{
    ck_assert_int_eq(server_number(&the_server, "small", "SELECT count(*) FROM original"), 0);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
}

static const struct {
    const char *object;
    const char *content;
    const char *says;
} broken[] = {
    {"1-pre-data.sql", "CREATE TABLE t (a int); SELECT 1/0;", "division by zero"},
    {"1-pre-data.sql", "\\no_such_command\n", "psql"},
    {"1-pre-data.sql", "", "t"},
    {"2-data/public.t", "not a number\tx\n", "not a number"},
    {"2-data/public.t", "1\tone\n2\ttwo\n", "got 2 rows, the backup had 1000"},
    {"2-data/public.t", "1\tone\n1\tagain\n", "rows"},
    {"4-sequences.json", "[[\"public\", \"nothing\", 1, true]]", "nothing"},
    {"4-sequences.json", "[[\"public\", \"s\", \"1\", true]]", "entry"},
    {"4-sequences.json", "{", "not a JSON array"},
    {"4-sequences.json", "", "not a JSON array"},
    {"5-post-data.sql",
     "ALTER TABLE public.t ADD UNIQUE (b); CREATE UNIQUE INDEX ON public.t ((1));",
     "could not create unique index"},
};

/* An error at any place: nothing is swapped, and the new database is gone. */
START_TEST(test_broken_content)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    case_replace(harness, broken[_i].object, broken[_i].content);
    ck_assert_int_lt(harness_restore(harness, RUN, 1, &err), 0);
    ck_assert_msg(strstr(err.message, broken[_i].says) != NULL, "%s", err.message);
    ck_assert_str_eq(harness_journal(harness), "");
    untouched();
    harness_free(harness);
}
END_TEST

/* The stream fails after each number of events, until it is long enough. */
START_TEST(test_stream_fails)
{
    struct harness *harness = prepared();
    uint64_t events = 0;
    int32_t rc = ORCH_E_CORRUPT;
    for (; rc == ORCH_E_CORRUPT; events++) {
        struct orch_error err = ORCH_ERROR_INIT;
        harness_fail_next_after(harness, events);
        rc = harness_restore(harness, RUN, 1, &err);
        if (rc == ORCH_E_CORRUPT) {
            untouched();
        }
    }
    ck_assert_int_eq(rc, ORCH_OK);
    ck_assert_uint_gt(events, 12);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    harness_free(harness);
}
END_TEST

static const struct {
    const char *meta;
    const char *object;
} bad_meta[] = {
    {"", "2-data/public.t"},
    {"[]", "2-data/public.t"},
    {"{\"schema\": \"public\"}", "2-data/public.t"},
    {"{\"schema\":\"public\",\"table\":\"t\",\"columns\":[1],\"encoding\":\"UTF8\"}",
     "2-data/public.t"},
    {"{\"schema\":\"public\",\"table\":\"t\",\"columns\":[\"a\"],\"encoding\":\"'; DROP TABLE t\"}",
     "2-data/public.t"},
    {"", "3-large-objects/0000000050"},
    {"{}", "3-large-objects/0000000050"},
    {"{\"owner\":\"postgres\",\"acl\":[{\"privilege\":\"SELECT ON x TO y; --\"}]}",
     "3-large-objects/0000000050"},
    {"{\"owner\":\"nobody; x\"}", "3-large-objects/0000000050"},
};

/* Metadata is data from outside as well. */
START_TEST(test_bad_meta)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    struct harness_item *item =
        (struct harness_item *)(uintptr_t)harness_find(harness, bad_meta[_i].object);
    ck_assert_ptr_nonnull(item);
    free((void *)(uintptr_t)item->object.meta);
    item->object.meta = (uint8_t *)strdup(bad_meta[_i].meta);
    item->object.meta_len = (uint32_t)strlen(bad_meta[_i].meta);
    ck_assert_int_lt(harness_restore(harness, RUN, 1, &err), 0);
    ck_assert_str_ne(err.message, "");
    untouched();
    harness_free(harness);
}
END_TEST

static const char *const bad_names[] = {
    "6-unknown", "2-data/public.u", "5-post-data.sq", "3-large-objects/5", "3-large-objects/x",
};

START_TEST(test_bad_names)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    struct harness_item *item = (struct harness_item *)(uintptr_t)harness_find(
        harness, _i == 1 ? "2-data/public.t" : "3-large-objects/0000000050");
    ck_assert_ptr_nonnull(item);
    free((void *)(uintptr_t)item->object.name);
    item->object.name = (uint8_t *)strdup(bad_names[_i]);
    item->object.name_len = (uint32_t)strlen(bad_names[_i]);
    ck_assert_int_eq(harness_restore(harness, RUN, 1, &err), ORCH_E_CORRUPT);
    untouched();
    harness_free(harness);
}
END_TEST

START_TEST(test_bad_facts)
{
    struct orch_error err = ORCH_ERROR_INIT;
    static const char *const facts[] = {"", "[]", "{}", "{\"database\":{}}",
                                        "{\"database\":{\"name\":1}}"};
    struct harness *harness = prepared();
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        harness_set_facts(harness, facts[i]);
        ck_assert_int_eq(harness_check(harness, RUN, &err), ORCH_E_CORRUPT);
        ck_assert_int_eq(harness_restore(harness, RUN, 1, &err), ORCH_E_CORRUPT);
        ck_assert_int_eq(harness_verify(harness, RUN, &err), ORCH_E_CORRUPT);
    }
    untouched();
    harness_free(harness);
}
END_TEST

START_TEST(test_bad_run_ids)
{
    static const char *const ids[] = {"", "1234567", "12345678;", "../../../../", "xyzxyzxyzxyz"};
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = prepared();
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        ck_assert_int_eq(harness_restore(harness, ids[i], 1, &err), ORCH_E_INVALID);
    }
    untouched();
    harness_free(harness);
}
END_TEST

START_TEST(test_cancelled)
{
    struct orch_error err = ORCH_ERROR_INIT;
    make_small();
    struct harness *harness = case_on("small");
    case_backup(harness);
    server_sql(&the_server, "small", "DROP TABLE t; CREATE TABLE original (a int)");
    case_reopen(harness);
    harness_cancel(harness);
    ck_assert_int_eq(try_backup(harness, &err), ORCH_E_CANCELLED);
    ck_assert_int_eq(harness_restore(harness, RUN, 1, &err), ORCH_E_CANCELLED);
    untouched();
    harness_free(harness);
}
END_TEST

START_TEST(test_server_dies_in_restore)
{
    struct orch_error err = ORCH_ERROR_INIT;
    make_big();
    struct harness *harness = case_on("small");
    case_backup(harness);
    server_sql(&the_server, "small", "DROP TABLE t; CREATE TABLE original (a int); CHECKPOINT");
    case_reopen(harness);
    pid_t crasher =
        crash_when("postgres", "SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 1000");
    int32_t rc = harness_restore(harness, RUN, 1, &err);
    back_up_again(crasher);
    ck_assert_msg(rc == ORCH_E_UNREACHABLE, "%d: %s", rc, err.message);
    ck_assert_int_eq(server_number(&the_server, "small", "SELECT count(*) FROM original"), 0);
    ck_assert_int_eq(server_leftovers(&the_server), 1); /* could not be dropped just then */
    case_restore(harness, 2);
    ck_assert_int_eq(server_number(&the_server, "small", "SELECT count(*) FROM t"),
                     atol(BIG_ROWS));
    ck_assert_int_eq(
        server_number(&the_server, "small_orch_aside_" RUN8, "SELECT count(*) FROM original"), 0);
    case_settle(harness, ORCH_SETTLE_VERIFIED);
    ck_assert_int_eq(server_leftovers(&the_server), 0);
    harness_free(harness);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

void failure_cases(Suite *suite)
{
    TCase *tc = tcase_create("failures");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, case_clean, NULL);
    tcase_add_loop_test(tc, test_bad_options, 0, COUNT(bad_options));
    tcase_add_loop_test(tc, test_unreachable, 0, COUNT(unreachable));
    tcase_add_test(tc, test_wrong_password);
    tcase_add_test(tc, test_password_stays_hidden);
    tcase_add_test(tc, test_locked_table);
    tcase_add_test(tc, test_hidden_rows);
    tcase_add_test(tc, test_server_dies_in_backup);
    tcase_add_loop_test(tc, test_broken_content, 0, COUNT(broken));
    tcase_add_test(tc, test_stream_fails);
    tcase_add_loop_test(tc, test_bad_meta, 0, COUNT(bad_meta));
    tcase_add_loop_test(tc, test_bad_names, 0, COUNT(bad_names));
    tcase_add_test(tc, test_bad_facts);
    tcase_add_test(tc, test_bad_run_ids);
    tcase_add_test(tc, test_cancelled);
    tcase_add_test(tc, test_server_dies_in_restore);
    suite_add_tcase(suite, tc);
}
