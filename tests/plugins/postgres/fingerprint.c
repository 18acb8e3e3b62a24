/* fingerprint.c: see fingerprint.h. */
#include "fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

/* Rows of every table and filled materialized view, each alone (no children, no foreign tables). */
#define LIST_TABLES                                                                                \
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"             \
    " ON n.oid = c.relnamespace WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)"   \
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"                               \
    " ORDER BY format('%I.%I', n.nspname, c.relname) COLLATE \"C\""
#define LIST_SEQUENCES                                                                             \
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"             \
    " ON n.oid = c.relnamespace WHERE c.relkind = 'S' ORDER BY format('%I.%I', n.nspname, "        \
    "c.relname) COLLATE \"C\""

static void print_rows(PGconn *conn, const char *sql, FILE *out)
{
    PGresult *rows = PQexec(conn, sql);
    ck_assert_msg(PQresultStatus(rows) == PGRES_TUPLES_OK, "%s: %s", sql, PQerrorMessage(conn));
    for (int i = 0; i < PQntuples(rows); i++) {
        for (int k = 0; k < PQnfields(rows); k++) {
            (void)fprintf(out, "%s%s", k == 0 ? "" : " | ",
                          PQgetisnull(rows, i, k) ? "NULL" : PQgetvalue(rows, i, k));
        }
        (void)fputc('\n', out);
    }
    PQclear(rows);
}

/* Runs "<before> NAME <after>" for each relation that `list` names. */
static void print_each(PGconn *conn, const char *list, const char *before, const char *after,
                       FILE *out)
{
    PGresult *names = PQexec(conn, list);
    ck_assert_msg(PQresultStatus(names) == PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
    for (int i = 0; i < PQntuples(names); i++) {
        char sql[1024];
        (void)snprintf(sql, sizeof(sql), "%s %s %s", before, PQgetvalue(names, i, 0), after);
        (void)fprintf(out, "%s: ", PQgetvalue(names, i, 0));
        print_rows(conn, sql, out);
    }
    PQclear(names);
}

static void print_definitions(const struct server *server, const char *database, FILE *out)
{
    char pg_dump[160];
    char connect[512];
    char path[128];
    (void)snprintf(pg_dump, sizeof(pg_dump), "%s/pg_dump", server->bin);
    (void)snprintf(connect, sizeof(connect), "%s", server_conninfo(server, "postgres", database));
    (void)snprintf(path, sizeof(path), "%s.dump", server->folder);
    char *const argv[] = {pg_dump, (char[]){"--schema-only"}, (char[]){"-d"}, connect, NULL};
    server_run(server, 0, path, argv);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0) {
        if (strncmp(line, "\\restrict", 9) != 0 && strncmp(line, "\\unrestrict", 11) != 0) {
            (void)fputs(line, out);
        }
    }
    free(line);
    (void)fclose(file);
    (void)unlink(path);
}

char *fingerprint_take(const struct server *server, const char *database)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    PGconn *conn = server_connect(server, database);
    print_rows(conn,
               "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider,"
               " daticulocale, pg_get_userbyid(datdba), datconnlimit, datacl::text,"
               " shobj_description(oid, 'pg_database') FROM pg_database"
               " WHERE datname = current_database()",
               out);
    print_rows(conn,
               "SELECT coalesce(r.rolname, 'all'), s.setconfig FROM pg_db_role_setting s"
               " LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase ="
               " (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
               out);
    print_rows(conn, "SELECT nspname, nspacl FROM pg_namespace ORDER BY 1", out);
    print_rows(conn, "SELECT extname, extversion FROM pg_extension ORDER BY 1", out);
    PQclear(PQexec(conn, "SET lc_monetary = 'C'; SET TimeZone = 'UTC'"));
    print_each(conn, LIST_TABLES,
               "SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM ONLY",
               "AS t", out);
    print_each(conn, LIST_SEQUENCES, "SELECT last_value, is_called FROM", "", out);
    print_rows(conn,
               "SELECT oid, pg_get_userbyid(lomowner), lomacl, obj_description(oid,"
               " 'pg_largeobject'), length(lo_get(oid)), md5(lo_get(oid))"
               " FROM pg_largeobject_metadata ORDER BY oid",
               out);
    PQfinish(conn);
    print_definitions(server, database, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

void fingerprint_same(const char *before, const char *after)
{
    size_t at = 0;
    size_t line = 0;
    for (; before[at] != 0 && before[at] == after[at]; at++) {
        line = before[at] == '\n' ? at + 1 : line;
    }
    ck_assert_msg(before[at] == after[at], "databases differ:\n  before: %.300s\n  after:  %.300s",
                  before + line, after + line);
}
