/*
 * roots.h: the configured roots of a component: the options `paths` and `root`.
 *
 * An object's name is the configured path; the live file is `root` followed by that name.
 */
#ifndef PLUGINS_FILES_ROOTS_H
#define PLUGINS_FILES_ROOTS_H

#include <stddef.h>
#include <stdint.h>

#include <orchestrate/plugin.h>

struct root {
    char *name; /* "/srv/uploads" */
    size_t name_len;
    char *path;       /* the live place: "/tmp/x/srv/uploads" */
    char *parent;     /* the folder it is in; "/" for "/" */
    const char *base; /* its last element, in `path`; "." for "/" */
};

/* Sorted by name; none lies inside another. */
struct roots {
    struct root *items;
    size_t count;
    char *prefix; /* "" or the option `root` without a slash at its end */
};

/* Reads the options; refuses relative and overlapping paths, and none at all. */
int32_t roots_open(struct roots *roots, const struct orch_options *options,
                   struct orch_error *err) ORCH_CHECKED;
/* Points all roots below another place. */
int32_t roots_move(struct roots *roots, const char *prefix, struct orch_error *err) ORCH_CHECKED;
void roots_close(struct roots *roots);

/* The root that holds the sound name `name`, or NULL. */
const struct root *roots_find(const struct roots *roots, const uint8_t *name, size_t len);

/* What follows the root's name and its slash; an empty one for the root itself. */
const uint8_t *roots_relative(const struct root *root, const uint8_t *name, size_t len,
                              size_t *relative_len);

#endif
