/* test_main.c: whole invocations: exit codes, the one JSON document, and where texts go. Components
 * are of the scripted plugin (tests/runs/scripted.c); each invocation is a process. */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "capture.h"
#include "cli/cli.h"
#include "folder.h"
#include "testing.h"

#define WORDS 16

static const char *plugins; /* folder of the scripted plugin */
static char dir[FOLDER_TEXT];
static char shared[FOLDER_TEXT]; /* of all tests: the plugin, and the cache with its description */

/* ---- the system ---- */

/* A copy in a folder that nobody else may write, whatever the umask of the build was; old enough
 * for what it says of itself to be kept. */
static int copy_plugin(void)
{
    char command[1200];
    (void)snprintf(shared, sizeof(shared), "/tmp/orch-cli-XXXXXX"); /* outside of any test */
    if (mkdtemp(shared) == NULL) {
        return -1;
    }
    (void)snprintf(command, sizeof(command),
                   "mkdir -m 700 '%s/plugins' && cp '%s/scripted.so' '%s/plugins/' && chmod 600 "
                   "'%s/plugins/scripted.so' && sleep 2.1",
                   shared, plugins, shared, shared);
    return system(command);
}

static void setup(void)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    folder_make(dir);
    buffer_printf(
        &text,
        "state_dir = \"%s/state\"; cache_dir = \"%s/cache\";\nrepositories: { main: { url = "
        "\"%s/repo\"; encryption = \"none\"; jobs = 1; }; };\ncomponents: {\n  base: { "
        "plugin = \"scripted\"; path = \"%s/base\"; };\n  top: { plugin = \"scripted\"; "
        "path = \"%s/top\"; depends_on = [ \"base\" ]; };\n};\n",
        dir, shared, dir, dir, dir);
    folder_write(dir, "conf.d/main.conf", buffer_string(&text));
    folder_write(dir, "base/data", "one=1\n");
    folder_write(dir, "top/data", "two=22\n");
}

static void teardown(void)
{
    folder_remove(dir);
}

/* In a child: the files "out" and "err" get what it prints. `out` NULL: standard output goes there
 * too, else to that file. */
static int invoke_into(const char *out, const char *const *words)
{
    char *argv[WORDS + 6] = {(char *)(uintptr_t) "orchestrate"};
    CLEANUP_FREE char *conf = folder_path(dir, "conf.d"), *folder = folder_path(shared, "plugins");
    int argc = 1;
    struct capture capture;
    (void)setenv("ORCHESTRATE_CONFIG", conf, 1);
    (void)setenv("ORCHESTRATE_PLUGIN_PATH", folder, 1);
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    capture_start(&capture, dir);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int to = out == NULL ? STDOUT_FILENO : open(out, O_WRONLY | O_CLOEXEC);
        if (dup2(null, STDIN_FILENO) < 0 || dup2(to, STDOUT_FILENO) < 0) {
            _exit(99);
        }
        exit(cli_main(argc, argv));
    }
    capture_stop(&capture);
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define INVOKE(...) invoke_into(NULL, (const char *const[]){__VA_ARGS__, NULL})

/* The exit code, and with a wrong one what was said. */
#define ASSERT_EXIT(expected, ...)                                                                 \
    do {                                                                                           \
        int exit_code = INVOKE(__VA_ARGS__);                                                       \
        CLEANUP_FREE char *exit_text = folder_read(dir, "err");                                    \
        ck_assert_msg(exit_code == (expected), "exit %d: %s", exit_code, exit_text);               \
    } while (0)

static void assert_says(const char *file, const char *text)
{
    CLEANUP_FREE char *all = folder_read(dir, file);
    ck_assert_msg(strstr(all, text) != NULL, "no \"%s\" in %s: %s", text, file, all);
}

static json_t *document(void)
{
    json_error_t why;
    CLEANUP_FREE char *text = folder_read(dir, "out");
    json_t *json = json_loads(text, 0, &why); /* one document, and nothing else */
    ck_assert_msg(json != NULL, "%s in: %s", why.text, text);
    return json;
}

/* ---- codes ---- */

START_TEST(test_exit_codes)
{
    static const struct {
        int32_t rc;
        int code;
    } codes[] = {
        {ORCH_OK, 0},
        {ORCH_E_FAILED, 1},
        {ORCH_E_NOMEM, 1},
        {ORCH_E_INVALID, 1},
        {ORCH_E_CONFIG, 2},
        {ORCH_E_NOT_FOUND, 1},
        {ORCH_E_EXISTS, 1},
        {ORCH_E_IO, 1},
        {ORCH_E_NO_SPACE, 1},
        {ORCH_E_ACCESS, 1},
        {ORCH_E_UNREACHABLE, 1},
        {ORCH_E_TIMEOUT, 1},
        {ORCH_E_CANCELLED, 130},
        {ORCH_E_CORRUPT, 1},
        {ORCH_E_VERSION, 1},
        {ORCH_E_UNSUPPORTED, 2},
        {ORCH_E_INCOMPATIBLE, 1},
        {ORCH_E_PROTOCOL, 1},
        {ORCH_E_EMPTY, 1},
        {ORCH_E_CHANGED, 1},
        {ORCH_E_BUSY, 1},
        {ORCH_E_CRASHED, 1},
        {ORCH_E_REFUSED, 4},
        {-1000, 1},
    };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        ck_assert_int_eq(cli_exit_code(codes[i].rc), codes[i].code);
    }
}
END_TEST

static const struct {
    int code;
    const char *words[WORDS];
    const char *out, *err;
} invocations[] = {
    {0, {"--help"}, "Commands:\n", ""},
    {0, {"--help"}, "-q: no progress", ""},
    {0, {"--help"}, "-v: tell more", ""},
    {0, {"--help"}, "-h: this text", ""},
    {0, {"--help"}, "--version", ""},
    {2, {"schedule"}, "", "orchestrate: \"schedule\" is not built yet"},
    {0, {"restore", "-h"}, "orchestrate restore SET [COMPONENT", ""},
    {2, {NULL}, "", "orchestrate: which command?"},
    {2, {"frobnicate"}, "", "there is no command \"frobnicate\""},
    {2, {"copy"}, "", "orchestrate: \"copy\" is not built yet"},
    {2, {"list", "--config", "/nonexistent/conf.d"}, "", "/nonexistent/conf.d"},
    {2, {"list", "--repository", "other"}, "", "other"},
    {1, {"list"}, "", "make it with \"orchestrate init\""},
    {0, {"graph"}, "base", ""},
    {2, {"graph", "--plugin-path", "/nonexistent"}, "", ""},
    {0, {"plugin", "show", "scripted"}, "path", ""},
    {2, {"plugin", "check", "x"}, "", "not built yet"},
    {2, {"plugin", "frobnicate"}, "", "usage: orchestrate plugin list"},
};

START_TEST(test_invocations)
{
    int code = invoke_into(NULL, invocations[_i].words);
    CLEANUP_FREE char *told = folder_read(dir, "err");
    if (invocations[_i].words[1] == NULL ||
        strcmp(invocations[_i].words[1], "--plugin-path") != 0) {
        ck_assert_msg(code == invocations[_i].code, "exit %d: %s", code, told);
        assert_says("out", invocations[_i].out);
        assert_says("err", invocations[_i].err);
    } else {
        /* The environment's folder still has it: --plugin-path is looked at first, not alone. */
        ck_assert_int_eq(code, 0);
    }
}
END_TEST

/* What to do is said once. */
START_TEST(test_no_repository)
{
    ASSERT_EXIT(EXIT_FAILED, "list");
    CLEANUP_FREE char *told = folder_read(dir, "err");
    const char *advice = strstr(told, "orchestrate init");
    ck_assert_ptr_nonnull(advice);
    ck_assert_ptr_null(strstr(advice + 1, "orchestrate init"));
}
END_TEST

/* Every error with --json is one document with code, message and exit, whatever bytes are in it. */
START_TEST(test_errors_as_json)
{
    static const struct {
        const char *words[WORDS];
        const char *code;
        int exit;
    } cases[] = {
        {{"--json", "frobnicate"}, "configuration", 2},
        {{"list", "--json"}, "not-found", 1},
        {{"--json", "caf\xe9\033[2J"}, "configuration", 2},
        {{"--json", "list", "--config", "/nonexistent/\xff"}, "configuration", 2},
    };
    ck_assert_int_eq(invoke_into(NULL, cases[_i].words), cases[_i].exit);
    json_t *json = document();
    const json_t *error = json_object_get(json, "error");
    ck_assert_str_eq(json_string_value(json_object_get(error, "code")), cases[_i].code);
    ck_assert_uint_gt(strlen(json_string_value(json_object_get(error, "message"))), 5);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "exit")), cases[_i].exit);
    json_decref(json);
    CLEANUP_FREE char *told = folder_read(dir, "err");
    ck_assert_ptr_null(strchr(told, '\033'));
}
END_TEST

/* Output that does not arrive is a failure, be it short or long. */
START_TEST(test_full_disk)
{
    static const char *const cases[][4] = {{"--help"}, {"graph"}, {"graph", "--json"}};
    ck_assert_int_eq(invoke_into("/dev/full", cases[_i]), EXIT_FAILED);
    assert_says("err", "cannot write the output");
    ck_assert_int_eq(invoke_into("/dev/null", cases[_i]), EXIT_DONE);
}
END_TEST

/* ---- backup and restore ---- */

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

START_TEST(test_backup)
{
    ASSERT_EXIT(EXIT_DONE, "init");
    ASSERT_EXIT(EXIT_DONE, "backup", "--label", HUNDRED);
    assert_says("out", "completed");
    folder_write(dir, "top/how", "backup failed 1\n");
    ASSERT_EXIT(EXIT_PARTIAL, "backup");
    assert_says("out", "top              FAILED   the script says failed");
    assert_says("err", "is partial");
    folder_write(dir, "top/how", "backup bytes 1\n");
    ASSERT_EXIT(EXIT_PARTIAL, "backup", "--json");
    json_t *json = document();
    ck_assert_str_eq(json_string_value(json_object_get(json, "state")), "partial");
    const json_t *top = json_array_get(json_object_get(json, "components"), 1);
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(top, "error")), "caf\\xe9"));
    json_decref(json);
    folder_write(dir, "top/how", "probe failed\n");
    ASSERT_EXIT(EXIT_FAILED, "backup", "top");
    assert_says("err", "top: the probe failed, nothing was read");
}
END_TEST

START_TEST(test_backup_options)
{
    static const struct {
        const char *words[WORDS];
        const char *says;
    } cases[] = {
        {{"backup", "--type", "snapshot", "--base", "latest"}, "--base goes with --type"},
        {{"backup", "--rate-limit", "fast"}, "--rate-limit: \"fast\" is not a rate"},
        {{"backup", "--rate-limit", "50"}, "--rate-limit: \"50\" is not a rate such as \"50MB/s\""},
        {{"backup", "--label", HUNDRED "1"},
         "label: expected 1 to 100 bytes of text without control"},
        {{"backup", "--label", "two\nlines"}, "label: expected 1 to 100 bytes"},
        {{"backup", "--label", "caf\xe9"}, "label: expected 1 to 100 bytes"},
        {{"backup", "--jobs", "0"}, "--jobs: expected a whole number from 1 to 256"},
        {{"backup", "--type", "ful"},
         "there is no type \"ful\"; choose full, incremental, differential or snapshot"},
        {{"backup", "--base", "latest"}, "--base goes with --type incremental"},
        {{"backup", "--complete", "latest"}, "--complete is not built yet"},
        {{"backup", "nothing"}, "there is no component \"nothing\""},
        {{"backup", "bace"}, "/conf.d; did you mean base?"},
        {{"list", "--max-age", "foo"}, "--max-age: \"foo\" is not a duration"},
        {{"prune", "--max-age", "0s"}, "--max-age: a limit of 0 would take everything: give more"},
        {{"prune", "--max-size", "0"}, "--max-size: a limit of 0"},
        {{"restore", "latest", "--strategy", "merge-preserve", "--yes"}, "is not built yet"},
        {{"restore", "latest", "--strategy", "x", "--yes"}, "there is no strategy \"x\""},
        {{"restore", "latest", "--select", "x", "--yes"}, "--select is not built yet"},
        {{"restore", "latest", "--resume", "--restart", "--yes"}, "choose one"},
        {{"restore", "latest", "--yes", "--target", "base.nothing=1"}, "nothing"},
        {{"restore", "latest"}, "say --yes, or look first with --dry-run"},
        {{"verify", "--level", "restore"}, "Use \"data\" today"},
    };
    ASSERT_EXIT(EXIT_DONE, "init");
    ck_assert_int_eq(invoke_into(NULL, cases[_i].words), EXIT_USAGE);
    assert_says("err", cases[_i].says);
}
END_TEST

START_TEST(test_restore)
{
    ASSERT_EXIT(EXIT_DONE, "init");
    ASSERT_EXIT(EXIT_FAILED, "restore", "latest", "--yes"); /* there is no set */
    ASSERT_EXIT(EXIT_DONE, "backup");
    ASSERT_EXIT(EXIT_DONE, "restore", "latest", "--dry-run");
    assert_says("out", "step 1, stage 2: top");
    assert_says("out", "Nothing was changed.");
    ASSERT_EXIT(EXIT_DONE, "restore", "latest", "--yes");
    assert_says("out", "Restored and verified 2 components");
    /* Refused. */
    folder_write(dir, "top/how", "check overridable\n");
    ASSERT_EXIT(EXIT_REFUSED, "restore", "latest", "--yes", "--json");
    json_t *json = document();
    ck_assert_str_eq(json_string_value(json_object_get(json, "state")), "refused");
    json_decref(json);
    assert_says("err", "nothing was touched: top");
    ASSERT_EXIT(EXIT_DONE, "restore", "latest", "--yes", "--allow-incompatible");
    assert_says("out", "OVERRIDDEN: 1 refusal by --allow-incompatible; see the audit trail");
    /* Some came back; then none. */
    folder_write(dir, "top/how", "restore failed 1\n");
    ASSERT_EXIT(EXIT_PARTIAL, "restore", "latest", "--yes");
    assert_says("err", "1 of 2 components did not come back (top: the script says failed)");
    ASSERT_EXIT(EXIT_REFUSED, "restore", "latest", "--yes");
    assert_says("err", "go on with it by --resume");
    ASSERT_EXIT(EXIT_DONE, "restore", "latest", "--yes", "--resume");
    folder_write(dir, "base/how", "restore failed 1\n");
    ASSERT_EXIT(EXIT_FAILED, "restore", "latest", "--yes");
    ASSERT_EXIT(EXIT_DONE, "restore", "latest", "--yes", "--restart");
    ASSERT_EXIT(EXIT_DONE, "history");
    assert_says("out", "partial");
}
END_TEST

/* A plan whose check step runs `command` between the two components. */
static void write_plan(const char *command)
{
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    buffer_printf(&text,
                  "plan: { name = \"recover\"; set = \"latest\"; steps = (\n"
                  "  { restore: { components = [ \"base\" ]; } },\n"
                  "  { check: { command = \"%s\"; } },\n"
                  "  { restore: { components = [ \"top\" ]; } } ); };\n",
                  command);
    folder_write(dir, "conf.d/plans/recover.plan", buffer_string(&text));
}

START_TEST(test_plan)
{
    ASSERT_EXIT(EXIT_DONE, "init");
    ASSERT_EXIT(EXIT_DONE, "backup");
    write_plan("true");
    ASSERT_EXIT(EXIT_DONE, "run", "recover", "--dry-run");
    assert_says("out", "step 2: check: true");
    ASSERT_EXIT(EXIT_USAGE, "run", "recover");
    ASSERT_EXIT(EXIT_DONE, "run", "recover", "--yes", "--json");
    json_t *json = document();
    ck_assert_str_eq(json_string_value(json_object_get(json, "plan")), "recover");
    ck_assert_uint_eq(json_array_size(json_object_get(json, "steps")), 1);
    json_decref(json);
    write_plan("exit 9");
    ASSERT_EXIT(EXIT_PARTIAL, "run", "recover", "--yes"); /* base is back */
    assert_says("err", "ended with exit status 9");
    ASSERT_EXIT(EXIT_USAGE, "run", "none");
    ASSERT_EXIT(EXIT_DONE, "restore", "latest", "--yes", "--restart");
    /* Nothing but a check. */
    folder_write(dir, "conf.d/plans/look.plan",
                 "plan: { steps = ( { backup: { } }, { check: { command = \"true\"; } } ); };\n");
    ASSERT_EXIT(EXIT_DONE, "run", "look", "--yes");
    assert_says("out", "All checks passed in ");
    assert_says("out", "nothing was to be restored");
}
END_TEST

/* Ctrl-C: the run stops in order, says so, and can be gone on with. */
START_TEST(test_cancelled)
{
    static const char *const signals[] = {"INT", "TERM", "HUP"};
    char command[200];
    ASSERT_EXIT(EXIT_DONE, "init");
    ASSERT_EXIT(EXIT_DONE, "backup");
    (void)snprintf(command, sizeof(command),
                   "test -e %s/once || { touch %s/once; kill -%s $PPID; sleep 1000; }", dir, dir,
                   signals[_i]);
    write_plan(command);
    ASSERT_EXIT(EXIT_CANCELLED, "run", "recover", "--yes", "--json");
    json_t *json = document();
    const json_t *step = json_array_get(json_object_get(json, "steps"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(step, "state")), "cancelled");
    json_decref(json);
    ASSERT_EXIT(EXIT_DONE, "run", "recover", "--yes", "--resume");
}
END_TEST

/* The objects of a component, as a table and as a document. */
START_TEST(test_items)
{
    folder_write(dir, "base/data", "caf\xe9=12345\none=1\n");
    ASSERT_EXIT(EXIT_DONE, "init");
    ASSERT_EXIT(EXIT_DONE, "backup");
    ASSERT_EXIT(EXIT_DONE, "show", "latest", "--items", "base");
    assert_says("out", "  one\n");
    ASSERT_EXIT(EXIT_DONE, "--json", "show", "latest", "--items", "base");
    json_t *json = document();
    const json_t *items = json_object_get(json, "items");
    ck_assert_str_eq(json_string_value(json_object_get(json, "component")), "base");
    ck_assert_uint_eq(json_array_size(items), 2);
    const json_t *item = json_array_get(items, 0);
    ck_assert_str_eq(json_string_value(json_object_get(item, "name")), "caf\\xe9");
    ck_assert_str_eq(json_string_value(json_object_get(item, "kind")), "f");
    ck_assert_int_eq(json_integer_value(json_object_get(item, "size_bytes")), 5);
    json_decref(json);
    ASSERT_EXIT(EXIT_FAILED, "--json", "show", "latest", "--items", "nothing");
    json_decref(document());
    assert_says("err", "holds no component \"nothing\"");
}
END_TEST

START_TEST(test_verify)
{
    char command[200];
    ASSERT_EXIT(EXIT_DONE, "init");
    ASSERT_EXIT(EXIT_DONE, "backup");
    ASSERT_EXIT(EXIT_DONE, "verify");
    assert_says("out", "Verified at level data: 1 sets, 2 parts");
    ASSERT_EXIT(EXIT_FAILED, "verify", "19700101_000000");
    (void)snprintf(command, sizeof(command), "find '%s/repo/packs' -type f -delete", dir);
    ck_assert_int_eq(system(command), 0);
    ASSERT_EXIT(EXIT_FAILED, "verify", "--json");
    json_t *json = document();
    ck_assert_int_gt(json_integer_value(json_object_get(json, "finding_count")), 0);
    json_decref(json);
    assert_says("err", "verification found");
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--worker") == 0) {
        return worker_main((int)strtol(argv[2], NULL, 10));
    }
    plugins = argc > 1 ? argv[1] : ".";
    if (copy_plugin() != 0) {
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("cli");
    TCase *tests = tcase_create("cli");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_exit_codes);
    tcase_add_loop_test(tests, test_invocations, 0, (int)COUNT_OF(invocations));
    tcase_add_test(tests, test_no_repository);
    tcase_add_loop_test(tests, test_errors_as_json, 0, 4);
    tcase_add_loop_test(tests, test_full_disk, 0, 3);
    tcase_add_test(tests, test_backup);
    tcase_add_loop_test(tests, test_backup_options, 0, 22);
    tcase_add_test(tests, test_restore);
    tcase_add_test(tests, test_plan);
    tcase_add_loop_test(tests, test_cancelled, 0, 3);
    tcase_add_test(tests, test_items);
    tcase_add_test(tests, test_verify);
    suite_add_tcase(suite, tests);
    char remove[FOLDER_TEXT + 16];
    int failed = testing_run(suite);
    (void)snprintf(remove, sizeof(remove), "rm -r '%s'", shared);
    return system(remove) == 0 ? failed : EXIT_FAILURE;
}
