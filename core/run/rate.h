/* rate.h: how long a reader has to wait so that a source is not read faster than it should be. */
#ifndef CORE_RUN_RATE_H
#define CORE_RUN_RATE_H

#include <stdint.h>

/* What was taken so far is paid for at `due_ns`. */
struct rate {
    int64_t bytes_per_second; /* 0: no limit */
    int64_t due_ns;
};

/* The lower of two limits, of which 0 is none. */
int64_t rate_lower(int64_t one, int64_t other);
/* `bytes` were taken at `now_ns` (monotonic): from when on more may be taken. Not before `now_ns`;
 * with pauses that are too short to sleep left for later. */
int64_t rate_take(struct rate *rate, uint64_t bytes, int64_t now_ns);
/* Blocks of `block_bytes`, of 1 to `most`, that may be read ahead: what the limit lets through in a
 * second. `most` when there is no limit. */
uint32_t rate_blocks(int64_t bytes_per_second, uint32_t block_bytes, uint32_t most);

#endif
