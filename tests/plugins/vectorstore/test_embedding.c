/*
 * test_embedding.c: the embedding identity from end to end: a real index, the stand-in endpoint, a
 * backup under one declaration and a check under another.
 */
#include "fixture.h"
#include "generate.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIM 16
#define GO ORCH_VERDICT_GO
#define WARN ORCH_VERDICT_WARN
#define REFUSE ORCH_VERDICT_REFUSE
#define AUDIT ORCH_VERDICT_AUDIT
#define BOTH (ORCH_VERDICT_AUDIT | ORCH_VERDICT_OVERRIDABLE)

static struct fixture f;

static void setup(void)
{
    fixture_open(&f);
    fixture_index(&f, "kb.faiss", "Flat", 50, DIM, GENERATE_IP, 1);
    fixture_write(&f, "kb.pkl", "pickled");
}

static void teardown(void)
{
    fixture_close(&f);
}

/* The model as the options declare it; "" declares none. */
static void declare(const char *model, const char *revision)
{
    fixture_option(&f, "embedding.model", model);
    fixture_option(&f, "embedding.revision", revision);
    fixture_option(&f, "embedding.metric", "cosine");
}

/* Closes the instance and keeps the part's facts for the checks to come. */
static void keep_facts(void)
{
    char *facts = strdup(harness_facts(f.h));
    harness_set_facts(f.h, facts);
    free(facts);
}

static struct harness_verdict verdict_of(const char *prefix)
{
    uint64_t count = 0;
    const struct harness_verdict *v = harness_verdicts(f.h, &count);
    for (uint64_t i = 0; i < count; i++) {
        if (strncmp(v[i].code, prefix, strlen(prefix)) == 0) {
            return v[i];
        }
    }
    ck_abort_msg("no verdict %s… among %d", prefix, (int)count);
}

static void check_is(const char *code, uint32_t severity, uint32_t flags)
{
    ck_assert_msg(harness_check(f.h, "c0ffee", &f.err) == 0, "%s", f.err.message);
    struct harness_verdict v = verdict_of("embedding-");
    ck_assert_msg(strcmp(v.code, code) == 0, "%s, not %s: %s", v.code, code, v.message);
    ck_assert_uint_eq(v.severity, severity);
    ck_assert_uint_eq(v.flags, flags);
    ck_assert_uint_eq(harness_worst(f.h), severity);
}

/* ---- the table -------------------------------------------------------------------------- */

/* `mode` is what the endpoint does at the check; NULL: no endpoint then. */
static const struct {
    const char *part_model, *live_model, *mode, *code;
    uint32_t severity, flags;
} cells[] = {
    {"m", "m", "same", "embedding-identical", GO, 0},
    {"m", "m", "near", "embedding-compatible", WARN, 0},
    {"m", "m", "drift", "embedding-incompatible", REFUSE, BOTH},
    {"m", "m", NULL, "embedding-unproven", WARN, 0},
    {"m", "n", "same", "embedding-compatible", GO, AUDIT},
    {"m", "n", "near", "embedding-incompatible", REFUSE, BOTH},
    {"m", "n", "drift", "embedding-incompatible", REFUSE, BOTH},
    {"m", "n", NULL, "embedding-incompatible", REFUSE, BOTH},
    {"", "m", "same", "embedding-compatible", GO, AUDIT},
    {"", "m", "near", "embedding-incompatible", REFUSE, BOTH},
    {"", "m", "drift", "embedding-incompatible", REFUSE, BOTH},
    {"", "m", NULL, "embedding-unknown", REFUSE, BOTH},
    {"m", "", "same", "embedding-compatible", GO, AUDIT},
    {"m", "", NULL, "embedding-unknown", REFUSE, BOTH},
    /* what makes a comparison impossible is told from a drift */
    {"m", "m", "down", "embedding-unproven", WARN, 0},
    {"m", "m", "http500", "embedding-unproven", WARN, 0},
    {"m", "m", "garbage", "embedding-unproven", WARN, 0},
    {"m", "m", "count", "embedding-unproven", WARN, 0},
    {"m", "m", "nonfinite", "embedding-unproven", WARN, 0},
    {"m", "m", "redirect", "embedding-unproven", WARN, 0},
    {"m", "m", "slow", "embedding-unproven", WARN, 0},
    {"m", "m", "unordered", "embedding-identical", GO, 0},
    {"m", "m", "dimension", "embedding-dimension", REFUSE, BOTH},
    {"m", "n", "down", "embedding-incompatible", REFUSE, BOTH},
    {"", "m", "down", "embedding-unknown", REFUSE, BOTH},
};

START_TEST(test_cell)
{
    struct endpoint then, now;
    endpoint_start(&then, "same", NULL);
    declare(cells[_i].part_model, "1");
    fixture_option(&f, "embedding.endpoint", then.url);
    fixture_backup(&f);
    endpoint_stop(&then);
    keep_facts();
    declare(cells[_i].live_model, "1");
    fixture_option(&f, "embedding.timeout", "1500");
    if (cells[_i].mode != NULL) {
        endpoint_start(&now, cells[_i].mode, NULL);
        fixture_option(&f, "embedding.endpoint", now.url);
    }
    fixture_reopen(&f); /* without a new endpoint: the old one's URL, where nobody listens */
    check_is(cells[_i].code, cells[_i].severity, cells[_i].flags);
    struct harness_verdict v = verdict_of("embedding-");
    ck_assert_ptr_nonnull(strstr(v.message, "backup: "));
    ck_assert_ptr_nonnull(strstr(v.message, "live: "));
    ck_assert(cells[_i].severity == REFUSE ? strstr(v.message, "--allow-incompatible") != NULL
                                           : strstr(v.message, "--allow-incompatible") == NULL);
    if (cells[_i].mode != NULL) {
        endpoint_stop(&now);
    }
    ck_assert(fixture_exists(&f, "kb.faiss") && !fixture_exists(&f, ".kb.faiss.orch-new-c0ffee"));
}
END_TEST

/* No endpoint at either side, or at the backup alone. */
START_TEST(test_no_stored_canaries)
{
    struct endpoint e;
    declare("m", "1");
    fixture_backup(&f);
    keep_facts();
    fixture_reopen(&f);
    check_is("embedding-unproven", WARN, 0);
    endpoint_start(&e, "same", NULL);
    fixture_option(&f, "embedding.endpoint", e.url);
    fixture_reopen(&f);
    check_is("embedding-unproven", WARN, 0);
    endpoint_stop(&e);
}
END_TEST

/* Another revision under the same model, as declared. */
START_TEST(test_revision)
{
    declare("m", "1");
    fixture_backup(&f);
    keep_facts();
    declare("m", "2");
    fixture_reopen(&f);
    check_is("embedding-incompatible", REFUSE, BOTH);
    struct harness_verdict v = verdict_of("embedding-");
    ck_assert_ptr_nonnull(strstr(v.message, "m@1"));
    ck_assert_ptr_nonnull(strstr(v.message, "m@2"));
}
END_TEST

/* What the live side declares excludes the index by itself, whatever the names say. */
static const struct {
    const char *option, *value, *code;
} excluded[] = {
    {"embedding.dimension", "32", "embedding-dimension"},
    {"embedding.metric", "l2", "embedding-metric"},
};

START_TEST(test_excluded)
{
    declare("m", "1");
    fixture_backup(&f);
    keep_facts();
    fixture_option(&f, excluded[_i].option, excluded[_i].value);
    fixture_reopen(&f);
    check_is(excluded[_i].code, REFUSE, BOTH);
    ck_assert_ptr_nonnull(strstr(verdict_of("embedding-").subject, "/kb"));
}
END_TEST

START_TEST(test_normalisation)
{
    fixture_option(&f, "embedding.model", "m");
    fixture_option(&f, "embedding.normalised", "1");
    fixture_backup(&f);
    keep_facts();
    fixture_option(&f, "embedding.normalised", "0");
    fixture_reopen(&f);
    check_is("embedding-normalisation", REFUSE, BOTH);
}
END_TEST

/* ---- the endpoint at the backup --------------------------------------------------------- */

static const struct {
    const char *mode;
    int canaries;
} at_backup[] = {
    {"same", 1},  {"unordered", 1}, {"down", 0},     {"http500", 0},   {"garbage", 0},
    {"count", 0}, {"slow", 0},      {"redirect", 0}, {"dimension", 0},
};

START_TEST(test_backup_canaries)
{
    struct endpoint e;
    endpoint_start(&e, at_backup[_i].mode, NULL);
    declare("m", "1");
    fixture_option(&f, "embedding.dimension", "16");
    fixture_option(&f, "embedding.endpoint", e.url);
    fixture_option(&f, "embedding.timeout", "1000");
    fixture_backup(&f);
    json_t *facts = json_loads(harness_facts(f.h), 0, NULL);
    const json_t *canaries = json_object_get(facts, "canaries");
    const char *note = json_string_value(json_object_get(facts, "canary_note"));
    ck_assert_uint_eq(json_array_size(canaries), at_backup[_i].canaries ? 8 : 0);
    ck_assert_int_eq(note != NULL, !at_backup[_i].canaries);
    json_decref(facts);
    fixture_option(&f, "embedding.canaries_required", "1");
    ck_assert_int_eq(fixture_try_backup(&f) == 0, at_backup[_i].canaries);
    endpoint_stop(&e);
}
END_TEST

START_TEST(test_api_key)
{
    static const char *const more[] = {"--api-key", "secret-7f3a", NULL};
    struct endpoint e;
    endpoint_start(&e, "same", more);
    declare("m", "1");
    fixture_option(&f, "embedding.endpoint", e.url);
    fixture_option(&f, "embedding.canaries_required", "1");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_ACCESS);
    fixture_option(&f, "embedding.api_key", "secret-wrong");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_ACCESS);
    ck_assert_ptr_null(strstr(f.err.message, "secret"));
    fixture_option(&f, "embedding.api_key", "secret-7f3a");
    fixture_backup(&f);
    ck_assert_ptr_null(strstr(harness_facts(f.h), "secret"));
    endpoint_stop(&e);
}
END_TEST

/* The prefix goes before the texts: another one gives other vectors. */
START_TEST(test_prefix)
{
    struct endpoint e;
    endpoint_start(&e, "same", NULL);
    declare("m", "1");
    fixture_option(&f, "embedding.endpoint", e.url);
    fixture_option(&f, "embedding.prefix", "search_document: ");
    fixture_backup(&f);
    keep_facts();
    fixture_reopen(&f);
    check_is("embedding-identical", GO, 0);
    fixture_option(&f, "embedding.prefix", "query: ");
    fixture_reopen(&f);
    check_is("embedding-incompatible", REFUSE, BOTH);
    endpoint_stop(&e);
}
END_TEST

START_TEST(test_no_secret_in_url)
{
    declare("m", "1");
    fixture_option(&f, "embedding.endpoint",
                   "http://user:hidden@127.0.0.1:1/v1/embeddings?k=hidden");
    fixture_option(&f, "embedding.canaries_required", "1");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_UNREACHABLE);
    ck_assert_ptr_null(strstr(f.err.message, "hidden"));
    ck_assert_ptr_nonnull(strstr(f.err.message, "127.0.0.1:1/v1/embeddings"));
}
END_TEST

/* ---- identity sources ------------------------------------------------------------------- */

static char settings[160];

static void write_settings(const char *text)
{
    (void)snprintf(settings, sizeof(settings), "%s/settings.json", f.dir);
    FILE *file = fopen(settings, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs(text, file);
    (void)fclose(file);
    fixture_option(&f, "embedding.identity_file", settings);
    fixture_option(&f, "embedding.identity_key", "ai.embedding");
}

/* A recovery that brings other settings back is judged by those. */
START_TEST(test_future_file)
{
    write_settings("{\"ai\": {\"embedding\": {\"model\": \"old\", \"revision\": 1}}}");
    fixture_backup(&f);
    ck_assert_ptr_nonnull(strstr(harness_facts(f.h), "\"model\":\"old\""));
    keep_facts();
    write_settings("{\"ai\": {\"embedding\": {\"model\": \"new\"}}}");
    fixture_reopen(&f);
    check_is("embedding-incompatible", REFUSE, BOTH);
    harness_future_file(f.h, settings,
                        "{\"ai\": {\"embedding\": {\"model\": \"old\", \"revision\": 1}}}");
    check_is("embedding-unproven", WARN, 0);
    harness_future_file(f.h, settings, "{\"ai\": {\"embedding\": {\"model\": \"other\"}}}");
    check_is("embedding-incompatible", REFUSE, BOTH);
    ck_assert_ptr_nonnull(strstr(verdict_of("embedding-").message, "other"));
    harness_future_file(f.h, settings, "broken {");
    check_is("embedding-unknown", REFUSE, BOTH);
}
END_TEST

/* The file is gone, and the run does not bring it: nothing is declared any more. */
START_TEST(test_identity_file_gone)
{
    write_settings("{\"ai\": {\"embedding\": {\"model\": \"m\"}}}");
    fixture_backup(&f);
    keep_facts();
    ck_assert_int_eq(remove(settings), 0);
    fixture_reopen(&f);
    check_is("embedding-unknown", REFUSE, BOTH);
    ck_assert_ptr_nonnull(strstr(verdict_of("embedding-").message, "identity file"));
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_NOT_FOUND);
    write_settings("{\"ai\": {}}");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_NOT_FOUND);
}
END_TEST

/* What the file says wins over the options, and is held against the index too. */
START_TEST(test_identity_file_counts)
{
    fixture_option(&f, "embedding.model", "from-options");
    fixture_option(&f, "embedding.revision", "7");
    write_settings("{\"ai\": {\"embedding\": {\"model\": \"from-file\"}}}");
    fixture_backup(&f);
    ck_assert_ptr_nonnull(strstr(harness_facts(f.h), "\"model\":\"from-file\""));
    ck_assert_ptr_null(strstr(harness_facts(f.h), "\"revision\"")); /* it was another model's */
    write_settings("{\"ai\": {\"embedding\": {\"model\": \"m\", \"dimension\": 17}}}");
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_INCOMPATIBLE);
}
END_TEST

START_TEST(test_identity_command)
{
    fixture_option(&f, "embedding.identity_command",
                   "printf '{\"model\": \"told\", \"dimension\": 16}'");
    fixture_backup(&f);
    ck_assert_ptr_nonnull(strstr(harness_facts(f.h), "\"model\":\"told\""));
    keep_facts();
    fixture_reopen(&f);
    check_is("embedding-unproven", WARN, 0);
    fixture_option(&f, "embedding.identity_command", "exit 3");
    fixture_reopen(&f);
    check_is("embedding-unknown", REFUSE, BOTH);
    ck_assert_int_eq(fixture_try_backup(&f), ORCH_E_FAILED);
}
END_TEST

/* Facts from elsewhere: refused or judged, never trusted. */
static const char *const bad_facts[] = {
    "{\"stores\": {\"kb\": {}}, \"files\": {}, \"contract\": 7}",
    "{\"stores\": {\"kb\": {}}, \"files\": {}, \"contract\": {\"dimension\": \"x\"}}",
    "{\"stores\": {\"kb\": {}}, \"files\": {}, \"contract\": {\"model\": []}}",
};

START_TEST(test_bad_facts)
{
    declare("m", "1");
    fixture_backup(&f);
    harness_set_facts(f.h, bad_facts[_i]);
    ck_assert_int_eq(harness_check(f.h, "c0ffee", &f.err), ORCH_E_CORRUPT);
}
END_TEST

START_TEST(test_bad_canaries)
{
    static const char *const canaries[] = {"7", "[]", "[1,2,3,4,5,6,7,8]", "[{}]"};
    declare("m", "1");
    fixture_backup(&f);
    for (size_t i = 0; i < 4; i++) {
        char facts[512];
        (void)snprintf(facts, sizeof(facts),
                       "{\"stores\": {\"kb\": {}}, \"files\": {}, \"contract\": {\"model\": \"m\", "
                       "\"revision\": \"1\"}, \"canaries\": %s}",
                       canaries[i]);
        harness_set_facts(f.h, facts);
        check_is("embedding-unproven", WARN, 0);
    }
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("vectorstore embedding");
    TCase *tests = tcase_create("embedding");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_cell, 0, COUNT(cells));
    tcase_add_test(tests, test_no_stored_canaries);
    tcase_add_test(tests, test_revision);
    tcase_add_loop_test(tests, test_excluded, 0, COUNT(excluded));
    tcase_add_test(tests, test_normalisation);
    tcase_add_loop_test(tests, test_backup_canaries, 0, COUNT(at_backup));
    tcase_add_test(tests, test_api_key);
    tcase_add_test(tests, test_prefix);
    tcase_add_test(tests, test_no_secret_in_url);
    tcase_add_test(tests, test_future_file);
    tcase_add_test(tests, test_identity_file_gone);
    tcase_add_test(tests, test_identity_file_counts);
    tcase_add_test(tests, test_identity_command);
    tcase_add_loop_test(tests, test_bad_facts, 0, COUNT(bad_facts));
    tcase_add_test(tests, test_bad_canaries);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
