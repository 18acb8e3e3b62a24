/*
 * conninfo.h: where the server is and how to log in, from the options conninfo and password.
 *
 * The password never reaches an argument list or the environment: this process hands it to libpq
 * in memory, and a child gets it as a password file that lives in memory only (a memfd), inherited
 * under the fixed descriptor CONNINFO_PASSFILE_FD.
 */
#ifndef POSTGRES_CONNINFO_H
#define POSTGRES_CONNINFO_H

#include <stdint.h>

#include <libpq-fe.h>
#include <orchestrate/error.h>

#define CONNINFO_PASSFILE_FD 3

struct conninfo;

/* `text` is a libpq connection string or URI that names the database and holds no password.
 * `password` may be NULL. */
int32_t conninfo_parse(const char *text, const char *password, struct conninfo **out,
                       struct orch_error *err) ORCH_CHECKED;
void conninfo_free(struct conninfo *info); /* NULL is allowed */

/* The database that is protected. */
const char *conninfo_database(const struct conninfo *info);

/* Starts a connection to `database` without waiting for it (PQconnectPoll goes on). */
PGconn *conninfo_start(const struct conninfo *info, const char *database);

/* The connection string for a child program, without any secret. The caller frees it. */
char *conninfo_text(const struct conninfo *info, const char *database);
/* The password file that a child inherits, or -1 when there is no password. */
int conninfo_passfile(const struct conninfo *info);

#endif
