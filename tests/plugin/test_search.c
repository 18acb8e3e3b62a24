/* test_search.c: where plugins are found, which ones are refused, and descriptors as JSON. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin/info.h"
#include "plugin/search.h"

static char root[64];

static const char *at(const char *name)
{
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, 256, "%s/%s", root, name);
    return path;
}

static void make_file(const char *name, mode_t mode)
{
    FILE *file = fopen(at(name), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(at(name), mode), 0);
}

static void make_folder(const char *name, mode_t mode)
{
    ck_assert_int_eq(mkdir(at(name), 0700), 0);
    ck_assert_int_eq(chmod(at(name), mode), 0);
}

static void set_up(void)
{
    strcpy(root, "/tmp/orchestrate-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    make_folder("one", 0755);
    make_folder("two", 0700);
    make_folder("two/nested", 0755);
    make_folder("open", 0777);
    make_folder("group", 0775);
    make_folder("inner", 0755);
    make_folder("inner/loose", 0777);
    make_file("one/redis.so", 0644);
    make_file("one/loose-file.so", 0666);
    make_file("one/Not-Legal.so", 0644);
    make_file("one/readme.txt", 0644);
    make_file("two/redis.so", 0600);
    make_file("two/volumes.so", 0700);
    make_file("two/nested/nested.so", 0755);
    make_file("open/exposed.so", 0644);
    make_file("group/shared.so", 0644);
    make_file("inner/loose/loose.so", 0644);
    (void)unsetenv("ORCHESTRATE_PLUGIN_PATH");
}

static void tear_down(void)
{
    char command[100];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

/* Finds `name` in these folders (of the root), joined by colons. */
static int32_t find(const char *first, const char *second, const char *name, char **path,
                    struct orch_error *err)
{
    char extra[600];
    (void)snprintf(extra, sizeof(extra), "%s:%s", at(first), at(second));
    return plugin_search(extra, name, path, err);
}

START_TEST(test_found)
{
    static const struct {
        const char *first, *second, *name, *file;
    } cases[] = {
        {"one", "two", "redis", "one/redis.so"},
        {"two", "one", "redis", "two/redis.so"},
        {"one", "two", "volumes", "two/volumes.so"},
        {"one", "two", "nested", "two/nested/nested.so"},
        {"missing", "two", "volumes", "two/volumes.so"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP_FREE char *path = NULL;
        struct orch_error err = ORCH_ERROR_INIT;
        int32_t rc = find(cases[i].first, cases[i].second, cases[i].name, &path, &err);
        ck_assert_msg(rc == 0, "%s", err.message);
        ck_assert_str_eq(path, at(cases[i].file));
    }
}
END_TEST

START_TEST(test_environment)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *other = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(setenv("ORCHESTRATE_PLUGIN_PATH", at("two"), 1), 0);
    ck_assert_int_eq(plugin_search(NULL, "redis", &path, &err), 0);
    ck_assert_str_eq(path, at("two/redis.so"));
    ck_assert_int_eq(plugin_search(at("one"), "redis", &other, &err), 0); /* comes first */
    ck_assert_str_eq(other, at("one/redis.so"));
}
END_TEST

static const struct {
    const char *folder, *name;
    int32_t code;
    const char *says;
} refused[] = {
    {"open", "exposed", ORCH_E_ACCESS, "others may write it (mode 777); use chmod go-w"},
    {"group", "shared", ORCH_E_ACCESS, "plugin folder"},
    {"one", "loose-file", ORCH_E_ACCESS, "loose-file.so is refused"},
    {"inner", "loose", ORCH_E_ACCESS, "inner/loose is refused"},
    {"one", "unknown", ORCH_E_CONFIG, "there is no plugin unknown (unknown.so) in "},
    {"one", "Not-Legal", ORCH_E_CONFIG, "cannot be a plugin"},
    {"one", "../one/redis", ORCH_E_CONFIG, "cannot be a plugin"},
    {"one", "", ORCH_E_CONFIG, "cannot be a plugin"},
    {"one", "readme", ORCH_E_CONFIG, "there is no plugin"},
};

START_TEST(test_refused)
{
    char *path = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(plugin_search(at(refused[_i].folder), refused[_i].name, &path, &err),
                     refused[_i].code);
    ck_assert_msg(strstr(err.message, refused[_i].says) != NULL, "%s", err.message);
    ck_assert_ptr_null(path);
}
END_TEST

START_TEST(test_other_owner)
{
    char *path = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    if (geteuid() != 0) {
        return; /* only root can give a file away */
    }
    ck_assert_int_eq(chown(at("one/redis.so"), 12345, 12345), 0);
    ck_assert_int_eq(plugin_search(at("one"), "redis", &path, &err), ORCH_E_ACCESS);
    ck_assert_ptr_nonnull(strstr(err.message, "it belongs to user 12345"));
}
END_TEST

START_TEST(test_all)
{
    char extra[600];
    char **names = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    (void)snprintf(extra, sizeof(extra), "%s:%s:%s", at("one"), at("two"), at("missing"));
    ck_assert_int_eq(plugin_search_all(extra, &names, &err), 0);
    static const char *const expected[] = {"loose-file", "nested", "redis", "volumes"};
    size_t found = 0;
    for (size_t i = 0; names[i] != NULL; i++) { /* the installed folder may have more */
        found += found < 4 && strcmp(names[i], expected[found]) == 0 ? 1 : 0;
        ck_assert(i == 0 || strcmp(names[i - 1], names[i]) < 0);
    }
    ck_assert_uint_eq(found, 4);
    plugin_names_free(names);
}
END_TEST

/* ---- descriptors ---- */

static const char good[] =
    "{\"name\":\"x\",\"version\":\"1\",\"summary\":\"s\",\"path\":\"/x.so\",\"abi_major\":1,"
    "\"abi_minor\":2,\"capabilities\":5,\"callbacks\":3,\"data_format\":2,"
    "\"data_format_oldest\":1,\"options\":[{\"name\":\"a.b_c\",\"type\":5,\"flags\":1,"
    "\"default\":\"10GB\",\"help\":\"h\"}]}";

START_TEST(test_info_round_trip)
{
    struct plugin_info *info = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *json = json_loads(good, 0, NULL);
    ck_assert_int_eq(plugin_info_from_json(json, &info, &err), 0);
    ck_assert_str_eq(info->options[0].default_value, "10GB");
    json_t *back = plugin_info_to_json(info);
    ck_assert(json_equal(json, back));
    json_decref(json);
    json_decref(back);
    plugin_info_free(info);
}
END_TEST

/* Each replaces one text of the good one. */
static const struct {
    const char *from, *to;
} wrong[] = {
    {"\"name\":\"x\"", "\"name\":\"X\""},
    {"\"name\":\"x\"", "\"name\":\"\""},
    {"\"name\":\"x\"", "\"name\":\"1x\""},
    {"\"name\":\"x\"", "\"name\":17"},
    {"\"version\":\"1\"", "\"other\":\"1\""},
    {"\"data_format_oldest\":1", "\"data_format_oldest\":3"},
    {"a.b_c", "a..b"},
    {"a.b_c", ".a"},
    {"a.b_c", "a."},
    {"a.b_c", "a b"},
    {"a.b_c", "_a"},
    {"\"type\":5", "\"type\":0"},
    {"\"type\":5", "\"type\":10"},
    {"\"help\":\"h\"", "\"no\":1"},
    {"\"options\":[", "\"options\":[{\"name\":\"a.b_c\",\"type\":1,\"help\":\"\"},"},
    {"\"options\":[", "\"options\":[3,"},
    {"\"options\":", "\"none\":"},
};

START_TEST(test_info_refused)
{
    char text[1000];
    struct plugin_info *info = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    const char *spot = strstr(good, wrong[_i].from);
    ck_assert_ptr_nonnull(spot);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(spot - good), good, wrong[_i].to,
                   spot + strlen(wrong[_i].from));
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_msg(json != NULL, "%s", text);
    ck_assert_int_lt(plugin_info_from_json(json, &info, &err), 0);
    ck_assert_int_ne(err.message[0], 0);
    ck_assert_ptr_null(info);
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("search");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, test_found);
    tcase_add_test(tcase, test_environment);
    tcase_add_loop_test(tcase, test_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(tcase, test_other_owner);
    tcase_add_test(tcase, test_all);
    tcase_add_test(tcase, test_info_round_trip);
    tcase_add_loop_test(tcase, test_info_refused, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
