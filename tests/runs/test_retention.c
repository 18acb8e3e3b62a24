/* test_retention.c: which sets a policy keeps: rules, limits, groups, partial sets, times. */
#include "run/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "testing.h"

#define SETS_MAX 64

static struct orch_error err;

/* Sets of a table: "2026-01-31T12:00:00 [flags]", newest first; flags: p partial, v verified,
 * lX label X, cX component X instead of "a", sN stored bytes. */
static struct set sets[SETS_MAX];
static struct set *pointers[SETS_MAX];
static struct set_component components[SETS_MAX][4];
static struct retention_fact facts[SETS_MAX];
static struct retention_decision out[SETS_MAX];
static struct set_list list;

static int64_t instant(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    ck_assert_ptr_nonnull(end);
    return (int64_t)timegm(&tm) * 1000000000;
}

static void add_component(struct set *set, const char *name, bool good)
{
    struct set_component *c = &set->components[set->component_count++];
    *c = (struct set_component){.good = good};
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
}

static void read_set(const char *line, size_t i)
{
    char copy[128];
    (void)snprintf(copy, sizeof(copy), "%s", line);
    char *rest = copy;
    const char *time = strsep(&rest, " ");
    sets[i] = (struct set){.started_ns = instant(time), .components = components[i]};
    facts[i] = (struct retention_fact){.stored_bytes = 100};
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        switch (word[0]) {
        case 'p':
            sets[i].state = SET_PARTIAL;
            break;
        case 'v':
            facts[i].verified = true;
            break;
        case 'l':
            (void)snprintf(sets[i].label, sizeof(sets[i].label), "%s", word + 1);
            break;
        case 'c':
            add_component(&sets[i], word + 1, true);
            break;
        case 's':
            facts[i].stored_bytes = strtoull(word + 1, NULL, 10);
            break;
        default:
            ck_abort_msg("what is \"%s\"?", word);
        }
    }
    if (sets[i].component_count == 0) {
        add_component(&sets[i], "a", sets[i].state == SET_COMPLETED);
    }
    pointers[i] = &sets[i];
}

static void read_sets(const char *const *lines)
{
    size_t n = 0;
    for (; lines[n] != NULL; n++) {
        read_set(lines[n], n);
    }
    list = (struct set_list){pointers, n};
}

struct row {
    const char *name;
    struct retention_policy policy;
    const char *lines[SETS_MAX];
    const char *kept; /* one of "+-" for each line */
};

static const struct row rows[] = {
    {"an empty policy keeps all", {0}, {"2026-01-02T00:00:00", "2026-01-01T00:00:00 p"}, "++"},
    {"negative rules are none",
     {.keep_last = -1, .max_count = -5},
     {"2026-01-02T00:00:00", "2026-01-01T00:00:00"},
     "++"},
    {"last",
     {.keep_last = 2},
     {"2026-01-04T00:00:00", "2026-01-03T00:00:00", "2026-01-02T00:00:00", "2026-01-01T00:00:00"},
     "++--"},
    {"hours",
     {.keep_hourly = 2},
     {"2026-01-01T02:59:59", "2026-01-01T02:00:00", "2026-01-01T01:59:59", "2026-01-01T01:00:00",
      "2026-01-01T00:59:59"},
     "+-+--"},
    {"hours without a set take no place",
     {.keep_hourly = 2},
     {"2026-01-09T02:00:00", "2026-01-01T02:00:00", "2025-01-01T02:00:00"},
     "++-"},
    {"days end at midnight UTC",
     {.keep_daily = 2},
     {"2026-03-02T00:00:00", "2026-03-01T23:59:59", "2026-03-01T00:00:00", "2026-02-28T23:59:59"},
     "++--"},
    {"the night in which Europe turns its clocks on is a day",
     {.keep_daily = 3},
     {"2026-03-29T22:30:00", "2026-03-29T01:00:00", "2026-03-29T00:30:00", "2026-03-28T23:30:00",
      "2026-03-27T23:30:00"},
     "+--++"},
    {"the hour that comes twice in autumn comes once",
     {.keep_hourly = 4},
     {"2026-10-25T02:30:00", "2026-10-25T01:30:00", "2026-10-25T00:30:00", "2026-10-24T23:30:00",
      "2026-10-24T22:30:00"},
     "++++-"},
    {"weeks begin on Monday",
     {.keep_weekly = 2},
     {"2026-01-12T00:00:00", "2026-01-11T23:59:59", "2026-01-05T00:00:00", "2026-01-04T23:59:59"},
     "++--"},
    {"a week over the turn of the year is one",
     {.keep_weekly = 2},
     {"2026-01-04T00:00:00", "2026-01-01T00:00:00", "2025-12-31T00:00:00", "2025-12-29T00:00:00",
      "2025-12-28T23:00:00", "2025-12-21T00:00:00"},
     "+---+-"},
    {"weeks before 1970",
     {.keep_weekly = 2},
     {"1969-12-29T00:00:00", "1969-12-28T23:00:00", "1969-12-21T23:00:00"},
     "++-"},
    {"months",
     {.keep_monthly = 2},
     {"2026-03-01T00:00:00", "2026-02-28T23:59:59", "2026-02-01T00:00:00", "2026-01-31T23:59:59"},
     "++--"},
    {"a leap day",
     {.keep_monthly = 2, .keep_daily = 3},
     {"2028-03-01T00:00:00", "2028-02-29T12:00:00", "2028-02-29T00:00:00", "2028-02-28T00:00:00",
      "2028-02-27T00:00:00"},
     "++-+-"},
    {"years",
     {.keep_yearly = 2},
     {"2026-01-01T00:00:00", "2025-12-31T23:59:59", "2025-01-01T00:00:00", "2024-12-31T23:59:59"},
     "++--"},
    {"rules add up",
     {.keep_last = 1, .keep_daily = 2, .keep_monthly = 3},
     {"2026-03-03T12:00:00", "2026-03-03T06:00:00", "2026-03-02T12:00:00", "2026-03-01T12:00:00",
      "2026-02-10T12:00:00", "2026-01-10T12:00:00", "2025-12-10T12:00:00"},
     "+-+-++-"},
    {"groups by label",
     {.keep_last = 1},
     {"2026-01-05T00:00:00 lx", "2026-01-04T00:00:00", "2026-01-03T00:00:00 lx",
      "2026-01-02T00:00:00", "2026-01-01T00:00:00 ly"},
     "++--+"},
    {"groups by components, in any order",
     {.keep_last = 1},
     {"2026-01-05T00:00:00 ca cb", "2026-01-04T00:00:00 cb ca", "2026-01-03T00:00:00 ca",
      "2026-01-02T00:00:00 cab", "2026-01-01T00:00:00 ca"},
     "+-++-"},
    {"a label is no component",
     {.keep_last = 1},
     {"2026-01-02T00:00:00 la ca", "2026-01-01T00:00:00 ca"},
     "++"},
    {"a partial set takes no completed one's place",
     {.keep_last = 2},
     {"2026-01-05T00:00:00 p", "2026-01-04T00:00:00", "2026-01-03T00:00:00 p",
      "2026-01-02T00:00:00", "2026-01-01T12:00:00 p", "2026-01-01T00:00:00"},
     "++++--"},
    {"partial sets do not pile up",
     {.keep_last = 2},
     {"2026-01-06T00:00:00 p", "2026-01-05T00:00:00 p", "2026-01-04T00:00:00 p",
      "2026-01-03T00:00:00", "2026-01-02T00:00:00", "2026-01-01T00:00:00"},
     "++-++-"},
    {"the completed set of a day before its partial ones",
     {.keep_daily = 3},
     {"2026-01-03T12:00:00 p", "2026-01-03T06:00:00", "2026-01-02T12:00:00 p",
      "2026-01-02T06:00:00 p", "2026-01-01T12:00:00", "2026-01-01T06:00:00 p",
      "2025-12-31T12:00:00", "2025-12-30T12:00:00"},
     "-++-+-+-"},
    {"the newest completed stays",
     {.max_age_ms = 86400000},
     {"2026-01-02T00:00:00 p", "2026-01-01T00:00:00", "2025-01-01T00:00:00"},
     "-+-"},
    {"the newest verified stays",
     {.keep_last = 1},
     {"2026-01-04T00:00:00", "2026-01-03T00:00:00", "2026-01-02T00:00:00 v",
      "2026-01-01T00:00:00 v"},
     "+-+-"},
    {"in each group",
     {.max_count = 1},
     {"2026-01-04T00:00:00 lx", "2026-01-03T00:00:00 lx v", "2026-01-02T00:00:00 ly",
      "2026-01-01T00:00:00 ly v"},
     "++++"},
    {"a verified completed set before a verified partial one",
     {.keep_last = 1},
     {"2026-01-04T00:00:00", "2026-01-03T00:00:00 p v", "2026-01-02T00:00:00 v"},
     "+-+"},
    {"none completed: the newest stays",
     {.max_age_ms = 1000},
     {"2026-01-02T00:00:00 p", "2026-01-01T00:00:00 p"},
     "+-"},
    {"age",
     {.max_age_ms = INT64_C(10) * 86400000},
     {"2026-02-09T00:00:00", "2026-01-31T00:00:00", "2026-01-30T23:59:59"},
     "++-"},
    {"a limit against a keep rule",
     {.keep_daily = 9, .max_age_ms = INT64_C(5) * 86400000},
     {"2026-02-09T00:00:00", "2026-02-06T00:00:00", "2026-02-01T00:00:00"},
     "++-"},
    {"count of what the rules keep",
     {.keep_daily = 9, .max_count = 2},
     {"2026-02-09T12:00:00", "2026-02-09T00:00:00", "2026-02-08T00:00:00", "2026-02-07T00:00:00"},
     "+-+-"},
    {"the verified one has a place of the count",
     {.max_count = 2},
     {"2026-02-09T12:00:00", "2026-02-08T00:00:00", "2026-02-07T00:00:00 v"},
     "+-+"},
    {"size",
     {.max_size_bytes = 250},
     {"2026-02-09T00:00:00", "2026-02-08T00:00:00", "2026-02-07T00:00:00"},
     "++-"},
    {"the first that does not fit ends it",
     {.max_size_bytes = 300},
     {"2026-02-09T00:00:00", "2026-02-08T00:00:00 s250", "2026-02-07T00:00:00 s1"},
     "+--"},
    {"one too large of all stays, if it is the newest",
     {.max_size_bytes = 10},
     {"2026-02-09T00:00:00 s18446744073709551615", "2026-02-08T00:00:00 s1"},
     "+-"},
    {"sets of a clock that ran ahead",
     {.max_age_ms = 1000},
     {"2030-01-01T00:00:00", "2029-01-01T00:00:00", "2026-01-01T00:00:00"},
     "++-"},
};

START_TEST(test_rows)
{
    const struct row *row = &rows[_i];
    char got[SETS_MAX + 1] = "";
    read_sets(row->lines);
    ck_assert_uint_eq(strlen(row->kept), list.count);
    ASSERT_OK(
        retention_decide(&row->policy, &list, facts, instant("2026-02-10T00:00:00"), out, &err),
        err);
    for (size_t i = 0; i < list.count; i++) {
        got[i] = out[i].keep ? '+' : '-';
        ck_assert_msg(out[i].reason[0] != 0, "%s: no reason for %zu", row->name, i);
    }
    got[list.count] = 0;
    ck_assert_msg(strcmp(got, row->kept) == 0, "%s: %s, not %s", row->name, got, row->kept);
}
END_TEST

START_TEST(test_reasons)
{
    static const char *const lines[] = {"2026-01-31T12:00:00",   "2026-01-31T11:00:00",
                                        "2026-01-30T11:00:00",   "2026-01-20T11:00:00",
                                        "2025-12-29T11:00:00",   "2025-12-01T11:00:00",
                                        "2024-12-01T11:00:00",   "2023-12-01T11:00:00",
                                        "2022-12-01T11:00:00 v", NULL};
    static const char *const reasons[] = {
        "last 1",          "hourly 2026-01-31 11h", "daily 2026-01-30",
        "weekly 2026-W04", "monthly 2025-12",       "no rule keeps it",
        "yearly 2024",     "older than 700d",       "newest verified"};
    const struct retention_policy policy = {.keep_last = 1,
                                            .keep_hourly = 2,
                                            .keep_daily = 2,
                                            .keep_weekly = 2,
                                            .keep_monthly = 2,
                                            .keep_yearly = 4,
                                            .max_age_ms = INT64_C(700) * 86400000};
    read_sets(lines);
    ASSERT_OK(retention_decide(&policy, &list, facts, instant("2026-02-01T00:00:00"), out, &err),
              err);
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        ck_assert_str_eq(out[i].reason, reasons[i]);
    }
}
END_TEST

START_TEST(test_none)
{
    const struct retention_policy policy = {.keep_last = 1};
    list = (struct set_list){pointers, 0};
    ASSERT_OK(retention_decide(&policy, &list, facts, 0, out, &err), err);
    ck_assert(!retention_is_empty(&policy));
    ck_assert(retention_is_empty(&(struct retention_policy){.keep_daily = -1}));
    ck_assert(!retention_is_empty(&(struct retention_policy){.max_size_bytes = 1}));
}
END_TEST

/* Whatever the policy: kept sets per group never include fewer than the newest completed and the
 * newest verified, and no keep rule holds more completed sets than it has places. */
START_TEST(test_random)
{
    unsigned seed = (unsigned)_i * 7919 + 1;
    char text[SETS_MAX][64];
    const char *lines[SETS_MAX + 1] = {NULL};
    int64_t at = instant("2026-02-10T00:00:00") / 1000000000;
    for (size_t i = 0; i < 40; i++) {
        at -= rand_r(&seed) % 100000;
        time_t seconds = (time_t)at;
        struct tm tm;
        char stamp[32];
        (void)gmtime_r(&seconds, &tm);
        (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(text[i], sizeof(text[i]), "%s l%d%s%s", stamp, rand_r(&seed) % 2,
                       rand_r(&seed) % 4 == 0 ? " p" : "", rand_r(&seed) % 5 == 0 ? " v" : "");
        lines[i] = text[i];
    }
    const struct retention_policy policy = {.keep_last = rand_r(&seed) % 4,
                                            .keep_daily = rand_r(&seed) % 5,
                                            .max_count = 1 + rand_r(&seed) % 6,
                                            .max_age_ms = rand_r(&seed) % 1000000000};
    read_sets(lines);
    ASSERT_OK(retention_decide(&policy, &list, facts, instant("2026-02-10T00:00:00"), out, &err),
              err);
    for (int label = 0; label < 2; label++) {
        bool completed = false, verified = false;
        int64_t kept = 0;
        for (size_t i = 0; i < list.count; i++) {
            if (sets[i].label[0] != '0' + label) {
                continue;
            }
            bool is_completed = sets[i].state == SET_COMPLETED;
            ck_assert(completed || !is_completed || out[i].keep);
            ck_assert(verified || !is_completed || !facts[i].verified || out[i].keep);
            completed = completed || is_completed;
            verified = verified || (is_completed && facts[i].verified);
            kept += out[i].keep;
        }
        ck_assert_int_le(kept, policy.max_count < 2 ? 2 : policy.max_count);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retention");
    TCase *tests = tcase_create("retention");
    tcase_add_loop_test(tests, test_rows, 0, (int)COUNT_OF(rows));
    tcase_add_test(tests, test_reasons);
    tcase_add_test(tests, test_none);
    tcase_add_loop_test(tests, test_random, 0, 50);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
