/*
 * look.h: what fstatat and the extended attributes say of an entry.
 */
#ifndef PLUGINS_FILES_LOOK_H
#define PLUGINS_FILES_LOOK_H

#include <sys/stat.h>

#include "bytes.h"
#include "walk.h"
#include "xattr.h"

/* Fills *st, and appends the extended attributes that the options want, in the form of meta.h, to
 * `xattrs`. *missing: they were left for later. 0 or an errno. A file system that has no attributes
 * has none. */
int look_at(const struct walk_options *options, int dir_fd, const char *base,
            struct xattr_reader *reader, struct stat *st, struct bytes *xattrs,
            int *missing) ORCH_CHECKED;

/* Appends the attributes that were left for later. 0 or an errno. */
int look_at_xattrs(int dir_fd, const char *base, struct xattr_reader *reader,
                   struct bytes *xattrs) ORCH_CHECKED;

#endif
