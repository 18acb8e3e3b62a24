/*
 * runtest.h: a small system below /tmp for tests of runs: a configuration, a repository, and
 * components of the scripted plugin (scripted.c) in workers of their own.
 *
 * The test binary is its own worker: its main() calls runtest_main() first.
 */
#ifndef TESTS_RUNS_RUNTEST_H
#define TESTS_RUNS_RUNTEST_H

#include <jansson.h>

#include "base/buffer.h"
#include "folder.h"
#include "run/backup.h"
#include "run/context.h"
#include "run/restore.h"
#include "testing.h"

struct runtest {
    char dir[FOLDER_TEXT];
    struct run_context ctx;
    volatile int cancel;
    struct buffer events; /* every event as a line: "kind component text" */
    /* Called for each event while its sender waits; NULL: nothing. */
    void (*on_event)(struct runtest *t, const struct report_event *event);
};

/* A component "name" or "name: provider provider"; an 'e' after a slash ("name/e") takes the plugin
 * that may be empty. Ends with NULL. `settings` are more lines of each component, or NULL. */
void runtest_make(struct runtest *t, const char *const *components, const char *settings);
/* The same with more lines for the repository ("verify = \"none\";"). */
void runtest_make_with(struct runtest *t, const char *const *components, const char *settings,
                       const char *repository);
void runtest_remove(struct runtest *t);
/* Reads the configuration into t->ctx.config. */
void runtest_load(struct runtest *t);
/* Reads the configuration and opens the repository anew, as the next process would. */
void runtest_reopen(struct runtest *t);

/* The component's data ("name=content" lines) and its script. */
void runtest_data(const struct runtest *t, const char *component, const char *text);
void runtest_script(const struct runtest *t, const char *component, const char *text);
/* Its data equals `text`. */
bool runtest_holds(const struct runtest *t, const char *component, const char *text);

/* What the plugins did since the last call, and forgets it. New memory. */
char *runtest_log(const struct runtest *t);
/* How often the line is in a log; the place of its first (-1: none). */
size_t runtest_times(const char *log, const char *line);
long runtest_place(const char *log, const char *line);
/* Whether an event has this text in it. */
bool runtest_told(struct runtest *t, const char *text);

/* A backup of all, which must succeed. The set's id into `id`. */
void runtest_backup(struct runtest *t, char id[ID_TEXT]);
/* A restore of all from "latest". */
struct restore_options runtest_options(void);

/* The member of a component, as text ("state"), in an array of objects with "component". */
const char *runtest_member(const json_t *components, const char *component, const char *key);

/* The worker process's status, or -1 to go on. argv[1] is the folder of plugins. */
int runtest_main(int argc, char **argv);

#endif
