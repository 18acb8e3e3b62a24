/* test_files.c: names, patterns, metadata, the order of the walk, removal: the shared parts alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "files/build.h"
#include "files/bytes.h"
#include "files/dirs.h"
#include "files/erase.h"
#include "files/meta.h"
#include "files/name.h"
#include "files/pattern.h"
#include "files/roots.h"
#include "files/walk.h"
#include "tree.h"

/* -- patterns -- */

static const struct pattern_case {
    const char *pattern;
    const char *path;
    int is_folder;
    int hit;
} pattern_cases[] = {
    {"*.tmp", "x.tmp", 0, 1},
    {"*.tmp", "a/b/x.tmp", 0, 1},
    {"*.tmp", "x.tmp/y", 0, 0},
    {"*.tmp", "x.tmpl", 0, 0},
    {"/*.tmp", "x.tmp", 0, 1},
    {"/*.tmp", "a/x.tmp", 0, 0},
    {"cache/", "cache", 1, 1},
    {"cache/", "cache", 0, 0},
    {"cache/", "a/cache", 1, 1},
    {"/cache/", "a/cache", 1, 0},
    {"cache/*", "a/cache/x", 0, 1},
    {"cache/*", "a/cache/x/y", 0, 0},
    {"a/**/b", "a/b", 0, 1},
    {"a/**/b", "a/x/y/b", 0, 1},
    {"a/**/b", "a/xb", 0, 0},
    {"/a/**", "a/x/y", 0, 1},
    {"/a/**", "a", 1, 0},
    {"**/b", "b", 0, 1},
    {"**/b", "x/ab", 0, 0},
    {"a**z", "a/q/z", 0, 1},
    {"?", "a", 0, 1},
    {"/?", "ab", 0, 0},
    {"a?b", "a/b", 0, 0},
    {"[a-c]x", "bx", 0, 1},
    {"[!a-c]x", "bx", 0, 0},
    {"[^a-c]x", "dx", 0, 1},
    {"[]]x", "]x", 0, 1},
    {"[ab", "[ab", 0, 1},
    {"/a[/]b", "a/b", 0, 0},
    {"\\*", "*", 0, 1},
    {"\\*", "a", 0, 0},
    {"\xff*", "\xff\xfe", 0, 1},
    {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, 0},
    {"**a**a**a**a**b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, 0},
    {"*x*y*z", "1x2y3z", 0, 1},
    {"/*/c", "ab/c", 0, 1},
    {"/*/c", "a/b/c", 0, 0},
};

START_TEST(test_pattern)
{
    const struct pattern_case *c = &pattern_cases[_i];
    struct patterns *patterns = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(patterns_new(&c->pattern, 1, &patterns, &err), 0);
    int hit = patterns_match(patterns, (const uint8_t *)c->path, strlen(c->path), c->is_folder);
    ck_assert_msg(hit == c->hit, "\"%s\" on \"%s\": %d", c->pattern, c->path, hit);
    patterns_free(patterns);
}
END_TEST

START_TEST(test_pattern_empty)
{
    static const char *const texts[] = {"", "/"};
    struct patterns *patterns = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(patterns_new(&texts[_i], 1, &patterns, &err), ORCH_E_CONFIG);
}
END_TEST

/* -- names -- */

static const struct name_case {
    const char *name;
    int valid;
} name_cases[] = {
    {"/", 1},       {"/a", 1},     {"/a/b", 1},  {"/..a", 1},    {"/a/...", 1}, {"a", 0},
    {"", 0},        {"//", 0},     {"/a/", 0},   {"/a//b", 0},   {"/.", 0},     {"/..", 0},
    {"/a/../b", 0}, {"/a/./b", 0}, {"/a/..", 0}, {"/\xff\n", 1}, {"../a", 0},
};

START_TEST(test_name_valid)
{
    const struct name_case *c = &name_cases[_i];
    ck_assert_msg(name_is_valid((const uint8_t *)c->name, strlen(c->name)) == c->valid, "%s",
                  c->name);
}
END_TEST

START_TEST(test_name_hostile)
{
    char name[400] = "/";
    memset(name + 1, 'x', 255);
    ck_assert_int_eq(name_is_valid((uint8_t *)name, 256), 1);
    name[256] = 'x';
    ck_assert_int_eq(name_is_valid((uint8_t *)name, 257), 0);
    ck_assert_int_eq(name_is_valid((const uint8_t *)"/a\0b", 4), 0);
}
END_TEST

START_TEST(test_name_shown)
{
    char out[NAME_SHOWN_MAX];
    ck_assert_str_eq(name_shown(out, "/a\n\xff\xc3\xa9", 6), "/a\\x0a\\xff\xc3\xa9");
    struct bytes json = {0};
    ck_assert_int_eq(name_add_json(&json, "a\"\\\n\xff", 5), 0);
    ck_assert_int_eq(bytes_add(&json, "", 1), 0);
    ck_assert_str_eq((char *)json.data, "\"a\\\"\\\\\\u000a\\\\xff\"");
    bytes_free(&json);
    char wide[2000];
    memset(wide, 0xff, sizeof(wide));
    ck_assert_uint_lt(strlen(name_shown(out, wide, sizeof(wide))), NAME_SHOWN_MAX);
}
END_TEST

START_TEST(test_name_temporary)
{
    char a[256];
    char b[256];
    char base[256];
    name_temporary(a, "up", "new", "01234567");
    ck_assert_str_eq(a, ".up.orch-new-01234567");
    ck_assert_int_eq(name_is_temporary(a, 0), 1);
    ck_assert_int_eq(name_is_temporary(a, 1), 0);
    name_temporary(a, "", "aside", "01234567");
    ck_assert_int_eq(name_is_temporary(a, 1), 1);
    ck_assert_int_eq(name_is_temporary(".orch-new-0123456", 0), 0);
    ck_assert_int_eq(name_is_temporary(".orch-other-01234567", 0), 0);
    memset(base, 'n', 255);
    base[255] = 0;
    name_temporary(a, base, "aside", "01234567");
    base[254] = 'm';
    name_temporary(b, base, "aside", "01234567");
    ck_assert_str_ne(a, b);
    ck_assert_uint_le(strlen(a), 255);
    ck_assert_int_eq(name_is_temporary(a, 0), 1);
}
END_TEST

static const struct normal_case {
    const char *path;
    const char *clean; /* NULL: refused */
} normal_cases[] = {
    {"/a/b", "/a/b"}, {"/a//b/", "/a/b"}, {"//", "/"}, {"a", NULL}, {"/a/../b", NULL}, {"/.", NULL},
};

START_TEST(test_name_normalise)
{
    const struct normal_case *c = &normal_cases[_i];
    char *clean = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    int32_t rc = name_normalise(c->path, &clean, &err);
    ck_assert_int_eq(rc, c->clean == NULL ? ORCH_E_CONFIG : ORCH_OK);
    if (rc == ORCH_OK) {
        ck_assert_str_eq(clean, c->clean);
    }
    free(clean);
}
END_TEST

/* -- roots -- */

static int32_t open_roots(struct roots *roots, const char *const *paths, uint64_t count,
                          const char *prefix, struct orch_error *err)
{
    struct orch_value values[2] = {
        {.name = "paths", .type = ORCH_OPTION_PATH_LIST, .strings = paths, .count = count},
        {.name = "root", .type = ORCH_OPTION_PATH, .string = prefix},
    };
    struct orch_options options = {.struct_size = sizeof(options),
                                   .value_size = sizeof(values[0]),
                                   .count = 2,
                                   .values = values};
    return roots_open(roots, &options, err);
}

START_TEST(test_roots)
{
    static const char *const good[] = {"/x/b/", "/x/a", "/x/a-b"};
    static const char *const inside[] = {"/x/a", "/y", "/x/a/b"};
    static const char *const twice[] = {"/x", "/x/"};
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(open_roots(&roots, good, 3, "/", &err), 0);
    ck_assert_str_eq(roots.items[0].name, "/x/a");
    ck_assert_str_eq(roots.items[2].path, "/x/b");
    ck_assert_str_eq(roots.items[2].parent, "/x");
    ck_assert_str_eq(roots.items[2].base, "b");
    ck_assert_ptr_eq(roots_find(&roots, (const uint8_t *)"/x/a-b/c", 8), &roots.items[1]);
    ck_assert_ptr_null(roots_find(&roots, (const uint8_t *)"/x/ab", 5));
    ck_assert_int_eq(roots_move(&roots, "/tmp/t/", &err), 0);
    ck_assert_str_eq(roots.items[0].path, "/tmp/t/x/a");
    roots_close(&roots);
    ck_assert_int_eq(open_roots(&roots, inside, 3, "/", &err), ORCH_E_CONFIG);
    ck_assert_int_eq(open_roots(&roots, twice, 2, "/", &err), ORCH_E_CONFIG);
    ck_assert_int_eq(open_roots(&roots, good, 0, "/", &err), ORCH_E_CONFIG);
}
END_TEST

START_TEST(test_roots_of_all)
{
    static const char *const all[] = {"/"};
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(open_roots(&roots, all, 1, "/", &err), 0);
    ck_assert_str_eq(roots.items[0].path, "/");
    ck_assert_str_eq(roots.items[0].base, ".");
    ck_assert_ptr_eq(roots_find(&roots, (const uint8_t *)"/etc", 4), &roots.items[0]);
    ck_assert_int_eq(roots_move(&roots, "/tmp/t", &err), 0);
    ck_assert_str_eq(roots.items[0].path, "/tmp/t");
    ck_assert_str_eq(roots.items[0].base, "t");
    roots_close(&roots);
}
END_TEST

/* -- metadata -- */

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

/* -- order -- */

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
    ck_assert_int_eq(open_roots(&roots, paths, 4, "/", &err), 0);
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

/* -- folders and removal -- */

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

/* -- trees from objects -- */

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
    ck_assert_int_eq(open_roots(&b->roots, paths, 1, "/", &b->err), 0);
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
    Suite *suite = suite_create("files");
    TCase *tc = tcase_create("all");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_pattern, 0, COUNT(pattern_cases));
    tcase_add_loop_test(tc, test_pattern_empty, 0, 2);
    tcase_add_loop_test(tc, test_name_valid, 0, COUNT(name_cases));
    tcase_add_test(tc, test_name_hostile);
    tcase_add_test(tc, test_name_shown);
    tcase_add_test(tc, test_name_temporary);
    tcase_add_loop_test(tc, test_name_normalise, 0, COUNT(normal_cases));
    tcase_add_test(tc, test_roots);
    tcase_add_test(tc, test_roots_of_all);
    tcase_add_test(tc, test_meta_round);
    tcase_add_test(tc, test_meta_hostile);
    tcase_add_loop_test(tc, test_walk_order, 0, 20);
    tcase_add_test(tc, test_dirs_stay_below);
    tcase_add_loop_test(tc, test_erase, geteuid() == 0 ? 0 : 1, 2);
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
