/* test_codec.c: round trips, incompressible data, damaged data, texts of the configuration. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/codec.h"
#include "enginetest.h"

static const uint32_t kinds[] = {CODEC_NONE, CODEC_ZSTD, CODEC_GZIP};

static void round_trip(uint32_t kind, int level, const uint8_t *data, size_t len, uint32_t expect)
{
    struct codec *codec = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    size_t capacity = codec_bound(kind, len);
    uint8_t *packed = malloc(capacity + 1);
    uint8_t *back = malloc(len + 1);
    size_t packed_len = 0;
    uint32_t used = 99;
    et_ok(codec_new(kind, level, &codec, &err), err);
    et_ok(codec_compress(codec, data, len, packed, capacity, &packed_len, &used, &err), err);
    ck_assert_uint_eq(used, expect);
    ck_assert_uint_le(packed_len, len);
    et_ok(codec_decompress(codec, used, packed, packed_len, back, len, &err), err);
    ck_assert(len == 0 || memcmp(back, data, len) == 0);
    if (len > 1) { /* another length is damage */
        ck_assert_int_eq(codec_decompress(codec, used, packed, packed_len, back, len - 1, &err),
                         ORCH_E_CORRUPT);
        ck_assert_int_eq(codec_decompress(codec, used, packed, packed_len - 1, back, len, &err),
                         ORCH_E_CORRUPT);
    }
    codec_free(codec);
    free(packed);
    free(back);
}

START_TEST(text_gets_smaller)
{
    static const size_t lens[] = {1000, 65536, 1 << 20, 2 << 20};
    uint8_t *data = malloc(2 << 20);
    et_text_fill(1, data, 2 << 20);
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        round_trip(kinds[_i], 0, data, lens[i], kinds[_i]);
    }
    round_trip(kinds[_i], kinds[_i] == CODEC_NONE ? 0 : 9, data, 300000, kinds[_i]);
    free(data);
}
END_TEST

START_TEST(random_bytes_stay_raw)
{
    static const size_t lens[] = {0, 1, 5, 1000, 65535, 65536, 1 << 20};
    uint8_t *data = malloc(1 << 20);
    et_random_fill(1, data, 1 << 20);
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        round_trip(kinds[_i], 0, data, lens[i], CODEC_NONE);
    }
    free(data);
}
END_TEST

/* Half of it compresses: the samples must see that. */
START_TEST(mixed_bytes_are_compressed)
{
    uint8_t *data = malloc(1 << 20);
    et_random_fill(1, data, 1 << 20);
    et_text_fill(1, data + (1 << 19), 1 << 19);
    round_trip(CODEC_ZSTD, 0, data, 1 << 20, CODEC_ZSTD);
    free(data);
}
END_TEST

START_TEST(damage_is_told)
{
    uint8_t data[20000];
    uint8_t packed[40000];
    uint8_t back[20000];
    size_t len = 0;
    uint32_t used = 0;
    struct codec *codec = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    et_text_fill(2, data, sizeof(data));
    et_ok(codec_new(kinds[_i], 0, &codec, &err), err);
    et_ok(codec_compress(codec, data, sizeof(data), packed, sizeof(packed), &len, &used, &err),
          err);
    struct et_random random = {5};
    for (int i = 0; i < 2000; i++) { /* a flipped bit is an error or other bytes, never a crash */
        size_t at = et_random_next(&random) % len;
        uint8_t bit = (uint8_t)(1u << (et_random_next(&random) % 8));
        packed[at] ^= bit;
        int32_t rc = codec_decompress(codec, used, packed, len, back, sizeof(back), &err);
        ck_assert(rc == ORCH_OK || rc == ORCH_E_CORRUPT);
        packed[at] ^= bit;
    }
    et_ok(codec_decompress(codec, used, packed, len, back, sizeof(back), &err), err);
    ck_assert_int_eq(codec_decompress(codec, 3, packed, len, back, sizeof(back), &err),
                     ORCH_E_VERSION);
    codec_free(codec);
}
END_TEST

START_TEST(configuration_texts)
{
    static const struct {
        const char *text;
        int32_t rc;
        uint32_t codec;
        int level;
    } cases[] = {{"zstd", ORCH_OK, CODEC_ZSTD, 0},
                 {"zstd:3", ORCH_OK, CODEC_ZSTD, 3},
                 {"zstd:19", ORCH_OK, CODEC_ZSTD, 19},
                 {"gzip", ORCH_OK, CODEC_GZIP, 0},
                 {"gzip:9", ORCH_OK, CODEC_GZIP, 9},
                 {"none", ORCH_OK, CODEC_NONE, 0},
                 {"zstd:20", ORCH_E_CONFIG, 0, 0},
                 {"zstd:0", ORCH_E_CONFIG, 0, 0},
                 {"zstd:-1", ORCH_E_CONFIG, 0, 0},
                 {"zstd: 1", ORCH_E_CONFIG, 0, 0},
                 {"zstd:", ORCH_E_CONFIG, 0, 0},
                 {"zstd:1x", ORCH_E_CONFIG, 0, 0},
                 {"gzip:10", ORCH_E_CONFIG, 0, 0},
                 {"none:1", ORCH_E_CONFIG, 0, 0},
                 {"lzma", ORCH_E_CONFIG, 0, 0},
                 {"", ORCH_E_CONFIG, 0, 0},
                 {"zstd:99999999999999", ORCH_E_CONFIG, 0, 0},
                 {"ZSTD", ORCH_E_CONFIG, 0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct orch_error err = ORCH_ERROR_INIT;
        uint32_t codec = 0;
        int level = 0;
        ck_assert_int_eq(codec_parse(cases[i].text, &codec, &level, &err), cases[i].rc);
        if (cases[i].rc == ORCH_OK) {
            ck_assert_uint_eq(codec, cases[i].codec);
            ck_assert_int_eq(level, cases[i].level);
        } else {
            ck_assert_ptr_nonnull(strstr(err.message, "zstd"));
        }
    }
    ck_assert_str_eq(codec_name(CODEC_GZIP), "gzip");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec");
    TCase *tests = tcase_create("codec");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, text_gets_smaller, 0, 3);
    tcase_add_loop_test(tests, random_bytes_stay_raw, 0, 3);
    tcase_add_test(tests, mixed_bytes_are_compressed);
    tcase_add_loop_test(tests, damage_is_told, 0, 3);
    tcase_add_test(tests, configuration_texts);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
