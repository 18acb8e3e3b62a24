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
static const char *built; /* where the plugins were built */

static void copy_plugin(void)
{
    char command[512];
    (void)snprintf(command, sizeof(command),
                   "mkdir -p '%s' && chmod 755 '%s' && install -m 755 '%s/scripted.so' '%s/new' && "
                   "mv '%s/new' '%s/scripted.so'",
                   plugin_dir, plugin_dir, built, plugin_dir, plugin_dir, plugin_dir);
    ck_assert_int_eq(system(command), 0);
}

/* Until the copy is old enough for its times to be trusted. */
static void settle(void)
{
    (void)nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 50000000}, NULL);
}

static void setup(void)
{
    err = (struct orch_error)ORCH_ERROR_INIT;
    folder_make(dir);
    (void)snprintf(plugin_dir, sizeof(plugin_dir), "%s/plugins", dir);
    config = (struct config){.cache_dir = folder_path(dir, "cache")};
    copy_plugin();
}

static void teardown(void)
{
    (void)unsetenv("ORCHESTRATE_WORKER_EXE");
    free(config.cache_dir);
    folder_remove(dir);
}

static int32_t describe_in(bool in_process, const struct config *with)
{
    struct describe describe = {.plugin_path = plugin_dir, .in_process = in_process};
    struct plugin_info *info = NULL;
    int32_t rc = describe_plugin(&describe, with, "scripted", &info, &err);
    if (rc == ORCH_OK) {
        ck_assert_str_eq(info->name, "scripted");
        ck_assert_uint_gt(info->option_count, 0);
    }
    plugin_info_free(info);
    return rc;
}

static int32_t describe(void)
{
    return describe_in(false, &config);
}

/* From here on no worker can be had: what is not kept fails. */
static void no_workers(void)
{
    ck_assert_int_eq(setenv("ORCHESTRATE_WORKER_EXE", "/bin/false", 1), 0);
}

START_TEST(test_kept)
{
    struct stat st;
    settle();
    ASSERT_OK(describe(), err);
    CLEANUP_FREE char *path = folder_path(dir, "cache/plugins/scripted.json");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    no_workers();
    ASSERT_OK(describe(), err);
    ASSERT_FAILS(describe_in(false, NULL), ORCH_E_CRASHED, err, "scripted");
    ASSERT_OK(describe_in(true, &config), err); /* a thread of this process */
}
END_TEST

/* The same bytes, but another file: what it says may be another thing. */
START_TEST(test_replaced)
{
    settle();
    ASSERT_OK(describe(), err);
    copy_plugin();
    no_workers();
    ASSERT_FAILS(describe(), ORCH_E_CRASHED, err, "scripted");
}
END_TEST

START_TEST(test_too_new)
{
    ASSERT_OK(describe(), err);
    ck_assert_uint_eq(folder_count(dir, "cache/plugins"), 0);
}
END_TEST

START_TEST(test_damaged)
{
    static const char *const damaged[] = {"", "{", "[]", "{\"key\": null, \"plugin\": null}"};
    settle();
    ASSERT_OK(describe(), err);
    CLEANUP_FREE char *good = folder_read(dir, "cache/plugins/scripted.json");
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        folder_write(dir, "cache/plugins/scripted.json", damaged[i]);
        ASSERT_OK(describe(), err);
        CLEANUP_FREE char *again = folder_read(dir, "cache/plugins/scripted.json");
        ck_assert_str_eq(again, good);
    }
    /* The key is right, and what it is the key of is not. */
    json_t *json = json_loads(good, 0, NULL);
    ck_assert_int_eq(json_object_del(json_object_get(json, "plugin"), "name"), 0);
    CLEANUP_FREE char *text = json_dumps(json, 0);
    json_decref(json);
    folder_write(dir, "cache/plugins/scripted.json", text);
    ASSERT_OK(describe(), err);
    no_workers();
    ASSERT_OK(describe(), err);
}
END_TEST

/* A cache that cannot be written costs time, no more. */
START_TEST(test_no_cache)
{
    settle();
    folder_write(dir, "cache", "in the way");
    ASSERT_OK(describe(), err);
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    built = argv[1];
    Suite *suite = suite_create("describe");
    TCase *tests = tcase_create("describe");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_kept);
    tcase_add_test(tests, test_replaced);
    tcase_add_test(tests, test_too_new);
    tcase_add_test(tests, test_damaged);
    tcase_add_test(tests, test_no_cache);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
