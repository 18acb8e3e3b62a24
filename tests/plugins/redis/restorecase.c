/* restorecase.c: see restorecase.h. */
#include "restorecase.h"

struct server server;

const char *const restorecase_prompt[] = {"repl-diskless-sync-delay 0", "save ", NULL};
const char *const restorecase_by_database[] = {"aside database", NULL};
const char *const restorecase_by_file[] = {"aside file", NULL};
static const char *const by_file_scan[] = {"aside file", "method scan", "batch 10", NULL};
const char *const *const restorecase_asides[3] = {restorecase_by_database, restorecase_by_file,
                                                  by_file_scan};

static void start(void)
{
    server_start(&server, restorecase_prompt);
}

static void stop(void)
{
    server_stop(&server);
}

Suite *restorecase_suite(const char *name, TCase **cases)
{
    Suite *suite = suite_create(name);
    *cases = tcase_create("restore");
    tcase_set_timeout(*cases, 120);
    tcase_add_checked_fixture(*cases, start, stop);
    suite_add_tcase(suite, *cases);
    return suite;
}

int restorecase_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

uint64_t restorecase_keys(void)
{
    uint64_t keys = 0;
    for (int db = 0; db < 16; db++) {
        server_do(&server, "SELECT %d", db);
        keys += (uint64_t)server_number(&server, "DBSIZE");
    }
    return keys;
}

void restorecase_expect(int db, struct server_content want)
{
    struct server_content have = server_content(&server, db);
    ck_assert_uint_eq(have.keys, want.keys);
    ck_assert_uint_eq(have.digest, want.digest);
}

int restorecase_has_library(const char *name)
{
    redisReply *reply = server_ask(&server, "FUNCTION LIST LIBRARYNAME %s", name);
    int found = reply->elements > 0;
    freeReplyObject(reply);
    return found;
}

struct server_content restorecase_old_data(void)
{
    server_do(&server, "FLUSHALL");
    server_do(&server, "SELECT 0");
    server_do(&server, "MSET old 1 older 2 oldest 3");
    return server_content(&server, 0);
}
