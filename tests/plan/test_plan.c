/* test_plan.c: plan files: right ones, wrong ones with their lines, and step order. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/cleanup.h"
#include "plan/plan.h"

static struct fixture f;
static struct config *config;

static void setup(void)
{
    fixture_setup(&f);
    fixture_write(&f, "a.conf",
                  "repositories: { main: { url = \"/r\"; encryption = \"none\"; }; };\n"
                  "components: {\n"
                  "  settings: { plugin = \"types\"; };\n"
                  "  uploads:  { plugin = \"types\"; depends_on = [ \"settings\" ]; };\n"
                  "  app-db:   { plugin = \"types\"; depends_on = [ \"settings\" ]; };\n"
                  "  sessions: { plugin = \"types\"; depends_on = [ \"settings\" ]; };\n"
                  "  hot:      { plugin = \"types\"; depends_on = [ \"sessions\" ]; };\n"
                  "  kb:       { plugin = \"types\"; depends_on = [ \"app-db\" ]; }; };\n");
    config = fixture_load(&f);
}

static void teardown(void)
{
    config_free(config);
    fixture_teardown(&f);
}

static struct plan *load(const char *text)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct plan *plan = NULL;
    fixture_write(&f, "plans/p.plan", text);
    ck_assert_msg(plan_load(config, "p", &plan, &err) == ORCH_OK, "%s", err.message);
    return plan;
}

START_TEST(test_design)
{
    CLEANUP(plan_cleanup)
    struct plan *plan = load("plan: { name = \"recover\";  set = \"latest\";  steps = (\n"
                             "  { restore: { components = [ \"settings\", \"uploads\" ]; } },\n"
                             "  { restore: { components = [ \"app-db\", \"sessions\" ]; } },\n"
                             "  { check:   { command = \"/usr/local/bin/app-selftest\"; } },\n"
                             "  { restore: { components = [ \"kb\", \"hot\" ]; } } ); };\n");
    ck_assert_str_eq(plan->name, "recover");
    ck_assert_str_eq(plan->set, "latest");
    ck_assert_ptr_null(plan->repository);
    ck_assert_str_eq(plan->file, fixture_path(&f, "plans/p.plan"));
    ck_assert_uint_eq(strlen(plan->hash), 64);
    ck_assert_uint_eq(plan->step_count, 4);
    ck_assert_int_eq(plan->steps[0].kind, PLAN_RESTORE);
    ck_assert_str_eq(plan->steps[0].components[1], "uploads");
    ck_assert_ptr_null(plan->steps[0].components[2]);
    ck_assert_str_eq(plan->steps[0].strategy, "replace");
    ck_assert_int_eq(plan->steps[0].line, 2);
    ck_assert_int_eq(plan->steps[2].kind, PLAN_CHECK);
    ck_assert_str_eq(plan->steps[2].command, "/usr/local/bin/app-selftest");
    ck_assert_int_eq(plan->steps[2].timeout_ms, 600000);
    ck_assert_int_eq(plan->steps[2].line, 4);
}
END_TEST

START_TEST(test_all_kinds)
{
    CLEANUP(plan_cleanup)
    struct plan *plan =
        load("plan = { repository = \"main\"; set = \"20260131_120000\"; steps = (\n"
             " { backup = { } }, { backup = { components = ( \"kb\" ); type = \"incremental\";\n"
             "   label = \"before the n\xc3\xa4xt\"; } },\n"
             " { verify = { } }, { verify = { level = \"manifest\" } },\n"
             " { restore = { strategy = \"replace\" } },\n"
             " { check = { command = \"true\", timeout = \"5s\" } } ) }");
    ck_assert_str_eq(plan->name, "p");
    ck_assert_str_eq(plan->repository, "main");
    ck_assert_str_eq(plan->set, "20260131_120000");
    ck_assert_uint_eq(plan->step_count, 6);
    ck_assert_int_eq(plan->steps[0].kind, PLAN_BACKUP);
    ck_assert_str_eq(plan->steps[0].type, "full");
    ck_assert_ptr_null(plan->steps[0].label);
    ck_assert_ptr_nonnull(plan->steps[0].components);
    ck_assert_ptr_null(plan->steps[0].components[0]);
    ck_assert_str_eq(plan->steps[1].type, "incremental");
    ck_assert_str_eq(plan->steps[1].components[0], "kb");
    ck_assert_str_eq(plan->steps[1].label, "before the n\xc3\xa4xt");
    ck_assert_int_eq(plan->steps[2].kind, PLAN_VERIFY);
    ck_assert_str_eq(plan->steps[2].level, "data");
    ck_assert_ptr_null(plan->steps[2].components[0]);
    ck_assert_str_eq(plan->steps[3].level, "manifest");
    ck_assert_ptr_null(plan->steps[4].components[0]);
    ck_assert_int_eq(plan->steps[5].timeout_ms, 5000);
}
END_TEST

START_TEST(test_prune)
{
    CLEANUP(plan_cleanup)
    struct plan *plan =
        load("plan: { steps = ( { prune: { } }, { prune: { label = \"nightly\"; keep_last = 7;\n"
             " keep_yearly = 2; max_age = \"30d\"; max_size = \"10GB\"; max_count = 9;\n"
             " components = [ \"gone\", \"kb\" ]; repack_above = 50; wait = \"10m\"; } } ); };");
    const struct plan_step *step = &plan->steps[0];
    ck_assert_int_eq(step->kind, PLAN_PRUNE);
    ck_assert(!config_retention_has_rule(&step->retention));
    ck_assert_int_lt(step->wait_ms, 0);
    ck_assert_uint_eq(step->repack_above, 0);
    step = &plan->steps[1];
    ck_assert(config_retention_has_rule(&step->retention));
    ck_assert_str_eq(step->retention.label, "nightly");
    ck_assert_str_eq(step->retention.components[0], "gone");
    ck_assert_str_eq(step->retention.components[1], "kb");
    ck_assert_ptr_null(step->retention.components[2]);
    ck_assert_int_eq(step->retention.keep_last, 7);
    ck_assert_int_eq(step->retention.keep_daily, 0);
    ck_assert_int_eq(step->retention.keep_yearly, 2);
    ck_assert_int_eq(step->retention.max_age_ms, INT64_C(30) * 86400000);
    ck_assert_int_eq(step->retention.max_count, 9);
    ck_assert_int_eq(step->retention.max_size_bytes, INT64_C(10000000000));
    ck_assert_uint_eq(step->repack_above, 50);
    ck_assert_int_eq(step->wait_ms, 600000);
}
END_TEST

START_TEST(test_types)
{
    CLEANUP(plan_cleanup)
    struct plan *plan = load("plan: { steps = ( { backup: { type = \"differential\"; } },\n"
                             " { backup: { type = \"snapshot\"; } } ); };");
    ck_assert_str_eq(plan->steps[0].type, "differential");
    ck_assert_str_eq(plan->steps[1].type, "snapshot");
}
END_TEST

/* The steps stand at the end of a plan, each on lines of its own from 2 on. */
#define STEPS(text) "plan: { steps = (\n" text " ); };"

static const struct {
    const char *text;
    int line;
    const char *fragment;
} wrong[] = {
    {"", 1, "a plan file holds  plan: {"},
    {"plam: { };", 1, "unknown key 'plam' in a plan file; did you mean plan?"},
    {"plan = 1;", 1, "plan: expected a group"},
    {"plan: { };", 1, "the plan lacks steps"},
    {"plan: {\n stesp = ( ); };", 2, "unknown key 'stesp' in a plan; did you mean steps?"},
    {"plan: { steps = ( ); };", 1, "a plan has 1 to 1000 steps, found 0"},
    {"plan: { steps = { }; };", 1, "steps: expected a list ( { … }, { … } ), found a group"},
    {"plan: { steps = [ \"backup\" ]; };", 1, "steps: expected a list"},
    {"plan: { name = \"Über\"; steps = ( { verify: { } } ); };", 1, "cannot be the name of a plan"},
    {"plan: { name = 1; steps = ( { verify: { } } ); };", 1, "name: expected a text"},
    {"plan: { set = \"\"; steps = ( { verify: { } } ); };", 1, "set: expected \"latest\""},
    {"plan: {\n repository = \"mian\"; steps = ( { verify: { } } ); };", 2,
     "there is no repository mian; did you mean main?"},
    {"plan: { steps = ( { verify: { } } ); };\nplan: { };", 2, "plan is given twice"},

    {STEPS("\n\"backup\""), 3, "a step is a group such as"},
    {STEPS("{ }"), 2,
     "exactly one key, its kind (backup, verify, restore, check or prune), and "
     "this one has 0"},
    {STEPS("{ verify: { };\n check: { command = \"x\"; } }"), 2, "and this one has 2"},
    {STEPS("{ verify = \"data\" }"), 2, "verify: expected a group"},
    {STEPS("{ verify: { } },\n{ resotre: { } }"), 3,
     "unknown kind of step 'resotre'; did you mean restore?"},
    {STEPS("{ copy: { } }"), 2, "steps of kind copy are not built yet"},
    {STEPS("{ drill: { } }"), 2, "steps of kind drill are not built yet"},

    {STEPS("{ backup: { type = \"ful\"; } }"), 2, "type: \"ful\" is not known; did you mean full?"},
    {STEPS("{ backup: {\n label = \"\"; } }"), 3, "label: expected 1 to 100 bytes"},
    {STEPS("{ backup: { label = \"a\\n\"; } }"), 2, "without control characters"},
    {STEPS("{ backup: { lable = \"a\"; } }"), 2,
     "unknown key 'lable' in a backup step; did you "
     "mean label?"},
    {STEPS("{ backup: { components = [\n\"kb\",\n\"hto\" ]; } }"), 4,
     "there is no component hto in"},
    {STEPS("{ backup: { components = [ \"sesions\" ]; } }"), 2, "did you mean sessions?"},
    {STEPS("{ backup: { components = [ ]; } }"), 2, "leave components out to mean all"},
    {STEPS("{ backup: { components = \"kb\"; } }"), 2, "components: expected a list"},
    {STEPS("{ backup: { components = [ \"kb\",\n\"kb\" ]; } }"), 3, "kb is named twice"},
    {STEPS("{ verify: { level = \"restore\"; } }"), 2, "level \"restore\" is not built yet"},
    {STEPS("{ verify: { level = \"all\"; } }"), 2, "known are: manifest, index, data"},
    {STEPS("{ verify: { set = \"x\"; } }"), 2, "unknown key 'set' in a verify step"},
    {STEPS("{ restore: { strategy = \"merge-preserve\"; } }"), 2,
     "strategy \"merge-preserve\" is not built yet"},
    {STEPS("{ restore: { strategy = \"merge-overwrite\"; } }"), 2, "is not built yet"},
    {STEPS("{ restore: { strategy = \"merge\"; } }"), 2, "strategy: \"merge\" is not known"},
    {STEPS("{ restore: { type = \"full\"; } }"), 2, "unknown key 'type' in a restore step"},
    {STEPS("{ check: { } }"), 2, "a check step lacks command"},
    {STEPS("{ check: { command = \" \"; } }"), 2, "a check step lacks command"},
    {STEPS("{ check: { command = \"x\";\n timeout = 5; } }"), 3,
     "timeout: expected a duration in quotes with its unit, such as \"5m\""},
    {STEPS("{ check: { command = \"x\"; timeout = \"0\"; } }"), 2, "more than 0"},
    {STEPS("{ check: { command = \"x\"; retries = 3000000000; } }"), 2, "would wrap"},

    {STEPS("{ prune: {\n keep_dayly = 3; } }"), 3,
     "unknown key 'keep_dayly' in a prune step; did you mean keep_daily?"},
    {STEPS("{ prune: { keep_last = 0; } }"), 2, "keep_last: 0 is not between 1 and 1000000"},
    {STEPS("{ prune: { max_age = 30; } }"), 2, "max_age: expected a duration in quotes"},
    {STEPS("{ prune: { max_age = \"0\"; } }"), 2, "max_age: give more than 0"},
    {STEPS("{ prune: { max_size = \"0GB\"; } }"), 2, "max_size: give more than 0"},
    {STEPS("{ prune: { repack_above = 101; } }"), 2, "repack_above: 101 is not between 1 and 100"},
    {STEPS("{ prune: { wait = 5; } }"), 2, "wait: expected a duration"},
    {STEPS("{ prune: { components = [ ]; } }"), 2, "components: the list is empty"},

    /* order */
    {STEPS("{ restore: { components = [ \"kb\" ]; } },\n"
           "{ verify: { } },\n{ restore: { components = [ \"app-db\" ]; } }"),
     2,
     "this step restores kb before the step at line 4 restores app-db, which it depends on "
     "(kb -> app-db)"},
    {STEPS("{ restore: { components = [ \"uploads\", \"hot\" ]; } },\n"
           "{ restore: { components = [ \"settings\" ]; } }"),
     2,
     "restores hot before the step at line 3 restores settings, which it depends on (hot -> "
     "sessions -> settings)"},
    {STEPS("{ restore: { components = [ \"kb\" ]; } },\n"
           "{ restore: { components = [ \"hot\", \"kb\" ]; } }"),
     3, "kb is restored twice: by this step and by the one at line 2"},
    {STEPS("{ restore: { components = [ \"kb\" ]; } },\n{ restore: { } }"), 3,
     "kb is restored twice: by this step and by the one at line 2 (a restore step without"},
    {STEPS("{ restore: { } },\n{ restore: { } }"), 3, "is restored twice"},
    {STEPS("{ restore: { components = [ \"app-db\" ]; } },\n"
           "{ check: { command = \"x\"; } },\n{ verify: { } },\n"
           "{ restore: { components = [ \"kb\" ]; } }"),
     5, "the step at line 4 stands between"},
};

START_TEST(test_wrong)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct plan *plan = NULL;
    fixture_write(&f, "plans/p.plan", wrong[_i].text);
    ck_assert_int_eq(plan_load(config, "p", &plan, &err), ORCH_E_CONFIG);
    ck_assert_int_eq(err.code, ORCH_E_CONFIG);
    ck_assert_ptr_null(plan);
    fixture_says(&err, fixture_path(&f, "plans/p.plan"), wrong[_i].line, wrong[_i].fragment);
}
END_TEST

/* Orders that are right: what a step needs comes in the same step or before, or is not restored. */
START_TEST(test_order)
{
    static const char *const right[] = {
        STEPS("{ restore: { components = [ \"kb\", \"app-db\", \"settings\" ]; } }"),
        STEPS("{ restore: { components = [ \"kb\" ]; } },\n"
              "{ restore: { components = [ \"hot\", \"sessions\" ]; } }"),
        STEPS("{ restore: { components = [ \"settings\" ]; } },\n"
              "{ restore: { components = [ \"kb\" ]; } },\n"
              "{ restore: { components = [ \"hot\" ]; } }"),
        STEPS("{ backup: { components = [ \"kb\" ]; } },\n"
              "{ backup: { components = [ \"app-db\" ]; } },\n{ restore: { } }"),
    };
    CLEANUP(plan_cleanup) struct plan *plan = load(right[_i]);
    ck_assert_uint_ge(plan->step_count, 1);
}
END_TEST

/* A path, a name, and what is neither. */
START_TEST(test_find)
{
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP(plan_cleanup) struct plan *by_path = NULL;
    struct plan *none = NULL;
    fixture_write(&f, "plans/recover.plan", STEPS("{ verify: { } }"));
    fixture_write(&f, "plans/backup.plan", STEPS("{ backup: { } }"));
    ck_assert_int_eq(plan_load(config, fixture_path(&f, "plans/recover.plan"), &by_path, &err),
                     ORCH_OK);
    ck_assert_str_eq(by_path->name, "recover");
    CLEANUP(plan_cleanup) struct plan *by_name = NULL;
    ck_assert_int_eq(plan_load(config, "recover", &by_name, &err), ORCH_OK);
    ck_assert_str_eq(by_path->hash, by_name->hash);
    ck_assert_int_eq(plan_load(config, "recovr", &none, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "there is no plan recovr in"));
    ck_assert_ptr_nonnull(strstr(err.message, "did you mean recover?"));
    ck_assert_int_eq(plan_load(config, "/nonexistent/x", &none, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "/nonexistent/x: cannot be read: No such file"));
    ck_assert_int_eq(plan_load(config, "gone.plan", &none, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "gone.plan: cannot be read"));
    ck_assert_int_eq(plan_load(config, f.dir, &none, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
    ck_assert_ptr_null(none);
}
END_TEST

/* The hash follows the bytes. */
START_TEST(test_hash)
{
    CLEANUP(plan_cleanup) struct plan *one = load(STEPS("{ verify: { } }"));
    CLEANUP(plan_cleanup) struct plan *two = load(STEPS("{ verify: { } } "));
    ck_assert_str_ne(one->hash, two->hash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_design);
    tcase_add_test(tcase, test_all_kinds);
    tcase_add_test(tcase, test_prune);
    tcase_add_test(tcase, test_types);
    tcase_add_loop_test(tcase, test_wrong, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_loop_test(tcase, test_order, 0, 4);
    tcase_add_test(tcase, test_find);
    tcase_add_test(tcase, test_hash);
    suite_add_tcase(suite, tcase);
    return fixture_run(suite);
}
