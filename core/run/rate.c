/* rate.c: see rate.h. */
#include "run/rate.h"

/* A wait that came out longer than it should is made good within this time, but never more than
 * that: a pause of the source does not buy a burst. */
#define SLACK_NS (10 * 1000000)
#define SLACK_BYTES (1 << 20)
#define SHORT_NS 1000000 /* not worth a sleep */

int64_t rate_lower(int64_t one, int64_t other)
{
    if (one == 0 || other == 0) {
        return one == 0 ? other : one;
    }
    return one < other ? one : other;
}

static int64_t time_of(int64_t bytes_per_second, uint64_t bytes)
{
    __int128 ns = (__int128)bytes * 1000000000 / bytes_per_second;
    return ns > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)ns;
}

int64_t rate_take(struct rate *rate, uint64_t bytes, int64_t now_ns)
{
    if (rate->bytes_per_second <= 0) {
        return now_ns;
    }
    int64_t slack = time_of(rate->bytes_per_second, SLACK_BYTES);
    slack = slack < SLACK_NS ? slack : SLACK_NS;
    if (rate->due_ns < now_ns - slack) {
        rate->due_ns = now_ns - slack;
    }
    if (__builtin_add_overflow(rate->due_ns, time_of(rate->bytes_per_second, bytes),
                               &rate->due_ns)) {
        rate->due_ns = INT64_MAX;
    }
    return rate->due_ns - now_ns < SHORT_NS ? now_ns : rate->due_ns;
}

uint32_t rate_blocks(int64_t bytes_per_second, uint32_t block_bytes, uint32_t most)
{
    if (bytes_per_second <= 0 || bytes_per_second / block_bytes >= most) {
        return most;
    }
    uint32_t blocks = (uint32_t)(bytes_per_second / block_bytes);
    return blocks < 1 ? 1 : blocks;
}
