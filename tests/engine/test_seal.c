/* test_seal.c: AES-256-GCM against published vectors; both algorithms against damage. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "engine/seal.h"

static struct orch_error err;

/* From the GCM specification (McGrew and Viega), test cases 13 to 16. */
static const struct {
    const char *key, *nonce, *ad, *plain, *sealed;
} vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static size_t unhex(const char *text, uint8_t *out)
{
    ck_assert_int_eq(hex_decode(text, strlen(text), out, strlen(text) / 2), ORCH_OK);
    return strlen(text) / 2;
}

START_TEST(test_vectors)
{
    uint8_t key[32], nonce[12], ad[64], plain[128], expected[128], out[128];
    (void)unhex(vectors[_i].key, key);
    (void)unhex(vectors[_i].nonce, nonce);
    size_t ad_len = unhex(vectors[_i].ad, ad);
    size_t len = unhex(vectors[_i].plain, plain);
    size_t sealed_len = unhex(vectors[_i].sealed, expected);
    ck_assert_uint_eq(sealed_len, len + SEAL_TAG_BYTES);
    struct seal *seal = NULL;
    ck_assert_int_eq(seal_new(SEAL_AES_256_GCM, key, &seal, &err), ORCH_OK);
    for (int round = 0; round < 2; round++) { /* a seal is used again and again */
        ck_assert_int_eq(seal_close(seal, nonce, ad, ad_len, plain, len, out, &err), ORCH_OK);
        ck_assert_mem_eq(out, expected, sealed_len);
        ck_assert_int_eq(seal_open(seal, nonce, ad, ad_len, out, sealed_len, out, &err), ORCH_OK);
        ck_assert_mem_eq(out, plain, len);
    }
    seal_free(seal);
}
END_TEST

static const uint32_t algorithms[] = {SEAL_NONE, SEAL_AES_256_GCM};

/* Every bit of nonce (for AES), additional data, ciphertext and tag counts. */
START_TEST(test_every_bit_counts)
{
    uint32_t algorithm = algorithms[_i];
    uint8_t key[32] = {1, 2, 3}, nonce[12] = {4}, ad[5] = "head",
            plain[21] = "twenty bytes of text";
    uint8_t sealed[sizeof plain + SEAL_TAG_BYTES], out[sizeof plain];
    struct seal *seal = NULL;
    ck_assert_int_eq(seal_new(algorithm, key, &seal, &err), ORCH_OK);
    ck_assert_int_eq(seal_close(seal, nonce, ad, sizeof ad, plain, sizeof plain, sealed, &err), 0);
    ck_assert_int_eq(memcmp(sealed, plain, sizeof plain) == 0, algorithm == SEAL_NONE);
    struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {{sealed, sizeof sealed}, {ad, sizeof ad}, {nonce, sizeof nonce}};
    for (size_t p = 0; p < (algorithm == SEAL_NONE ? 2u : 3u); p++) {
        for (size_t bit = 0; bit < 8 * parts[p].len; bit++) {
            parts[p].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            memset(out, 0xaa, sizeof out);
            ck_assert_int_eq(
                seal_open(seal, nonce, ad, sizeof ad, sealed, sizeof sealed, out, &err),
                ORCH_E_CORRUPT);
            ck_assert_mem_ne(out, plain, 8);
            parts[p].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    for (size_t len = 0; len < sizeof sealed; len++) {
        ck_assert_int_eq(seal_open(seal, nonce, ad, sizeof ad, sealed, len, out, &err),
                         ORCH_E_CORRUPT);
    }
    ck_assert_int_eq(seal_open(seal, nonce, ad, sizeof ad - 1, sealed, sizeof sealed, out, &err),
                     ORCH_E_CORRUPT);
    ck_assert_int_eq(seal_open(seal, nonce, ad, sizeof ad, sealed, sizeof sealed, out, &err), 0);
    ck_assert_mem_eq(out, plain, sizeof plain);
    seal_free(seal);
}
END_TEST

START_TEST(test_another_key)
{
    uint8_t key[32] = {1}, other_key[32] = {2}, nonce[12] = {0}, sealed[8 + SEAL_TAG_BYTES], out[8];
    struct seal *seal = NULL, *other = NULL;
    ck_assert_int_eq(seal_new(algorithms[_i], key, &seal, &err), ORCH_OK);
    ck_assert_int_eq(seal_new(algorithms[_i], other_key, &other, &err), ORCH_OK);
    ck_assert_int_eq(seal_close(seal, nonce, NULL, 0, "password", 8, sealed, &err), ORCH_OK);
    ck_assert_int_eq(seal_open(other, nonce, NULL, 0, sealed, sizeof sealed, out, &err),
                     ORCH_E_CORRUPT);
    ck_assert_int_eq(seal_open(seal, nonce, NULL, 0, sealed, sizeof sealed, out, &err), ORCH_OK);
    seal_free(seal);
    seal_free(other);
    seal_free(NULL);
}
END_TEST

START_TEST(test_unknown_algorithm)
{
    uint8_t key[32] = {1};
    struct seal *seal = NULL;
    ck_assert_int_eq(seal_new(2, key, &seal, &err), ORCH_E_VERSION);
    ck_assert_ptr_null(seal);
}
END_TEST

START_TEST(test_in_place_and_large)
{
    const size_t len = 3 * 1024 * 1024 + 7;
    uint8_t key[32] = {1}, nonce[12] = {9};
    CLEANUP_FREE uint8_t *bytes = malloc(len + SEAL_TAG_BYTES);
    CLEANUP_FREE uint8_t *copy = malloc(len);
    ck_assert(bytes != NULL && copy != NULL);
    for (size_t i = 0; i < len; i++) {
        copy[i] = bytes[i] = (uint8_t)(i * 7);
    }
    struct seal *seal = NULL;
    ck_assert_int_eq(seal_new(algorithms[_i], key, &seal, &err), ORCH_OK);
    ck_assert_int_eq(seal_close(seal, nonce, "x", 1, bytes, len, bytes, &err), ORCH_OK);
    ck_assert_int_eq(seal_open(seal, nonce, "x", 1, bytes, len + SEAL_TAG_BYTES, bytes, &err), 0);
    ck_assert_int_eq(memcmp(bytes, copy, len), 0);
    seal_free(seal);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seal");
    TCase *tests = tcase_create("seal");
    tcase_add_loop_test(tests, test_vectors, 0, (int)(sizeof vectors / sizeof vectors[0]));
    tcase_add_loop_test(tests, test_every_bit_counts, 0, 2);
    tcase_add_loop_test(tests, test_another_key, 0, 2);
    tcase_add_loop_test(tests, test_in_place_and_large, 0, 2);
    tcase_add_test(tests, test_unknown_algorithm);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
