/*
 * dirs.h: open folders below a base, found one from another without following links: a path may be
 * of any depth, and no element of it can lead outside.
 *
 * Paths are relative, without a slash at either end; "" is the base.
 */
#ifndef PLUGINS_FILES_DIRS_H
#define PLUGINS_FILES_DIRS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bytes.h"

/* An open folder that threads share; it closes with its last holder. */
struct dir_ref {
    atomic_int holders;
    int fd;
};

struct dir_frame {
    struct dir_ref *ref; /* NULL: closed for now */
    dev_t dev;
    ino_t ino;
    size_t path_len;
};

struct dirs {
    struct dir_frame *frames; /* the base first */
    size_t depth;
    size_t capacity;
    struct bytes path; /* of the deepest */
};

/* Takes over `base_fd`, also on failure. */
int32_t dirs_open(struct dirs *dirs, int base_fd, struct orch_error *err) ORCH_CHECKED;
/* Makes `path` the deepest folder. ORCH_E_NOT_FOUND: there is none. */
int32_t dirs_seek(struct dirs *dirs, const uint8_t *path, size_t len,
                  struct orch_error *err) ORCH_CHECKED;
/* The descriptor of the deepest folder, valid until the next seek. */
int dirs_fd(const struct dirs *dirs);
/* Its reference, to hold beyond that; drop it afterwards. */
struct dir_ref *dirs_hold(const struct dirs *dirs);
/* Takes `*fd` over, which becomes -1. NULL: no memory; then it stays. */
struct dir_ref *dir_ref_new(int *fd);
struct dir_ref *dir_ref_hold(struct dir_ref *ref);
void dir_ref_drop(struct dir_ref *ref); /* NULL is allowed */
void dirs_close(struct dirs *dirs);

/* Where the last element of a path begins: 0 when it is the only one. The folder before it has
 * max(0, that - 1) bytes. */
size_t dirs_base_at(const uint8_t *path, size_t len);

#endif
