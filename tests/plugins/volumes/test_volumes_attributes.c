/*
 * test_volumes_attributes.c: extended attributes in an incremental backup, where those of unchanged
 * files come from the earlier set instead of the file system.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"
#include "volumetree.h"

/* More than a walk is ahead, so that what the host says reaches it. */
#define FILES 900

/* What a host that does as the test wants is told, and what it says. */
static struct double_host {
    uint64_t objects, asked;
    const char *vanishes; /* while it is asked for, or NULL */
    const uint8_t *meta;  /* what the earlier set is to have had */
    uint32_t meta_len;
    char vanished[512];
    char with_xattrs[64];
} now;

static void set_up(void)
{
    now = (struct double_host){0};
    treecase_set_up("data");
}

static const char *file_at(int i)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "f%03d", i);
    return treecase_at(name);
}

static void make_files(void)
{
    tree_mkdir(t.data, 0755);
    for (int i = 0; i < FILES; i++) {
        tree_text(file_at(i), "x");
        if (i % 3 == 0) {
            ck_assert_int_eq(setxattr(file_at(i), "user.number", &i, sizeof(i), 0), 0);
        }
    }
}

static void note_attribute(int i, const char *text)
{
    ck_assert_int_eq(setxattr(file_at(i), "user.note", text, strlen(text), 0), 0);
}

/* What is restored from the increment, and what it states, is what a full backup has. */
START_TEST(test_like_a_full_one)
{
    make_files();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    note_attribute(500, "new");
    note_attribute(600, "another"); /* beside one that it had */
    ck_assert_int_eq(removexattr(file_at(750), "user.number"), 0);
    tree_text(file_at(700), "changed");
    note_attribute(FILES - 1, "last");
    treecase_backup(1);
    uint64_t all = 0;
    int unchanged = 0;
    const struct harness_item *items = harness_items(t.host, &all);
    for (uint64_t i = 0; i < all; i++) {
        unchanged += items[i].unchanged;
    }
    ck_assert_int_eq(unchanged, FILES - 5);
    char *stated = strdup(harness_facts(t.host));
    treecase_backup(0);
    ck_assert_str_eq(harness_facts(t.host), stated);
    treecase_backup(1);
    char *before = tree_describe(t.data);
    treecase_wipe();
    treecase_restore_whole(TREECASE_RUN);
    treecase_is_as(before);
    free(before);
    free(stated);
}
END_TEST

/* ---- that host ---- */

static void host_log(void *ctx, uint32_t level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static int32_t host_cancelled(void *ctx)
{
    (void)ctx;
    return 0;
}

static int32_t host_fact(void *ctx, const char *name, const char *json, struct orch_error *err)
{
    (void)ctx;
    (void)err;
    if (strcmp(name, "vanished") == 0) {
        (void)snprintf(now.vanished, sizeof(now.vanished), "%s", json);
    }
    if (strcmp(name, "entries_with_xattrs") == 0) {
        (void)snprintf(now.with_xattrs, sizeof(now.with_xattrs), "%s", json);
    }
    return ORCH_OK;
}

static int32_t host_object(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                           struct orch_error *err)
{
    (void)ctx;
    (void)object;
    (void)err;
    now.objects++;
    if (unchanged != NULL) {
        *unchanged = 1;
    }
    return ORCH_OK;
}

static int32_t host_end(void *ctx, struct orch_error *err)
{
    (void)ctx;
    (void)err;
    return ORCH_OK;
}

static int32_t host_earlier(void *ctx, const struct orch_object *object, const uint8_t **meta,
                            uint32_t *meta_len, struct orch_error *err)
{
    (void)ctx;
    (void)err;
    now.asked++;
    *meta = now.meta;
    *meta_len = now.meta_len;
    size_t len = now.vanishes == NULL ? 0 : strlen(now.vanishes);
    if (len > 0 && object->name_len == len && memcmp(object->name, now.vanishes, len) == 0) {
        ck_assert_int_eq(unlink(now.vanishes), 0);
    }
    return ORCH_OK;
}

/* A backup of the tree through that host, of which the plugin sees the first `size` bytes. */
static void backup_through(uint32_t size)
{
    struct orch_host host = {.struct_size = size,
                             .log = host_log,
                             .cancelled = host_cancelled,
                             .fact = host_fact,
                             .object = host_object,
                             .end_item = host_end,
                             .earlier = host_earlier};
    void *instance = NULL;
    treecase_load(PLUGIN_PATH, t.data);
    const struct orch_plugin *plugin = harness_plugin(t.host);
    treecase_open_through(&host, &instance);
    treecase_must(plugin->backup(instance, &t.err));
    plugin->close(instance);
}

/* Gone between the look and the late reading of its attributes: it is left out, and noted. */
START_TEST(test_vanishes)
{
    char path[4096];
    make_files();
    (void)snprintf(path, sizeof(path), "%s", file_at(800));
    now.vanishes = path;
    backup_through(sizeof(struct orch_host));
    ck_assert_uint_gt(now.asked, 0);
    ck_assert_ptr_nonnull(strstr(now.vanished, "/f800"));
    ck_assert_uint_eq(now.objects, 1 + FILES - 1);
    ck_assert_str_eq(now.with_xattrs, "300");
}
END_TEST

/* Metadata that is broken, or that of a file in another state, is not taken. */
START_TEST(test_other_metadata)
{
    static const uint8_t other[62] = {1, 0xa4, 0x81};
    make_files();
    now.meta = other;
    now.meta_len = _i == 0 ? 3 : sizeof(other);
    backup_through(sizeof(struct orch_host));
    ck_assert_uint_gt(now.asked, 0);
    ck_assert_str_eq(now.with_xattrs, "300");
}
END_TEST

static void put(uint8_t **at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        *(*at)++ = (uint8_t)(i < 8 ? value >> (8 * i) : 0);
    }
}

/* Whoever is unchanged has the attributes that it had, and nobody looks for others. */
START_TEST(test_taken_from_the_earlier_set)
{
    uint8_t meta[128];
    uint8_t *at = meta;
    struct stat st;
    make_files();
    for (int i = 0; i < FILES; i++) {
        treecase_set_time(file_at(i), 1700000000, 5);
        ck_assert_int_eq(removexattr(file_at(i), "user.number"), i % 3 == 0 ? 0 : -1);
    }
    ck_assert_int_eq(stat(file_at(0), &st), 0);
    put(&at, 1, 1); /* as in plugins/files/meta.h */
    put(&at, st.st_mode, 4);
    put(&at, st.st_uid, 4);
    put(&at, st.st_gid, 4);
    put(&at, 1700000000, 8);
    put(&at, 5, 4);
    put(&at, 0, 16); /* no device, no link */
    put(&at, 2 + 4 + 6 + 1, 4);
    put(&at, 6, 2);
    put(&at, 1, 4);
    memcpy(at, "user.av", 7);
    now.meta = meta;
    now.meta_len = (uint32_t)(at + 7 - meta);
    backup_through(sizeof(struct orch_host));
    char asked[32];
    (void)snprintf(asked, sizeof(asked), "%llu", (unsigned long long)now.asked);
    ck_assert_uint_gt(now.asked, FILES / 4);
    ck_assert_str_eq(now.with_xattrs, asked);
}
END_TEST

/* A host of ABI 1.0 has no such service: all is read as it comes. */
START_TEST(test_older_host)
{
    make_files();
    backup_through(offsetof(struct orch_host, earlier));
    ck_assert_uint_eq(now.asked, 0);
    ck_assert_uint_eq(now.objects, 1 + FILES);
    ck_assert_str_eq(now.with_xattrs, "300");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("volumes-attributes");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, treecase_tear_down);
    tcase_add_test(tc, test_like_a_full_one);
    tcase_add_test(tc, test_vanishes);
    tcase_add_loop_test(tc, test_other_metadata, 0, 2);
    tcase_add_test(tc, test_taken_from_the_earlier_set);
    tcase_add_test(tc, test_older_host);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
