/* test_sample.c: the sample in conf.d is right, as far as that can be told without real plugins. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/cleanup.h"
#include "plan/plan.h"

static struct config *load(int *described)
{
    const struct config_plugins plugins = {described, fixture_describe};
    struct orch_error err = ORCH_ERROR_INIT;
    struct config *config = NULL;
    ck_assert_msg(config_load(SAMPLE_DIR, &plugins, &config, &err) == ORCH_OK, "%s", err.message);
    return config;
}

START_TEST(test_conf)
{
    int described = 0;
    CLEANUP(config_cleanup) struct config *c = load(&described);
    const struct config_repository *r = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(config_repository(c, NULL, &r, &err), ORCH_OK);
    ck_assert(r->encrypted);
    ck_assert_uint_eq(c->component_count, 6);
    ck_assert_int_eq(described, 6);
    ck_assert_uint_eq(graph_stages(c->graph), 3);
    ck_assert_uint_eq(config_component(c, "kb")->retries, 1);
}
END_TEST

START_TEST(test_plans)
{
    int described = 0;
    CLEANUP(config_cleanup) struct config *c = load(&described);
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP(plan_cleanup) struct plan *backup = NULL;
    CLEANUP(plan_cleanup) struct plan *recover = NULL;
    ck_assert_msg(plan_load(c, "backup", &backup, &err) == ORCH_OK, "%s", err.message);
    ck_assert_str_eq(backup->name, "backup");
    ck_assert_msg(plan_load(c, "recover", &recover, &err) == ORCH_OK, "%s", err.message);
    size_t restored = 0;
    for (size_t s = 0; s < recover->step_count; s++) {
        for (char **name = recover->steps[s].components; *name != NULL; name++) {
            restored++;
        }
    }
    ck_assert_uint_eq(restored, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tcase = tcase_create("sample");
    tcase_add_test(tcase, test_conf);
    tcase_add_test(tcase, test_plans);
    suite_add_tcase(suite, tcase);
    return fixture_run(suite);
}
