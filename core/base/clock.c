/* clock.c: see clock.h. */
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#ifdef ORCHESTRATE_TEST_HOOKS
/* ORCHESTRATE_CLOCK_SHIFT_S makes wall time run so many seconds ahead (or behind, when negative):
 * sets of other days, and hosts whose clocks do not agree. */
static int64_t shift_ns(void)
{
    const char *text = getenv("ORCHESTRATE_CLOCK_SHIFT_S");
    return text == NULL ? 0 : strtoll(text, NULL, 10) * 1000000000;
}
#else
static int64_t shift_ns(void)
{
    return 0;
}
#endif

int64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME) + shift_ns();
}

int64_t clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

static int split(int64_t wall_ns, struct tm *tm)
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    return gmtime_r(&seconds, tm) != NULL;
}

void clock_set_name(int64_t wall_ns, char text[16])
{
    struct tm tm;
    if (!split(wall_ns, &tm) || strftime(text, 16, "%Y%m%d_%H%M%S", &tm) == 0) {
        text[0] = 0;
    }
}

void clock_iso(int64_t wall_ns, char text[21])
{
    struct tm tm;
    if (!split(wall_ns, &tm) || strftime(text, 21, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        text[0] = 0;
    }
}
