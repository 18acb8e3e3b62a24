/* restorebase.h: what the tests of restore runs share: a set of four scripted components whose live
 * data has been lost since, and a restore of it. */
#ifndef TESTS_RUNS_RESTOREBASE_H
#define TESTS_RUNS_RESTOREBASE_H

#include "runtest.h"

extern struct runtest rb_t;
extern struct orch_error rb_err;
extern struct restore_result rb_result; /* of the last restore */
extern char rb_set[ID_TEXT];
extern const char *const rb_names[4];

/* Four components in a set, whose live data has changed since. */
void rb_prepare(void);
void rb_finish(void);

int32_t rb_restore(const struct restore_options *options);
/* What the last restore says of a component. */
const char *rb_state_of(const char *component);
const char *rb_error_of(const char *component);
/* The entries of a ledger (LEDGER_HISTORY). */
json_t *rb_ledger(const char *name);
/* Nothing was touched and nothing remembered. */
void rb_assert_untouched(void);

#endif
