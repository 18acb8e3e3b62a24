/*
 * fingerprint.h: all that a database holds, as one text: two databases with the same fingerprint
 * are the same to whoever uses them.
 *
 * Definitions are pg_dump's own; contents are digests over sorted rows, by a query of this file and
 * not by the code under test.
 */
#ifndef TEST_POSTGRES_FINGERPRINT_H
#define TEST_POSTGRES_FINGERPRINT_H

#include "server.h"

/* The caller frees it. */
char *fingerprint_take(const struct server *server, const char *database);
/* Aborts the test with the first difference. */
void fingerprint_same(const char *before, const char *after);

#endif
