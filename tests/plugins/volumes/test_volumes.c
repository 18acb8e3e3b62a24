/* test_volumes.c: the volumes plugin through the host in one process: whole trees, there and back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"
#include "volumetree.h"

#define OTHER_RUN "fedcba9876543210fedcba9876543210"

static void set_up(void)
{
    treecase_set_up("data");
}

/* 0: as root; 1: as an ordinary user; 2: the same, not dumpable, as a worker is. */
START_TEST(test_all_kinds)
{
    treecase_load(PLUGIN_PATH, t.data);
    if (_i > 0) {
        tree_become_ordinary(t.scratch);
    }
    if (_i == 2) {
        ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 0), 0);
    }
    volumetree_make();
    if (_i == 0) {
        volumetree_make_for_root();
    }
    char *before = tree_describe(t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_wipe();
    treecase_restore_whole(TREECASE_RUN);
    treecase_is_as(before);
    ck_assert_int_eq(tree_count(t.scratch, "orch-"), 0);
    free(before);
}
END_TEST

START_TEST(test_over_live)
{
    treecase_load(PLUGIN_PATH, t.data);
    if (_i > 0) {
        tree_become_ordinary(t.scratch);
    }
    volumetree_make();
    char *before = tree_describe(t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_text(treecase_at("a/file"), "changed");
    tree_text(treecase_at("later"), "not in the backup");
    ck_assert_int_eq(unlink(treecase_at("empty")), 0);
    treecase_must(harness_restore(t.host, TREECASE_RUN, 1, &t.err));
    ck_assert_int_eq(tree_count(t.scratch, ".data.orch-aside-01234567"), 1);
    ck_assert_ptr_nonnull(strstr(harness_journal(t.host), ".data.orch-aside-01234567"));
    treecase_must(harness_verify(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_ne(harness_worst(t.host), ORCH_VERDICT_REFUSE);
    treecase_must(harness_settle(t.host, TREECASE_RUN, ORCH_SETTLE_VERIFIED, &t.err));
    treecase_is_as(before);
    ck_assert_int_eq(tree_count(t.scratch, "orch-"), 0);
    free(before);
}
END_TEST

/* A set taken as root comes back for an ordinary user as far as that goes, and says so. */
START_TEST(test_root_set_as_ordinary)
{
    treecase_load(PLUGIN_PATH, t.data);
    tree_mkdir(t.data, 0755);
    tree_text(treecase_at("owned"), "x");
    ck_assert_int_eq(chown(treecase_at("owned"), 1234, 4321), 0);
    ck_assert_int_eq(chmod(treecase_at("owned"), 06755), 0);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_wipe();
    tree_become_ordinary(t.scratch);
    treecase_restore_whole(TREECASE_RUN);
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_WARN);
    struct stat st;
    ck_assert_int_eq(stat(treecase_at("owned"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0755); /* no set-id bits for another owner */
}
END_TEST

START_TEST(test_devices_need_root)
{
    treecase_load(PLUGIN_PATH, t.data);
    tree_mkdir(t.data, 0755);
    ck_assert_int_eq(mknod(treecase_at("null"), S_IFCHR | 0666, makedev(1, 3)), 0);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_become_ordinary(t.scratch);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_REFUSE);
}
END_TEST

START_TEST(test_single_file_root)
{
    char *file = tree_join(t.scratch, "one.db");
    treecase_load(PLUGIN_PATH, file);
    tree_text(file, "the file itself");
    ck_assert_int_eq(chmod(file, 0604), 0);
    char *before = tree_describe(file);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_text(file, "other");
    treecase_restore_whole(TREECASE_RUN);
    char *after = tree_describe(file);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(unlink(file), 0);
    treecase_restore_whole(OTHER_RUN);
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
        (void)snprintf(paths + strlen(paths), PATH_MAX, "%s%s/%s", i > 0 ? "," : "", t.scratch,
                       names[i]);
    }
    treecase_load(PLUGIN_PATH, paths);
    char *deep = tree_join(t.scratch, "deep");
    char *er = tree_join(t.scratch, "deep/er");
    tree_mkdir(deep, 0755);
    tree_mkdir(er, 0755);
    char *before[4];
    for (int i = 0; i < 4; i++) {
        char *root = tree_join(t.scratch, names[i]);
        char *file = tree_join(root, "file");
        tree_mkdir(root, 0755);
        tree_text(file, names[i]);
        before[i] = tree_describe(root);
        free(root);
        free(file);
    }
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    for (int i = 0; i < 4; i++) {
        char *root = tree_join(t.scratch, names[i]);
        tree_remove(root);
        free(root);
    }
    tree_remove(deep);
    treecase_restore_whole(TREECASE_RUN);
    for (int i = 0; i < 4; i++) {
        char *root = tree_join(t.scratch, names[i]);
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
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    char *before = tree_describe(t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    char *place = tree_join(t.scratch, "elsewhere");
    treecase_must(harness_option(t.host, "root", place, &t.err));
    treecase_reopen();
    treecase_restore_whole(TREECASE_RUN);
    char *there = tree_join(place, t.data + 1);
    char *after = tree_describe(there);
    ck_assert_str_eq(before, after);
    free(after);
    after = tree_describe(t.data);
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
    tree_mkdir(t.data, 0755);
    int fd = open(t.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
    char *before = tree_describe(t.data);
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_restore_whole(TREECASE_RUN);
    treecase_is_as(before);
    free(before);
}
END_TEST

/* 1 GiB with three islands of data: little is read, and all is where it was. (That holes come back
 * as holes is a test of build.h: this host delivers them as zeros.) */
START_TEST(test_sparse)
{
    static const off_t places[] = {0, 300 * 1024 * 1024 + 12345, 1024 * 1024 * 1024 - 5000};
    tree_mkdir(t.data, 0755);
    int fd = open(treecase_at("sparse"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, (off_t)1024 * 1024 * 1024), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pwrite(fd, "island", 6, places[i]), 6);
    }
    (void)close(fd);
    fd = open(treecase_at("only-hole"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, 10 * 1024 * 1024 + 1), 0);
    (void)close(fd);
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    const struct harness_item *item = harness_find(t.host, treecase_at("sparse"));
    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->data_len, UINT64_C(1024) * 1024 * 1024);
    ck_assert_uint_gt(item->hole_bytes, UINT64_C(1023) * 1024 * 1024);
    treecase_wipe();
    treecase_restore_whole(TREECASE_RUN);
    struct stat st;
    ck_assert_int_eq(stat(treecase_at("sparse"), &st), 0);
    ck_assert_int_eq(st.st_size, 1024 * 1024 * 1024);
    fd = open(treecase_at("sparse"), O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        char got[8] = "";
        ck_assert_int_eq(pread(fd, got, 6, places[i]), 6);
        ck_assert_str_eq(got, "island");
    }
    (void)close(fd);
    ck_assert_int_eq(stat(treecase_at("only-hole"), &st), 0);
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
    tree_mkdir(t.data, 0755);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%zu", sizes[i]);
        tree_write(treecase_at(name), bytes, sizes[i]);
    }
    free(bytes);
    char *before = tree_describe(t.data);
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    treecase_wipe();
    treecase_restore_whole(TREECASE_RUN);
    treecase_is_as(before);
    free(before);
}
END_TEST

/* Tests below need root and a file system to mount. */
START_TEST(test_mount_point)
{
    tree_mkdir(t.data, 0755);
    ck_assert_msg(mount("none", t.data, "tmpfs", 0, "size=16m") == 0, "mount: %s", strerror(errno));
    tree_mkdir(treecase_at("in"), 0755);
    tree_text(treecase_at("in/file"), "on its own file system");
    treecase_set_time(treecase_at("in"), 5, 0);
    ck_assert_int_eq(chmod(t.data, 0711), 0);
    treecase_set_time(t.data, 123, 456);
    char *before = tree_describe(t.data);
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    tree_text(treecase_at("in/file"), "changed");
    tree_text(treecase_at("new"), "x");
    ck_assert_int_eq(chmod(t.data, 0700), 0);
    treecase_restore_whole(TREECASE_RUN);
    char *after = tree_describe(t.data);
    int left = tree_count(t.data, "orch-");
    ck_assert_int_eq(umount(t.data), 0);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(left, 0);
    free(before);
    free(after);
}
END_TEST

int main(void)
{
    int root = geteuid() == 0;
    Suite *suite = suite_create("volumes");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, treecase_tear_down);
    tcase_add_loop_test(tc, test_all_kinds, root ? 0 : 1, 3);
    tcase_add_loop_test(tc, test_over_live, root ? 0 : 1, 2);
    tcase_add_test(tc, test_single_file_root);
    tcase_add_test(tc, test_many_roots);
    tcase_add_test(tc, test_other_place);
    tcase_add_test(tc, test_deep);
    tcase_add_test(tc, test_sparse);
    tcase_add_test(tc, test_sizes);
    if (root) {
        tcase_add_test(tc, test_root_set_as_ordinary);
        tcase_add_test(tc, test_devices_need_root);
        tcase_add_test(tc, test_mount_point);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
