/*
 * database.h: whole databases of the target, from a connection to the maintenance database:
 * create, give the properties that a dump leaves out, swap, drop.
 */
#ifndef POSTGRES_DATABASE_H
#define POSTGRES_DATABASE_H

#include <jansson.h>
#include <orchestrate/error.h>

#include "link.h"

int32_t database_exists(struct link *link, const char *name, int *exists,
                        struct orch_error *err) ORCH_CHECKED;
/* An empty database with the encoding, locale, owner and tablespace that the facts tell. */
int32_t database_create(struct link *link, const char *name, const json_t *facts,
                        struct orch_error *err) ORCH_CHECKED;
/* Settings (of the database, and of roles in it), comment, connection limit and access list. Last
 * of all: some of them (default_transaction_read_only, a limit of 0) would stand in a restore's
 * way. */
int32_t database_dress(struct link *link, const char *name, const json_t *facts,
                       struct orch_error *err) ORCH_CHECKED;
/* Drops it if it exists, ending the sessions in it. */
int32_t database_drop(struct link *link, const char *name, struct orch_error *err) ORCH_CHECKED;

/*
 * In one transaction: `live` becomes `away` (NULL: there is no `live`) and `fresh` becomes `live`.
 * Nobody sees a moment without `live`. Sessions in it are ended by `helper`, a second connection,
 * while `link` holds the lock that keeps new ones out.
 */
int32_t database_swap(struct link *link, struct link *helper, const char *live, const char *away,
                      const char *fresh, struct orch_error *err) ORCH_CHECKED;

#endif
