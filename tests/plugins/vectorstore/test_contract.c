/* test_contract.c: the contract table, cell by cell, and what is read into a contract. */
#include "contract.h"

#include <orchestrate/plugin.h>

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GO ORCH_VERDICT_GO
#define WARN ORCH_VERDICT_WARN
#define REFUSE ORCH_VERDICT_REFUSE
#define AUDIT ORCH_VERDICT_AUDIT
#define BOTH (ORCH_VERDICT_AUDIT | ORCH_VERDICT_OVERRIDABLE)

#define PASS CONTRACT_CANARIES_PASS
#define NEAR CONTRACT_CANARIES_NEAR
#define DRIFT CONTRACT_CANARIES_DRIFT
#define NONE CONTRACT_CANARIES_IMPOSSIBLE

static struct contract made(const char *model, const char *revision)
{
    struct contract c;
    contract_clear(&c);
    (void)strcpy(c.provider, "ollama");
    (void)strcpy(c.model, model);
    (void)strcpy(c.revision, revision);
    c.dimension = 16;
    c.metric = CONTRACT_METRIC_COSINE;
    return c;
}

/* Rows: equal, differs in model, differs in revision, absent in the part, absent live. */
static const struct {
    const char *part_model, *part_revision, *live_model, *live_revision;
    uint32_t canaries, severity, flags;
    const char *code;
} cells[] = {
    {"m", "1", "m", "1", PASS, GO, 0, "embedding-identical"},
    {"m", "1", "m", "1", NEAR, WARN, 0, "embedding-compatible"},
    {"m", "1", "m", "1", DRIFT, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "m", "1", NONE, WARN, 0, "embedding-unproven"},
    {"m", "1", "n", "1", PASS, GO, AUDIT, "embedding-compatible"},
    {"m", "1", "n", "1", NEAR, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "n", "1", DRIFT, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "n", "1", NONE, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "m", "2", PASS, GO, AUDIT, "embedding-compatible"},
    {"m", "1", "m", "2", NEAR, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "m", "2", DRIFT, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "m", "2", NONE, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "m", "", NONE, REFUSE, BOTH, "embedding-incompatible"},
    {"", "", "m", "1", PASS, GO, AUDIT, "embedding-compatible"},
    {"", "", "m", "1", NEAR, REFUSE, BOTH, "embedding-incompatible"},
    {"", "", "m", "1", DRIFT, REFUSE, BOTH, "embedding-incompatible"},
    {"", "", "m", "1", NONE, REFUSE, BOTH, "embedding-unknown"},
    {"m", "1", "", "", PASS, GO, AUDIT, "embedding-compatible"},
    {"m", "1", "", "", NEAR, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "", "", DRIFT, REFUSE, BOTH, "embedding-incompatible"},
    {"m", "1", "", "", NONE, REFUSE, BOTH, "embedding-unknown"},
    {"", "", "", "", NONE, REFUSE, BOTH, "embedding-unknown"},
};

START_TEST(test_cell)
{
    struct contract part = made(cells[_i].part_model, cells[_i].part_revision);
    struct contract live = made(cells[_i].live_model, cells[_i].live_revision);
    struct contract_judgement got;
    contract_judge(&part, &live, cells[_i].canaries, &got);
    ck_assert_uint_eq(got.severity, cells[_i].severity);
    ck_assert_uint_eq(got.flags, cells[_i].flags);
    ck_assert_str_eq(got.code, cells[_i].code);
    ck_assert_uint_gt(strlen(got.reason), 10);
}
END_TEST

/* Differences that refuse in every column: `field` set to `part` and `live`. */
static const struct {
    const char *field, *part, *live, *code; /* code NULL: no difference */
} geometry[] = {
    {"dimension", "16", "32", "embedding-dimension"},
    {"metric", "l2", "ip", "embedding-metric"},
    {"metric", "l2", "cosine", "embedding-metric"},
    {"metric", "cosine", "cosine", NULL},
    {"normalised", "true", "false", "embedding-normalisation"},
    {"normalised", "true", "true", NULL},
};

START_TEST(test_geometry)
{
    struct orch_error err = ORCH_ERROR_INIT;
    for (uint32_t canaries = NONE; canaries <= DRIFT; canaries++) {
        struct contract part = made("m", "1"), live = made("m", "1");
        struct contract_judgement got;
        part.metric = live.metric = CONTRACT_UNSAID;
        ck_assert_int_eq(contract_set(&part, geometry[_i].field, geometry[_i].part, &err), 1);
        ck_assert_int_eq(contract_set(&live, geometry[_i].field, geometry[_i].live, &err), 1);
        contract_judge(&part, &live, canaries, &got);
        if (geometry[_i].code != NULL) {
            ck_assert_uint_eq(got.severity, REFUSE);
            ck_assert_uint_eq(got.flags, BOTH);
            ck_assert_str_eq(got.code, geometry[_i].code);
        } else {
            ck_assert_uint_eq(got.severity == REFUSE, canaries == DRIFT);
        }
    }
}
END_TEST

START_TEST(test_cosine_is_normalised_inner_product)
{
    struct contract part = made("m", "1"), live = made("m", "1");
    struct contract_judgement got;
    live.metric = CONTRACT_METRIC_IP;
    live.normalised = 1;
    contract_judge(&part, &live, PASS, &got);
    ck_assert_str_eq(got.code, "embedding-identical");
    live.normalised = 0;
    contract_judge(&part, &live, PASS, &got);
    ck_assert_str_eq(got.code, "embedding-normalisation");
}
END_TEST

START_TEST(test_bounds)
{
    ck_assert_uint_eq(contract_canaries(1.0), PASS);
    ck_assert_uint_eq(contract_canaries(0.999), PASS);
    ck_assert_uint_eq(contract_canaries(0.99899), NEAR);
    ck_assert_uint_eq(contract_canaries(0.99), NEAR);
    ck_assert_uint_eq(contract_canaries(0.98999), DRIFT);
    ck_assert_uint_eq(contract_canaries(-1), DRIFT);
    ck_assert_uint_eq(contract_canaries(NAN), DRIFT);
}
END_TEST

static const struct {
    const char *field, *text;
    int32_t rc;
} sets[] = {
    {"model", "x", 1},
    {"MODEL", "x", 1},
    {"dimension", "768", 1},
    {"dim", "1", 1},
    {"dimension", "0", -4},
    {"dimension", "12x", -4},
    {"dimension", "-3", -4},
    {"dimension", "", -4},
    {"dimension", "99999999999999999999", -4},
    {"metric", "Cosine", 1},
    {"metric", "hamming", -4},
    {"normalized", "yes", 1},
    {"normalised", "maybe", -4},
    {"temperature", "1", 0},
};

START_TEST(test_set)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct contract c;
    contract_clear(&c);
    ck_assert_int_eq(contract_set(&c, sets[_i].field, sets[_i].text, &err), sets[_i].rc);
}
END_TEST

START_TEST(test_too_long)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct contract c;
    char text[CONTRACT_TEXT + 1];
    contract_clear(&c);
    memset(text, 'x', sizeof(text));
    text[CONTRACT_TEXT] = 0;
    ck_assert_int_eq(contract_set(&c, "prefix", text, &err), ORCH_E_CONFIG);
    text[CONTRACT_TEXT - 1] = 0;
    ck_assert_int_eq(contract_set(&c, "prefix", text, &err), 1);
}
END_TEST

START_TEST(test_json)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct contract c = made("m\xff", "1"), back;
    ck_assert_int_eq(contract_set(&c, "model", "m\xff", &err), 1); /* no UTF-8: made into some */
    json_t *json = contract_to_json(&c);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(contract_from_json(json, &back, &err), 0);
    ck_assert_mem_eq(&c.dimension, &back.dimension, sizeof(c.dimension));
    ck_assert_str_eq(c.model, back.model);
    ck_assert_int_eq(back.metric, CONTRACT_METRIC_COSINE);
    ck_assert_int_eq(back.normalised, CONTRACT_UNSAID);
    (void)json_object_set_new(json, "dimension", json_string("many"));
    ck_assert_int_eq(contract_from_json(json, &back, &err), ORCH_E_CORRUPT);
    (void)json_object_set_new(json, "dimension", json_array());
    ck_assert_int_eq(contract_from_json(json, &back, &err), ORCH_E_CORRUPT);
    json_decref(json);
}
END_TEST

START_TEST(test_contradiction)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct contract c = made("m", "1");
    ck_assert_int_eq(contract_check(&c, &err), 0);
    c.normalised = 0;
    ck_assert_int_eq(contract_check(&c, &err), ORCH_E_CONFIG);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("vectorstore contract");
    TCase *tests = tcase_create("contract");
    tcase_add_loop_test(tests, test_cell, 0, COUNT(cells));
    tcase_add_loop_test(tests, test_geometry, 0, COUNT(geometry));
    tcase_add_test(tests, test_cosine_is_normalised_inner_product);
    tcase_add_test(tests, test_bounds);
    tcase_add_loop_test(tests, test_set, 0, COUNT(sets));
    tcase_add_test(tests, test_too_long);
    tcase_add_test(tests, test_json);
    tcase_add_test(tests, test_contradiction);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
