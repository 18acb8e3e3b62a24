/*
 * sampling.h: long rows of cases, of which a run under sanitizers, which is several times slower,
 * takes every ORCHESTRATE_TEST_SAMPLE-th. The same tests run whole without sanitizers: they are in
 * meson's suite `plain`.
 */
#ifndef TESTS_BASE_SAMPLING_H
#define TESTS_BASE_SAMPLING_H

#include <check.h>
#include <stdlib.h>

/* How many cases to go on by: 1, where the variable is not set. */
static inline size_t sampling_step(void)
{
    const char *text = getenv("ORCHESTRATE_TEST_SAMPLE");
    size_t step = text != NULL ? strtoul(text, NULL, 10) : 1;
    return step > 0 ? step : 1;
}

/* Whether case i of a row within a test is left out; the first never is. */
static inline int sampling_skips(size_t i)
{
    return i % sampling_step() != 0;
}

/* Adds the cases 0 to count - 1 of a looped test, or the sample of them: what does not run does not
 * count. */
#define SAMPLING_ADD(tests, function, count)                                                       \
    do {                                                                                           \
        for (int sampling_i = 0; sampling_i < (count); sampling_i += (int)sampling_step()) {       \
            tcase_add_loop_test((tests), function, sampling_i, sampling_i + 1);                    \
        }                                                                                          \
    } while (0)

#endif
