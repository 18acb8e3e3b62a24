/* meta.c: see meta.h. */
#include "meta.h"

#include <string.h>
#include <sys/sysmacros.h>

#define META_VERSION 1u
#define META_FIXED (1u + 4u * 3u + 8u + 4u * 3u + 4u * 3u)
#define LINK_LEN_MAX 4095u

void meta_from_stat(struct meta *meta, const struct stat *st)
{
    *meta = (struct meta){
        .mode = (uint32_t)st->st_mode,
        .uid = (uint32_t)st->st_uid,
        .gid = (uint32_t)st->st_gid,
        .mtime_s = (int64_t)st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
    };
    if (S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode)) {
        meta->dev_major = (uint32_t)major(st->st_rdev);
        meta->dev_minor = (uint32_t)minor(st->st_rdev);
    }
}

uint32_t meta_kind(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return META_KIND_FILE;
    case S_IFDIR:
        return META_KIND_FOLDER;
    case S_IFLNK:
        return META_KIND_SYMLINK;
    case S_IFBLK:
        return META_KIND_BLOCK;
    case S_IFCHR:
        return META_KIND_CHAR;
    case S_IFIFO:
        return META_KIND_FIFO;
    default:
        return 0;
    }
}

static uint8_t *put_le(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
    return at + size;
}

static uint64_t take_le(const uint8_t **at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)(*at)[i] << (8 * i);
    }
    *at += size;
    return value;
}

static uint8_t *put_run(uint8_t *at, const uint8_t *data, size_t len)
{
    if (len > 0) {
        memcpy(at, data, len);
    }
    return at + len;
}

int meta_encode(const struct meta *meta, struct bytes *out)
{
    out->len = 0;
    size_t runs = meta->link_len + meta->hard_len + meta->xattrs_len;
    if (bytes_reserve(out, META_FIXED + runs) != 0) {
        return -1;
    }
    uint8_t *at = out->data;
    at = put_le(at, META_VERSION, 1);
    at = put_le(at, meta->mode, 4);
    at = put_le(at, meta->uid, 4);
    at = put_le(at, meta->gid, 4);
    at = put_le(at, (uint64_t)meta->mtime_s, 8);
    at = put_le(at, meta->mtime_ns, 4);
    at = put_le(at, meta->dev_major, 4);
    at = put_le(at, meta->dev_minor, 4);
    at = put_le(at, meta->link_len, 4);
    at = put_le(at, meta->hard_len, 4);
    at = put_le(at, meta->xattrs_len, 4);
    at = put_run(at, meta->link, meta->link_len);
    at = put_run(at, meta->hard, meta->hard_len);
    (void)put_run(at, meta->xattrs, meta->xattrs_len);
    out->len = META_FIXED + runs;
    return 0;
}

/* What the numbers and runs must be for this kind of object. */
static const char *meta_fault(const struct meta *meta, uint32_t kind)
{
    if (meta->mtime_ns >= 1000000000u) {
        return "the nanoseconds of its time are out of range";
    }
    if (kind == META_KIND_HARD_LINK) {
        return meta->hard_len == 0 ? "a hard link without the name of its file" : NULL;
    }
    if (meta_kind(meta->mode) != kind || kind == 0) {
        return "its mode and its kind differ";
    }
    if (meta->hard_len != 0) {
        return "it names a hard link's file and is none";
    }
    if (kind == META_KIND_SYMLINK) {
        int bad = meta->link_len == 0 || meta->link_len > LINK_LEN_MAX ||
                  memchr(meta->link, 0, meta->link_len) != NULL;
        return bad ? "a symbolic link without a sound target" : NULL;
    }
    return meta->link_len != 0 ? "it has a link target and is no symbolic link" : NULL;
}

int32_t meta_decode(const uint8_t *data, size_t len, uint32_t kind, struct meta *meta,
                    struct orch_error *err)
{
    *meta = (struct meta){0};
    if (data == NULL || len < META_FIXED) {
        return orch_fail(err, ORCH_E_CORRUPT, "its metadata are cut short");
    }
    const uint8_t *at = data;
    uint64_t version = take_le(&at, 1);
    if (version != META_VERSION) {
        return orch_fail(err, ORCH_E_VERSION, "its metadata are of version %u, not %u",
                         (unsigned)version, META_VERSION);
    }
    meta->mode = (uint32_t)take_le(&at, 4);
    meta->uid = (uint32_t)take_le(&at, 4);
    meta->gid = (uint32_t)take_le(&at, 4);
    meta->mtime_s = (int64_t)take_le(&at, 8);
    meta->mtime_ns = (uint32_t)take_le(&at, 4);
    meta->dev_major = (uint32_t)take_le(&at, 4);
    meta->dev_minor = (uint32_t)take_le(&at, 4);
    meta->link_len = (size_t)take_le(&at, 4);
    meta->hard_len = (size_t)take_le(&at, 4);
    meta->xattrs_len = (size_t)take_le(&at, 4);
    size_t left = len - META_FIXED;
    if (meta->link_len > left || meta->hard_len > left - meta->link_len ||
        meta->xattrs_len > left - meta->link_len - meta->hard_len) {
        return orch_fail(err, ORCH_E_CORRUPT, "its metadata are cut short");
    }
    meta->link = at;
    meta->hard = at + meta->link_len;
    meta->xattrs = meta->hard + meta->hard_len;
    const char *fault = meta_fault(meta, kind);
    if (fault != NULL) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s", fault);
    }
    size_t position = 0;
    struct meta_xattr ignored;
    int step = 0;
    do {
        step = meta_xattr_next(meta->xattrs, meta->xattrs_len, &position, &ignored);
    } while (step > 0);
    if (step < 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "its extended attributes are malformed");
    }
    return ORCH_OK;
}

int meta_xattr_next(const uint8_t *xattrs, size_t len, size_t *at, struct meta_xattr *out)
{
    if (*at == len) {
        return 0;
    }
    if (len - *at < 6) {
        return -1;
    }
    const uint8_t *p = xattrs + *at;
    out->name_len = (size_t)take_le(&p, 2);
    out->value_len = (size_t)take_le(&p, 4);
    size_t left = len - *at - 6;
    if (out->name_len == 0 || out->name_len > 255 || out->name_len > left ||
        out->value_len > left - out->name_len || memchr(p, 0, out->name_len) != NULL) {
        return -1;
    }
    out->name = p;
    out->value = p + out->name_len;
    *at += 6 + out->name_len + out->value_len;
    return 1;
}

int meta_xattr_add(struct bytes *out, const char *name, const void *value, size_t value_len)
{
    size_t name_len = strlen(name);
    uint8_t head[6];
    if (name_len > 255 || value_len > UINT32_MAX) {
        return -1;
    }
    (void)put_le(put_le(head, name_len, 2), value_len, 4);
    if (bytes_add(out, head, sizeof(head)) != 0 || bytes_add(out, name, name_len) != 0 ||
        bytes_add(out, value, value_len) != 0) {
        return -1;
    }
    return 0;
}
