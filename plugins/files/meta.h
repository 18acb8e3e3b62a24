/*
 * meta.h: the metadata of one entry of a file tree, and its form in a part (data format 1).
 *
 * Little-endian: version u8 (1), mode u32, uid u32, gid u32, mtime seconds i64, mtime nanoseconds
 * u32, device major u32, device minor u32, then three lengths u32 and the three runs of bytes:
 * target of a symbolic link, name of the object that a hard link shares its file with, extended
 * attributes. An extended attribute is name length u16, value length u32, name, value; they are
 * sorted by name. Bytes behind that are ignored, for later versions to use.
 */
#ifndef PLUGINS_FILES_META_H
#define PLUGINS_FILES_META_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "bytes.h"

#define META_LEN_MAX (1024u * 1024u)

/* Kinds of objects, as shown by `show`. */
#define META_KIND_FILE 'f'
#define META_KIND_FOLDER 'd'
#define META_KIND_SYMLINK 'l'
#define META_KIND_HARD_LINK 'h'
#define META_KIND_BLOCK 'b'
#define META_KIND_CHAR 'c'
#define META_KIND_FIFO 'p'

/* Pointers belong to whoever filled it. */
struct meta {
    uint32_t mode; /* st_mode, with the type */
    uint32_t uid;
    uint32_t gid;
    uint32_t mtime_ns; /* below 1,000,000,000 */
    int64_t mtime_s;
    uint32_t dev_major;
    uint32_t dev_minor;
    const uint8_t *link;
    size_t link_len;
    const uint8_t *hard;
    size_t hard_len;
    const uint8_t *xattrs;
    size_t xattrs_len;
};

/* Mode, owner, mtime and device from `st`; the rest empty. */
void meta_from_stat(struct meta *meta, const struct stat *st);

/* The kind for a mode; 0 for a socket and whatever else is not carried. */
uint32_t meta_kind(uint32_t mode);

/* Replaces the content of `out`. -1: no memory. */
int meta_encode(const struct meta *meta, struct bytes *out) ORCH_CHECKED;

/* Reads and judges hostile bytes. Pointers in `meta` point into `data`. */
int32_t meta_decode(const uint8_t *data, size_t len, uint32_t kind, struct meta *meta,
                    struct orch_error *err) ORCH_CHECKED;

/* Steps through extended attributes: 1 with the next one, 0 at the end, -1 for broken bytes.
 * `name` is not zero-terminated. Start with *at = 0. */
struct meta_xattr {
    const uint8_t *name;
    size_t name_len;
    const uint8_t *value;
    size_t value_len;
};
int meta_xattr_next(const uint8_t *xattrs, size_t len, size_t *at, struct meta_xattr *out);
/* Appends one in that form. -1: no memory or too long. */
int meta_xattr_add(struct bytes *out, const char *name, const void *value,
                   size_t value_len) ORCH_CHECKED;

#endif
