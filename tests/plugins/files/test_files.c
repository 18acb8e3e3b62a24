/* test_files.c: metadata, walks, streams, folders, removal: the shared parts alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "files/bytes.h"
#include "files/dirs.h"
#include "files/erase.h"
#include "files/meta.h"
#include "files/name.h"
#include "files/pattern.h"
#include "files/roots.h"
#include "files/stream.h"
#include "files/walk.h"
#include "rootcase.h"
#include "tree.h"

static void sample_meta(struct bytes *out, struct bytes *xattrs)
{
    ck_assert_int_eq(meta_xattr_add(xattrs, "user.a", "1", 1), 0);
    ck_assert_int_eq(meta_xattr_add(xattrs, "user.b", "", 0), 0);
    struct meta meta = {.mode = S_IFREG | 04755,
                        .uid = 7,
                        .gid = 8,
                        .mtime_s = -5,
                        .mtime_ns = 999999999,
                        .xattrs = xattrs->data,
                        .xattrs_len = xattrs->len};
    ck_assert_int_eq(meta_encode(&meta, out), 0);
}

START_TEST(test_meta_round)
{
    struct bytes coded = {0};
    struct bytes xattrs = {0};
    struct meta meta;
    struct orch_error err = ORCH_ERROR_INIT;
    sample_meta(&coded, &xattrs);
    ck_assert_int_eq(meta_decode(coded.data, coded.len, META_KIND_FILE, &meta, &err), 0);
    ck_assert_uint_eq(meta.mode, S_IFREG | 04755);
    ck_assert_int_eq(meta.mtime_s, -5);
    ck_assert_uint_eq(meta.mtime_ns, 999999999);
    ck_assert_uint_eq(meta.xattrs_len, xattrs.len);
    ck_assert_int_eq(meta_decode(coded.data, coded.len, META_KIND_FOLDER, &meta, &err),
                     ORCH_E_CORRUPT);
    bytes_free(&coded);
    bytes_free(&xattrs);
}
END_TEST

/* Cut anywhere, and with any byte changed, it is read or refused, never read past its end. */
START_TEST(test_meta_hostile)
{
    struct bytes coded = {0};
    struct bytes xattrs = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct meta meta;
    sample_meta(&coded, &xattrs);
    for (size_t len = 0; len < coded.len; len++) {
        uint8_t *copy = malloc(len == 0 ? 1 : len);
        if (len > 0) {
            memcpy(copy, coded.data, len);
        }
        ck_assert_int_ne(meta_decode(copy, len, META_KIND_FILE, &meta, &err), 0);
        free(copy);
    }
    int refused = 0;
    for (size_t i = 0; i < coded.len * 255; i++) {
        uint8_t *copy = malloc(coded.len);
        memcpy(copy, coded.data, coded.len);
        copy[i / 255] = (uint8_t)(copy[i / 255] + 1 + i % 255);
        refused += meta_decode(copy, coded.len, META_KIND_FILE, &meta, &err) != 0;
        free(copy);
    }
    ck_assert_int_gt(refused, 1000);
    bytes_free(&coded);
    bytes_free(&xattrs);
}
END_TEST

struct order {
    struct bytes last;
    int count;
};

static int32_t in_order(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct order *order = ctx;
    (void)err;
    if (order->count++ > 0) {
        ck_assert_int_lt(
            name_compare(order->last.data, order->last.len, entry->name, entry->name_len), 0);
    }
    order->last.len = 0;
    ck_assert_int_eq(bytes_add(&order->last, entry->name, entry->name_len), 0);
    return 0;
}

/* Names from bytes around the slash, and from all over: what a plain sort per folder gets wrong. */
static int random_tree(const char *folder, unsigned *seed, int depth)
{
    static const char near[] = "-.!+/0a~";
    int made = 0;
    int wanted = 3 + rand_r(seed) % 6;
    for (int i = 0; i < wanted; i++) {
        char name[8] = "";
        int len = 1 + rand_r(seed) % 3;
        for (int j = 0; j < len; j++) {
            int c = rand_r(seed) % 4 == 0 ? 1 + rand_r(seed) % 255 : near[rand_r(seed) % 8];
            name[j] = (char)(c == '/' ? 'a' : c);
        }
        char *path = tree_join(folder, name);
        struct stat st;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || lstat(path, &st) == 0) {
            free(path);
            continue;
        }
        made++;
        if (depth > 0 && rand_r(seed) % 2 == 0) {
            tree_mkdir(path, 0755);
            made += random_tree(path, seed, depth - 1);
        } else {
            tree_text(path, "");
        }
        free(path);
    }
    return made;
}

START_TEST(test_walk_order)
{
    static const char *const bases[] = {"r", "r-x", "r.y", "r0"};
    unsigned seed = (unsigned)_i * 7919u + 1;
    char *scratch = tree_scratch();
    const char *paths[4];
    int made = 4;
    for (int i = 0; i < 4; i++) {
        char *path = tree_join(scratch, bases[i]);
        tree_mkdir(path, 0755);
        made += random_tree(path, &seed, 3);
        paths[3 - i] = path;
    }
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(rootcase_open(&roots, paths, 4, "/", &err), 0);
    struct order order = {0};
    struct walk_options options = {.roots = &roots};
    struct walk_visitor visitor = {.ctx = &order, .entry = in_order};
    ck_assert_int_eq(walk_roots(&options, &visitor, &err), 0);
    ck_assert_int_eq(order.count, made);
    bytes_free(&order.last);
    roots_close(&roots);
    for (int i = 0; i < 4; i++) {
        free((char *)(uintptr_t)paths[i]);
    }
    tree_remove(scratch);
    free(scratch);
}
END_TEST

/* What a visitor was told, one behind the other. */
struct told {
    struct bytes text;
    int left; /* entries until the visitor fails; < 0: never */
};

static int32_t tell_entry(void *ctx, const struct walk_entry *entry, struct orch_error *err)
{
    struct told *told = ctx;
    struct stat st;
    if (told->left == 0) {
        return orch_fail(err, ORCH_E_CHANGED, "enough");
    }
    told->left -= told->left > 0;
    ck_assert_int_eq(fstatat(entry->dir_fd, entry->base, &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_uint_eq(st.st_ino, entry->st->st_ino);
    ck_assert_int_eq(bytes_add(&told->text, entry->name, entry->name_len), 0);
    ck_assert_int_eq(bytes_add(&told->text, &entry->st->st_ino, sizeof(entry->st->st_ino)), 0);
    ck_assert_int_eq(bytes_add(&told->text, entry->xattrs, entry->xattrs_len), 0);
    return 0;
}

static int32_t tell_note(void *ctx, uint32_t what, const uint8_t *name, size_t len, int os_errno,
                         struct orch_error *err)
{
    struct told *told = ctx;
    (void)os_errno;
    (void)err;
    ck_assert_int_eq(bytes_add(&told->text, &what, sizeof(what)), 0);
    ck_assert_int_eq(bytes_add(&told->text, name, len), 0);
    return 0;
}

/* With a thread that looks ahead the visitor is told the same, and may stop anywhere. */
START_TEST(test_walk_ahead)
{
    unsigned seed = (unsigned)_i * 104729u + 5;
    char *scratch = tree_scratch();
    char *marked = tree_join(scratch, "marked");
    char *excluded = tree_join(scratch, "x.tmp");
    tree_text(marked, "");
    tree_text(excluded, "");
    int has_xattrs = setxattr(marked, "user.a", "value", 5, 0) == 0;
    int made = 2 + random_tree(scratch, &seed, 4);
    const char *paths[] = {scratch};
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(rootcase_open(&roots, paths, 1, "/", &err), 0);
    const char *const texts[] = {"*.tmp"};
    struct patterns *exclude = NULL;
    ck_assert_int_eq(patterns_new(texts, 1, &exclude, &err), 0);
    struct told plain = {.left = -1};
    struct told ahead = {.left = -1};
    struct walk_options options = {.roots = &roots, .exclude = exclude, .want_xattrs = 1};
    struct walk_visitor visitor = {.ctx = &plain, .entry = tell_entry, .note = tell_note};
    ck_assert_int_eq(walk_roots(&options, &visitor, &err), 0);
    visitor.ctx = &ahead;
    ck_assert_int_eq(walk_roots_ahead(&options, &visitor, &err), 0);
    ck_assert_uint_eq(plain.text.len, ahead.text.len);
    ck_assert_mem_eq(plain.text.data, ahead.text.data, plain.text.len);
    ck_assert(!has_xattrs || memmem(plain.text.data, plain.text.len, "value", 5) != NULL);
    for (int stop = made - 1; stop >= 0; stop -= 1 + stop / 5) {
        ahead.left = stop;
        ahead.text.len = 0;
        ck_assert_int_eq(walk_roots_ahead(&options, &visitor, &err), ORCH_E_CHANGED);
        ck_assert_str_eq(err.message, "enough");
        ck_assert_mem_eq(plain.text.data, ahead.text.data, ahead.text.len);
    }
    bytes_free(&plain.text);
    bytes_free(&ahead.text);
    patterns_free(exclude);
    roots_close(&roots);
    tree_remove(scratch);
    free(excluded);
    free(marked);
    free(scratch);
}
END_TEST

/* A failure of the walk itself comes behind all that was found before it. */
START_TEST(test_walk_ahead_fails)
{
    char *scratch = tree_scratch();
    tree_become_ordinary(scratch);
    char *locked = tree_join(scratch, "locked");
    tree_mkdir(locked, 0000);
    const char *paths[] = {scratch};
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(rootcase_open(&roots, paths, 1, "/", &err), 0);
    struct order order = {0};
    struct walk_options options = {.roots = &roots};
    struct walk_visitor visitor = {.ctx = &order, .entry = in_order};
    ck_assert_int_ne(walk_roots_ahead(&options, &visitor, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.message, "locked"));
    ck_assert_int_eq(order.count, 2);
    bytes_free(&order.last);
    roots_close(&roots);
    tree_become_root_again();
    tree_remove(scratch);
    free(locked);
    free(scratch);
}
END_TEST

/* Pieces and holes of any length, on a disk and (where there is one) in memory. */
START_TEST(test_stream)
{
    static const char *const folders[] = {"/tmp", "/dev/shm"};
    const size_t most = (size_t)7 << 20;
    unsigned seed = (unsigned)_i * 31u + 1;
    uint8_t *expected = calloc(1, most);
    uint8_t *found = malloc(most);
    struct stream stream = {0};
    for (int file = 0; file < 6; file++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s/orchestrate-stream-XXXXXX", folders[_i % 2]);
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        size_t len = 0;
        memset(expected, 0, most);
        ck_assert_int_eq(stream_begin(&stream, fd), 0);
        while (rand_r(&seed) % 12 != 0) {
            size_t unit = rand_r(&seed) % 3 == 0 ? 4096 : 1;
            size_t piece = (size_t)rand_r(&seed) % (((size_t)3 << 20) / unit) * unit;
            piece = piece < most - len ? piece : most - len;
            if (rand_r(&seed) % 3 == 0) {
                ck_assert_int_eq(stream_hole(&stream, piece), 0);
            } else {
                for (size_t i = 0; i < piece; i++) {
                    expected[len + i] = (uint8_t)(rand_r(&seed) >> 4);
                }
                ck_assert_int_eq(stream_write(&stream, expected + len, piece), 0);
            }
            len += piece;
            ck_assert_uint_eq(stream_length(&stream), len);
        }
        ck_assert_int_eq(stream_end(&stream), 0);
        ck_assert_int_eq(pread(fd, found, most, 0), (ssize_t)len);
        ck_assert_int_eq(memcmp(found, expected, len), 0);
        (void)close(fd);
        (void)unlink(path);
    }
    stream_free(&stream);
    free(found);
    free(expected);
}
END_TEST

START_TEST(test_stream_fails)
{
    struct stream stream = {0};
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    uint8_t *data = calloc(1, (size_t)2 << 20);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(stream_begin(&stream, fd), 0);
    ck_assert_int_eq(stream_write(&stream, data, 10), 0);
    ck_assert_int_eq(stream_write(&stream, data, (size_t)2 << 20), ENOSPC);
    stream_free(&stream);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC); /* it stays the caller's */
    (void)close(fd);
    free(data);
}
END_TEST

START_TEST(test_dirs_stay_below)
{
    char *scratch = tree_scratch();
    char *in = tree_join(scratch, "in");
    char *link = tree_join(in, "link");
    tree_mkdir(in, 0755);
    ck_assert_int_eq(symlink("/etc", link), 0);
    struct dirs dirs;
    struct orch_error err = ORCH_ERROR_INIT;
    int fd = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(dirs_open(&dirs, fd, &err), 0);
    ck_assert_int_ne(dirs_seek(&dirs, (const uint8_t *)"link", 4, &err), 0);
    ck_assert_int_eq(dirs_seek(&dirs, (const uint8_t *)"none", 4, &err), ORCH_E_NOT_FOUND);
    ck_assert_int_ne(dirs_seek(&dirs, (const uint8_t *)"a//b", 4, &err), 0);
    dirs_close(&dirs);
    tree_remove(scratch);
    free(link);
    free(in);
    free(scratch);
}
END_TEST

START_TEST(test_erase)
{
    char *scratch = tree_scratch();
    if (_i == 1) {
        tree_become_ordinary(scratch);
    }
    char *victim = tree_join(scratch, "victim");
    char *keep = tree_join(scratch, "keep");
    char *link = tree_join(victim, "link");
    char *locked = tree_join(victim, "locked");
    char *file = tree_join(locked, "file");
    tree_mkdir(victim, 0755);
    tree_mkdir(keep, 0755);
    tree_mkdir(locked, 0700);
    tree_text(file, "x");
    ck_assert_int_eq(symlink(keep, link), 0);
    ck_assert_int_eq(chmod(locked, 0), 0);
    int at = open(victim, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 200; i++) { /* deeper than descriptors stay open */
        ck_assert_int_eq(mkdirat(at, "deep", 0755), 0);
        int next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(at);
        at = next;
    }
    (void)close(at);
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_msg(erase_path(victim, &err) == 0, "%s", err.message);
    ck_assert_int_eq(access(victim, F_OK), -1);
    ck_assert_int_eq(access(keep, F_OK), 0);
    ck_assert_int_eq(erase_path(victim, &err), 0);
    free(file);
    free(locked);
    free(link);
    free(keep);
    free(victim);
    tree_become_root_again();
    tree_remove(scratch);
    free(scratch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_meta_round);
    tcase_add_test(tc, test_meta_hostile);
    tcase_add_loop_test(tc, test_walk_order, 0, 20);
    tcase_add_loop_test(tc, test_walk_ahead, 0, 8);
    tcase_add_test(tc, test_walk_ahead_fails);
    tcase_add_loop_test(tc, test_stream, 0, 8);
    tcase_add_test(tc, test_stream_fails);
    tcase_add_test(tc, test_dirs_stay_below);
    tcase_add_loop_test(tc, test_erase, geteuid() == 0 ? 0 : 1, 2);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK); /* tests that change or end their process */
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
