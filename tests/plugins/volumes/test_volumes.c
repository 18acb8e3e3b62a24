/* test_volumes.c: the volumes plugin through the host in one process: backup and restore of trees.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "harness.h"
#include "tree.h"

#define RUN "0123456789abcdef0123456789abcdef"
#define OTHER_RUN "fedcba9876543210fedcba9876543210"

static char *scratch;
static char *data; /* SCRATCH/data, the volume */
static char *work;
static struct harness *host;
static struct orch_error err;

static void must(int32_t rc)
{
    ck_assert_msg(rc == 0, "%d: %s", rc, err.message);
}

static void open_with(const char *paths)
{
    must(harness_load(PLUGIN_PATH, &host, &err));
    harness_work_dir(host, work);
    must(harness_option(host, "paths", paths, &err));
}

static void setup(void)
{
    scratch = tree_scratch();
    data = tree_join(scratch, "data");
    work = tree_join(scratch, "work");
    host = NULL;
    memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
    harness_free(host);
    tree_become_root_again();
    tree_remove(scratch);
    free(scratch);
    free(data);
    free(work);
}

/* A path below the volume, in one of a few static buffers. */
static const char *at(const char *name)
{
    static char paths[8][PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, PATH_MAX, "%s/%s", data, name);
    return path;
}

static void set_time(const char *path, long s, long ns)
{
    struct timespec times[2] = {{.tv_sec = s, .tv_nsec = ns}, {.tv_sec = s, .tv_nsec = ns}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void set_acl(const char *path, int is_default)
{
    /* version 2; user:: rw, user:4242 r, group:: r, mask r, other - */
    static const unsigned char acl[] = {
        2, 0,    0,    0,    0x01, 0,    6,    0, 0xff, 0xff, 0xff, 0xff, 2,    0,    4,
        0, 0x92, 0x10, 0,    0,    4,    0,    4, 0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,
        4, 0,    0xff, 0xff, 0xff, 0xff, 0x20, 0, 0,    0,    0xff, 0xff, 0xff, 0xff};
    const char *name = is_default ? "system.posix_acl_default" : "system.posix_acl_access";
    ck_assert_msg(setxattr(path, name, acl, sizeof(acl), 0) == 0, "ACL on %s: %s", path,
                  strerror(errno));
}

/* Every kind of entry that an ordinary user can make. */
static void make_common(void)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = 0;
    tree_mkdir(data, 0755);
    tree_mkdir(at("a"), 0750);
    tree_mkdir(at("a/empty"), 0700);
    tree_mkdir(at("locked"), 0755);
    tree_text(at("a/file"), "hello");
    tree_text(at("a-b"), "sorts between a and a/file");
    tree_text(at("empty"), "");
    tree_text(at(longest), "255 bytes of name");
    tree_text(at("new\nline \xff\xfe"), "any byte");
    tree_text(at("locked/inner"), "in a read-only folder");
    ck_assert_int_eq(symlink("../outside/nowhere", at("link")), 0);
    ck_assert_int_eq(symlink("\xff\n", at("a/odd-link")), 0);
    ck_assert_int_eq(link(at("a/file"), at("z-second")), 0);
    ck_assert_int_eq(link(at("a/file"), at("a/empty/third")), 0);
    ck_assert_int_eq(mkfifo(at("fifo"), 0640), 0);
    ck_assert_int_eq(setxattr(at("empty"), "user.note", "some\0bytes", 10, 0), 0);
    ck_assert_int_eq(setxattr(at("a"), "user.on-folder", "", 0, 0), 0);
    set_acl(at("a-b"), 0);
    set_acl(at("a/empty"), 1);
    ck_assert_int_eq(chmod(at("a/file"), 04711), 0);
    ck_assert_int_eq(chmod(at("locked"), 0555), 0);
    set_time(at("a/file"), 1000000000, 123456789);
    set_time(at("link"), -100, 5);
    set_time(at("fifo"), 5, 0);
    set_time(at("locked"), 77, 77);
    set_time(at("a"), 1234567, 1);
    set_time(data, 99999, 999999999);
}

static void make_for_root(void)
{
    static const unsigned char capability[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    tree_text(at("owned"), "somebody's");
    ck_assert_int_eq(chown(at("owned"), 1234, 4321), 0);
    ck_assert_int_eq(lchown(at("link"), 11, 22), 0);
    ck_assert_int_eq(chown(at("a"), 33, 44), 0);
    ck_assert_int_eq(mknod(at("null"), S_IFCHR | 0666, makedev(1, 3)), 0);
    ck_assert_int_eq(mknod(at("block"), S_IFBLK | 0600, makedev(7, 250)), 0);
    ck_assert_int_eq(
        setxattr(at("owned"), "security.capability", capability, sizeof(capability), 0), 0);
    ck_assert_int_eq(setxattr(at("owned"), "trusted.secret", "t", 1, 0), 0);
    set_time(at("a"), 1234567, 1);
    set_time(data, 99999, 999999999);
}

static int fact_count(const char *fact)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "\"%s\":{\"count\":", fact);
    const char *facts = harness_facts(host);
    const char *hit = strstr(facts, key);
    return hit == NULL ? 0 : atoi(hit + strlen(key));
}

static void backup(int incremental)
{
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    must(harness_backup(host, incremental, &probe, &freeze, &err));
}

static void restore_whole(const char *run)
{
    must(harness_check(host, run, &err));
    ck_assert_msg(harness_worst(host) != ORCH_VERDICT_REFUSE, "check refused");
    must(harness_restore(host, run, 1, &err));
    must(harness_verify(host, run, &err));
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(host, &count);
    ck_assert_msg(harness_worst(host) != ORCH_VERDICT_REFUSE, "verify: %s",
                  count > 0 ? verdicts[0].message : "");
    must(harness_settle(host, run, ORCH_SETTLE_VERIFIED, &err));
}

/* The harness forgets the facts with the instance; a part keeps them. */
static void reopen(void)
{
    char *facts = strdup(harness_facts(host));
    harness_close(host);
    must(harness_open(host, &err));
    harness_set_facts(host, facts);
    free(facts);
}

static void wipe(void)
{
    tree_remove(data);
    ck_assert_int_eq(access(data, F_OK), -1);
}

/* -- whole trees -- */

/* 0: as root; 1: as an ordinary user; 2: the same, not dumpable, as a worker is. */
START_TEST(test_all_kinds)
{
    open_with(data);
    if (_i > 0) {
        tree_become_ordinary(scratch);
    }
    if (_i == 2) {
        ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 0), 0);
    }
    make_common();
    if (_i == 0) {
        make_for_root();
    }
    char *before = tree_describe(data);
    must(harness_open(host, &err));
    backup(0);
    wipe();
    restore_whole(RUN);
    char *after = tree_describe(data);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(tree_count(scratch, "orch-"), 0);
    free(before);
    free(after);
}
END_TEST

START_TEST(test_over_live)
{
    open_with(data);
    if (_i > 0) {
        tree_become_ordinary(scratch);
    }
    make_common();
    char *before = tree_describe(data);
    must(harness_open(host, &err));
    backup(0);
    tree_text(at("a/file"), "changed");
    tree_text(at("later"), "not in the backup");
    ck_assert_int_eq(unlink(at("empty")), 0);
    must(harness_restore(host, RUN, 1, &err));
    ck_assert_int_eq(tree_count(scratch, ".data.orch-aside-01234567"), 1);
    ck_assert_ptr_nonnull(strstr(harness_journal(host), ".data.orch-aside-01234567"));
    must(harness_verify(host, RUN, &err));
    ck_assert_uint_ne(harness_worst(host), ORCH_VERDICT_REFUSE);
    must(harness_settle(host, RUN, ORCH_SETTLE_VERIFIED, &err));
    char *after = tree_describe(data);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(tree_count(scratch, "orch-"), 0);
    free(before);
    free(after);
}
END_TEST

/* A set taken as root comes back for an ordinary user as far as that goes, and says so. */
START_TEST(test_root_set_as_ordinary)
{
    open_with(data);
    tree_mkdir(data, 0755);
    tree_text(at("owned"), "x");
    ck_assert_int_eq(chown(at("owned"), 1234, 4321), 0);
    ck_assert_int_eq(chmod(at("owned"), 06755), 0);
    must(harness_open(host, &err));
    backup(0);
    wipe();
    tree_become_ordinary(scratch);
    restore_whole(RUN);
    ck_assert_uint_eq(harness_worst(host), ORCH_VERDICT_WARN);
    struct stat st;
    ck_assert_int_eq(stat(at("owned"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0755); /* no set-id bits for another owner */
}
END_TEST

START_TEST(test_devices_need_root)
{
    open_with(data);
    tree_mkdir(data, 0755);
    ck_assert_int_eq(mknod(at("null"), S_IFCHR | 0666, makedev(1, 3)), 0);
    must(harness_open(host, &err));
    backup(0);
    tree_become_ordinary(scratch);
    must(harness_check(host, RUN, &err));
    ck_assert_uint_eq(harness_worst(host), ORCH_VERDICT_REFUSE);
}
END_TEST

START_TEST(test_single_file_root)
{
    char *file = tree_join(scratch, "one.db");
    open_with(file);
    tree_text(file, "the file itself");
    ck_assert_int_eq(chmod(file, 0604), 0);
    char *before = tree_describe(file);
    must(harness_open(host, &err));
    backup(0);
    tree_text(file, "other");
    restore_whole(RUN);
    char *after = tree_describe(file);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(unlink(file), 0);
    restore_whole(OTHER_RUN);
    free(after);
    after = tree_describe(file);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    free(file);
}
END_TEST

/* Roots whose names interleave, one in a folder that is gone as well. */
START_TEST(test_many_roots)
{
    static const char *const names[] = {"data", "data-x", "deep/er/root", "data.y"};
    char paths[4 * PATH_MAX] = "";
    for (int i = 0; i < 4; i++) {
        (void)snprintf(paths + strlen(paths), PATH_MAX, "%s%s/%s", i > 0 ? "," : "", scratch,
                       names[i]);
    }
    open_with(paths);
    char *deep = tree_join(scratch, "deep");
    char *er = tree_join(scratch, "deep/er");
    tree_mkdir(deep, 0755);
    tree_mkdir(er, 0755);
    char *before[4];
    for (int i = 0; i < 4; i++) {
        char *root = tree_join(scratch, names[i]);
        char *file = tree_join(root, "file");
        tree_mkdir(root, 0755);
        tree_text(file, names[i]);
        before[i] = tree_describe(root);
        free(root);
        free(file);
    }
    must(harness_open(host, &err));
    backup(0);
    for (int i = 0; i < 4; i++) {
        char *root = tree_join(scratch, names[i]);
        tree_remove(root);
        free(root);
    }
    tree_remove(deep);
    restore_whole(RUN);
    for (int i = 0; i < 4; i++) {
        char *root = tree_join(scratch, names[i]);
        char *after = tree_describe(root);
        ck_assert_str_eq(before[i], after);
        free(root);
        free(after);
        free(before[i]);
    }
    free(deep);
    free(er);
}
END_TEST

START_TEST(test_other_place)
{
    make_common();
    open_with(data);
    char *before = tree_describe(data);
    must(harness_open(host, &err));
    backup(0);
    char *place = tree_join(scratch, "elsewhere");
    must(harness_option(host, "root", place, &err));
    reopen();
    restore_whole(RUN);
    char *there = tree_join(place, data + 1);
    char *after = tree_describe(there);
    ck_assert_str_eq(before, after);
    free(after);
    after = tree_describe(data);
    ck_assert_str_eq(before, after); /* the live one was not touched */
    free(after);
    free(before);
    free(there);
    free(place);
}
END_TEST

/* Deeper than a path can be said in one call, and than descriptors stay open. */
START_TEST(test_deep)
{
    char element[101];
    memset(element, 'd', 100);
    element[100] = 0;
    tree_mkdir(data, 0755);
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(mkdirat(fd, element, 0755), 0);
        /* An entry before and one behind each descent. */
        ck_assert_int_eq(mkdirat(fd, "a", 0711), 0);
        int file = openat(fd, "z", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_eq(write(file, &i, sizeof(i)), sizeof(i));
        (void)close(file);
        int next = openat(fd, element, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(next, 0);
        (void)close(fd);
        fd = next;
    }
    (void)close(fd);
    char *before = tree_describe(data);
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    restore_whole(RUN);
    char *after = tree_describe(data);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* 1 GiB with three islands of data: little is read, and all is where it was. (That holes come back
 * as holes is a test of build.h: this host delivers them as zeros.) */
START_TEST(test_sparse)
{
    static const off_t places[] = {0, 300 * 1024 * 1024 + 12345, 1024 * 1024 * 1024 - 5000};
    tree_mkdir(data, 0755);
    int fd = open(at("sparse"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, (off_t)1024 * 1024 * 1024), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pwrite(fd, "island", 6, places[i]), 6);
    }
    (void)close(fd);
    fd = open(at("only-hole"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, 10 * 1024 * 1024 + 1), 0);
    (void)close(fd);
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    const struct harness_item *item = harness_find(host, at("sparse"));
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->data_len, UINT64_C(1024) * 1024 * 1024);
    ck_assert_uint_gt(item->hole_bytes, UINT64_C(1023) * 1024 * 1024);
    wipe();
    restore_whole(RUN);
    struct stat st;
    ck_assert_int_eq(stat(at("sparse"), &st), 0);
    ck_assert_int_eq(st.st_size, 1024 * 1024 * 1024);
    fd = open(at("sparse"), O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        char got[8] = "";
        ck_assert_int_eq(pread(fd, got, 6, places[i]), 6);
        ck_assert_str_eq(got, "island");
    }
    (void)close(fd);
    ck_assert_int_eq(stat(at("only-hole"), &st), 0);
    ck_assert_int_eq(st.st_size, 10 * 1024 * 1024 + 1);
}
END_TEST

/* Sizes around what is buffered, and larger than a block. */
START_TEST(test_sizes)
{
    static const size_t sizes[] = {1, 4095, 262143, 262144, 262145, 1048576, 1048577, 5000000};
    unsigned char *bytes = malloc(5000000);
    for (size_t i = 0; i < 5000000; i++) {
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    }
    tree_mkdir(data, 0755);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%zu", sizes[i]);
        tree_write(at(name), bytes, sizes[i]);
    }
    free(bytes);
    char *before = tree_describe(data);
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    wipe();
    restore_whole(RUN);
    char *after = tree_describe(data);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* -- what a backup notes -- */

START_TEST(test_incremental)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    uint64_t all = 0;
    uint64_t kept = 0;
    tree_text(at("empty"), "no longer");
    backup(1);
    (void)harness_items(host, &all);
    const struct harness_item *items = harness_items(host, &all);
    for (uint64_t i = 0; i < all; i++) {
        int is_changed = memcmp(items[i].object.name, at("empty"), items[i].object.name_len) == 0;
        if (items[i].object.kind == 'f') {
            ck_assert_int_eq(items[i].unchanged, !is_changed);
            kept += (uint64_t)items[i].unchanged;
        }
    }
    ck_assert_uint_ge(kept, 5);
    char *before = tree_describe(data);
    wipe();
    restore_whole(RUN);
    char *after = tree_describe(data);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* An ordinary user may look at a file of mode 0 but not open it: unchanged, it is not opened. */
START_TEST(test_unchanged_is_not_opened)
{
    open_with(data);
    tree_become_ordinary(scratch);
    tree_mkdir(data, 0755);
    tree_text(at("a"), "first");
    tree_text(at("b"), "second");
    ck_assert_int_eq(chmod(at("b"), 0), 0);
    must(harness_open(host, &err));
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    ck_assert_int_eq(harness_backup(host, 0, &probe, &freeze, &err), ORCH_E_ACCESS);
    ck_assert_ptr_nonnull(strstr(err.message, at("b")));
    /* Neither a nor b has its times or its change time moved by what follows. */
    struct stat before;
    struct stat after;
    ck_assert_int_eq(chmod(at("b"), 0400), 0);
    set_time(at("a"), 1000, 0);
    backup(0);
    ck_assert_int_eq(stat(at("a"), &before), 0);
    backup(1);
    ck_assert_int_eq(stat(at("a"), &after), 0);
    ck_assert_int_eq(before.st_atim.tv_sec, after.st_atim.tv_sec);
    ck_assert_int_eq(harness_find(host, at("b"))->unchanged, 1);
}
END_TEST

START_TEST(test_unreadable_noted)
{
    open_with(data);
    tree_become_ordinary(scratch);
    tree_mkdir(data, 0755);
    tree_mkdir(at("closed"), 0700);
    tree_text(at("closed/in"), "x");
    tree_text(at("a"), "x");
    tree_text(at("no"), "x");
    ck_assert_int_eq(chmod(at("no"), 0), 0);
    ck_assert_int_eq(chmod(at("closed"), 0), 0);
    must(harness_option(host, "on_unreadable", "note", &err));
    must(harness_open(host, &err));
    backup(0);
    ck_assert_int_eq(fact_count("unreadable"), 2);
    ck_assert_ptr_null(harness_find(host, at("no")));
    ck_assert_ptr_nonnull(harness_find(host, at("a")));
}
END_TEST

static const struct exclude_case {
    const char *patterns;
    const char *gone[4];
    const char *kept[4];
} exclude_cases[] = {
    {"*.tmp", {"x.tmp", "d/y.tmp"}, {"d", "keep"}},
    {"/d", {"d", "d/y.tmp", "d/d/z"}, {"e/d", "keep"}},
    {"d/", {"d", "d/d/z"}, {"keep", "e/d"}}, /* e/d is a file */
    {"/d/*", {"d/y.tmp", "d/d", "d/d/z"}, {"d", "keep"}},
    {"**/z,keep", {"d/d/z", "keep"}, {"d/d", "x.tmp"}},
    {"[xk]*", {"x.tmp", "keep"}, {"d/y.tmp"}},
};

START_TEST(test_excludes)
{
    const struct exclude_case *c = &exclude_cases[_i];
    tree_mkdir(data, 0755);
    tree_mkdir(at("d"), 0755);
    tree_mkdir(at("d/d"), 0755);
    tree_mkdir(at("e"), 0755);
    tree_text(at("e/d"), "");
    tree_text(at("d/d/z"), "");
    tree_text(at("d/y.tmp"), "");
    tree_text(at("x.tmp"), "");
    tree_text(at("keep"), "");
    open_with(data);
    must(harness_option(host, "exclude", c->patterns, &err));
    must(harness_open(host, &err));
    backup(0);
    for (int i = 0; i < 4; i++) {
        if (c->gone[i] != NULL) {
            ck_assert_msg(harness_find(host, at(c->gone[i])) == NULL, "%s", c->gone[i]);
        }
        if (c->kept[i] != NULL) {
            ck_assert_msg(harness_find(host, at(c->kept[i])) != NULL, "%s", c->kept[i]);
        }
    }
    ck_assert_int_gt(fact_count("excluded"), 0);
    must(harness_check(host, RUN, &err));
    ck_assert_uint_eq(harness_worst(host), ORCH_VERDICT_WARN);
    restore_whole(RUN);
}
END_TEST

START_TEST(test_socket_noted)
{
    tree_mkdir(data, 0755);
    tree_text(at("file"), "x");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", at("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    ck_assert_int_eq(fact_count("sockets_skipped"), 1);
    (void)close(fd);
}
END_TEST

/* The host's cancelled() is asked in between: it is where this test appends to the file. */
static const struct orch_host *real_host;
static struct orch_host meddling;
static int (*meddle)(void);

static int32_t meddling_cancelled(void *ctx)
{
    return meddle != NULL && meddle() != 0 ? 1 : real_host->cancelled(ctx);
}

static int meddled;

static int append_once(void)
{
    struct stat st;
    if (!meddled && stat(at("log"), &st) == 0 && st.st_size > 0) {
        meddled = 1;
        int fd = open(at("log"), O_WRONLY | O_APPEND | O_CLOEXEC);
        ck_assert_int_eq(write(fd, "more", 4), 4);
        (void)close(fd);
    }
    return 0;
}

static int truncate_once(void)
{
    if (!meddled) {
        meddled = 1;
        ck_assert_int_eq(truncate(at("log"), 1500000), 0);
    }
    return 0;
}

static int vanish_once(void)
{
    if (!meddled) {
        meddled = 1;
        ck_assert_int_eq(unlink(at("log")), 0);
    }
    return 0;
}

/* Runs a backup with the plugin's own descriptor and a host whose cancelled() meddles at the
 * `skip`th time it is asked. Objects go to the harness as always. */
static int skip;
static int (*meddle_then)(void);

static int meddle_later(void)
{
    return skip-- == 0 ? meddle_then() : 0;
}

static void note_capture(void *ctx, uint32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

struct capture {
    uint64_t objects;
    uint64_t bytes;
    char changed[512];
    char vanished[512];
};

static int32_t cap_object(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                          struct orch_error *e)
{
    (void)object;
    (void)e;
    ((struct capture *)ctx)->objects++;
    if (unchanged != NULL) {
        *unchanged = 0;
    }
    return 0;
}

static unsigned char cap_space[1 << 20];

static int32_t cap_reserve(void *ctx, uint64_t want, void **space, uint64_t *len,
                           struct orch_error *e)
{
    (void)ctx;
    (void)e;
    *space = cap_space;
    *len = want == 0 || want > sizeof(cap_space) ? sizeof(cap_space) : want;
    return 0;
}

static int32_t cap_commit(void *ctx, uint64_t len, struct orch_error *e)
{
    (void)e;
    ((struct capture *)ctx)->bytes += len;
    return 0;
}

static int32_t cap_hole(void *ctx, uint64_t len, struct orch_error *e)
{
    return cap_commit(ctx, len, e);
}

static int32_t cap_end(void *ctx, struct orch_error *e)
{
    (void)ctx;
    (void)e;
    return 0;
}

static int32_t cap_fact(void *ctx, const char *name, const char *json, struct orch_error *e)
{
    struct capture *capture = ctx;
    (void)e;
    if (strcmp(name, "changed_while_read") == 0) {
        (void)snprintf(capture->changed, sizeof(capture->changed), "%s", json);
    }
    if (strcmp(name, "vanished") == 0) {
        (void)snprintf(capture->vanished, sizeof(capture->vanished), "%s", json);
    }
    return 0;
}

static int32_t never(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct meddle_case {
    int (*act)(void);
    int skip; /* 0: before the root's entry; 1: before the file; 2: within it */
    uint64_t bytes;
    int changed;
    int vanished;
} meddle_cases[] = {
    {append_once, 2, 3000000, 1, 0},
    {truncate_once, 2, 1500000, 1, 0},
    {vanish_once, 2, 3000000, 1, 0}, /* read on: it is open; its change time moved */
    {vanish_once, 1, 0, 0, 1},
};

START_TEST(test_changing_file)
{
    const struct meddle_case *c = &meddle_cases[_i];
    char *bytes = calloc(1, 3000000);
    memset(bytes, 'b', 3000000);
    tree_mkdir(data, 0755);
    tree_write(at("log"), bytes, 3000000);
    free(bytes);
    open_with(data);
    struct capture capture = {0};
    struct orch_host base = {.struct_size = sizeof(base),
                             .ctx = &capture,
                             .log = note_capture,
                             .cancelled = never,
                             .fact = cap_fact,
                             .object = cap_object,
                             .reserve = cap_reserve,
                             .commit = cap_commit,
                             .hole = cap_hole,
                             .end_item = cap_end};
    real_host = &base;
    meddling = base;
    meddling.cancelled = meddling_cancelled;
    meddled = 0;
    skip = c->skip;
    meddle_then = c->act;
    meddle = meddle_later;
    const char *paths[] = {data};
    struct orch_value value = {
        .name = "paths", .type = ORCH_OPTION_PATH_LIST, .strings = paths, .count = 1};
    struct orch_options options = {.struct_size = sizeof(options),
                                   .value_size = sizeof(value),
                                   .count = 1,
                                   .values = &value,
                                   .component = "c",
                                   .work_dir = work};
    void *instance = NULL;
    const struct orch_plugin *plugin = harness_plugin(host);
    must(plugin->open(&meddling, &options, &instance, &err));
    must(plugin->backup(instance, &err));
    plugin->close(instance);
    ck_assert_int_eq(meddled, 1);
    ck_assert_uint_eq(capture.bytes, c->bytes);
    ck_assert_uint_eq(capture.objects, c->vanished ? 1 : 2);
    ck_assert_int_eq(strstr(capture.changed, "/log") != NULL, c->changed);
    ck_assert_int_eq(strstr(capture.vanished, "/log") != NULL, c->vanished);
}
END_TEST

/* A drill points the instance below a folder of its own. */
START_TEST(test_scratch)
{
    struct capture capture = {0};
    struct orch_host base = {
        .struct_size = sizeof(base), .ctx = &capture, .log = note_capture, .cancelled = never};
    const char *paths[] = {data};
    struct orch_value value = {
        .name = "paths", .type = ORCH_OPTION_PATH_LIST, .strings = paths, .count = 1};
    struct orch_options options = {.struct_size = sizeof(options),
                                   .value_size = sizeof(value),
                                   .count = 1,
                                   .values = &value,
                                   .component = "c",
                                   .work_dir = work};
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    void *instance = NULL;
    tree_mkdir(data, 0755);
    open_with(data);
    const struct orch_plugin *plugin = harness_plugin(host);
    must(plugin->open(&base, &options, &instance, &err));
    must(plugin->probe(instance, &probe, &err));
    ck_assert_ptr_nonnull(strstr(probe.identity, data));
    must(plugin->scratch(instance, work, &err));
    ck_assert_int_eq(plugin->probe(instance, &probe, &err), ORCH_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, work));
    plugin->close(instance);
}
END_TEST

START_TEST(test_probe_refuses)
{
    char *link = tree_join(scratch, "link");
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    tree_mkdir(data, 0755);
    ck_assert_int_eq(symlink(data, link), 0);
    open_with(_i == 0 ? link : at("missing"));
    must(harness_open(host, &err));
    ck_assert_int_eq(harness_backup(host, 0, &probe, &freeze, &err),
                     _i == 0 ? ORCH_E_CONFIG : ORCH_E_NOT_FOUND);
    free(link);
}
END_TEST

/* -- attempts, crashes -- */

START_TEST(test_failed_stream_touches_nothing)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    tree_text(at("live"), "now");
    char *before = tree_describe(data);
    harness_fail_next_after(host, (uint64_t)_i * 3);
    ck_assert_int_eq(harness_restore(host, RUN, 1, &err), ORCH_E_CORRUPT);
    char *after = tree_describe(data);
    ck_assert_str_eq(before, after);
    must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
    ck_assert_int_eq(tree_count(scratch, "orch-"), 0);
    free(before);
    free(after);
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
static const char *const swap_points[] = {"swap-built", "swap-marked", "swap-intended",
                                          "swap-exchanged", "swap-replaced"};

/* Restores in a child that is killed at `point`. */
static void killed_at(const char *point, uint32_t attempt)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)setenv("ORCHESTRATE_CRASH_AT", point, 1);
        (void)harness_restore(host, RUN, attempt, &err);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was not reached", point);
}

/* Killed at each point, once or twice; then the next attempt finishes, and the aside holds what was
 * live before the run, whatever happened. */
static int lock_scratch; /* make the folder of the volume read-only meanwhile */

static void crash_and_resume(const char *first, const char *second, const char *aside)
{
    make_common();
    char *wanted = tree_describe(data);
    must(harness_open(host, &err));
    backup(0);
    tree_text(at("a/file"), "the live state before the run");
    tree_text(at("later"), "x");
    ck_assert_int_eq(unlink(at("a-b")), 0);
    char *original = tree_describe(data);
    ck_assert_int_eq(chmod(scratch, lock_scratch ? 0555 : 0755), 0);
    killed_at(first, 1);
    if (second != NULL) {
        killed_at(second, 2);
    }
    must(harness_restore(host, RUN, 3, &err));
    char *now = tree_describe(data);
    ck_assert_str_eq(now, wanted);
    free(now);
    char *kept = tree_describe(aside);
    /* The first line is the root folder, whose time an inside move changes. */
    ck_assert_str_eq(strchr(kept, '\n'), strchr(original, '\n'));
    free(kept);
    must(harness_verify(host, RUN, &err));
    ck_assert_uint_ne(harness_worst(host), ORCH_VERDICT_REFUSE);
    must(harness_settle(host, RUN, ORCH_SETTLE_VERIFIED, &err));
    ck_assert_int_eq(chmod(scratch, 0755), 0);
    now = tree_describe(data);
    ck_assert_str_eq(now, wanted);
    ck_assert_int_eq(tree_count(scratch, "orch-"), 0);
    ck_assert_int_eq(tree_count(data, ".orch-"), 0);
    free(now);
    free(wanted);
    free(original);
}

/* 5 points alone, then all 25 pairs. */
START_TEST(test_crash_swap)
{
    open_with(data);
    char *aside = tree_join(scratch, ".data.orch-aside-01234567");
    crash_and_resume(swap_points[_i % 5], _i < 5 ? NULL : swap_points[(_i - 5) / 5], aside);
    free(aside);
}
END_TEST

/* Where an inside restore is killed, once or twice. Once the old children are all moved, an attempt
 * does not come by "inside-cleared" again. */
static const struct crash_case {
    const char *first;
    const char *second;
} crash_cases[] = {
    {"inside-intended", NULL},
    {"inside-cleared", NULL},
    {"inside-moved", NULL},
    {"inside-moving-up", NULL},
    {"inside-replaced", NULL},
    {"inside-intended", "inside-intended"},
    {"inside-intended", "inside-cleared"},
    {"inside-intended", "inside-moving-up"},
    {"inside-cleared", "inside-cleared"},
    {"inside-cleared", "inside-moved"},
    {"inside-cleared", "inside-replaced"},
    {"inside-moved", "inside-moved"},
    {"inside-moved", "inside-moving-up"},
    {"inside-moving-up", "inside-intended"},
    {"inside-moving-up", "inside-moving-up"},
    {"inside-moving-up", "inside-replaced"},
    {"inside-replaced", "inside-intended"},
    {"inside-replaced", "inside-moving-up"},
};

/* Inside a root whose own folder may not be written, as an ordinary user. */
START_TEST(test_crash_inside)
{
    const struct crash_case *c = &crash_cases[_i];
    open_with(data);
    char *aside = tree_join(data, ".orch-aside-01234567");
    tree_become_ordinary(scratch);
    lock_scratch = 1;
    crash_and_resume(c->first, c->second, aside);
    free(aside);
}
END_TEST

/* A file system without an exchange of names: two steps, killed between and around them. */
static const struct crash_case plain_cases[] = {
    {"swap-intended", NULL},
    {"swap-moved-aside", NULL},
    {"swap-replaced", NULL},
    {"swap-intended", "swap-moved-aside"},
    {"swap-moved-aside", "swap-intended"},
    {"swap-moved-aside", "swap-replaced"},
    {"swap-replaced", "swap-intended"},
    {"swap-replaced", "swap-moved-aside"},
};

START_TEST(test_crash_without_exchange)
{
    const struct crash_case *c = &plain_cases[_i];
    ck_assert_int_eq(setenv("ORCHESTRATE_TEST_NO_EXCHANGE", "1", 1), 0);
    open_with(data);
    char *aside = tree_join(scratch, ".data.orch-aside-01234567");
    crash_and_resume(c->first, c->second, aside);
    free(aside);
}
END_TEST

/* The root is gone, the restore is killed behind the swap, and comes again: nothing to set aside.
 */
START_TEST(test_crash_without_original)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    char *wanted = tree_describe(data);
    wipe();
    killed_at(swap_points[_i == 3 ? 4 : _i], 1);
    must(harness_restore(host, RUN, 2, &err));
    ck_assert_int_eq(tree_count(scratch, "orch-aside"), 0);
    char *now = tree_describe(data);
    ck_assert_str_eq(now, wanted);
    must(harness_settle(host, RUN, ORCH_SETTLE_VERIFIED, &err));
    ck_assert_int_eq(tree_count(scratch, "orch-"), 0);
    free(now);
    free(wanted);
}
END_TEST

#endif

/* Verification fails: the old tree stays aside, and a later attempt does not lose it. */
START_TEST(test_settle_failed_keeps_aside)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    tree_text(at("later"), "original");
    must(harness_restore(host, RUN, 1, &err));
    tree_text(at("meddled"), "x");
    must(harness_verify(host, RUN, &err));
    ck_assert_uint_eq(harness_worst(host), ORCH_VERDICT_REFUSE);
    must(harness_settle(host, RUN, ORCH_SETTLE_FAILED, &err));
    char *aside = tree_join(scratch, ".data.orch-aside-01234567/later");
    ck_assert_int_eq(access(aside, F_OK), 0);
    must(harness_restore(host, RUN, 2, &err));
    ck_assert_int_eq(access(aside, F_OK), 0);
    ck_assert_int_eq(access(at("meddled"), F_OK), -1);
    must(harness_verify(host, RUN, &err));
    ck_assert_uint_ne(harness_worst(host), ORCH_VERDICT_REFUSE);
    must(harness_settle(host, RUN, ORCH_SETTLE_VERIFIED, &err));
    ck_assert_int_eq(access(aside, F_OK), -1);
    free(aside);
}
END_TEST

/* -- verify and check -- */

static void change_nothing_but(int which)
{
    switch (which) {
    case 0:
        ck_assert_int_eq(unlink(at("empty")), 0);
        break;
    case 1:
        tree_text(at("extra"), "");
        break;
    case 2:
        ck_assert_int_eq(chmod(at("a/file"), 0600), 0);
        break;
    case 3:
        set_time(at("a/file"), 7, 7);
        break;
    case 4:
        ck_assert_int_eq(setxattr(at("empty"), "user.note", "other", 5, 0), 0);
        break;
    case 5:
        ck_assert_int_eq(unlink(at("link")), 0);
        ck_assert_int_eq(symlink("elsewhere", at("link")), 0);
        break;
    case 6:
        tree_text(at("a/file"), "longer than before");
        break;
    default:
        ck_assert_int_eq(chown(at("a/file"), 4, 4), 0);
        break;
    }
}

START_TEST(test_verify_finds)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    must(harness_restore(host, RUN, 1, &err));
    change_nothing_but(_i);
    must(harness_verify(host, RUN, &err));
    ck_assert_uint_eq(harness_worst(host), ORCH_VERDICT_REFUSE);
}
END_TEST

static int has_verdict(const char *code)
{
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(host, &count);
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(verdicts[i].code, code) == 0) {
            return 1;
        }
    }
    return 0;
}

START_TEST(test_check_work_dir)
{
    free(work);
    work = strdup(_i == 0 ? at("state") : scratch);
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    must(harness_check(host, RUN, &err));
    ck_assert_int_eq(has_verdict("target-is-work-dir"), 1);
    ck_assert_uint_eq(harness_worst(host), ORCH_VERDICT_REFUSE);
}
END_TEST

START_TEST(test_check_space)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    char *facts = strdup(harness_facts(host));
    char *number = strstr(facts, "\"data_bytes\":");
    ck_assert_ptr_nonnull(number);
    char *changed = NULL;
    *number = 0;
    ck_assert_int_ge(asprintf(&changed, "%s\"data_bytes\":%lld,\"was\":%s", facts,
                              (long long)INT64_MAX / 2, number + 13),
                     0);
    harness_set_facts(host, changed);
    must(harness_check(host, RUN, &err));
    ck_assert_int_eq(has_verdict("no-space"), 1);
    free(facts);
    free(changed);
}
END_TEST

START_TEST(test_check_paths)
{
    char paths[3 * PATH_MAX];
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    if (_i == 0) { /* one more than the backup has: said, and left alone */
        (void)snprintf(paths, sizeof(paths), "%s,%s/other", data, scratch);
        char *other = tree_join(scratch, "other");
        char *file = tree_join(other, "file");
        tree_mkdir(other, 0755);
        tree_text(file, "stays");
        must(harness_option(host, "paths", paths, &err));
        reopen();
        must(harness_check(host, RUN, &err));
        ck_assert_int_eq(has_verdict("path-not-in-set"), 1);
        restore_whole(RUN);
        ck_assert_int_eq(access(file, F_OK), 0);
        free(other);
        free(file);
    } else { /* another one: refused, by check and by the restore itself */
        (void)snprintf(paths, sizeof(paths), "%s/other", scratch);
        must(harness_option(host, "paths", paths, &err));
        reopen();
        must(harness_check(host, RUN, &err));
        ck_assert_int_eq(has_verdict("paths-differ"), 1);
        ck_assert_int_eq(harness_restore(host, RUN, 1, &err), ORCH_E_CONFIG);
    }
}
END_TEST

START_TEST(test_check_symlink)
{
    make_common();
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    wipe();
    ck_assert_int_eq(symlink("/", data), 0);
    must(harness_check(host, RUN, &err));
    ck_assert_int_eq(has_verdict("target-symlink"), 1);
}
END_TEST

/* Tests below need root and a file system to mount. */
START_TEST(test_mount_point)
{
    tree_mkdir(data, 0755);
    ck_assert_msg(mount("none", data, "tmpfs", 0, "size=16m") == 0, "mount: %s", strerror(errno));
    tree_mkdir(at("in"), 0755);
    tree_text(at("in/file"), "on its own file system");
    set_time(at("in"), 5, 0);
    ck_assert_int_eq(chmod(data, 0711), 0);
    set_time(data, 123, 456);
    char *before = tree_describe(data);
    open_with(data);
    must(harness_open(host, &err));
    backup(0);
    tree_text(at("in/file"), "changed");
    tree_text(at("new"), "x");
    ck_assert_int_eq(chmod(data, 0700), 0);
    restore_whole(RUN);
    char *after = tree_describe(data);
    int left = tree_count(data, "orch-");
    ck_assert_int_eq(umount(data), 0);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(left, 0);
    free(before);
    free(after);
}
END_TEST

START_TEST(test_mount_within)
{
    tree_mkdir(data, 0755);
    tree_mkdir(at("disk"), 0755);
    ck_assert_int_eq(mount("none", at("disk"), "tmpfs", 0, "size=16m"), 0);
    tree_text(at("disk/file"), "x");
    open_with(data);
    must(harness_option(host, "one_file_system", _i == 0 ? "1" : "0", &err));
    must(harness_open(host, &err));
    backup(0);
    ck_assert_int_eq(harness_find(host, at("disk/file")) == NULL, _i == 0);
    ck_assert_int_eq(fact_count("other_file_systems"), _i == 0);
    must(harness_check(host, RUN, &err));
    int refused = has_verdict("target-holds-mount");
    ck_assert_int_eq(umount(at("disk")), 0);
    ck_assert_int_eq(refused, 1);
}
END_TEST

int main(void)
{
    int root = geteuid() == 0;
    Suite *suite = suite_create("volumes");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_all_kinds, root ? 0 : 1, 3);
    tcase_add_loop_test(tc, test_over_live, root ? 0 : 1, 2);
    tcase_add_test(tc, test_single_file_root);
    tcase_add_test(tc, test_many_roots);
    tcase_add_test(tc, test_other_place);
    tcase_add_test(tc, test_deep);
    tcase_add_test(tc, test_sparse);
    tcase_add_test(tc, test_sizes);
    tcase_add_test(tc, test_incremental);
    tcase_add_test(tc, test_unchanged_is_not_opened);
    tcase_add_test(tc, test_unreadable_noted);
    tcase_add_loop_test(tc, test_excludes, 0,
                        (int)(sizeof(exclude_cases) / sizeof(exclude_cases[0])));
    tcase_add_test(tc, test_socket_noted);
    tcase_add_loop_test(tc, test_changing_file, 0,
                        (int)(sizeof(meddle_cases) / sizeof(meddle_cases[0])));
    tcase_add_test(tc, test_scratch);
    tcase_add_loop_test(tc, test_probe_refuses, 0, 2);
    tcase_add_loop_test(tc, test_failed_stream_touches_nothing, 0, 8);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tc, test_crash_swap, 0, 30);
    tcase_add_loop_test(tc, test_crash_inside, 0,
                        (int)(sizeof(crash_cases) / sizeof(crash_cases[0])));
    tcase_add_loop_test(tc, test_crash_without_original, 0, 4);
    tcase_add_loop_test(tc, test_crash_without_exchange, 0,
                        (int)(sizeof(plain_cases) / sizeof(plain_cases[0])));
#endif
    tcase_add_test(tc, test_settle_failed_keeps_aside);
    tcase_add_loop_test(tc, test_verify_finds, 0, root ? 8 : 7);
    tcase_add_loop_test(tc, test_check_work_dir, 0, 2);
    tcase_add_test(tc, test_check_space);
    tcase_add_loop_test(tc, test_check_paths, 0, 2);
    tcase_add_test(tc, test_check_symlink);
    if (root) {
        tcase_add_test(tc, test_root_set_as_ordinary);
        tcase_add_test(tc, test_devices_need_root);
        tcase_add_test(tc, test_mount_point);
        tcase_add_loop_test(tc, test_mount_within, 0, 2);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
