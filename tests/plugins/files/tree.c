/* tree.c: see tree.h. Failures end the test. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#define ORDINARY 65534

char *tree_scratch(void)
{
    char *path = strdup("/tmp/orch-test-XXXXXX");
    ck_assert_ptr_nonnull(path);
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

static void remove_at(int dir, const char *base)
{
    if (unlinkat(dir, base, 0) == 0) {
        return;
    }
    int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        (void)fchmodat(dir, base, 0700, 0);
        fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) {
        return;
    }
    (void)fchmod(fd, 0700);
    DIR *list = fdopendir(fd);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            remove_at(fd, e->d_name);
        }
    }
    (void)closedir(list);
    (void)unlinkat(dir, base, AT_REMOVEDIR);
}

void tree_remove(const char *path)
{
    remove_at(AT_FDCWD, path);
}

char *tree_join(const char *folder, const char *name)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/%s", folder, name), 0);
    return path;
}

void tree_mkdir(const char *path, unsigned mode)
{
    ck_assert_msg(mkdir(path, mode) == 0, "mkdir %s: %s", path, strerror(errno));
    ck_assert_int_eq(chmod(path, mode), 0);
}

void tree_write(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_msg(fd >= 0, "open %s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    ck_assert_int_eq(close(fd), 0);
}

void tree_text(const char *path, const char *text)
{
    tree_write(path, text, strlen(text));
}

char *tree_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    char *text = calloc(1, 65536);
    ck_assert_ptr_nonnull(text);
    ssize_t n = read(fd, text, 65535);
    (void)close(fd);
    ck_assert_int_ge(n, 0);
    return text;
}

/* -- descriptions -- */

struct seen {
    ino_t ino;
    char *name;
};

struct describing {
    FILE *out;
    struct seen *seen;
    size_t count;
};

static void put_name(FILE *out, const char *name)
{
    for (const unsigned char *p = (const unsigned char *)name; *p != 0; p++) {
        if (*p > 0x20 && *p < 0x7f) {
            (void)fputc(*p, out);
        } else {
            (void)fprintf(out, "\\%02x", *p);
        }
    }
}

static uint64_t hash_content(int fd)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    static unsigned char block[1 << 20];
    static const unsigned char zeros[1 << 20];
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        ck_assert_int_ge(n, 0);
        if (n == 0) {
            return hash;
        }
        if (memcmp(block, zeros, (size_t)n) == 0) {
            hash = (hash ^ (uint64_t)n) * UINT64_C(0x100000001b3);
            continue;
        }
        for (ssize_t i = 0; i < n; i++) {
            hash = (hash ^ block[i]) * UINT64_C(0x100000001b3);
        }
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_xattrs(FILE *out, int dir, const char *base)
{
    char path[400];
    char list[8192];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, base);
    ssize_t len = llistxattr(path, list, sizeof(list));
    if (len <= 0) {
        return;
    }
    char *names[64];
    size_t count = 0;
    for (ssize_t at = 0; at < len && count < 64; at += (ssize_t)strlen(list + at) + 1) {
        names[count++] = list + at;
    }
    qsort(names, count, sizeof(names[0]), by_text);
    for (size_t i = 0; i < count; i++) {
        unsigned char value[4096];
        ssize_t n = lgetxattr(path, names[i], value, sizeof(value));
        (void)fprintf(out, " %s=", names[i]);
        for (ssize_t j = 0; j < n; j++) {
            (void)fprintf(out, "%02x", value[j]);
        }
    }
}

static void put_file(struct describing *d, int dir, const char *base, const char *name,
                     const struct stat *st)
{
    if (st->st_nlink > 1) {
        for (size_t i = 0; i < d->count; i++) {
            if (d->seen[i].ino == st->st_ino) {
                (void)fprintf(d->out, " same as ");
                put_name(d->out, d->seen[i].name);
                return;
            }
        }
        d->seen = reallocarray(d->seen, d->count + 1, sizeof(*d->seen));
        d->seen[d->count++] = (struct seen){st->st_ino, strdup(name)};
    }
    int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    (void)fprintf(d->out, " %lld %016llx", (long long)st->st_size,
                  fd < 0 ? 0ULL : (unsigned long long)hash_content(fd));
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void describe_at(struct describing *d, int dir, const char *base, const char *name)
{
    struct stat st;
    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        (void)fprintf(d->out, "(none)\n");
        return;
    }
    put_name(d->out, name);
    (void)fprintf(d->out, " %o %u:%u %lld.%09ld", st.st_mode, st.st_uid, st.st_gid,
                  (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    if (S_ISREG(st.st_mode)) {
        put_file(d, dir, base, name, &st);
    } else if (S_ISLNK(st.st_mode)) {
        char target[4096];
        ssize_t n = readlinkat(dir, base, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = 0;
        (void)fprintf(d->out, " -> ");
        put_name(d->out, target);
    } else if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) {
        (void)fprintf(d->out, " %u,%u", major(st.st_rdev), minor(st.st_rdev));
    }
    put_xattrs(d->out, dir, base);
    (void)fputc('\n', d->out);
    if (!S_ISDIR(st.st_mode)) {
        return;
    }
    int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    char **names = NULL;
    size_t count = 0;
    for (struct dirent *e = list == NULL ? NULL : readdir(list); e != NULL; e = readdir(list)) {
        int own = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
        if (!own && !(name[0] == 0 && strncmp(e->d_name, ".orch-", 6) == 0)) {
            names = reallocarray(names, count + 1, sizeof(*names));
            names[count++] = strdup(e->d_name);
        }
    }
    if (count > 0) {
        qsort(names, count, sizeof(*names), by_text);
    }
    for (size_t i = 0; i < count; i++) {
        char *child = tree_join(name, names[i]);
        describe_at(d, fd, names[i], child);
        free(child);
        free(names[i]);
    }
    free(names);
    if (list != NULL) {
        (void)closedir(list);
    }
}

char *tree_describe(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    struct describing d = {.out = open_memstream(&text, &size)};
    ck_assert_ptr_nonnull(d.out);
    describe_at(&d, AT_FDCWD, path, "");
    ck_assert_int_eq(fclose(d.out), 0);
    for (size_t i = 0; i < d.count; i++) {
        free(d.seen[i].name);
    }
    free(d.seen);
    return text;
}

void tree_become_ordinary(const char *folder)
{
    if (geteuid() != 0) {
        return;
    }
    ck_assert_int_eq(chown(folder, ORDINARY, ORDINARY), 0);
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setresgid(ORDINARY, ORDINARY, ORDINARY), 0);
    ck_assert_int_eq(setresuid(ORDINARY, ORDINARY, 0), 0); /* the saved id leads back */
}

void tree_become_root_again(void)
{
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 1;
    if (getresuid(&real, &effective, &saved) == 0 && saved == 0 && effective != 0) {
        ck_assert_int_eq(seteuid(0), 0);
    }
}

int tree_count(const char *folder, const char *part)
{
    DIR *list = opendir(folder);
    int count = 0;
    ck_assert_ptr_nonnull(list);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        count += strstr(e->d_name, part) != NULL;
    }
    (void)closedir(list);
    return count;
}
