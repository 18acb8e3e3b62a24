/* test_keys.c: the key hierarchy: against HKDF computed by hand, and that no two keys are equal. */
#include <check.h>
#include <openssl/hmac.h>
#include <string.h>

#include "engine/keys.h"

static struct orch_error err;
static const uint8_t master[KEY_BYTES] = {3, 1, 4, 1, 5, 9, 2, 6};
static const char id[] = "00112233445566778899aabbccddeeff";

static void hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32])
{
    unsigned size = 0;
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &size));
    ck_assert_uint_eq(size, 32);
}

/* RFC 5869, for one block of output. */
static void hkdf(const uint8_t key[32], const void *salt, size_t salt_len, const char *info,
                 uint8_t out[32])
{
    uint8_t prk[32], block[128];
    size_t len = strlen(info);
    hmac(salt, salt_len, key, 32, prk);
    memcpy(block, info, len);
    block[len] = 1;
    hmac(prk, sizeof prk, block, len + 1, out);
}

static const char *const infos[KEY_PURPOSES] = {"orchestrate 1 chunk-id", "orchestrate 1 gear",
                                                "orchestrate 1 index",    "orchestrate 1 data",
                                                "orchestrate 1 manifest", "orchestrate 1 control"};

START_TEST(test_subkeys)
{
    struct keys *keys = NULL;
    uint8_t expected[32];
    ck_assert_int_eq(keys_new(master, id, &keys, &err), ORCH_OK);
    for (int i = 0; i < KEY_PURPOSES; i++) {
        hkdf(master, id, strlen(id), infos[i], expected);
        ck_assert_mem_eq(keys_get(keys, (enum key_purpose)i), expected, 32);
        for (int j = 0; j < i; j++) {
            ck_assert_mem_ne(keys_get(keys, (enum key_purpose)i),
                             keys_get(keys, (enum key_purpose)j), 32);
        }
    }
    keys_free(keys);
    keys_free(NULL);
}
END_TEST

START_TEST(test_expand)
{
    struct keys *keys = NULL;
    uint8_t expected[32], got[32], other[32];
    ck_assert_int_eq(keys_new(master, id, &keys, &err), ORCH_OK);
    hkdf(keys_get(keys, KEY_DATA), "salt", 4, "pack", expected);
    ck_assert_int_eq(keys_expand(keys, KEY_DATA, "salt", 4, "pack", got, &err), ORCH_OK);
    ck_assert_mem_eq(got, expected, 32);
    ck_assert_int_eq(keys_expand(keys, KEY_DATA, "salu", 4, "pack", other, &err), ORCH_OK);
    ck_assert_mem_ne(got, other, 32);
    ck_assert_int_eq(keys_expand(keys, KEY_DATA, "salt", 4, "peck", other, &err), ORCH_OK);
    ck_assert_mem_ne(got, other, 32);
    ck_assert_int_eq(keys_expand(keys, KEY_INDEX, "salt", 4, "pack", other, &err), ORCH_OK);
    ck_assert_mem_ne(got, other, 32);
    ck_assert_int_eq(keys_expand(keys, KEY_PURPOSES, "salt", 4, "pack", other, &err),
                     ORCH_E_INVALID);
    keys_free(keys);
}
END_TEST

START_TEST(test_bound_to_the_repository)
{
    struct keys *a = NULL, *b = NULL;
    ck_assert_int_eq(keys_new(master, id, &a, &err), ORCH_OK);
    ck_assert_int_eq(keys_new(master, "10112233445566778899aabbccddeeff", &b, &err), ORCH_OK);
    ck_assert_mem_ne(keys_get(a, KEY_DATA), keys_get(b, KEY_DATA), 32);
    keys_free(a);
    keys_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keys");
    TCase *tests = tcase_create("keys");
    tcase_add_test(tests, test_subkeys);
    tcase_add_test(tests, test_expand);
    tcase_add_test(tests, test_bound_to_the_repository);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
