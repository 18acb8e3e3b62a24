/*
 * install.h: makes a live tree look like a prepared one, entry by entry.
 *
 * Each file is written beside its place, synced and renamed over it, so that whoever reads it finds
 * the old or the new one. What the prepared tree does not have is removed, but excluded entries,
 * devices, fifos and sockets stay. Doing it twice is the same as once.
 */
#ifndef PLUGINS_CONFIG_INSTALL_H
#define PLUGINS_CONFIG_INSTALL_H

#include <orchestrate/plugin.h>

#include "files/apply.h"
#include "files/pattern.h"
#include "files/roots.h"

struct install {
    const struct orch_host *host;
    const struct root *from;        /* the prepared tree; may be missing: then the live one goes */
    const struct root *to;          /* the live one, of the same name */
    const struct patterns *exclude; /* of the backup */
    const char *run;                /* 8 hex digits, for temporary names */
    struct apply_report *report;
};

int32_t install_root(const struct install *install, struct orch_error *err) ORCH_CHECKED;

#endif
