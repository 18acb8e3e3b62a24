/*
 * test_volumes_changes.c: the volumes plugin: what a backup takes and leaves out: unchanged files,
 * excluded ones, those that cannot be read or change meanwhile.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"
#include "volumetree.h"

static void set_up(void)
{
    treecase_set_up("data");
}

START_TEST(test_incremental)
{
    volumetree_make();
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    uint64_t all = 0;
    uint64_t kept = 0;
    tree_text(treecase_at("empty"), "no longer");
    treecase_backup(1);
    (void)harness_items(t.host, &all);
    const struct harness_item *items = harness_items(t.host, &all);
    for (uint64_t i = 0; i < all; i++) {
        int is_changed =
            memcmp(items[i].object.name, treecase_at("empty"), items[i].object.name_len) == 0;
        if (items[i].object.kind == 'f') {
            ck_assert_int_eq(items[i].unchanged, !is_changed);
            kept += (uint64_t)items[i].unchanged;
        }
    }
    ck_assert_uint_ge(kept, 5);
    char *before = tree_describe(t.data);
    treecase_wipe();
    treecase_restore_whole(TREECASE_RUN);
    treecase_is_as(before);
    free(before);
}
END_TEST

/* An ordinary user may look at a file of mode 0 but not open it: unchanged, it is not opened. */
START_TEST(test_unchanged_is_not_opened)
{
    treecase_load(PLUGIN_PATH, t.data);
    tree_become_ordinary(t.scratch);
    tree_mkdir(t.data, 0755);
    tree_text(treecase_at("a"), "first");
    tree_text(treecase_at("b"), "second");
    ck_assert_int_eq(chmod(treecase_at("b"), 0), 0);
    treecase_must(harness_open(t.host, &t.err));
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    ck_assert_int_eq(harness_backup(t.host, 0, &probe, &freeze, &t.err), ORCH_E_ACCESS);
    ck_assert_ptr_nonnull(strstr(t.err.message, treecase_at("b")));
    /* Neither a nor b has its times or its change time moved by what follows. */
    struct stat before;
    struct stat after;
    ck_assert_int_eq(chmod(treecase_at("b"), 0400), 0);
    treecase_set_time(treecase_at("a"), 1000, 0);
    treecase_backup(0);
    ck_assert_int_eq(stat(treecase_at("a"), &before), 0);
    treecase_backup(1);
    ck_assert_int_eq(stat(treecase_at("a"), &after), 0);
    ck_assert_int_eq(before.st_atim.tv_sec, after.st_atim.tv_sec);
    ck_assert_int_eq(harness_find(t.host, treecase_at("b"))->unchanged, 1);
}
END_TEST

START_TEST(test_unreadable_noted)
{
    volumetree_back_up_noted();
    ck_assert_ptr_null(harness_find(t.host, treecase_at("no")));
    ck_assert_ptr_nonnull(harness_find(t.host, treecase_at("a")));
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
    tree_mkdir(t.data, 0755);
    tree_mkdir(treecase_at("d"), 0755);
    tree_mkdir(treecase_at("d/d"), 0755);
    tree_mkdir(treecase_at("e"), 0755);
    tree_text(treecase_at("e/d"), "");
    tree_text(treecase_at("d/d/z"), "");
    tree_text(treecase_at("d/y.tmp"), "");
    tree_text(treecase_at("x.tmp"), "");
    tree_text(treecase_at("keep"), "");
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_option(t.host, "exclude", c->patterns, &t.err));
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    for (int i = 0; i < 4; i++) {
        if (c->gone[i] != NULL) {
            ck_assert_msg(harness_find(t.host, treecase_at(c->gone[i])) == NULL, "%s", c->gone[i]);
        }
        if (c->kept[i] != NULL) {
            ck_assert_msg(harness_find(t.host, treecase_at(c->kept[i])) != NULL, "%s", c->kept[i]);
        }
    }
    ck_assert_int_gt(treecase_fact_count("excluded"), 0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    ck_assert_uint_eq(harness_worst(t.host), ORCH_VERDICT_WARN);
    treecase_restore_whole(TREECASE_RUN);
}
END_TEST

START_TEST(test_socket_noted)
{
    tree_mkdir(t.data, 0755);
    tree_text(treecase_at("file"), "x");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", treecase_at("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    ck_assert_int_eq(treecase_fact_count("sockets_skipped"), 1);
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
    if (!meddled && stat(treecase_at("log"), &st) == 0 && st.st_size > 0) {
        meddled = 1;
        int fd = open(treecase_at("log"), O_WRONLY | O_APPEND | O_CLOEXEC);
        ck_assert_int_eq(write(fd, "more", 4), 4);
        (void)close(fd);
    }
    return 0;
}

static int truncate_once(void)
{
    if (!meddled) {
        meddled = 1;
        ck_assert_int_eq(truncate(treecase_at("log"), 1500000), 0);
    }
    return 0;
}

static int vanish_once(void)
{
    if (!meddled) {
        meddled = 1;
        ck_assert_int_eq(unlink(treecase_at("log")), 0);
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
    tree_mkdir(t.data, 0755);
    tree_write(treecase_at("log"), bytes, 3000000);
    free(bytes);
    treecase_load(PLUGIN_PATH, t.data);
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
    void *instance = NULL;
    const struct orch_plugin *plugin = harness_plugin(t.host);
    treecase_open_through(&meddling, &instance);
    treecase_must(plugin->backup(instance, &t.err));
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
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    void *instance = NULL;
    tree_mkdir(t.data, 0755);
    treecase_load(PLUGIN_PATH, t.data);
    const struct orch_plugin *plugin = harness_plugin(t.host);
    treecase_open_through(&base, &instance);
    treecase_must(plugin->probe(instance, &probe, &t.err));
    ck_assert_ptr_nonnull(strstr(probe.identity, t.data));
    treecase_must(plugin->scratch(instance, t.work, &t.err));
    ck_assert_int_eq(plugin->probe(instance, &probe, &t.err), ORCH_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(t.err.message, t.work));
    plugin->close(instance);
}
END_TEST

START_TEST(test_probe_refuses)
{
    char *link = tree_join(t.scratch, "link");
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    tree_mkdir(t.data, 0755);
    ck_assert_int_eq(symlink(t.data, link), 0);
    treecase_load(PLUGIN_PATH, _i == 0 ? link : treecase_at("missing"));
    treecase_must(harness_open(t.host, &t.err));
    ck_assert_int_eq(harness_backup(t.host, 0, &probe, &freeze, &t.err),
                     _i == 0 ? ORCH_E_CONFIG : ORCH_E_NOT_FOUND);
    free(link);
}
END_TEST

START_TEST(test_mount_within)
{
    tree_mkdir(t.data, 0755);
    tree_mkdir(treecase_at("disk"), 0755);
    ck_assert_int_eq(mount("none", treecase_at("disk"), "tmpfs", 0, "size=16m"), 0);
    tree_text(treecase_at("disk/file"), "x");
    treecase_load(PLUGIN_PATH, t.data);
    treecase_must(harness_option(t.host, "one_file_system", _i == 0 ? "1" : "0", &t.err));
    treecase_must(harness_open(t.host, &t.err));
    treecase_backup(0);
    ck_assert_int_eq(harness_find(t.host, treecase_at("disk/file")) == NULL, _i == 0);
    ck_assert_int_eq(treecase_fact_count("other_file_systems"), _i == 0);
    treecase_must(harness_check(t.host, TREECASE_RUN, &t.err));
    int refused = treecase_verdict("target-holds-mount", "");
    ck_assert_int_eq(umount(treecase_at("disk")), 0);
    ck_assert_int_eq(refused, 1);
}
END_TEST

int main(void)
{
    int root = geteuid() == 0;
    Suite *suite = suite_create("volumes-changes");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, treecase_tear_down);
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
    if (root) {
        tcase_add_loop_test(tc, test_mount_within, 0, 2);
    }
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
