/*
 * look.h: what fstatat and the extended attributes say of an entry.
 */
#ifndef PLUGINS_FILES_LOOK_H
#define PLUGINS_FILES_LOOK_H

#include <sys/stat.h>

#include "bytes.h"
#include "xattr.h"

/* Fills *st, and appends the extended attributes, in the form of meta.h, to `xattrs`; `reader`
 * NULL: they are not asked for. 0 or an errno. A file system that has no attributes has none. */
int look_at(int dir_fd, const char *base, struct xattr_reader *reader, struct stat *st,
            struct bytes *xattrs) ORCH_CHECKED;

#endif
