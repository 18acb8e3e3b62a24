/* test_describe.c: what a plugin says of itself, asked for or kept. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run/describe.h"
#include "runtest.h"

static struct orch_error err;
static struct config config;
static char dir[FOLDER_TEXT];
static char plugin_dir[FOLDER_TEXT + 16];
static char old_dir[FOLDER_TEXT]; /* with a copy of the plugin that all tests use */
static const char *built;         /* where the plugins were built */

/* A new copy into `folder`. */
static int copy_plugin(const char *folder)
{
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "mkdir -p '%s' && chmod 755 '%s' && install -m 755 '%s/scripted.so' '%s/new' && "
                   "mv '%s/new' '%s/scripted.so'",
                   folder, folder, built, folder, folder, folder);
    return system(command);
}

/* Until a copy is old enough for its times to be trusted: nothing but time can do that. */
static void settle(void)
{
    (void)nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 50000000}, NULL);
}

static void setup(void)
{
    err = (struct orch_error)ORCH_ERROR_INIT;
    folder_make(dir);
    (void)snprintf(plugin_dir, sizeof(plugin_dir), "%s", old_dir);
    config = (struct config){.cache_dir = folder_path(dir, "cache")};
}

static void teardown(void)
{
    free(config.cache_dir);
    folder_remove(dir);
}

/* Changes a text in what is kept: "summary" of "plugin". */
static void set_kept(const char *group, const char *member, const char *value)
{
    CLEANUP_FREE char *text = folder_read(dir, "cache/plugins/scripted.json");
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_int_eq(json_object_set_new(json_object_get(json, group), member, json_string(value)),
                     0);
    CLEANUP_FREE char *changed = json_dumps(json, 0);
    json_decref(json);
    folder_write(dir, "cache/plugins/scripted.json", changed);
}

/* Whether the answer is the one that is kept, with the summary "kept", and not the plugin's. */
static bool kept_in(bool in_process, const struct config *with)
{
    struct describe describe = {.plugin_path = plugin_dir, .in_process = in_process};
    struct plugin_info *info = NULL;
    ASSERT_OK(describe_plugin(&describe, with, "scripted", &info, &err), err);
    ck_assert_str_eq(info->name, "scripted");
    ck_assert_ptr_nonnull(strstr(info->path, "/scripted.so"));
    ck_assert_uint_gt(info->option_count, 0);
    bool kept = strcmp(info->summary, "kept") == 0;
    plugin_info_free(info);
    return kept;
}

static bool kept(void)
{
    return kept_in(false, &config);
}

START_TEST(test_kept)
{
    struct stat st;
    ck_assert(!kept());
    CLEANUP_FREE char *path = folder_path(dir, "cache/plugins/scripted.json");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    set_kept("plugin", "summary", "kept");
    ck_assert(kept());
    ck_assert(!kept_in(false, NULL));
    ck_assert(!kept_in(true, &config)); /* a thread of this process */
    ck_assert(kept());
}
END_TEST

/* The same bytes, but another file: what it says may be another thing. */
START_TEST(test_replaced)
{
    (void)snprintf(plugin_dir, sizeof(plugin_dir), "%s/plugins", dir);
    ck_assert_int_eq(copy_plugin(plugin_dir), 0);
    settle();
    ck_assert(!kept());
    set_kept("plugin", "summary", "kept");
    ck_assert(kept());
    ck_assert_int_eq(copy_plugin(plugin_dir), 0);
    settle();
    ck_assert(!kept());
}
END_TEST

START_TEST(test_too_new)
{
    (void)snprintf(plugin_dir, sizeof(plugin_dir), "%s/plugins", dir);
    ck_assert_int_eq(copy_plugin(plugin_dir), 0);
    ck_assert(!kept());
    ck_assert_uint_eq(folder_count(dir, "cache/plugins"), 0);
}
END_TEST

START_TEST(test_damaged)
{
    static const char *const damaged[] = {"", "{", "[]", "{\"key\": null, \"plugin\": null}"};
    ck_assert(!kept());
    CLEANUP_FREE char *good = folder_read(dir, "cache/plugins/scripted.json");
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        folder_write(dir, "cache/plugins/scripted.json", damaged[i]);
        ck_assert(!kept());
        CLEANUP_FREE char *again = folder_read(dir, "cache/plugins/scripted.json");
        ck_assert_str_eq(again, good);
    }
}
END_TEST

/* The key is right, and what it is the key of is that of another file, or of another plugin. */
START_TEST(test_not_its_own)
{
    ck_assert(!kept());
    set_kept("plugin", "summary", "kept");
    set_kept("plugin", _i == 0 ? "path" : "name", _i == 0 ? "/tmp/other.so" : "other");
    ck_assert(!kept());
    set_kept("plugin", "summary", "kept"); /* it was written anew */
    ck_assert(kept());
}
END_TEST

/* A cache that cannot be written costs time, no more. */
START_TEST(test_no_cache)
{
    folder_write(dir, "cache", "in the way");
    ck_assert(!kept());
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    built = argv[1];
    (void)snprintf(old_dir, sizeof(old_dir), "/tmp/orch-describe-XXXXXX"); /* outside of any test */
    if (mkdtemp(old_dir) == NULL || copy_plugin(old_dir) != 0) {
        return EXIT_FAILURE;
    }
    settle();
    Suite *suite = suite_create("describe");
    TCase *tests = tcase_create("describe");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_kept);
    tcase_add_test(tests, test_replaced);
    tcase_add_test(tests, test_too_new);
    tcase_add_test(tests, test_damaged);
    tcase_add_loop_test(tests, test_not_its_own, 0, 2);
    tcase_add_test(tests, test_no_cache);
    suite_add_tcase(suite, tests);
    int failed = testing_run(suite);
    char remove[FOLDER_TEXT + 16];
    (void)snprintf(remove, sizeof(remove), "rm -r '%s'", old_dir);
    return system(remove) == 0 ? failed : EXIT_FAILURE;
}
