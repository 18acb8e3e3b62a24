/* restorecase.h: what the tests of restores to a real redis-server share. */
#ifndef TEST_REDIS_RESTORECASE_H
#define TEST_REDIS_RESTORECASE_H

#include <check.h>

#include "fixture.h"

#define RESTORECASE_RUN "0123456789abcdef"
#define RESTORECASE_RUN2 "fedcba9876543210"
#define RESTORECASE_LIBRARY                                                                        \
    "#!lua name=lib\nredis.register_function('one', function() return 1 end)"
#define RESTORECASE_LIBRARY2                                                                       \
    "#!lua name=lib\nredis.register_function('two', function() return 2 end)"
#define RESTORECASE_OTHER                                                                          \
    "#!lua name=other\nredis.register_function('three', function() return 3 end)"

extern struct server server; /* the target; also the source unless a test says otherwise */
extern const char *const restorecase_prompt[];

/* Options: where the old data goes. */
extern const char *const restorecase_by_database[];
extern const char *const restorecase_by_file[];
extern const char *const *const restorecase_asides[3]; /* both, and by file with a small scan */

/* A suite of one case whose tests have a server each. */
Suite *restorecase_suite(const char *name, TCase **cases);
/* Runs and frees it; what main() returns. */
int restorecase_run(Suite *suite);

uint64_t restorecase_keys(void); /* of all databases */
void restorecase_expect(int db, struct server_content want);
int restorecase_has_library(const char *name);
/* Three keys in database 0, and nothing else on the server. */
struct server_content restorecase_old_data(void);

#endif
