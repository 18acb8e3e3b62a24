/*
 * aside.h: the folders below the work folder: what is staged for a run, and old copies.
 *
 *   WORK/stage-RUN8/…       the tree from the part, whole before anything live is touched
 *   WORK/aside/RUN_ID/…     what was live before that run; complete as soon as it has this name
 *   WORK/aside/RUN_ID.part  the same while it is being made
 *
 * Below each, files stand under their full live names.
 */
#ifndef PLUGINS_CONFIG_ASIDE_H
#define PLUGINS_CONFIG_ASIDE_H

#include <orchestrate/plugin.h>

#include "config.h"
#include "files/build.h"

struct aside_paths {
    char *stage;
    char *folder; /* WORK/aside */
    char *aside;
    char *part;
    char run[9];
};

/* Refuses a run id that is no plain hex. */
int32_t aside_paths_open(const struct config *config, const char *run_id, struct aside_paths *paths,
                         struct orch_error *err) ORCH_CHECKED;
void aside_paths_close(struct aside_paths *paths);

/* The same roots below another prefix; `exists` tells whether a copy was made of each. */
int32_t aside_roots(const struct config *config, const char *prefix, struct roots *out,
                    struct orch_error *err) ORCH_CHECKED;

/* An array of targets below `prefix`, one for each of the component's roots, with the folders above
 * them made; for aside_targets_free. */
int32_t aside_targets(const struct config *config, const char *prefix, struct build_target **out,
                      struct orch_error *err) ORCH_CHECKED;
void aside_targets_free(const struct config *config, struct build_target *targets);

/* Copies what is live, unless this run has a copy already. */
int32_t aside_make(const struct config *config, const struct aside_paths *paths,
                   const struct patterns *exclude, struct orch_error *err) ORCH_CHECKED;

/* Removes all but the newest `keep` copies. */
int32_t aside_prune(const struct aside_paths *paths, int64_t keep,
                    struct orch_error *err) ORCH_CHECKED;

#endif
