/* volumetree.c: see volumetree.h. */
#include "volumetree.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"

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

void volumetree_make(void)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = 0;
    tree_mkdir(t.data, 0755);
    tree_mkdir(treecase_at("a"), 0750);
    tree_mkdir(treecase_at("a/empty"), 0700);
    tree_mkdir(treecase_at("locked"), 0755);
    tree_text(treecase_at("a/file"), "hello");
    tree_text(treecase_at("a-b"), "sorts between a and a/file");
    tree_text(treecase_at("empty"), "");
    tree_text(treecase_at(longest), "255 bytes of name");
    tree_text(treecase_at("new\nline \xff\xfe"), "any byte");
    tree_text(treecase_at("locked/inner"), "in a read-only folder");
    ck_assert_int_eq(symlink("../outside/nowhere", treecase_at("link")), 0);
    ck_assert_int_eq(symlink("\xff\n", treecase_at("a/odd-link")), 0);
    ck_assert_int_eq(link(treecase_at("a/file"), treecase_at("z-second")), 0);
    ck_assert_int_eq(link(treecase_at("a/file"), treecase_at("a/empty/third")), 0);
    ck_assert_int_eq(mkfifo(treecase_at("fifo"), 0640), 0);
    ck_assert_int_eq(setxattr(treecase_at("empty"), "user.note", "some\0bytes", 10, 0), 0);
    ck_assert_int_eq(setxattr(treecase_at("a"), "user.on-folder", "", 0, 0), 0);
    set_acl(treecase_at("a-b"), 0);
    set_acl(treecase_at("a/empty"), 1);
    ck_assert_int_eq(chmod(treecase_at("a/file"), 04711), 0);
    ck_assert_int_eq(chmod(treecase_at("locked"), 0555), 0);
    treecase_set_time(treecase_at("a/file"), 1000000000, 123456789);
    treecase_set_time(treecase_at("link"), -100, 5);
    treecase_set_time(treecase_at("fifo"), 5, 0);
    treecase_set_time(treecase_at("locked"), 77, 77);
    treecase_set_time(treecase_at("a"), 1234567, 1);
    treecase_set_time(t.data, 99999, 999999999);
}

void volumetree_make_for_root(void)
{
    static const unsigned char capability[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    tree_text(treecase_at("owned"), "somebody's");
    ck_assert_int_eq(chown(treecase_at("owned"), 1234, 4321), 0);
    ck_assert_int_eq(lchown(treecase_at("link"), 11, 22), 0);
    ck_assert_int_eq(chown(treecase_at("a"), 33, 44), 0);
    ck_assert_int_eq(mknod(treecase_at("null"), S_IFCHR | 0666, makedev(1, 3)), 0);
    ck_assert_int_eq(mknod(treecase_at("block"), S_IFBLK | 0600, makedev(7, 250)), 0);
    ck_assert_int_eq(
        setxattr(treecase_at("owned"), "security.capability", capability, sizeof(capability), 0),
        0);
    ck_assert_int_eq(setxattr(treecase_at("owned"), "trusted.secret", "t", 1, 0), 0);
    treecase_set_time(treecase_at("a"), 1234567, 1);
    treecase_set_time(t.data, 99999, 999999999);
}

void volumetree_back_up_noted(void)
{
    treecase_load(PLUGIN_PATH, t.data);
    tree_become_ordinary(t.scratch);
    tree_mkdir(t.data, 0755);
    tree_mkdir(treecase_at("closed"), 0700);
    tree_text(treecase_at("closed/in"), "x");
    tree_text(treecase_at("a"), "x");
    tree_text(treecase_at("no"), "x");
    tree_text(treecase_at("odd\n\xff"), "x");
    ck_assert_int_eq(chmod(treecase_at("no"), 0), 0);
    ck_assert_int_eq(chmod(treecase_at("odd\n\xff"), 0), 0);
    ck_assert_int_eq(chmod(treecase_at("closed"), 0), 0);
    treecase_must(harness_option(t.host, "on_unreadable", "note", &t.err));
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    ck_assert_int_eq(treecase_fact_count("unreadable"), 3);
}
