/* test_text.c: bytes of any kind made fit for a terminal and for JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "testing.h"

static const struct {
    const char *what, *from, *to;
} cleaned[] = {
    {"nothing", "", ""},
    {"ASCII stays, backslash too", "C:\\x \"q\" ~", "C:\\x \"q\" ~"},
    {"UTF-8 stays", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"the first and the last of each length",
     "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80",
     "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80"},
    {"white space", "a\nb\rc\td", "a b c d"},
    {"escape", "\033[2J", "\\x1b[2J"},
    {"delete", "\x7f", "\\x7f"},
    {"C1", "\xc2\x80\xc2\x9b\xc2\x9f", "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f"},
    {"no first byte", "\x80\xbf", "\\x80\\xbf"},
    {"Latin-1", "caf\xe9", "caf\\xe9"},
    {"cut off", "\xe2\x82", "\\xe2\\x82"},
    {"cut off before ASCII", "\xe2\x82z", "\\xe2\\x82z"},
    {"overlong slash", "\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf",
     "\\xc0\\xaf\\xe0\\x80\\xaf\\xf0\\x80\\x80\\xaf"},
    {"surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80"},
    {"past the last", "\xf4\x90\x80\x80\xf5\x80\x80\x80",
     "\\xf4\\x90\\x80\\x80\\xf5\\x80\\x80\\x80"},
    {"the last of all", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    {"never", "\xfe\xff", "\\xfe\\xff"},
};

START_TEST(test_clean)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "%s", cleaned[_i].from);
    text_clean(text, sizeof(text));
    ck_assert_msg(strcmp(text, cleaned[_i].to) == 0, "%s: %s", cleaned[_i].what, text);
    /* Whatever room there is: a beginning of it, and no byte past the end. */
    size_t len = strlen(cleaned[_i].from);
    for (size_t room = len + 1; room < 80; room++) {
        CLEANUP_FREE char *tight = malloc(room);
        memcpy(tight, cleaned[_i].from, len + 1);
        text_clean(tight, room);
        ck_assert_uint_lt(strlen(tight), room);
        ck_assert_int_eq(strncmp(tight, cleaned[_i].to, strlen(tight)), 0);
    }
}
END_TEST

START_TEST(test_json)
{
    json_t *json = text_json(cleaned[_i].from);
    ck_assert_str_eq(json_string_value(json), cleaned[_i].to);
    json_decref(json);
}
END_TEST

START_TEST(test_json_of_nothing)
{
    ck_assert_ptr_null(text_json(NULL));
}
END_TEST

/* Random bytes become something that the JSON library takes for UTF-8. */
START_TEST(test_any_bytes)
{
    uint32_t state = 12345;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t len = 1 + (size_t)round % 15;
        for (size_t i = 0; i < len; i++) {
            state = state * 1664525 + 1013904223;
            text[i] = (char)(1 + (state >> 16) % 255);
        }
        text[len] = 0;
        json_t *json = text_json(text);
        ck_assert_ptr_nonnull(json);
        text_clean(text, sizeof(text));
        ck_assert_str_eq(json_string_value(json), text);
        json_decref(json);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tests = tcase_create("text");
    tcase_add_loop_test(tests, test_clean, 0, (int)COUNT_OF(cleaned));
    tcase_add_loop_test(tests, test_json, 0, (int)COUNT_OF(cleaned));
    tcase_add_test(tests, test_json_of_nothing);
    tcase_add_test(tests, test_any_bytes);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
