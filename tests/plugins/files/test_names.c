/* test_names.c: names, patterns and roots of file trees: the shared parts alone. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "files/bytes.h"
#include "files/name.h"
#include "files/pattern.h"
#include "files/roots.h"
#include "rootcase.h"

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

START_TEST(test_roots)
{
    static const char *const good[] = {"/x/b/", "/x/a", "/x/a-b"};
    static const char *const inside[] = {"/x/a", "/y", "/x/a/b"};
    static const char *const twice[] = {"/x", "/x/"};
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(rootcase_open(&roots, good, 3, "/", &err), 0);
    ck_assert_str_eq(roots.items[0].name, "/x/a");
    ck_assert_str_eq(roots.items[2].path, "/x/b");
    ck_assert_str_eq(roots.items[2].parent, "/x");
    ck_assert_str_eq(roots.items[2].base, "b");
    ck_assert_ptr_eq(roots_find(&roots, (const uint8_t *)"/x/a-b/c", 8), &roots.items[1]);
    ck_assert_ptr_null(roots_find(&roots, (const uint8_t *)"/x/ab", 5));
    ck_assert_int_eq(roots_move(&roots, "/tmp/t/", &err), 0);
    ck_assert_str_eq(roots.items[0].path, "/tmp/t/x/a");
    roots_close(&roots);
    ck_assert_int_eq(rootcase_open(&roots, inside, 3, "/", &err), ORCH_E_CONFIG);
    ck_assert_int_eq(rootcase_open(&roots, twice, 2, "/", &err), ORCH_E_CONFIG);
    ck_assert_int_eq(rootcase_open(&roots, good, 0, "/", &err), ORCH_E_CONFIG);
}
END_TEST

START_TEST(test_roots_of_all)
{
    static const char *const all[] = {"/"};
    struct orch_error err = ORCH_ERROR_INIT;
    struct roots roots;
    ck_assert_int_eq(rootcase_open(&roots, all, 1, "/", &err), 0);
    ck_assert_str_eq(roots.items[0].path, "/");
    ck_assert_str_eq(roots.items[0].base, ".");
    ck_assert_ptr_eq(roots_find(&roots, (const uint8_t *)"/etc", 4), &roots.items[0]);
    ck_assert_int_eq(roots_move(&roots, "/tmp/t", &err), 0);
    ck_assert_str_eq(roots.items[0].path, "/tmp/t");
    ck_assert_str_eq(roots.items[0].base, "t");
    roots_close(&roots);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
    Suite *suite = suite_create("files-names");
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
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
