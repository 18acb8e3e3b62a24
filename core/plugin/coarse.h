/* coarse.h: a clock that costs next to nothing, for looking at it once per item. */
#ifndef CORE_PLUGIN_COARSE_H
#define CORE_PLUGIN_COARSE_H

#include <stdint.h>
#include <time.h>

/* Monotonic, in ms; ticks every few ms. Compare with itself only. */
static inline int64_t coarse_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
