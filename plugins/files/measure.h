/*
 * measure.h: what live file trees add up to, and copies of them.
 */
#ifndef PLUGINS_FILES_MEASURE_H
#define PLUGINS_FILES_MEASURE_H

#include <orchestrate/plugin.h>

#include "build.h"
#include "pattern.h"
#include "roots.h"
#include "tally.h"

struct measure {
    const struct orch_host *host; /* asked for cancelled() */
    const struct roots *roots;    /* one that is missing adds nothing */
    const struct patterns *exclude;
    int hard_links; /* as in struct source */
    int special_files;
    int skip_temporary;
};

/* Walks and looks, without reading content: the same sums that the backup of the same tree states,
 * also where that noted a folder it could not enter. */
int32_t measure_trees(const struct measure *measure, struct tally_sums *sums,
                      struct orch_error *err) ORCH_CHECKED;

/* Copies the trees, with content and metadata, into a build. Does not finish it. */
int32_t measure_copy(const struct measure *measure, struct build *build,
                     struct orch_error *err) ORCH_CHECKED;

#endif
