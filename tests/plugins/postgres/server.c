/* server.c: see server.h. */
#include "server.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void server_must(int good, const char *format, ...)
{
    if (good) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}

static int find_bin(struct server *server)
{
    int newest = 0;
    DIR *dir = opendir("/usr/lib/postgresql");
    if (dir == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[128];
        int major = (int)strtol(entry->d_name, NULL, 10);
        (void)snprintf(path, sizeof(path), "/usr/lib/postgresql/%d/bin/initdb", major);
        if (major > newest && access(path, X_OK) == 0) {
            newest = major;
        }
    }
    (void)closedir(dir);
    (void)snprintf(server->bin, sizeof(server->bin), "/usr/lib/postgresql/%d/bin", newest);
    return newest > 0;
}

void server_run(const struct server *server, int as_user, const char *out, char *const *argv)
{
    char *full[32] = {NULL};
    size_t n = 0;
    char *const change_user[] = {(char[]){"/usr/sbin/runuser"}, (char[]){"-u"},
                                 (char *)(uintptr_t)server->user, (char[]){"--"}};
    if (as_user && server->user[0] != 0) {
        memcpy(full, change_user, sizeof(change_user));
        n = sizeof(change_user) / sizeof(change_user[0]);
    }
    for (size_t i = 0; argv[i] != NULL && n < 31; i++) {
        full[n++] = argv[i];
    }
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, out == NULL ? "/dev/null" : out,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid = 0;
    int status = -1;
    server_must(posix_spawn(&pid, full[0], &actions, NULL, full, environ) == 0, "cannot run %s",
                argv[0]);
    server_must(waitpid(pid, &status, 0) == pid, "cannot wait for %s", argv[0]);
    (void)posix_spawn_file_actions_destroy(&actions);
    server_must(status == 0, "%s ended with status %d", argv[0], status);
}

static void program(const struct server *server, const char *name, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/%s", server->bin, name);
}

int server_make(struct server *server)
{
    *server = (struct server){.secret = "s3cr:et\\ w0rd"};
    if (!find_bin(server)) {
        return 0;
    }
    (void)snprintf(server->folder, sizeof(server->folder), "/tmp/orch-pg-XXXXXX");
    server_must(mkdtemp(server->folder) != NULL, "cannot make a folder in /tmp");
    if (geteuid() == 0) {
        const struct passwd *who = getpwnam("postgres");
        who = who != NULL ? who : getpwnam("nobody");
        server_must(who != NULL, "neither user postgres nor nobody exists");
        (void)snprintf(server->user, sizeof(server->user), "%s", who->pw_name);
        server_must(chown(server->folder, who->pw_uid, who->pw_gid) == 0, "cannot chown a folder");
    }
    char path[160];
    char data[96];
    program(server, "initdb", path, sizeof(path));
    (void)snprintf(data, sizeof(data), "%s/data", server->folder);
    char *const argv[] = {path,
                          (char[]){"--username=postgres"},
                          (char[]){"--auth=trust"},
                          (char[]){"--encoding=UTF8"},
                          (char[]){"--locale=C.UTF-8"},
                          (char[]){"--no-sync"},
                          (char[]){"-D"},
                          data,
                          NULL};
    server_run(server, 1, NULL, argv);
    char hba[128];
    (void)snprintf(hba, sizeof(hba), "%s/pg_hba.conf", data);
    FILE *file = fopen(hba, "w");
    server_must(file != NULL &&
                    fputs("local all locked scram-sha-256\nlocal all all trust\n", file) >= 0 &&
                    fclose(file) == 0,
                "cannot write %s", hba);
    server_start(server);
    char role[160];
    char *literal = NULL;
    PGconn *conn = server_connect(server, "postgres");
    literal = PQescapeLiteral(conn, server->secret, strlen(server->secret));
    (void)snprintf(role, sizeof(role), "CREATE ROLE locked LOGIN SUPERUSER PASSWORD %s", literal);
    PQfreemem(literal);
    PQfinish(conn);
    server_sql(server, "postgres", role);
    server_sql(server, "postgres", "CREATE ROLE app_owner; CREATE ROLE app_reader LOGIN");
    return 1;
}

void server_start(const struct server *server)
{
    char path[160];
    char data[96];
    char log[96];
    char options[256];
    program(server, "pg_ctl", path, sizeof(path));
    (void)snprintf(data, sizeof(data), "%s/data", server->folder);
    (void)snprintf(log, sizeof(log), "%s/log", server->folder);
    (void)snprintf(options, sizeof(options),
                   "-k %s -c listen_addresses= -c fsync=off -c max_prepared_transactions=4 "
                   "-c max_connections=30 -c wal_level=logical",
                   server->folder);
    char *const argv[] = {
        path,           (char[]){"-w"}, (char[]){"-D"},    data, (char[]){"-l"}, log,
        (char[]){"-o"}, options,        (char[]){"start"}, NULL};
    server_run(server, 1, NULL, argv);
}

pid_t server_pid(const struct server *server)
{
    char path[128];
    char line[32] = "0";
    (void)snprintf(path, sizeof(path), "%s/data/postmaster.pid", server->folder);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(line, (int)sizeof(line), file) == NULL) {
            line[0] = 0;
        }
        (void)fclose(file);
    }
    return (pid_t)strtol(line, NULL, 10);
}

void server_crash(const struct server *server)
{
    char path[160];
    char data[96];
    program(server, "pg_ctl", path, sizeof(path));
    (void)snprintf(data, sizeof(data), "%s/data", server->folder);
    char *const argv[] = {path,           (char[]){"-w"},        (char[]){"-D"},   data,
                          (char[]){"-m"}, (char[]){"immediate"}, (char[]){"stop"}, NULL};
    server_run(server, 1, NULL, argv);
}

void server_remove(struct server *server)
{
    if (server->folder[0] == 0) {
        return;
    }
    if (server_pid(server) > 0) {
        server_crash(server);
    }
    char *const argv[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, server->folder, NULL};
    server_run(server, 0, NULL, argv);
}

const char *server_conninfo(const struct server *server, const char *user, const char *database)
{
    static char text[512];
    int n = snprintf(text, sizeof(text), "host=%s user=%s dbname='", server->folder, user);
    size_t at = (size_t)n;
    for (const char *p = database; *p != 0 && at + 4 < sizeof(text); p++) {
        if (*p == '\'' || *p == '\\') {
            text[at++] = '\\';
        }
        text[at++] = *p;
    }
    (void)snprintf(text + at, sizeof(text) - at, "'");
    return text;
}

PGconn *server_connect(const struct server *server, const char *database)
{
    PGconn *conn = PQconnectdb(server_conninfo(server, "postgres", database));
    server_must(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
    (void)PQsetNoticeProcessor(conn, NULL, NULL);
    PGresult *result = PQexec(conn, "SET client_min_messages = error; SET client_encoding = UTF8");
    PQclear(result);
    return conn;
}

void server_sql(const struct server *server, const char *database, const char *sql)
{
    PGconn *conn = server_connect(server, database);
    PGresult *result = PQexec(conn, sql);
    server_must(PQresultStatus(result) == PGRES_COMMAND_OK ||
                    PQresultStatus(result) == PGRES_TUPLES_OK,
                "%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
    PQfinish(conn);
}

void server_file(const struct server *server, const char *database, const char *path)
{
    char psql[160];
    char connect[512];
    program(server, "psql", psql, sizeof(psql));
    (void)snprintf(connect, sizeof(connect), "%s", server_conninfo(server, "postgres", database));
    char *const argv[] = {psql,
                          (char[]){"-Xq"},
                          (char[]){"-v"},
                          (char[]){"ON_ERROR_STOP=1"},
                          (char[]){"-d"},
                          connect,
                          (char[]){"-f"},
                          (char *)(uintptr_t)path,
                          NULL};
    server_run(server, 0, NULL, argv);
}

char *server_value(const struct server *server, const char *database, const char *sql)
{
    PGconn *conn = server_connect(server, database);
    PGresult *result = PQexec(conn, sql);
    server_must(PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql, PQerrorMessage(conn));
    char *value = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return value;
}

long server_number(const struct server *server, const char *database, const char *sql)
{
    char *value = server_value(server, database, sql);
    long number = strtol(value, NULL, 10);
    free(value);
    return number;
}

static void quoted(const char *before, const char *name, const char *after, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s\"", before);
    for (const char *p = name; *p != 0 && n + 4 < size; p++) {
        if (*p == '"') {
            out[n++] = '"';
        }
        out[n++] = *p;
    }
    (void)snprintf(out + n, size - n, "\"%s", after);
}

int server_has(const struct server *server, const char *database)
{
    PGconn *conn = server_connect(server, "postgres");
    const char *params[] = {database};
    PGresult *result = PQexecParams(conn, "SELECT 1 FROM pg_database WHERE datname = $1", 1, NULL,
                                    params, NULL, NULL, 0);
    int found = PQntuples(result) == 1;
    PQclear(result);
    PQfinish(conn);
    return found;
}

void server_create(const struct server *server, const char *database)
{
    char sql[256];
    server_drop(server, database);
    quoted("CREATE DATABASE ", database, " TEMPLATE template0 STRATEGY file_copy", sql, sizeof(sql));
    server_sql(server, "postgres", sql);
}

void server_drop(const struct server *server, const char *database)
{
    char sql[256];
    quoted("DROP DATABASE IF EXISTS ", database, " WITH (FORCE)", sql, sizeof(sql));
    server_sql(server, "postgres", sql);
}

long server_leftovers(const struct server *server)
{
    return server_number(server, "postgres",
                         "SELECT count(*) FROM pg_database WHERE datname ~ '_orch_'");
}
