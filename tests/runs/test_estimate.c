/* test_estimate.c: how long a restore will take, by what earlier ones took. */
#include "run/estimate.h"
#include "testing.h"

#define ENTRY(name, state, bytes, ms)                                                              \
    "{\"components\": {\"" name "\": {\"state\": \"" state "\", \"size_bytes\": " #bytes           \
    ", \"elapsed_ms\": " #ms "}}}"

static const struct {
    const char *what, *history;
    uint64_t size_bytes;
    bool measured;
    int64_t ms;
} cases[] = {
    {"nothing known: 50 MB a second", "[]", 100000000, false, 2001},
    {"no file", "null", 50000, false, 2},
    {"nothing to restore", "[]", 0, false, 1},
    {"as before", "[" ENTRY("kb", "verified", 1000000, 2000) "]", 1000000, true, 2001},
    {"twice as much", "[" ENTRY("kb", "verified", 1000000, 2000) "]", 2000000, true, 4001},
    {"the newest counts",
     "[" ENTRY("kb", "verified", 1000000, 9000) "," ENTRY("kb", "verified", 1000000, 1000) "]",
     1000000, true, 1001},
    {"another component", "[" ENTRY("db", "verified", 1000000, 2000) "]", 50000, false, 2},
    {"one that failed is passed over",
     "[" ENTRY("kb", "verified", 1000000, 2000) "," ENTRY("kb", "failed", 1000000, 1) "]", 1000000,
     true, 2001},
    {"no time, no rate", "[" ENTRY("kb", "verified", 1000000, 0) "]", 50000, false, 2},
    {"no bytes, no rate", "[" ENTRY("kb", "verified", 0, 500) "]", 50000, false, 2},
    {"10 bytes in 150 ms tell nothing about 1.5 MB", "[" ENTRY("kb", "verified", 10, 150) "]",
     1500000, false, 31},
    {"nor 9 bytes about 100", "[" ENTRY("kb", "verified", 9, 150) "]", 100, false, 1},
    {"but about 100 bytes", "[" ENTRY("kb", "verified", 10, 150) "]", 100, true, 1501},
    {"a small one is passed over for an older",
     "[" ENTRY("kb", "verified", 1000000, 2000) "," ENTRY("kb", "verified", 10, 150) "]", 1000000,
     true, 2001},
    {"1 MiB tells of any size", "[" ENTRY("kb", "verified", 1048576, 1000) "]", 1048576000, true,
     1000001},
    {"absurd", "[" ENTRY("kb", "verified", 2000000, 9000000000000000) "]", UINT64_MAX, true,
     INT64_C(1000000000000000)},
    {"not what we wrote", "[7, {\"components\": [1]}, {\"components\": {\"kb\": \"x\"}}]", 50000,
     false, 2},
};

START_TEST(test_estimate)
{
    json_t *history = json_loads(cases[_i].history, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(history);
    struct estimate estimate = estimate_restore(history, "kb", cases[_i].size_bytes);
    ck_assert_msg(estimate.measured == cases[_i].measured && estimate.ms == cases[_i].ms,
                  "%s: %lld ms", cases[_i].what, (long long)estimate.ms);
    json_decref(history);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("estimate");
    TCase *tests = tcase_create("estimate");
    tcase_add_loop_test(tests, test_estimate, 0, (int)COUNT_OF(cases));
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
