/* test_verify.c: levels, whole repositories and single sets, and what is found hurt. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/proof.h"
#include "run/verify.h"
#include "runtest.h"

static struct orch_error err;
static struct runtest t;

static const char *const two[] = {"a", "b", NULL};

START_TEST(test_levels)
{
    static const struct {
        const char *text;
        int32_t rc;
        enum check_level level;
        const char *says;
    } cases[] = {
        {"manifest", ORCH_OK, CHECK_MANIFEST, ""},
        {"index", ORCH_OK, CHECK_INDEX, ""},
        {"data", ORCH_OK, CHECK_DATA, ""},
        {"restore", ORCH_E_CONFIG, 0, "Use \"data\" today"},
        {"Data", ORCH_E_CONFIG, 0, "there is no level \"Data\""},
        {"", ORCH_E_CONFIG, 0, "choose manifest, index or data"},
    };
    enum check_level level = (enum check_level)99;
    int32_t rc = verify_level(cases[_i].text, &level, &err);
    if (cases[_i].rc == ORCH_OK) {
        ASSERT_OK(rc, err);
        ck_assert_int_eq(level, cases[_i].level);
    } else {
        ASSERT_FAILS(rc, cases[_i].rc, err, cases[_i].says);
        ck_assert_int_eq(level, 99);
    }
}
END_TEST

static json_int_t number(const json_t *document, const char *key)
{
    return json_integer_value(json_object_get(document, key));
}

START_TEST(test_sound)
{
    char first[ID_TEXT], second[ID_TEXT];
    json_t *document = NULL;
    runtest_make(&t, two, NULL);
    runtest_backup(&t, first);
    runtest_backup(&t, second);
    ASSERT_OK(verify_run(&t.ctx, NULL, CHECK_DATA, &document, &err), err);
    ck_assert_str_eq(json_string_value(json_object_get(document, "set")), "all");
    ck_assert_str_eq(json_string_value(json_object_get(document, "level")), "data");
    ck_assert_int_eq(number(document, "sets"), 2);
    ck_assert_int_eq(number(document, "parts"), 4);
    ck_assert_int_eq(number(document, "objects"), 4);
    ck_assert_int_gt(number(document, "bytes_read"), 0);
    ck_assert_int_eq(number(document, "finding_count"), 0);
    json_decref(document);
    ASSERT_OK(verify_run(&t.ctx, first, CHECK_INDEX, &document, &err), err);
    ck_assert_str_eq(json_string_value(json_object_get(document, "set")), first);
    ck_assert_int_eq(number(document, "sets"), 1);
    json_decref(document);
    document = NULL;
    ASSERT_FAILS(verify_run(&t.ctx, "19700101_000000", CHECK_INDEX, &document, &err),
                 ORCH_E_NOT_FOUND, err, "19700101_000000");
    ck_assert_ptr_null(document);
    ck_assert_uint_eq(folder_count(t.dir, "repo/leases"), 0);
    runtest_remove(&t);
}
END_TEST

static struct proof proof_of(const char *set, int32_t rc)
{
    struct proof proof;
    ck_assert_int_eq(proof_load(t.ctx.repo, set, &proof, &err), rc);
    return proof;
}

/* A backup's own reading is recorded as such; a verification of the set's data as more. */
START_TEST(test_proofs)
{
    char first[ID_TEXT], second[ID_TEXT];
    json_t *document = NULL;
    runtest_make(&t, two, NULL);
    runtest_backup(&t, first);
    runtest_backup(&t, second);
    struct proof proof = proof_of(first, ORCH_OK);
    ck_assert(proof.good && proof.own && proof.level == CHECK_DATA && !proof_is_full(&proof));
    ASSERT_OK(verify_run(&t.ctx, first, CHECK_INDEX, &document, &err), err);
    json_decref(document);
    proof = proof_of(first, ORCH_OK); /* less than what was known */
    ck_assert(proof.own && proof.level == CHECK_DATA);
    ASSERT_OK(verify_run(&t.ctx, first, CHECK_DATA, &document, &err), err);
    json_decref(document);
    proof = proof_of(first, ORCH_OK);
    ck_assert(proof_is_full(&proof));
    proof = proof_of(second, ORCH_OK);
    ck_assert(proof.own);
    ASSERT_OK(verify_run(&t.ctx, NULL, CHECK_DATA, &document, &err), err);
    json_decref(document);
    proof = proof_of(second, ORCH_OK);
    ck_assert(proof_is_full(&proof));
    runtest_remove(&t);
}
END_TEST

START_TEST(test_no_proof)
{
    char set[ID_TEXT];
    json_t *document = NULL;
    runtest_make_with(&t, two, NULL, "verify = \"none\";");
    runtest_backup(&t, set);
    (void)proof_of(set, ORCH_E_NOT_FOUND);
    ASSERT_OK(verify_run(&t.ctx, NULL, CHECK_MANIFEST, &document, &err), err);
    json_decref(document);
    struct proof proof = proof_of(set, ORCH_OK);
    ck_assert(proof.good && !proof.own && proof.level == CHECK_MANIFEST);
    runtest_remove(&t);
}
END_TEST

/* Data that does not compress and that no other seed has. */
static void fill(char *data, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (char)('!' + (seed >> 24) % 90);
    }
    memcpy(data, "one=", 4);
    memcpy(data + size - 2, "\n", 2);
}

static void list_packs(char *text, size_t size)
{
    char command[256];
    (void)snprintf(command, sizeof(command), "find '%s/repo/packs' -type f -size +2000c | sort",
                   t.dir);
    FILE *pipe = popen(command, "r");
    size_t len = fread(text, 1, size - 1, pipe);
    text[len] = 0;
    ck_assert_int_eq(pclose(pipe), 0);
}

/* Damage to what one set alone needs is no failure of another set, but is of the repository. */
START_TEST(test_elsewhere)
{
    char first[ID_TEXT], second[ID_TEXT], data[3000], before[4096], after[4096];
    json_t *document = NULL;
    static const char *const one[] = {"a", NULL};
    runtest_make(&t, one, NULL);
    fill(data, sizeof(data), 7);
    runtest_data(&t, "a", data);
    runtest_backup(&t, first);
    list_packs(before, sizeof(before));
    fill(data, sizeof(data), 8);
    runtest_data(&t, "a", data);
    runtest_backup(&t, second);
    list_packs(after, sizeof(after));
    ck_assert_uint_gt(strlen(after), strlen(before));
    before[strcspn(before, "\n")] = 0;
    char command[4400];
    (void)snprintf(command, sizeof(command),
                   "printf '\\377\\377' | dd of='%s' bs=1 seek=1000 conv=notrunc status=none",
                   before);
    ck_assert_int_eq(system(command), 0);
    ASSERT_OK(verify_run(&t.ctx, second, CHECK_DATA, &document, &err), err);
    json_decref(document);
    ASSERT_FAILS(verify_run(&t.ctx, first, CHECK_DATA, &document, &err), ORCH_E_CORRUPT, err,
                 "verification found");
    ck_assert_int_gt(number(document, "finding_count"), 0);
    json_decref(document);
    struct proof proof = proof_of(first, ORCH_OK);
    ck_assert(!proof.good);
    /* A segment that no set of this name needs. */
    (void)snprintf(command, sizeof(command), "printf rubbish > '%s/repo/parts/%s'", t.dir,
                   "00112233445566778899aabbccddeeff");
    ck_assert_int_eq(system(command), 0);
    ASSERT_FAILS(verify_run(&t.ctx, NULL, CHECK_DATA, &document, &err), ORCH_E_CORRUPT, err,
                 "verification found");
    ck_assert_int_gt(number(document, "finding_count"), 1);
    json_decref(document);
    proof = proof_of(first, ORCH_OK);
    ck_assert(!proof.good);
    proof = proof_of(second, ORCH_OK);
    ck_assert(proof_is_full(&proof));
    /* A manifest is damaged: nobody can tell what it needs, but the others are whole. */
    (void)snprintf(command, sizeof(command), "printf rubbish > '%s/repo/sets/20200101_000000'",
                   t.dir);
    ck_assert_int_eq(system(command), 0);
    ASSERT_OK(verify_run(&t.ctx, second, CHECK_DATA, &document, &err), err);
    ck_assert_int_eq(number(document, "finding_count"), 0);
    ck_assert_int_gt(number(document, "elsewhere_count"), 0);
    ck_assert(runtest_told(&t, "warning - damage elsewhere: sets/20200101_000000"));
    json_decref(document);
    runtest_remove(&t);
}
END_TEST

/* A byte of a pack flips: found by reading the data alone, and named. */
START_TEST(test_hurt)
{
    char set[ID_TEXT], command[256];
    json_t *document = NULL;
    runtest_make(&t, two, NULL);
    char data[3000]; /* more than what lies around it in a pack, and not to be compressed */
    uint32_t state = 7;
    for (size_t i = 0; i < sizeof(data); i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (char)('!' + (state >> 24) % 90);
    }
    memcpy(data, "one=", 4);
    memcpy(data + sizeof(data) - 2, "\n", 2);
    runtest_data(&t, "a", data);
    runtest_backup(&t, set);
    (void)snprintf(
        command, sizeof(command),
        "find '%s/repo/packs' -type f -size +2000c | while read f; do printf '\\377\\377' | dd "
        "of=\"$f\" bs=1 seek=1000 conv=notrunc status=none; done",
        t.dir);
    ck_assert_int_eq(system(command), 0);
    ASSERT_OK(verify_run(&t.ctx, NULL, CHECK_INDEX, &document, &err), err);
    json_decref(document);
    ASSERT_FAILS(verify_run(&t.ctx, NULL, CHECK_DATA, &document, &err), ORCH_E_CORRUPT, err,
                 "verification found");
    const json_t *findings = json_object_get(document, "findings");
    ck_assert_int_eq(number(document, "finding_count"), (json_int_t)json_array_size(findings));
    ck_assert_uint_gt(json_array_size(findings), 0);
    const json_t *first = json_array_get(findings, 0);
    ck_assert_int_eq(strncmp(json_string_value(json_object_get(first, "file")), "packs/", 6), 0);
    ck_assert_uint_gt(strlen(json_string_value(json_object_get(first, "problem"))), 0);
    ck_assert(runtest_told(&t, "failure - packs/"));
    json_decref(document);
    /* A look that cannot see it does not take it back; and whoever restores is told. */
    ASSERT_OK(verify_run(&t.ctx, set, CHECK_INDEX, &document, &err), err);
    json_decref(document);
    struct proof proof = proof_of(set, ORCH_OK);
    ck_assert(!proof.good && proof.level == CHECK_DATA);
    struct restore_options restore = runtest_options();
    struct restore_result result;
    restore.dry_run = true;
    int32_t rc = restore_run(&t.ctx, &restore, &result, &err);
    restore_result_clear(&result);
    ASSERT_OK(rc, err);
    ck_assert(runtest_told(&t, "was found damaged when it was last verified"));
    runtest_remove(&t);
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("verify");
    TCase *tests = tcase_create("verify");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_levels, 0, 6);
    tcase_add_test(tests, test_sound);
    tcase_add_test(tests, test_hurt);
    tcase_add_test(tests, test_proofs);
    tcase_add_test(tests, test_no_proof);
    tcase_add_test(tests, test_elsewhere);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
