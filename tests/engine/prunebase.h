/*
 * prunebase.h: what the tests of prune share: a store of seven sets that overlap, a copy of it for
 * each test, and prunes of it. A test file has one of each, as libcheck runs one test at a time.
 */
#ifndef TESTS_ENGINE_PRUNEBASE_H
#define TESTS_ENGINE_PRUNEBASE_H

#include "engine/prune.h"
#include "prunetest.h"

#define PB_SETS 7
#define PB_PACK_BYTES 600000u /* about a frame */

extern struct et_repo pb_base; /* never changed */
extern char pb_sets[PB_SETS][ID_TEXT];
extern struct et_repo pb_repo; /* the test's copy */
extern struct orch_error pb_err;

/* The base, and one with a third of its content. */
void pb_make_base(void);
void pb_make_small_base(void);
/* A case whose tests have a copy each of what `make` makes; `timeout` in seconds, for each test. */
TCase *pb_case(const char *name, void (*make)(void), double timeout);

/* The content of set `number` of the base. */
void pb_source_of(size_t number, struct pt_source *source);

/* The sets that a prune shall remove. */
struct pb_choice {
    char ids[PB_SETS + 1][ID_TEXT];
    size_t count;
};

struct pb_choice pb_remove_some(size_t from, size_t to);
/* prune_options.choose; ctx is a struct pb_choice. */
int32_t pb_choose(void *ctx, const struct set_list *list, bool *remove, struct orch_error *why);
/* Rewrites packs of which a tenth is not needed; waits for half a minute at most. */
struct prune_options pb_options_for(struct pb_choice *choice);
/* A prune of pb_repo, which must do it. */
void pb_now(const struct prune_options *options, struct prune_result *result);
void pb_all(size_t from, size_t to, struct prune_result *result);
void pb_ignore_warning(void *ctx, const char *text);

/* How much of what the packs hold is needed, in percent; and no pack without any need. */
uint64_t pb_needed_share(struct repo *repo);
size_t pb_count_sets(struct repo *repo);

#endif
