/*
 * case.h: what the tests of this plugin share: the server, and a plugin opened on a database of it.
 */
#ifndef TEST_POSTGRES_CASE_H
#define TEST_POSTGRES_CASE_H

#include <check.h>

#include "harness.h"
#include "server.h"

#define RUN "0123abcd99887766554433221100ffee"
#define RUN8 "0123abcd"

extern struct server the_server; /* started once for all tests */

/* Before each test: removes the databases that a failed test before it left. */
void case_clean(void);
/* The plugin, loaded; open it with case_open after more options. */
struct harness *case_load(const char *user, const char *database);
void case_open(struct harness *harness);
/* Both. */
struct harness *case_on(const char *database);
/* Opens the instance again; the facts stay. */
void case_reopen(struct harness *harness);
/* A backup that works. */
void case_backup(struct harness *harness);
/* check (not refused), restore, verify (without a verdict), all of which work. */
void case_restore(struct harness *harness, uint32_t attempt);
void case_settle(struct harness *harness, uint32_t outcome);
/* A verdict with this code, or NULL. */
const struct harness_verdict *case_verdict(const struct harness *harness, const char *code);
/* Replaces the content of an object that was backed up. */
void case_replace(struct harness *harness, const char *object, const char *content);

#define ck_assert_ok(expression, err)                                                              \
    ck_assert_msg((expression) == ORCH_OK, "%s: %s", #expression, (err).message)

void roundtrip_cases(Suite *suite);
void failure_cases(Suite *suite);
void check_cases(Suite *suite);
void unit_cases(Suite *suite);

#endif
