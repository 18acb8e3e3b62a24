/* test_proof.c: proofs of sets are stored, replaced, read back and refused when they are not true.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controltest.h"
#include "engine/proof.h"

#define SET_A "00112233445566778899aabbccddeeff"
#define SET_B "ffeeddccbbaa99887766554433221100"
#define FILE_A "proofs/" SET_A

static struct ct_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_KEYFILE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

static struct proof sample(void)
{
    struct proof proof = {.set = SET_A,
                          .good = true,
                          .level = CHECK_DATA,
                          .at_ns = 1769860800123456789,
                          .run_id = SET_B,
                          .host = "a.example"};
    return proof;
}

START_TEST(test_round_trip)
{
    struct proof proof = sample(), found;
    ck_assert_int_eq(proof_load(r.repo, SET_A, &found, &err), ORCH_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "");
    for (int i = 0; i < 12; i++) {
        proof.level = (enum check_level)(i % 3);
        proof.good = i < 6;
        proof.own = i % 2 == 1;
        ct_ok(proof_store(r.repo, &proof, &err), err);
        ct_ok(proof_load(r.repo, SET_A, &found, &err), err);
        ck_assert_str_eq(found.set, SET_A);
        ck_assert_int_eq(found.level, proof.level);
        ck_assert(found.good == proof.good && found.own == proof.own);
        ck_assert_int_eq(found.at_ns, proof.at_ns);
        ck_assert_str_eq(found.run_id, SET_B);
        ck_assert_str_eq(found.host, "a.example");
        ck_assert(proof_is_full(&found) == (i == 2));
    }
    ck_assert_int_eq(ct_count(&r, "proofs"), 1);
    ck_assert_int_eq(proof_load(r.repo, SET_B, &found, &err), ORCH_E_NOT_FOUND);
}
END_TEST

START_TEST(test_remove)
{
    struct proof proof = sample();
    ct_ok(proof_store(r.repo, &proof, &err), err);
    ct_ok(proof_remove(r.repo, SET_A, &err), err);
    ck_assert_int_eq(ct_count(&r, "proofs"), 0);
    ct_ok(proof_remove(r.repo, SET_A, &err), err);
    ck_assert_int_eq(proof_remove(r.repo, "../config", &err), ORCH_E_INVALID);
}
END_TEST

START_TEST(test_no_id)
{
    static const char *const ids[] = {"", "latest", "00112233445566778899AABBCCDDEEFF",
                                      "0011223344556677/899aabbccddeeff"};
    struct proof proof = sample(), found;
    (void)snprintf(proof.set, sizeof proof.set, "%s", ids[_i]);
    ck_assert_int_eq(proof_store(r.repo, &proof, &err), ORCH_E_INVALID);
    ck_assert_int_eq(proof_load(r.repo, ids[_i], &found, &err), ORCH_E_INVALID);
}
END_TEST

START_TEST(test_bad_level)
{
    struct proof proof = sample();
    proof.level = (enum check_level)7;
    ck_assert_int_eq(proof_store(r.repo, &proof, &err), ORCH_E_INVALID);
}
END_TEST

static json_t *document(void)
{
    return json_pack("{s:i, s:s, s:b, s:s, s:b, s:I, s:s, s:s}", "document", 1, "set", SET_A,
                     "good", 1, "level", "data", "own", 0, "at_ns", (json_int_t)5, "run_id", SET_B,
                     "host", "a");
}

static int32_t load_changed(const char *key, json_t *value)
{
    struct proof found;
    json_t *json = document();
    if (value == NULL) {
        ck_assert_int_eq(json_object_del(json, key), 0);
    } else {
        ck_assert_int_eq(json_object_set_new(json, key, value), 0);
    }
    ct_ok(repo_put_document(r.repo, FILE_A, KEY_CONTROL, json, 0, &err), err);
    json_decref(json);
    int32_t rc = proof_load(r.repo, SET_A, &found, &err);
    ck_assert(rc == ORCH_OK || !proof_is_full(&found));
    return rc;
}

/* A proof with a field that is wrong proves nothing; one that it does not know does no harm. */
START_TEST(test_wrong_fields)
{
    static const char *const keys[] = {"document", "set",   "good",   "level",
                                       "own",      "at_ns", "run_id", "host"};
    ck_assert_int_eq(load_changed("more", json_string("later")), ORCH_OK);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        ck_assert_int_eq(load_changed(keys[i], NULL), ORCH_E_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.message, FILE_A));
        ck_assert_int_eq(load_changed(keys[i], json_array()), ORCH_E_CORRUPT);
    }
    ck_assert_int_eq(load_changed("document", json_integer(2)), ORCH_E_VERSION);
    ck_assert_int_eq(load_changed("set", json_string(SET_B)), ORCH_E_CORRUPT);
    ck_assert_int_eq(load_changed("level", json_string("all")), ORCH_E_CORRUPT);
}
END_TEST

/* The seal binds a proof to its name: that of one set does not do for another. */
START_TEST(test_moved)
{
    struct proof proof = sample(), found;
    struct buffer bytes = BUFFER_INIT;
    ct_ok(proof_store(r.repo, &proof, &err), err);
    ct_read(&r, FILE_A, &bytes);
    ct_write(&r, "proofs/" SET_B, bytes.data, bytes.len);
    ck_assert_int_eq(proof_load(r.repo, SET_B, &found, &err), ORCH_E_CORRUPT);
    bytes.data[bytes.len / 2] ^= 1;
    ct_write(&r, FILE_A, bytes.data, bytes.len);
    ck_assert_int_eq(proof_load(r.repo, SET_A, &found, &err), ORCH_E_CORRUPT);
    ck_assert(!found.good);
    buffer_free(&bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proof");
    TCase *tests = tcase_create("proof");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_round_trip);
    tcase_add_test(tests, test_remove);
    tcase_add_loop_test(tests, test_no_id, 0, 4);
    tcase_add_test(tests, test_bad_level);
    tcase_add_test(tests, test_wrong_fields);
    tcase_add_test(tests, test_moved);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
