/*
 * sample.h: long rows of cases, of which a run under sanitizers, which is several times slower,
 * takes every ORCHESTRATE_TEST_SAMPLE-th. The same tests run whole without sanitizers: they are in
 * meson's suite `plain`.
 */
#ifndef TESTS_BASE_SAMPLE_H
#define TESTS_BASE_SAMPLE_H

#include <stdlib.h>

/* How many cases to go on by: 1, where the variable is not set. */
static inline size_t sample_step(void)
{
    const char *text = getenv("ORCHESTRATE_TEST_SAMPLE");
    size_t step = text != NULL ? strtoul(text, NULL, 10) : 1;
    return step > 0 ? step : 1;
}

/* Whether case i of a row is left out. */
static inline int sample_skips(size_t i)
{
    return i % sample_step() != 0;
}

#endif
