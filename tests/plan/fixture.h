/*
 * fixture.h: a configuration folder below /tmp, and plugins that are described without a worker.
 */
#ifndef TESTS_PLAN_FIXTURE_H
#define TESTS_PLAN_FIXTURE_H

#include <check.h>

#include "plan/config.h"

struct fixture {
    char dir[64]; /* the folder; it is also where the files lie */
    struct config_plugins plugins;
    int described; /* how often a plugin was asked for */
};

void fixture_setup(struct fixture *f);
void fixture_teardown(struct fixture *f);

/* Writes DIR/name (with "plans/" before it, say; the folder is made). */
void fixture_write(const struct fixture *f, const char *name, const char *text);
void fixture_write_bytes(const struct fixture *f, const char *name, const void *data, size_t len);
/* DIR/name in one of a few static buffers. */
const char *fixture_path(const struct fixture *f, const char *name);

/* Loads; the test fails when that fails. */
struct config *fixture_load(struct fixture *f);
/* Loads, and gives what must be a failure with ORCH_E_CONFIG. */
void fixture_fail(struct fixture *f, struct orch_error *err);
/* The same for one file t.conf of that text. */
void fixture_fail_text(const char *text, struct orch_error *err, char prefix[96]);

/* The message begins with "path:line: " and has `fragment` in it. */
void fixture_says(const struct orch_error *err, const char *path, int line, const char *fragment);
/* Runs a suite and frees it; what main() returns. */
int fixture_run(Suite *suite);

/* The option of a component, or NULL. */
const struct config_option *fixture_option(const struct config *config, const char *component,
                                           const char *name);

/* A description by hand; unknown names fail. `ctx` is an int that counts. */
int32_t fixture_describe(void *ctx, const struct config *config, const char *name,
                         struct plugin_info **out, struct orch_error *err);

#endif
