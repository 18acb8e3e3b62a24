/*
 * server.h: a private PostgreSQL server for tests: in a temporary folder, on a socket in it, run by
 * an ordinary user. Also the few ways in which tests talk to it. Anything that goes wrong aborts
 * the test with what the server said.
 */
#ifndef TEST_POSTGRES_SERVER_H
#define TEST_POSTGRES_SERVER_H

#include <sys/types.h>

#include <libpq-fe.h>

struct server {
    char folder[64]; /* with the socket, and data/ */
    char bin[128];   /* PostgreSQL's programs */
    char user[32];   /* who runs it, or "" for ourselves */
    char secret[64]; /* the password of role "locked" */
};

/* Aborts with a message unless `good`. Outside of a test, too, where ck_assert may not stand. */
void server_must(int good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0 when there is no PostgreSQL on this machine. */
int server_make(struct server *server);
void server_remove(struct server *server);
void server_start(const struct server *server);
/* Like a power cut: no checkpoint. */
void server_crash(const struct server *server);
pid_t server_pid(const struct server *server);

/* "host=… user=… dbname=…"; in a buffer of the function, valid until its next call. */
const char *server_conninfo(const struct server *server, const char *user, const char *database);
PGconn *server_connect(const struct server *server, const char *database);
/* Runs statements as superuser. */
void server_sql(const struct server *server, const char *database, const char *sql);
void server_file(const struct server *server, const char *database, const char *path);
/* The first value, "" for none; the caller frees it. */
char *server_value(const struct server *server, const char *database, const char *sql);
/* Its integer. */
long server_number(const struct server *server, const char *database, const char *sql);
int server_has(const struct server *server, const char *database);
void server_create(const struct server *server, const char *database);
void server_drop(const struct server *server, const char *database);
/* How many databases of a restore (…_orch_…) there are. */
long server_leftovers(const struct server *server);

/* Runs a program and aborts the test unless it exits 0. Its output goes nowhere, or to `out`. */
void server_run(const struct server *server, int as_user, const char *out, char *const *argv);

#endif
