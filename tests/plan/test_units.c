/* test_units.c: sizes, rates and durations from text. */
#include "fixture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

/* `value` -1: wrong, and `fragment` is in the message. */
struct unit_case {
    const char *text;
    int64_t value;
    const char *fragment;
};

static const struct unit_case sizes[] = {
    {"0", 0, NULL},
    {"100B", 100, NULL},
    {"10KB", 10000, NULL},
    {"10kb", 10000, NULL},
    {"512KiB", 524288, NULL},
    {"10GB", INT64_C(10000000000), NULL},
    {"10 GB", INT64_C(10000000000), NULL},
    {"1.5GB", INT64_C(1500000000), NULL},
    {"0.5KiB", 512, NULL},
    {"2TiB", INT64_C(2199023255552), NULL},
    {"7PiB", INT64_C(7881299347898368), NULL},
    {"9223372036854775807B", INT64_MAX, NULL},
    {"9223372036854775808B", -1, "is not a size"},
    {"9300PB", -1, "below 8 EiB"},
    {"", -1, "is not a size"},
    {"GB", -1, "is not a size"},
    {"-5KB", -1, "is not a size"},
    {"10k", -1, "unknown unit"},
    {"10GBs", -1, "unknown unit"},
    {"100", -1, "the size \"100\" has no unit; units are B, KB"},
    {"100 ", -1, "has no unit"},
    {"0.0", -1, "has no unit"},
    {"1.5B", -1, "whole number of bytes"},
    {"1.GB", -1, "is not a size"},
    {"1.0000000001GB", -1, "is not a size"},
    {"0x10", -1, "unknown unit"},
    {"10GB ", -1, "unknown unit"},
};

static const struct unit_case durations[] = {
    {"0", 0, NULL},
    {"250ms", 250, NULL},
    {"30s", 30000, NULL},
    {"30m", 1800000, NULL},
    {"1h30m", 5400000, NULL},
    {"1.5h", 5400000, NULL},
    {"2d", INT64_C(172800000), NULL},
    {"1w1d1h1m1s1ms", INT64_C(694861001), NULL},
    {"0.001s", 1, NULL},
    {"30", -1, "number without unit"},
    {"1h30", -1, "number without unit"},
    {"", -1, "is not a duration"},
    {"h", -1, "is not a duration"},
    {"-1h", -1, "is not a duration"},
    {"1h 30m", -1, "is not a duration"},
    {"30m1h", -1, "out of order"},
    {"1m1m", -1, "out of order"},
    {"5min", -1, "unknown unit"},
    {"5M", -1, "unknown unit"},
    {"0.5ms", -1, "whole number of milliseconds"},
    {"16000000000w", -1, "too long"},
    {"15250284452w100000000000d", -1, "too long"},
    {"99999999999999999999s", -1, "is not a duration"},
};

static void check_case(const struct unit_case *c,
                       int32_t (*parse)(const char *, int64_t *, struct orch_error *))
{
    struct orch_error err = ORCH_ERROR_INIT;
    int64_t value = -7;
    int32_t rc = parse(c->text, &value, &err);
    if (c->fragment == NULL) {
        ck_assert_msg(rc == ORCH_OK, "\"%s\": %s", c->text, err.message);
        ck_assert_msg(value == c->value, "\"%s\" gave %" PRId64, c->text, value);
        return;
    }
    ck_assert_msg(rc == ORCH_E_CONFIG, "\"%s\" gave %" PRId64, c->text, value);
    ck_assert_msg(strstr(err.message, c->fragment) != NULL, "\"%s\": %s", c->text, err.message);
    ck_assert_int_eq(value, -7);
}

static const struct unit_case rates[] = {
    {"50MB/s", 50000000, NULL},
    {"1.5 MiB/s", 1572864, NULL},
    {"50 B/s", 50, NULL},
    {"10KB", -1, "\"/s\" is missing; write \"10KB/s\""},
    {"100", -1, "\"100\" is not a rate such as \"50MB/s\": the size \"100\" has no unit"},
    {"100/s", -1, "has no unit"},
    {"0", -1, "would never end"},
    {"0B/s", -1, "would never end"},
    {"/s", -1, "is not a rate"},
    {"50MB/m", -1, "is not a rate"},
    {"fast", -1, "is not a rate"},
    {"1000000000000000000000000000000000000000000000000000000000000000000000/s", -1,
     "is not a rate"},
};

START_TEST(test_rate)
{
    check_case(&rates[_i], config_parse_rate);
}
END_TEST

START_TEST(test_size)
{
    check_case(&sizes[_i], config_parse_size);
}
END_TEST

START_TEST(test_duration)
{
    check_case(&durations[_i], config_parse_duration);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tcase = tcase_create("units");
    tcase_add_loop_test(tcase, test_size, 0, sizeof(sizes) / sizeof(sizes[0]));
    tcase_add_loop_test(tcase, test_duration, 0, sizeof(durations) / sizeof(durations[0]));
    tcase_add_loop_test(tcase, test_rate, 0, sizeof(rates) / sizeof(rates[0]));
    suite_add_tcase(suite, tcase);
    return fixture_run(suite);
}
