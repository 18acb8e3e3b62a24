/*
 * swap.h: puts a new file tree in the place of the live one, and keeps the old one aside.
 *
 * Beside:  the new tree is built as a sibling, exchanged with the live one in one step, and the old
 *          one takes its aside name. For a root `uploads` and a run 0123abcd… the names are
 *          .uploads.orch-new-0123abcd, .uploads.orch-aside-0123abcd and
 * .uploads.orch-mark-0123abcd. Inside:  a root that is a mount point, or whose folder may not be
 * written, cannot be renamed. Its children are moved into ROOT/.orch-aside-RUN, then the new ones
 * up from ROOT/.orch-new-RUN. Each move is atomic, the whole is not; it is journalled and a later
 * attempt finishes it.
 *
 * What holds at every instant, so that an attempt of the same run can begin anywhere:
 * - what was live before the run is never removed before swap_settle(ORCH_SETTLE_VERIFIED);
 * - once the aside exists, it holds that original, and what is live is the run's own;
 * - the mark, written before the first exchange, names the original by its inode, so that after a
 *   crash between exchange and renaming it is not taken for a half-made new tree.
 */
#ifndef PLUGINS_VOLUMES_SWAP_H
#define PLUGINS_VOLUMES_SWAP_H

#include <orchestrate/plugin.h>

#include "files/build.h"
#include "files/name.h"
#include "files/roots.h"

struct swap {
    const struct orch_host *host;
    const struct root *root;
    char run[NAME_RUN_LEN + 1];
    int inside;
};

/* Would the live root have to be restored inside? 0 also when there is none. */
int swap_must_be_inside(const struct root *root);

/* Looks at the live place, finishes or clears away what an earlier attempt left, and says where to
 * build. `target->parent` is for free(). */
int32_t swap_prepare(struct swap *swap, const struct orch_host *host, const struct root *root,
                     const char *run_id, struct build_target *target,
                     struct orch_error *err) ORCH_CHECKED;

/* The same with the way of doing it chosen by the caller. */
int32_t swap_prepare_as(struct swap *swap, int inside, struct build_target *target,
                        struct orch_error *err) ORCH_CHECKED;

/* The new tree, root number `index` of the build, is whole: syncs it and makes it live. */
int32_t swap_commit(struct swap *swap, struct build *build, size_t index,
                    struct orch_error *err) ORCH_CHECKED;

/* Removes the aside (verified) or only temporary things (failed). */
int32_t swap_settle(const struct root *root, const char *run_id, uint32_t outcome,
                    struct orch_error *err) ORCH_CHECKED;

/* For swap.c: the inside way. */
int32_t swap_inside_prepare(struct swap *swap, struct build_target *target,
                            struct orch_error *err) ORCH_CHECKED;
int32_t swap_inside_commit(struct swap *swap, struct build *build, size_t index,
                           struct orch_error *err) ORCH_CHECKED;
int32_t swap_inside_settle(const struct root *root, const char *run, uint32_t outcome,
                           struct orch_error *err) ORCH_CHECKED;

#endif
