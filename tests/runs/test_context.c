/* test_context.c: the state folder, and what this client remembers of a repository. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "runtest.h"

static struct orch_error err;
static struct runtest t;

static const char *const one[] = {"a", NULL};

static void setup(void)
{
    err = (struct orch_error)ORCH_ERROR_INIT;
    runtest_make(&t, one, NULL);
}

static void teardown(void)
{
    runtest_remove(&t);
}

/* As the next process would; the context is closed when that fails. */
static int32_t open_again(void)
{
    context_close_repository(&t.ctx);
    return context_open_repository(&t.ctx, NULL, &err);
}

START_TEST(test_state_path)
{
    CLEANUP_FREE char *path = NULL, *again = NULL, *inner = folder_path(t.dir, "state/new");
    char expected[FOLDER_TEXT + 32];
    struct stat st;
    ASSERT_OK(context_state_path(t.ctx.config, "new", "file", &path, &err), err);
    (void)snprintf(expected, sizeof(expected), "%s/state/new/file", t.dir);
    ck_assert_str_eq(path, expected);
    ck_assert_int_eq(stat(inner, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
    ck_assert_int_ne(stat(path, &st), 0); /* the folder is made, the file is not */
    ASSERT_OK(context_state_path(t.ctx.config, "new", "file", &again, &err), err);
    folder_write(t.dir, "state/file", "");
    CLEANUP_FREE char *none = NULL;
    ASSERT_FAILS(context_state_path(t.ctx.config, "file", "x", &none, &err), ORCH_E_EXISTS, err,
                 "cannot use the state folder (set state_dir in the configuration)");
}
END_TEST

START_TEST(test_cancelled)
{
    ck_assert(!context_cancelled(&t.ctx));
    t.cancel = 1;
    ck_assert(context_cancelled(&t.ctx));
    t.ctx.cancel = NULL;
    ck_assert(!context_cancelled(&t.ctx));
}
END_TEST

START_TEST(test_remembered)
{
    struct stat st;
    CLEANUP_FREE char *path = folder_path(t.dir, "state/known/main.json");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    ASSERT_OK(open_again(), err);
    /* A client that remembers nothing takes what it finds, and remembers it. */
    ck_assert_int_eq(remove(path), 0);
    ASSERT_OK(open_again(), err);
    ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

/* Another repository at the same place is refused: an attacker, or a mount that is missing. */
START_TEST(test_another_repository)
{
    char command[128];
    context_close_repository(&t.ctx);
    (void)snprintf(command, sizeof(command), "rm -r '%s/repo'", t.dir);
    ck_assert_int_eq(system(command), 0);
    ASSERT_FAILS(open_again(), ORCH_E_NOT_FOUND, err, "orchestrate init");
    CLEANUP_FREE char *known = folder_read(t.dir, "state/known/main.json");
    ASSERT_OK(context_create_repository(&t.ctx, NULL, &err), err);
    folder_write(t.dir, "state/known/main.json", known);
    ASSERT_FAILS(open_again(), ORCH_E_REFUSED, err, "state/known/main.json");
    ck_assert_ptr_null(t.ctx.repo);
    ck_assert_ptr_null(t.ctx.storage);
}
END_TEST

/* It was encrypted when we last saw it. */
START_TEST(test_weaker_than_known)
{
    CLEANUP_FREE char *known = folder_read(t.dir, "state/known/main.json");
    char *flag = strstr(known, "false");
    ck_assert_ptr_nonnull(flag);
    memcpy(flag, "true ", 5);
    folder_write(t.dir, "state/known/main.json", known);
    ASSERT_FAILS(open_again(), ORCH_E_REFUSED, err,
                 "remove that file only if the change was yours");
}
END_TEST

START_TEST(test_damaged_memory)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{\"id\": 7, \"encrypted\": false}",
                                        "{\"id\": \"short\", \"encrypted\": false}",
                                        "{\"id\": \"00112233445566778899aabbccddeeff\"}"};
    folder_write(t.dir, "state/known/main.json", texts[_i]);
    ASSERT_FAILS(open_again(), ORCH_E_CORRUPT, err, "is damaged; remove it if you trust");
}
END_TEST

START_TEST(test_create_twice)
{
    context_close_repository(&t.ctx);
    ck_assert_int_eq(context_create_repository(&t.ctx, NULL, &err), ORCH_E_EXISTS);
    ASSERT_FAILS(context_open_repository(&t.ctx, "other", &err), ORCH_E_CONFIG, err, "other");
}
END_TEST

/* A description that was kept is not believed against the plugin itself. */
START_TEST(test_described_otherwise)
{
    const struct config_component *component = &t.ctx.config->components[0];
    struct plugin_info *info = (struct plugin_info *)(uintptr_t)component->info;
    struct worker *worker = NULL;
    ASSERT_OK(context_open_worker(&t.ctx, component, 0, &worker, &err), err);
    ASSERT_OK(worker_close(worker, &err), err);
    info->capabilities ^= ORCH_CAP_EMPTY_OK;
    ASSERT_FAILS(context_open_worker(&t.ctx, component, 0, &worker, &err), ORCH_E_CHANGED, err,
                 "is not what the configuration was checked against");
}
END_TEST

/* Encryption by a key file: what it must hold, and that the wrong one does not open. */
START_TEST(test_key_file)
{
    char settings[128], command[256];
    static const char good[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    static const char *const wrong[] = {
        "", "00112233", "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef0"};
    CLEANUP_FREE char *text = folder_read(t.dir, "conf.d/main.conf");
    CLEANUP_BUFFER struct buffer changed = BUFFER_INIT;
    char *at = strstr(text, "encryption = \"none\";");
    (void)snprintf(settings, sizeof(settings), "key_file = \"%s/key\";", t.dir);
    buffer_printf(&changed, "%.*s%s%s", (int)(at - text), text, settings, at + 20);
    folder_write(t.dir, "conf.d/main.conf", buffer_string(&changed));
    context_close_repository(&t.ctx);
    (void)snprintf(command, sizeof(command), "rm -r '%s/repo' '%s/state'", t.dir, t.dir);
    ck_assert_int_eq(system(command), 0);
    folder_write(t.dir, "key", good);
    config_free(t.ctx.config);
    runtest_load(&t);
    ASSERT_OK(context_create_repository(&t.ctx, NULL, &err), err);
    ck_assert(repo_encrypted(t.ctx.repo));
    ASSERT_OK(open_again(), err);
    folder_write(t.dir, "key", wrong[_i]);
    int32_t rc = open_again();
    if (_i < 3) {
        ASSERT_FAILS(rc, ORCH_E_CONFIG, err,
                     "repository \"main\" does not hold 64 lower-case hex digits");
    } else {
        ck_assert_int_eq(rc, ORCH_E_ACCESS);
    }
    CLEANUP_FREE char *path = folder_path(t.dir, "key");
    ck_assert_int_eq(remove(path), 0);
    ASSERT_FAILS(open_again(), ORCH_E_CONFIG, err,
                 "cannot read the key_file of repository \"main\": ");
}
END_TEST

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("context");
    TCase *tests = tcase_create("context");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_state_path);
    tcase_add_test(tests, test_cancelled);
    tcase_add_test(tests, test_remembered);
    tcase_add_test(tests, test_another_repository);
    tcase_add_test(tests, test_weaker_than_known);
    tcase_add_loop_test(tests, test_damaged_memory, 0, 6);
    tcase_add_test(tests, test_create_twice);
    tcase_add_test(tests, test_described_otherwise);
    tcase_add_loop_test(tests, test_key_file, 0, 4);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
