/*
 * link.h: one connection to the server. Every wait on it ends soon after the host says "cancelled".
 *
 * A session has search_path empty and output settings fixed, so that the same data always give the
 * same text: names in queries are found in pg_catalog or are written with their schema.
 */
#ifndef POSTGRES_LINK_H
#define POSTGRES_LINK_H

#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>
#include <orchestrate/plugin.h>

#include "conninfo.h"

#define LINK_OLDEST_MAJOR 13

struct link;

struct link_limits {
    int64_t connect_timeout_ms;
    int64_t lock_timeout_ms;
    int persist; /* 1: the link is for clearing away, and does not look at "cancelled" */
};

/* Connects to `database`. */
int32_t link_open(const struct orch_host *host, const struct conninfo *info, const char *database,
                  const struct link_limits *limits, struct link **out,
                  struct orch_error *err) ORCH_CHECKED;
void link_close(struct link *link); /* NULL is allowed */
static inline void cleanup_link(struct link **slot)
{
    link_close(*slot);
}
#define CLEANUP_LINK __attribute__((cleanup(cleanup_link)))

PGconn *link_pg(struct link *link);
int link_major(struct link *link);
/* From now on as if opened with `persist`. */
void link_persist(struct link *link);

/* Runs one statement. `params` are texts ($1 …), NULL for null. The result is the caller's. */
int32_t link_query(struct link *link, const char *sql, int count, const char *const *params,
                   PGresult **out, struct orch_error *err) ORCH_CHECKED;
/* The same, where the result is of no interest. */
int32_t link_run(struct link *link, const char *sql, struct orch_error *err) ORCH_CHECKED;
/* One text value; NULL when it is null or there is no row. The caller frees it. */
int32_t link_value(struct link *link, const char *sql, int count, const char *const *params,
                   char **out, struct orch_error *err) ORCH_CHECKED;
/* One JSON value (json_null() for null or no row). */
int32_t link_json(struct link *link, const char *sql, int count, const char *const *params,
                  json_t **out, struct orch_error *err) ORCH_CHECKED;

/* Waits until the socket can be read (or written too, when `write`), at most a fifth of a second;
 * takes in what came. CANCELLED when the host asked for it. */
int32_t link_wait(struct link *link, int write, struct orch_error *err) ORCH_CHECKED;
/* Reads results to the end of the command that is under way, keeping the last, or the first error.
 */
int32_t link_finish(struct link *link, PGresult **out, struct orch_error *err) ORCH_CHECKED;
/* Turns a failed result (NULL: the connection's own trouble) into an error. */
int32_t link_fail(struct link *link, const PGresult *result, struct orch_error *err);
/* The SQLSTATE of the last failed statement, "" for none. */
const char *link_sqlstate(const struct link *link);

#endif
