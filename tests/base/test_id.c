/* test_id.c: random ids, and hexadecimal that takes one form only. */
#include <ctype.h>
#include <stdbool.h>

#include "base/id.h"
#include "testing.h"

START_TEST(test_ids_differ)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char ids[200][ID_TEXT];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        ASSERT_OK(id_new(ids[i], &err), err);
        ck_assert_uint_eq(strspn(ids[i], "0123456789abcdef"), ID_TEXT - 1);
        ck_assert_int_eq(ids[i][ID_TEXT - 1], 0);
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(ids[i], ids[k]);
        }
    }
}
END_TEST

START_TEST(test_random_fills_all)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t bytes[1000] = {0}, seen[1000] = {0};
    /* A byte that stays zero over 16 draws would be one in 2^128. */
    for (int draw = 0; draw < 16; draw++) {
        ASSERT_OK(id_random(bytes, 999, &err), err);
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seen[i] |= bytes[i];
        }
    }
    for (size_t i = 0; i < 999; i++) {
        ck_assert_uint_ne(seen[i], 0);
    }
    ck_assert_uint_eq(seen[999], 0); /* and not one byte more */
}
END_TEST

START_TEST(test_hex_of_every_byte)
{
    uint8_t bytes[256], back[256];
    char text[2 * 256 + 1];
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
    }
    hex_encode(bytes, 256, text);
    ck_assert_uint_eq(strlen(text), 512);
    ck_assert_int_eq(strncmp(text, "000102", 6), 0);
    ck_assert_str_eq(text + 506, "fdfeff");
    ck_assert_int_eq(hex_decode(text, 512, back, 256), ORCH_OK);
    ck_assert_mem_eq(back, bytes, 256);
    hex_encode(bytes, 0, text);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(hex_decode("", 0, back, 0), ORCH_OK);
}
END_TEST

START_TEST(test_hex_refused)
{
    static const char *const wrong[] = {"",   "0",  "000", "0g",    "g0", "0A", "FF",
                                        " 0", "0 ", "0x",  "\3770", "0/", "0:", "0`"};
    uint8_t byte = 77;
    ck_assert_int_eq(hex_decode(wrong[_i], strlen(wrong[_i]), &byte, 1), ORCH_E_INVALID);
}
END_TEST

/* Every byte that is no digit, in either place. */
START_TEST(test_hex_digits)
{
    for (int c = 0; c < 256; c++) {
        char first[2] = {(char)c, '0'}, second[2] = {'0', (char)c};
        bool good = isdigit(c) || (c >= 'a' && c <= 'f');
        uint8_t byte = 0;
        ck_assert_int_eq(hex_decode(first, 2, &byte, 1), good ? ORCH_OK : ORCH_E_INVALID);
        ck_assert_int_eq(hex_decode(second, 2, &byte, 1), good ? ORCH_OK : ORCH_E_INVALID);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("id");
    TCase *tests = tcase_create("id");
    tcase_add_test(tests, test_ids_differ);
    tcase_add_test(tests, test_random_fills_all);
    tcase_add_test(tests, test_hex_of_every_byte);
    tcase_add_loop_test(tests, test_hex_refused, 0, 14);
    tcase_add_test(tests, test_hex_digits);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
