/* test_clock.c: names of sets and times as text, always UTC. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "testing.h"

#define SECOND INT64_C(1000000000)

static const struct {
    int64_t seconds;
    const char *name, *iso;
} times[] = {
    {0, "19700101_000000", "1970-01-01T00:00:00Z"},
    {1, "19700101_000001", "1970-01-01T00:00:01Z"},
    {1769860800, "20260131_120000", "2026-01-31T12:00:00Z"},
    {1709210096, "20240229_123456", "2024-02-29T12:34:56Z"}, /* a leap day */
    {4102444799, "20991231_235959", "2099-12-31T23:59:59Z"},
    {-86400, "19691231_000000", "1969-12-31T00:00:00Z"},
};

START_TEST(test_texts)
{
    /* Whatever zone the user lives in. */
    ck_assert_int_eq(setenv("TZ", "Asia/Kathmandu", 1), 0);
    tzset();
    char name[16], iso[21];
    clock_set_name(times[_i].seconds * SECOND, name);
    clock_iso(times[_i].seconds * SECOND, iso);
    ck_assert_str_eq(name, times[_i].name);
    ck_assert_str_eq(iso, times[_i].iso);
}
END_TEST

/* Fractions are cut, not rounded: a set is not named after a second that has not come. */
START_TEST(test_fractions)
{
    char name[16];
    clock_set_name(1769860800 * SECOND + SECOND - 1, name);
    ck_assert_str_eq(name, "20260131_120000");
}
END_TEST

START_TEST(test_extremes)
{
    static const int64_t extremes[] = {INT64_MIN, INT64_MAX};
    char name[16], iso[21];
    memset(name, 'x', sizeof(name));
    memset(iso, 'x', sizeof(iso));
    clock_set_name(extremes[_i], name);
    clock_iso(extremes[_i], iso);
    ck_assert_ptr_nonnull(memchr(name, 0, sizeof(name)));
    ck_assert_ptr_nonnull(memchr(iso, 0, sizeof(iso)));
}
END_TEST

START_TEST(test_clocks)
{
    int64_t wall = clock_wall_ns();
    int64_t expected = (int64_t)time(NULL) * SECOND;
    ck_assert_int_lt(llabs(wall - expected), 5 * SECOND);
    int64_t before = clock_monotonic_ns();
    int64_t ms = clock_monotonic_ms();
    int64_t after = clock_monotonic_ns();
    ck_assert_int_le(before / 1000000, ms);
    ck_assert_int_le(ms, after / 1000000);
    for (int i = 0; i < 1000; i++) {
        int64_t next = clock_monotonic_ns();
        ck_assert_int_le(after, next);
        after = next;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    TCase *tests = tcase_create("clock");
    tcase_add_loop_test(tests, test_texts, 0, (int)COUNT_OF(times));
    tcase_add_test(tests, test_fractions);
    tcase_add_loop_test(tests, test_extremes, 0, 2);
    tcase_add_test(tests, test_clocks);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
