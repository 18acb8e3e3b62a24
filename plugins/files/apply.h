/*
 * apply.h: puts metadata onto a file that a restore has made.
 *
 * Who may not set an owner or an attribute goes on without, and it is counted; a set-user-id bit is
 * never given to a file whose owner could not be set.
 */
#ifndef PLUGINS_FILES_APPLY_H
#define PLUGINS_FILES_APPLY_H

#include <stdatomic.h>

#include "meta.h"

/* What could not be set for lack of permission or support. Threads share it. */
struct apply_report {
    atomic_ullong owners;
    atomic_ullong xattrs;
};

/* On the open file or folder `fd`. 0, or an errno with the act in *act ("set the mode of"). */
int apply_to_fd(int fd, const struct meta *meta, struct apply_report *report, const char **act);

/* The same on `base` in `dir_fd`, which may be a symbolic link, a device or a fifo. */
int apply_to_name(int dir_fd, const char *base, const struct meta *meta,
                  struct apply_report *report, const char **act);

/* Takes user attributes and ACLs off that `meta` does not have: left by the file that was there, or
 * inherited from a folder's default ACL. What cannot be removed stays. */
void apply_shed_xattrs(int fd, const struct meta *meta);

#endif
