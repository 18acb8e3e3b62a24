/* test_rate.c: waits that keep a source below its rate. */
#include "run/rate.h"

#include <stdlib.h>

#include "testing.h"

#define SECOND INT64_C(1000000000)

START_TEST(test_lower)
{
    ck_assert_int_eq(rate_lower(0, 0), 0);
    ck_assert_int_eq(rate_lower(5, 0), 5);
    ck_assert_int_eq(rate_lower(0, 7), 7);
    ck_assert_int_eq(rate_lower(5, 7), 5);
    ck_assert_int_eq(rate_lower(8, 7), 7);
}
END_TEST

START_TEST(test_none)
{
    struct rate rate = {0};
    ck_assert_int_eq(rate_take(&rate, UINT64_MAX, 17), 17);
}
END_TEST

/* Whatever the pieces and pauses: over no stretch more than its length allows, one piece and the
 * slack (10 ms, and at most 1 MiB) apart; and a reader who is never late gets what is allowed. */
START_TEST(test_bound)
{
    static const int64_t rates[] = {1000, 1000000, 50000000, INT64_C(20000000000)};
    struct rate rate = {.bytes_per_second = rates[_i]};
    int64_t at[2000];
    uint64_t sum[2000];
    unsigned seed = 7;
    int64_t now = 5 * SECOND;
    uint64_t total = 0, largest = 0;
    for (size_t i = 0; i < 2000; i++) {
        uint64_t bytes = (uint64_t)(rand_r(&seed) % (1 << (rand_r(&seed) % 21)));
        largest = bytes > largest ? bytes : largest;
        at[i] = now;
        total += bytes;
        sum[i] = total;
        int64_t next = rate_take(&rate, bytes, now);
        ck_assert_int_ge(next, now);
        ck_assert(next == now || next - now >= 1000000);
        now = next + (rand_r(&seed) % 50 == 0 ? rand_r(&seed) % SECOND : 0);
    }
    for (size_t i = 0; i < 2000; i += 13) {
        for (size_t k = i + 1; k < 2000; k += 7) {
            double allowed = (double)(at[k] - at[i]) / 1e9 * (double)rates[_i];
            double slack = (double)rates[_i] * 0.011 + (double)(1 << 20);
            ck_assert_double_le((double)(sum[k] - sum[i]), allowed + slack + (double)largest);
        }
    }
}
END_TEST

START_TEST(test_exact)
{
    struct rate rate = {.bytes_per_second = 1000000};
    int64_t now = SECOND;
    for (size_t i = 0; i < 1000; i++) {
        now = rate_take(&rate, 100000, now);
    }
    ck_assert_int_ge(now, SECOND + 100 * SECOND - SECOND / 50);
    ck_assert_int_le(now, SECOND + 100 * SECOND);
}
END_TEST

START_TEST(test_huge)
{
    struct rate rate = {.bytes_per_second = 1};
    int64_t next = rate_take(&rate, UINT64_MAX, SECOND);
    ck_assert_int_gt(next, SECOND);
    for (int i = 0; i < 10; i++) {
        int64_t later = rate_take(&rate, UINT64_MAX, next);
        ck_assert_int_ge(later, next);
        next = later;
    }
}
END_TEST

START_TEST(test_blocks)
{
    ck_assert_uint_eq(rate_blocks(0, 1 << 20, 8), 8);
    ck_assert_uint_eq(rate_blocks(1, 1 << 20, 8), 1);
    ck_assert_uint_eq(rate_blocks(1 << 20, 1 << 20, 8), 1);
    ck_assert_uint_eq(rate_blocks(3500000, 1 << 20, 8), 3);
    ck_assert_uint_eq(rate_blocks(INT64_MAX, 1 << 20, 8), 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate");
    TCase *tests = tcase_create("rate");
    tcase_add_test(tests, test_lower);
    tcase_add_test(tests, test_none);
    tcase_add_loop_test(tests, test_bound, 0, 4);
    tcase_add_test(tests, test_exact);
    tcase_add_test(tests, test_huge);
    tcase_add_test(tests, test_blocks);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
