/* test_postgres.c: runs the tests of the plugin postgres against a server of their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"

struct server the_server;

void case_clean(void)
{
    while (server_leftovers(&the_server) > 0) {
        char *name = server_value(&the_server, "postgres",
                                  "SELECT datname FROM pg_database WHERE datname ~ '_orch_'");
        server_drop(&the_server, name);
        free(name);
    }
}

struct harness *case_load(const char *user, const char *database)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct harness *harness = NULL;
    ck_assert_ok(harness_load(POSTGRES_PLUGIN, &harness, &err), err);
    ck_assert_ok(
        harness_option(harness, "conninfo", server_conninfo(&the_server, user, database), &err),
        err);
    return harness;
}

void case_open(struct harness *harness)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_ok(harness_open(harness, &err), err);
}

struct harness *case_on(const char *database)
{
    struct harness *harness = case_load("postgres", database);
    case_open(harness);
    return harness;
}

void case_reopen(struct harness *harness)
{
    char *facts = strdup(harness_facts(harness));
    harness_close(harness);
    case_open(harness);
    harness_set_facts(harness, facts);
    free(facts);
}

void case_backup(struct harness *harness)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_probe probe;
    struct orch_freeze freeze;
    ck_assert_ok(harness_backup(harness, 0, &probe, &freeze, &err), err);
    ck_assert_uint_eq(freeze.consistency, ORCH_CONSISTENCY_SNAPSHOT);
    ck_assert_uint_eq(freeze.flags, ORCH_FREEZE_COSTLY);
    uint64_t count = 0;
    (void)harness_items(harness, &count);
    ck_assert_uint_eq(count, probe.items);
    ck_assert_uint_gt(probe.size_bytes, 0);
}

void case_restore(struct harness *harness, uint32_t attempt)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint64_t count = 0;
    ck_assert_ok(harness_check(harness, RUN, &err), err);
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    ck_assert_msg(harness_worst(harness) < ORCH_VERDICT_REFUSE, "refused: %s: %s",
                  verdicts[count - 1].code, verdicts[count - 1].message);
    ck_assert_ok(harness_restore(harness, RUN, attempt, &err), err);
    ck_assert_ok(harness_verify(harness, RUN, &err), err);
    verdicts = harness_verdicts(harness, &count);
    ck_assert_msg(count == 0, "verify: %s", count == 0 ? "" : verdicts[0].message);
}

void case_settle(struct harness *harness, uint32_t outcome)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_ok(harness_settle(harness, RUN, outcome, &err), err);
}

const struct harness_verdict *case_verdict(const struct harness *harness, const char *code)
{
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(verdicts[i].code, code) == 0) {
            return &verdicts[i];
        }
    }
    return NULL;
}

void case_replace(struct harness *harness, const char *object, const char *content)
{
    struct harness_item *item = (struct harness_item *)(uintptr_t)harness_find(harness, object);
    ck_assert_ptr_nonnull(item);
    free(item->data);
    item->data = (uint8_t *)strdup(content);
    item->data_len = strlen(content);
}

int main(void)
{
    if (!server_make(&the_server)) {
        (void)fprintf(stderr, "no PostgreSQL server could be started; install it with integration/setup servers\n");
        return EXIT_FAILURE; /* a test that cannot run has failed */
    }
    Suite *suite = suite_create("plugins/postgres");
    unit_cases(suite);
    roundtrip_cases(suite);
    failure_cases(suite);
    check_cases(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    server_remove(&the_server);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
