/*
 * source.h: the backup side: walks the roots, sends each entry as an object, states the facts.
 *
 * A file that changed while it was read is kept as read and noted; one that vanished is noted; one
 * that cannot be read fails the backup, or is noted when asked for. Sockets are left out.
 */
#ifndef PLUGINS_FILES_SOURCE_H
#define PLUGINS_FILES_SOURCE_H

#include <orchestrate/plugin.h>

#include "pattern.h"
#include "roots.h"

struct source {
    const struct orch_host *host;
    const struct roots *roots;
    const struct patterns *exclude;
    int one_file_system;
    int note_unreadable;     /* else: a failure */
    int hard_links;          /* send the second name of a file as a link to the first */
    int special_files;       /* devices and fifos too; else they are left out and noted */
    int skip_temporary;      /* see walk_options */
    uint64_t file_bytes_max; /* 0: no limit; a larger file is a failure */
};

/* Does each root exist, can it be read, and is it no symbolic link? */
int32_t source_probe(const struct source *source, struct orch_probe *probe,
                     struct orch_error *err) ORCH_CHECKED;

int32_t source_backup(const struct source *source, struct orch_error *err) ORCH_CHECKED;

/* A digest over names, inodes, sizes and change times, without reading content: two equal ones mean
 * that nothing changed in between. `hex` has TALLY_HEX_SIZE bytes. */
int32_t source_stamp(const struct source *source, char *hex, struct orch_error *err) ORCH_CHECKED;

#endif
