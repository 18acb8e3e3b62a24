/*
 * xattr.h: extended attributes (and with them POSIX ACLs and file capabilities) by folder and name,
 * without opening the file and without following a link.
 */
#ifndef PLUGINS_FILES_XATTR_H
#define PLUGINS_FILES_XATTR_H

#include "bytes.h"

/* Scratch space for reading; zeroed is ready. */
struct xattr_reader {
    struct bytes list;
    struct bytes names; /* pointers, for sorting */
    struct bytes value;
    int no_list_at; /* the kernel has no listxattrat */
};

/* Appends all attributes of `base` in `dir_fd` to `out`, sorted by name, in the form of meta.h.
 * 0, or an errno. ENOTSUP: the file system has none. */
int xattr_read(struct xattr_reader *reader, int dir_fd, const char *base, struct bytes *out);
void xattr_reader_free(struct xattr_reader *reader);

/* Sets one attribute. `fd` >= 0: on that open file; else on `base` in `dir_fd`, which may be a
 * symbolic link. 0 or an errno. `name` is not zero-terminated. */
int xattr_set(int fd, int dir_fd, const char *base, const uint8_t *name, size_t name_len,
              const void *value, size_t value_len);

#endif
