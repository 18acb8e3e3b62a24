/* test_render.c: numbers and texts as people read them, at the edges of each unit. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/render.h"
#include "testing.h"

static const struct {
    uint64_t bytes;
    const char *text;
} sizes[] = {
    {0, "0 B"},
    {1, "1 B"},
    {999, "999 B"},
    {1000, "1.0 kB"},
    {1049, "1.0 kB"},
    {1051, "1.1 kB"},
    {9950, "9.9 kB"},
    {99900, "99.9 kB"},
    {99960, "100 kB"}, /* three digits at most, and never "100.0" */
    {999400, "999 kB"},
    {999500, "1.0 MB"}, /* and never "1000 kB" */
    {1234567, "1.2 MB"},
    {1000000000, "1.0 GB"},
    {UINT64_C(1500000000000), "1.5 TB"},
    {UINT64_C(2500000000000000), "2.5 PB"},
    {UINT64_MAX, "18.4 EB"},
};

START_TEST(test_size)
{
    char text[RENDER_TEXT];
    ck_assert_str_eq(render_size(sizes[_i].bytes, text), sizes[_i].text);
}
END_TEST

static const struct {
    uint64_t count;
    const char *text;
} counts[] = {
    {0, "0"},
    {7, "7"},
    {999, "999"},
    {1000, "1,000"},
    {12345, "12,345"},
    {123456, "123,456"},
    {1234567, "1,234,567"},
    {UINT64_MAX, "18,446,744,073,709,551,615"},
};

START_TEST(test_count)
{
    char text[RENDER_TEXT];
    ck_assert_str_eq(render_count(counts[_i].count, text), counts[_i].text);
}
END_TEST

static const struct {
    int64_t ms;
    const char *text;
} durations[] = {
    {0, "0 ms"},
    {999, "999 ms"},
    {1000, "1.0 s"},
    {4250, "4.2 s"},
    {59999, "59.9 s"}, /* and never "60.0 s" */
    {60000, "1 min 0 s"},
    {200000, "3 min 20 s"},
    {3599999, "59 min 59 s"},
    {3600000, "1 h 0 min"},
    {7500000, "2 h 5 min"},
    {INT64_C(360000000000), "100000 h 0 min"},
};

START_TEST(test_duration)
{
    char text[RENDER_TEXT];
    ck_assert_str_eq(render_duration(durations[_i].ms, text), durations[_i].text);
}
END_TEST

static const struct {
    int64_t seconds;
    const char *text;
} ages[] = {
    {-100, "just now"}, /* another machine's clock */
    {0, "just now"},        {1, "1 second ago"},
    {59, "59 seconds ago"}, {119, "119 seconds ago"},
    {120, "2 minutes ago"}, {7199, "119 minutes ago"},
    {7200, "2 hours ago"},  {172799, "47 hours ago"},
    {172800, "2 days ago"}, {86400 * 400, "400 days ago"},
};

START_TEST(test_age)
{
    char text[RENDER_TEXT];
    int64_t now = INT64_C(1769860800) * 1000000000;
    ck_assert_str_eq(render_age(now - ages[_i].seconds * 1000000000, now, text), ages[_i].text);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
    const char *text;
} names[] = {
    {"plain name.txt", 14, "plain name.txt"},
    {"caf\xc3\xa9", 5, "caf\xc3\xa9"},
    {"caf\xe9", 4, "caf\\xe9"},
    {"a\\b", 3, "a\\x5cb"}, /* so that no two names look the same */
    {"a\nb\tc", 5, "a\\x0ab\\x09c"},
    {"\033[2J", 4, "\\x1b[2J"},
    {"zero\0inside", 11, "zero\\x00inside"},
    {"\xc2\x9b", 2, "\\xc2\\x9b"},
    {"\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf"},
    {"\xe2\x82\xac", 2, "\\xe2\\x82"}, /* cut in the middle of a character */
    {"", 0, ""},
};

START_TEST(test_bytes)
{
    char text[128];
    ck_assert_str_eq(render_bytes(names[_i].bytes, names[_i].len, text, sizeof(text)),
                     names[_i].text);
    /* Whatever room there is: a beginning of it, and no byte past the end. */
    for (size_t size = 1; size < 40; size++) {
        CLEANUP_FREE char *tight = malloc(size);
        (void)render_bytes(names[_i].bytes, names[_i].len, tight, size);
        ck_assert_uint_lt(strlen(tight), size);
        ck_assert_int_eq(strncmp(tight, names[_i].text, strlen(tight)), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("render");
    TCase *tests = tcase_create("render");
    tcase_add_loop_test(tests, test_size, 0, (int)COUNT_OF(sizes));
    tcase_add_loop_test(tests, test_count, 0, (int)COUNT_OF(counts));
    tcase_add_loop_test(tests, test_duration, 0, (int)COUNT_OF(durations));
    tcase_add_loop_test(tests, test_age, 0, (int)COUNT_OF(ages));
    tcase_add_loop_test(tests, test_bytes, 0, (int)COUNT_OF(names));
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
