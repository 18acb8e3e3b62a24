/*
 * fixture.h: starts workers for tests. The test binary is its own worker: its main() calls
 * fixture_main() first.
 */
#ifndef TESTS_PLUGIN_FIXTURE_H
#define TESTS_PLUGIN_FIXTURE_H

#include <stdbool.h>

#include "plugin/worker.h"
#include "recorder.h"

/* How the plugin runs. Tests loop over the first two, or over all. */
enum mode { MODE_RING, MODE_INLINE, MODE_IN_PROCESS, MODE_COUNT };
#define MODE_PROCESSES MODE_IN_PROCESS

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        struct orch_error ok = ORCH_ERROR_INIT;                                                    \
        int32_t ok_rc = (call);                                                                    \
        ck_assert_msg(ok_rc == 0, "%s: %d %s", #call, (int)ok_rc, ok.message);                     \
    } while (0)

/* The message has this text in it. */
#define ASSERT_SAYS(err, text)                                                                     \
    ck_assert_msg(strstr((err).message, (text)) != NULL, "no \"%s\" in: %s", (text), (err).message)

/* Set by the test run's command line: folders of plugins. */
const char *fixture_path(const char *plugin);

/* Options with short limits, so that tests are quick. Log lines are counted and kept. */
struct worker_options fixture_options(const char *plugin, int mode);
/* Starts; fails the test when that fails. */
struct worker *fixture_start(const char *plugin, int mode);
/* Starts and opens with the options `how` and `path` (NULL: not set). */
struct worker *fixture_open(const char *plugin, int mode, const char *how, const char *path);

/* Values for the mixed plugin. */
struct fixture_values {
    struct orch_value values[8];
    struct orch_options options;
};
void fixture_text(struct fixture_values *values, const char *name, const char *text);
void fixture_number(struct fixture_values *values, const char *name, int64_t number);
void fixture_finish(struct fixture_values *values);

/* What was logged since the start of the test. */
size_t fixture_log_lines(void);
bool fixture_logged(const char *text);

/* A fifo below a new folder; *fd reads from it. Plugins write a byte into it when they are at work,
 * and hold it open. */
void fixture_fifo(char path[64], int *fd);
/* Waits for that byte. */
void fixture_fifo_started(int fd);
/* Waits until every writer has gone; true when that came within 10 seconds. */
bool fixture_fifo_ended(int fd);
void fixture_fifo_remove(const char *path);

/* A restore's arguments: run abc123, attempt 2. */
struct orch_restore fixture_restore(const struct recorder *recorder, const char *facts);

/* For main(): worker processes, and the folders of plugins from the arguments. -1: go on. */
int fixture_main(int argc, char **argv);

#endif
