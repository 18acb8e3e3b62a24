/* test_build.c: trees from the objects of a part, also a hostile one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "files/build.h"
#include "files/bytes.h"
#include "files/meta.h"
#include "files/roots.h"
#include "rootcase.h"
#include "tree.h"

struct building {
    char *scratch;
    struct roots roots;
    struct build_target target;
    struct build *build;
    struct orch_error err;
};

static void building_open(struct building *b)
{
    static const char *const paths[] = {"/r"};
    *b = (struct building){.scratch = tree_scratch()};
    ck_assert_int_eq(rootcase_open(&b->roots, paths, 1, "/", &b->err), 0);
    b->target.parent = b->scratch;
    (void)snprintf(b->target.base, sizeof(b->target.base), "out");
    ck_assert_int_eq(build_new(&b->roots, &b->target, &b->build, &b->err), 0);
}

static void building_close(struct building *b)
{
    build_free(b->build);
    roots_close(&b->roots);
    tree_remove(b->scratch);
    free(b->scratch);
}

/* Begins an object with plain metadata; `more` is a link's target or a hard link's first name. */
static int32_t put(struct building *b, const char *name, uint32_t kind, const char *more)
{
    static const struct type {
        uint32_t kind;
        uint32_t mode;
    } types[] = {{META_KIND_FILE, S_IFREG | 0644},
                 {META_KIND_FOLDER, S_IFDIR | 0755},
                 {META_KIND_SYMLINK, S_IFLNK | 0777},
                 {META_KIND_HARD_LINK, S_IFREG | 0644},
                 {META_KIND_FIFO, S_IFIFO | 0644}};
    struct meta meta = {.uid = (uint32_t)geteuid(), .gid = (uint32_t)getegid(), .mtime_s = 1000};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        meta.mode = types[i].kind == kind ? types[i].mode : meta.mode;
    }
    if (kind == META_KIND_SYMLINK) {
        meta.link = (const uint8_t *)more;
        meta.link_len = strlen(more);
    } else if (more != NULL) {
        meta.hard = (const uint8_t *)more;
        meta.hard_len = strlen(more);
    }
    struct bytes coded = {0};
    ck_assert_int_eq(meta_encode(&meta, &coded), 0);
    struct orch_object object = {.struct_size = sizeof(object),
                                 .name = (const uint8_t *)name,
                                 .name_len = (uint32_t)strlen(name),
                                 .kind = kind,
                                 .meta = coded.data,
                                 .meta_len = (uint32_t)coded.len};
    int32_t rc = build_object(b->build, &object, &b->err);
    bytes_free(&coded);
    return rc;
}

/* A hostile part: the last entry is the one that must be refused, at once or at the end. */
static const struct hostile {
    const char *names[4];
    uint32_t kinds[4];
    const char *more;
    int32_t code;
} hostiles[] = {
    {{"/r/x"}, {'f'}, NULL, ORCH_E_CORRUPT},                             /* before its root */
    {{"/r", "/r/a/x"}, {'d', 'f'}, NULL, ORCH_E_CORRUPT},                /* before its folder */
    {{"/r", "/r/../x"}, {'d', 'f'}, NULL, ORCH_E_CORRUPT},               /* leads out */
    {{"/r", "/s"}, {'d', 'f'}, NULL, ORCH_E_CONFIG},                     /* another root */
    {{"/r", "/rx"}, {'d', 'f'}, NULL, ORCH_E_CONFIG},                    /* only looks like it */
    {{"/r", "/r/b", "/r/a"}, {'d', 'f', 'f'}, NULL, ORCH_E_CORRUPT},     /* out of order */
    {{"/r", "/r/b", "/r/b"}, {'d', 'f', 'f'}, NULL, ORCH_E_CORRUPT},     /* twice */
    {{"/r", "/r/a", "/r/a/x"}, {'d', 'l', 'f'}, "/tmp", ORCH_E_CORRUPT}, /* through a link */
    {{"/r", "/r/a", "/r/a/x"}, {'d', 'f', 'f'}, NULL, ORCH_E_CORRUPT},   /* through a file */
    {{"/r"}, {'l'}, "/tmp", ORCH_E_CORRUPT},                             /* the root as a link */
    {{"/r"}, {'p'}, NULL, ORCH_E_CORRUPT},                               /* or as a fifo */
    {{"/r", "/r/h"}, {'d', 'h'}, "/etc/passwd", ORCH_E_CORRUPT},         /* a hard link out */
    {{"/r", "/r/h"}, {'d', 'h'}, "/r/../../etc/passwd", ORCH_E_CORRUPT},
    {{"/r", "/r/h"}, {'d', 'h'}, "/r/none", ORCH_E_CORRUPT},
    {{"/r", "/r/a", "/r/h"}, {'d', 'd', 'h'}, "/r/a", ORCH_E_CORRUPT}, /* to a folder */
    {{"/r", "/r/a", "/r/h"}, {'d', 'l', 'h'}, "/r/a", ORCH_E_CORRUPT}, /* to a link */
    {{"/r", "/r/x"}, {'d', 'q'}, NULL, ORCH_E_CORRUPT},                /* an unknown kind */
};

START_TEST(test_build_hostile)
{
    const struct hostile *c = &hostiles[_i];
    struct building b;
    building_open(&b);
    int32_t rc = 0;
    for (int i = 0; i < 4 && c->names[i] != NULL && rc == 0; i++) {
        int is_last = i == 3 || c->names[i + 1] == NULL;
        int takes_more = c->kinds[i] == 'l' || c->kinds[i] == 'h';
        rc = put(&b, c->names[i], c->kinds[i], takes_more ? c->more : NULL);
        ck_assert_msg(is_last || rc == 0, "%s: %s", c->names[i], b.err.message);
        if (rc == 0) {
            rc = build_item_end(b.build, &b.err);
        }
    }
    if (rc == 0) {
        rc = build_finish(b.build, &b.err);
    }
    ck_assert_msg(rc == c->code, "%d: %s", rc, b.err.message);
    building_close(&b);
}
END_TEST

START_TEST(test_build_data_for_folder)
{
    struct building b;
    building_open(&b);
    ck_assert_int_eq(put(&b, "/r", 'd', NULL), 0);
    ck_assert_int_eq(_i == 0 ? build_data(b.build, "x", 1, &b.err) : build_hole(b.build, 1, &b.err),
                     ORCH_E_CORRUPT);
    building_close(&b);
}
END_TEST

START_TEST(test_build_absurd_length)
{
    struct building b;
    building_open(&b);
    ck_assert_int_eq(put(&b, "/r", 'f', NULL), 0);
    ck_assert_int_eq(build_hole(b.build, (uint64_t)INT64_MAX, &b.err), 0);
    ck_assert_int_eq(build_hole(b.build, 1, &b.err), ORCH_E_CORRUPT);
    building_close(&b);
}
END_TEST

/* 1 GiB with three islands and a hole at its end takes no more room than the islands. */
START_TEST(test_build_sparse)
{
    static const uint64_t holes[] = {0, 314159265, 500000000};
    struct building b;
    building_open(&b);
    ck_assert_int_eq(put(&b, "/r", 'd', NULL), 0);
    ck_assert_int_eq(build_item_end(b.build, &b.err), 0);
    ck_assert_int_eq(put(&b, "/r/s", 'f', NULL), 0);
    uint64_t at = 0;
    uint64_t places[3];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(holes[i] == 0 ? 0 : build_hole(b.build, holes[i], &b.err), 0);
        at += holes[i];
        places[i] = at;
        ck_assert_int_eq(build_data(b.build, "island", 6, &b.err), 0);
        at += 6;
    }
    ck_assert_int_eq(build_hole(b.build, (UINT64_C(1) << 30) - at, &b.err), 0);
    ck_assert_int_eq(build_item_end(b.build, &b.err), 0);
    ck_assert_int_eq(build_finish(b.build, &b.err), 0);
    char *path = tree_join(b.scratch, "out/s");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(st.st_size, 1 << 30);
    ck_assert_int_lt(st.st_blocks * 512, 1024 * 1024);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1000);
    for (int i = 0; i < 3; i++) {
        char got[7] = "";
        ck_assert_int_eq(pread(fd, got, 6, (off_t)places[i]), 6);
        ck_assert_str_eq(got, "island");
    }
    (void)close(fd);
    free(path);
    building_close(&b);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
    Suite *suite = suite_create("files-build");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_build_hostile, 0, COUNT(hostiles));
    tcase_add_loop_test(tc, test_build_data_for_folder, 0, 2);
    tcase_add_test(tc, test_build_absurd_length);
    tcase_add_test(tc, test_build_sparse);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
