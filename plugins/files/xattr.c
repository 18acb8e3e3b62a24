/*
 * xattr.c: see xattr.h.
 *
 * Linux 6.13 has listxattrat. Where it lacks, /proc/self/fd/N/NAME names the same thing, at three
 * times the price, which is felt when a tree of files has not changed.
 */
#include "xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "meta.h"

#define PROC_PATH_MAX 320

/* The number is the same on all architectures but alpha; the C library may be older than it. */
#if defined(SYS_listxattrat)
#define LISTXATTRAT SYS_listxattrat
#elif defined(__x86_64__) || defined(__aarch64__) || defined(__riscv)
#define LISTXATTRAT 465
#endif

static void proc_path(char out[PROC_PATH_MAX], int dir_fd, const char *base)
{
    (void)snprintf(out, PROC_PATH_MAX, "/proc/self/fd/%d/%s", dir_fd, base);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* As llistxattr(2). What a kernel or a filter of system calls does not know is not tried again. */
static ssize_t list_at(struct xattr_reader *reader, int dir_fd, const char *base)
{
#ifdef LISTXATTRAT
    if (!reader->no_list_at) {
        long n = syscall(LISTXATTRAT, dir_fd, base, AT_SYMLINK_NOFOLLOW, reader->list.data,
                         reader->list.cap);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return n;
        }
        reader->no_list_at = 1;
    }
#endif
    char path[PROC_PATH_MAX];
    proc_path(path, dir_fd, base);
    return llistxattr(path, (char *)reader->list.data, reader->list.cap);
}

/* Lists the names, zero-terminated, into reader->list. 0 or an errno. */
static int list_names(struct xattr_reader *reader, int dir_fd, const char *base)
{
    if (bytes_reserve(&reader->list, 1024) != 0) {
        return ENOMEM;
    }
    for (;;) {
        ssize_t n = list_at(reader, dir_fd, base);
        if (n >= 0) {
            reader->list.len = (size_t)n;
            return 0;
        }
        if (errno != ERANGE || reader->list.cap >= 1024 * 1024) {
            return errno;
        }
        reader->list.len = reader->list.cap;
        if (bytes_reserve(&reader->list, reader->list.cap) != 0) {
            return ENOMEM;
        }
        reader->list.len = 0;
    }
}

/* Reads one value into reader->value. 0 or an errno; ENODATA: it has gone meanwhile. */
static int read_value(struct xattr_reader *reader, const char *path, const char *name)
{
    reader->value.len = 0;
    if (bytes_reserve(&reader->value, 65536) != 0) {
        return ENOMEM;
    }
    ssize_t n = lgetxattr(path, name, reader->value.data, reader->value.cap);
    if (n < 0) {
        return errno;
    }
    reader->value.len = (size_t)n;
    return 0;
}

int xattr_read(struct xattr_reader *reader, int dir_fd, const char *base, struct bytes *out)
{
    int error = list_names(reader, dir_fd, base);
    if (error != 0 || reader->list.len == 0) {
        return error;
    }
    char path[PROC_PATH_MAX];
    proc_path(path, dir_fd, base);
    reader->names.len = 0;
    for (size_t at = 0; at < reader->list.len;) {
        const char *name = (const char *)reader->list.data + at;
        if (bytes_add(&reader->names, &name, sizeof(name)) != 0) {
            return ENOMEM;
        }
        at += strlen(name) + 1;
    }
    const char **names = (const char **)(void *)reader->names.data;
    size_t count = reader->names.len / sizeof(*names);
    qsort(names, count, sizeof(*names), by_text);
    for (size_t i = 0; i < count; i++) {
        error = read_value(reader, path, names[i]);
        if (error == ENODATA) {
            continue;
        }
        if (error != 0) {
            return error;
        }
        if (meta_xattr_add(out, names[i], reader->value.data, reader->value.len) != 0) {
            return ENOMEM;
        }
    }
    return 0;
}

void xattr_reader_free(struct xattr_reader *reader)
{
    bytes_free(&reader->list);
    bytes_free(&reader->names);
    bytes_free(&reader->value);
}

int xattr_set(int fd, int dir_fd, const char *base, const uint8_t *name, size_t name_len,
              const void *value, size_t value_len)
{
    char text[256];
    if (name_len >= sizeof(text)) {
        return ENAMETOOLONG;
    }
    memcpy(text, name, name_len);
    text[name_len] = 0;
    int rc = 0;
    if (fd >= 0) {
        rc = fsetxattr(fd, text, value, value_len, 0);
    } else {
        char path[PROC_PATH_MAX];
        proc_path(path, dir_fd, base);
        rc = lsetxattr(path, text, value, value_len, 0);
    }
    return rc == 0 ? 0 : errno;
}
