/*
 * treecase.h: what the tests of the plugins for file trees share: a scratch folder with the tree in
 * it, and the plugin in the harness.
 */
#ifndef TESTS_PLUGINS_TREECASE_H
#define TESTS_PLUGINS_TREECASE_H

#include <stdint.h>

#include "harness.h"

#define TREECASE_RUN "0123456789abcdef0123456789abcdef"

/* Of the one test that the process runs. */
struct treecase {
    char *scratch;
    char *data; /* the tree, below it; the test makes it */
    char *work; /* likewise */
    struct harness *host;
    struct orch_error err;
};
extern struct treecase t;

/* `name`: of the tree. */
void treecase_set_up(const char *name);
void treecase_tear_down(void);
/* Loads the plugin with its option `paths`. */
void treecase_load(const char *plugin, const char *paths);
/* An instance of the loaded plugin with the tree as `paths`, for a host that the test makes. */
void treecase_open_through(const struct orch_host *host, void **instance);

/* Fails the test, with t.err, unless `rc` is 0. */
void treecase_must(int32_t rc);
/* A path below the tree, in one of a few static buffers. */
const char *treecase_at(const char *name);
void treecase_set_time(const char *path, long s, long ns);

void treecase_backup(int incremental);
/* Verifies, and fails the test when that refuses. */
void treecase_verify_good(const char *run);
/* check, restore, verify, settle. */
void treecase_restore_whole(const char *run);
/* Restores in a child that is killed at the crash point. */
void treecase_killed_at(const char *point, uint32_t attempt);
/* The instance anew. The harness forgets the facts with it; a part keeps them. */
void treecase_reopen(void);
/* Removes the tree. */
void treecase_wipe(void);
/* Fails the test when the tree is not as tree_describe() told it `before`. */
void treecase_is_as(const char *before);

/* The count in a fact; 0 when there is none. */
int treecase_fact_count(const char *fact);
/* Is there a verdict with this code, and `part` in its message? */
int treecase_verdict(const char *code, const char *part);

#endif
