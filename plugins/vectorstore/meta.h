/*
 * meta.h: what an object of this plugin carries beside its bytes: kind, mode, owner, time, target.
 */
#ifndef VECTORSTORE_META_H
#define VECTORSTORE_META_H

#include "names.h"
#include "tree.h"

#define META_MAX (NAMES_PATH_MAX * 2 + 256)

struct meta {
    uint32_t mode; /* permission bits */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_ns;
    char target[NAMES_PATH_MAX]; /* of a symbolic link, else "" */
};

/* Writes it as zero-terminated text. */
int32_t meta_write(const struct tree_entry *entry, char text[META_MAX],
                   struct orch_error *err) ORCH_CHECKED;

/* ORCH_E_CORRUPT when it is not such a text. */
int32_t meta_read(const uint8_t *text, uint32_t len, struct meta *meta,
                  struct orch_error *err) ORCH_CHECKED;

#endif
