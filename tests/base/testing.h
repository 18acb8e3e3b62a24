/* testing.h: what every test here has in common: two assertions and the run of a suite. */
#ifndef TESTS_BASE_TESTING_H
#define TESTS_BASE_TESTING_H

#include <check.h>
#include <string.h>

#include <orchestrate/error.h>

/* `rc` is ORCH_OK; else the message is shown. */
#define ASSERT_OK(rc, err)                                                                         \
    do {                                                                                           \
        int32_t ok_rc = (rc);                                                                      \
        ck_assert_msg(ok_rc == ORCH_OK, "%s: %s: %s", #rc, orch_error_name(ok_rc), (err).message); \
    } while (0)

/* `rc` is this code, and the message has `text` in it. */
#define ASSERT_FAILS(rc, expected, err, text)                                                      \
    do {                                                                                           \
        int32_t fail_rc = (rc);                                                                    \
        ck_assert_msg(fail_rc == (expected), "%s: %s, not %s: %s", #rc, orch_error_name(fail_rc),  \
                      orch_error_name(expected), (err).message);                                   \
        ck_assert_int_eq((err).code, (expected));                                                  \
        ck_assert_msg(strstr((err).message, (text)) != NULL, "no \"%s\" in: %s", (text),           \
                      (err).message);                                                              \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Runs the one suite; how many tests failed is the exit status. */
static inline int testing_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

#endif
