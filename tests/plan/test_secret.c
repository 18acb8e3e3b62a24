/* test_secret.c: secrets from files, variables and commands, and the options of a worker. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plan/config_internal.h"

static struct fixture f;

static void setup(void)
{
    fixture_setup(&f);
}

static void teardown(void)
{
    fixture_teardown(&f);
}

/* What a file holds, and the secret that comes out, or a piece of the message. */
static const struct {
    const char *content;
    size_t len; /* 0: strlen */
    const char *secret, *fragment;
} lines[] = {
    {"hush\n", 0, "hush", NULL},
    {"hush", 0, "hush", NULL},
    {"hush\r\n", 0, "hush", NULL},
    {"  two words \nsecond line\n", 0, "  two words ", NULL},
    {"h\xc3\xbcsh\n", 0, "h\xc3\xbcsh", NULL},
    {"", 0, NULL, "is empty"},
    {"\nlater\n", 0, NULL, "is empty"},
    {"\r\n", 0, NULL, "is empty"},
    {"a\0b\n", 4, NULL, "NUL byte"},
    {"line\nbinary \0 behind it", 23, "line", NULL},
};

START_TEST(test_file)
{
    size_t len = lines[_i].len == 0 ? strlen(lines[_i].content) : lines[_i].len;
    fixture_write_bytes(&f, "s", lines[_i].content, len);
    ck_assert_int_eq(chmod(fixture_path(&f, "s"), 0600), 0);
    struct config_secret secret = {.file = (char *)(uintptr_t)fixture_path(&f, "s")};
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    int32_t rc = config_secret_read(&secret, "pw", &out, &err);
    if (lines[_i].secret != NULL) {
        ck_assert_msg(rc == ORCH_OK, "%s", err.message);
        ck_assert_str_eq(out, lines[_i].secret);
    } else {
        ck_assert_int_eq(rc, ORCH_E_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.message, lines[_i].fragment));
        ck_assert_ptr_nonnull(strstr(err.message, "pw"));
    }
    config_secret_free(out);
}
END_TEST

/* 64 KiB are a secret; one byte more is not, and neither is a line without end. */
START_TEST(test_file_size)
{
    size_t len = CONFIG_SECRET_MAX + (size_t)_i;
    char *text = malloc(len + 100000);
    memset(text, 'x', len + 100000);
    text[len] = '\n';
    fixture_write_bytes(&f, "s", text, _i == 2 ? len + 100000 : len + 1);
    struct config_secret secret = {.file = (char *)(uintptr_t)fixture_path(&f, "s")};
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    int32_t rc = config_secret_read(&secret, "pw", &out, &err);
    if (_i == 0) {
        ck_assert_int_eq(rc, ORCH_OK);
        ck_assert_uint_eq(strlen(out), CONFIG_SECRET_MAX);
    } else {
        ck_assert_int_eq(rc, ORCH_E_CONFIG);
        ck_assert_ptr_nonnull(strstr(err.message, "longer than 64 KiB"));
    }
    config_secret_free(out);
    free(text);
}
END_TEST

START_TEST(test_file_kinds)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    struct config_secret missing = {.file = (char *)(uintptr_t) "/nonexistent/pw"};
    ck_assert_int_eq(config_secret_read(&missing, "pw", &out, &err), ORCH_E_CONFIG);
    ck_assert_str_eq(
        err.message,
        "pw_file: cannot read /nonexistent/pw: No such file or directory; the file that "
        "the configuration names must be there and readable");
    struct config_secret folder = {.file = f.dir};
    ck_assert_int_eq(config_secret_read(&folder, "pw", &out, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
    /* A fifo that nobody writes to does not make us wait. */
    ck_assert_int_eq(mkfifo(fixture_path(&f, "fifo"), 0600), 0);
    struct config_secret fifo = {.file = (char *)(uintptr_t)fixture_path(&f, "fifo")};
    ck_assert_int_eq(config_secret_read(&fifo, "pw", &out, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "not a regular file"));
    struct config_secret none = {0};
    ck_assert_int_eq(config_secret_read(&none, "pw", &out, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "pw_file, pw_env or pw_command"));
    ck_assert_ptr_null(out);
}
END_TEST

static const struct {
    mode_t mode;
    bool warned;
} modes[] = {{0600, false}, {0400, false}, {0640, false}, {0644, true}, {0620, true}, {0602, true}};

START_TEST(test_file_mode)
{
    fixture_write(&f, "s", "hush\n");
    ck_assert_int_eq(chmod(fixture_path(&f, "s"), modes[_i].mode), 0);
    /* The warning goes to stderr: catch it in a file. */
    int saved = dup(STDERR_FILENO);
    int fd = open(fixture_path(&f, "log"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    struct config_secret secret = {.file = (char *)(uintptr_t)fixture_path(&f, "s")};
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    int32_t rc = config_secret_read(&secret, "pw", &out, &err);
    ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
    ck_assert_int_eq(rc, ORCH_OK);
    char text[1024] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    ck_assert_int_ge(n, 0);
    ck_assert_msg((strstr(text, "can be read or changed by others") != NULL) == modes[_i].warned,
                  "%o: %s", modes[_i].mode, text);
    ck_assert_ptr_null(strstr(text, "hush"));
    config_secret_free(out);
    (void)close(saved);
    (void)close(fd);
}
END_TEST

START_TEST(test_env)
{
    struct config_secret secret = {.env = (char *)(uintptr_t) "ORCHESTRATE_TEST_PW"};
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    (void)unsetenv("ORCHESTRATE_TEST_PW");
    ck_assert_int_eq(config_secret_read(&secret, "pw", &out, &err), ORCH_E_CONFIG);
    ck_assert_str_eq(err.message,
                     "pw_env: the environment variable ORCHESTRATE_TEST_PW is not set");
    ck_assert_int_eq(setenv("ORCHESTRATE_TEST_PW", "", 1), 0);
    ck_assert_int_eq(config_secret_read(&secret, "pw", &out, &err), ORCH_E_CONFIG);
    ck_assert_int_eq(setenv("ORCHESTRATE_TEST_PW", "hush", 1), 0);
    ck_assert_int_eq(config_secret_read(&secret, "pw", &out, &err), ORCH_OK);
    ck_assert_str_eq(out, "hush");
    config_secret_free(out);
}
END_TEST

static const struct {
    const char *command;
    const char *secret, *fragment;
} commands[] = {
    {"echo hush; echo more", "hush", NULL},
    {"printf hush", "hush", NULL},
    {"printf 'hu'; printf 'sh\\n'", "hush", NULL},
    {"cat; echo hush", "hush", NULL}, /* its input is empty */
    /* much output behind the first line is read and dropped, so that the command ends well */
    {"echo hush; head -c 1000000 /dev/zero", "hush", NULL},
    {"true", NULL, "first line from the command is empty"},
    {"echo; echo hush", NULL, "is empty"},
    {"echo geheim; exit 3", NULL, "failed with exit status 3"},
    {"echo geheim; kill -9 $$", NULL, "killed by signal 9"},
    {"/nonexistent/program", NULL, "exit status 127 (was it found?)"},
    {"head -c 70000 /dev/zero | tr '\\0' x", NULL, "longer than 64 KiB"},
    {"printf 'a\\0b\\n'", NULL, "NUL byte"},
};

START_TEST(test_command)
{
    struct config_secret secret = {.command = (char *)(uintptr_t)commands[_i].command};
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    int64_t start = clock_monotonic_ms();
    int32_t rc = config_secret_read(&secret, "pw", &out, &err);
    ck_assert_int_lt(clock_monotonic_ms() - start, 20000);
    if (commands[_i].secret != NULL) {
        ck_assert_msg(rc == ORCH_OK, "%s", err.message);
        ck_assert_str_eq(out, commands[_i].secret);
    } else {
        ck_assert_int_eq(rc, ORCH_E_CONFIG);
        ck_assert_msg(strstr(err.message, commands[_i].fragment) != NULL, "%s", err.message);
        ck_assert_ptr_null(strstr(err.message, "geheim"));
    }
    config_secret_free(out);
}
END_TEST

/* The process id that a command wrote to the file "pid". */
static int read_pid(void)
{
    int pid = 0;
    FILE *file = fopen(fixture_path(&f, "pid"), "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    ck_assert_int_gt(pid, 1);
    return pid;
}

/* What a command leaves in the background, with the pipe in its hands, does not hold us up, and is
 * left alone: it may be an agent. */
START_TEST(test_command_background)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    char command[256];
    (void)snprintf(command, sizeof(command), "sleep 600 2>/dev/null & echo $! > %s; echo hush",
                   fixture_path(&f, "pid"));
    int64_t start = clock_monotonic_ms();
    ck_assert_msg(config_secret_run(command, "pw", 60000, &out, &err) == ORCH_OK, "%s",
                  err.message);
    ck_assert_int_lt(clock_monotonic_ms() - start, 20000);
    ck_assert_str_eq(out, "hush");
    config_secret_free(out);
    ck_assert_int_eq(kill(read_pid(), SIGKILL), 0);
}
END_TEST

/* A command that does not end is killed, with what it started. */
START_TEST(test_command_limit)
{
    static const char *const endless[] = {"echo geheim; sleep 600", "yes", "exec >&-; sleep 600",
                                          "trap '' TERM INT; while :; do :; done"};
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    char command[256];
    (void)snprintf(command, sizeof(command), "echo $$ > %s; %s", fixture_path(&f, "pid"),
                   endless[_i]);
    int64_t start = clock_monotonic_ms();
    ck_assert_int_eq(config_secret_run(command, "pw", 300, &out, &err), ORCH_E_CONFIG);
    ck_assert_int_lt(clock_monotonic_ms() - start, 10000);
    ck_assert_ptr_nonnull(strstr(err.message, "pw_command: the command did not end within 1 sec"));
    ck_assert_ptr_null(out);
    ck_assert_int_eq(kill(read_pid(), 0), -1);
}
END_TEST

/* No descriptor of ours but stdin, stdout and stderr reaches the command. */
START_TEST(test_command_descriptors)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char *out = NULL;
    ck_assert_int_eq(config_secret_run("set -- /proc/$$/fd/*; echo $#; :", "pw", 20000, &out, &err),
                     ORCH_OK);
    char *mine = NULL;
    /* The same shell from popen() has the same descriptors, and checks our own test set-up. */
    FILE *file = popen("set -- /proc/$$/fd/*; echo $#; :", "re");
    char line[16] = "";
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    (void)pclose(file);
    line[strcspn(line, "\n")] = 0;
    mine = line;
    ck_assert_str_eq(out, mine);
    config_secret_free(out);
}
END_TEST

/* ---- options ------------------------------------------------------------------------------ */

static const struct orch_value *value_of(const struct orch_options *options, const char *name)
{
    for (uint64_t i = 0; i < options->count; i++) {
        if (strcmp(options->values[i].name, name) == 0) {
            return &options->values[i];
        }
    }
    return NULL;
}

/* Resolved options stand by themselves: the configuration may go. */
START_TEST(test_options)
{
    char text[512];
    fixture_write(&f, "pw", "hush\n");
    ck_assert_int_eq(chmod(fixture_path(&f, "pw"), 0600), 0);
    (void)snprintf(text, sizeof(text),
                   "state_dir = \"/state\"; components: { a: { plugin = \"types\"; "
                   "key_file = \"%s\"; places = [ \"/x\", \"/y\" ]; count = 3; }; };",
                   fixture_path(&f, "pw"));
    fixture_write(&f, "a.conf", text);
    struct config *c = fixture_load(&f);
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_options *options = NULL;
    ck_assert_msg(config_options(c, config_component(c, "a"), &options, &err) == ORCH_OK, "%s",
                  err.message);
    config_free(c);
    ck_assert_uint_eq(options->struct_size, sizeof(*options));
    ck_assert_uint_eq(options->value_size, sizeof(struct orch_value));
    ck_assert_str_eq(options->component, "a");
    ck_assert_str_eq(options->work_dir, "/state/work/a");
    ck_assert_uint_eq(options->count, 10);
    ck_assert_str_eq(value_of(options, "key")->string, "hush");
    ck_assert_str_eq(value_of(options, "text")->string, "plain");
    ck_assert_uint_eq(value_of(options, "text")->is_default, 1);
    ck_assert_int_eq(value_of(options, "count")->integer, 3);
    ck_assert_uint_eq(value_of(options, "count")->is_default, 0);
    ck_assert_uint_eq(value_of(options, "places")->count, 2);
    ck_assert_str_eq(value_of(options, "places")->strings[1], "/y");
    ck_assert_ptr_null(value_of(options, "deep.er.still"));
    config_options_free(options);
    config_options_free(NULL);
}
END_TEST

/* A secret that cannot be had names component and option; half-made options are freed. */
START_TEST(test_options_fail)
{
    static const char *const sources[] = {"key_file = \"/nonexistent\";",
                                          "key_env = \"NOT_SET_1\";", "key_command = \"exit 1\";",
                                          "key_command = \"printf 'a\\\\377'\";"};
    static const char *const fragments[] = {"component a, key_file: cannot read /nonexistent",
                                            "component a, key_env: the environment variable",
                                            "component a, key_command: the command failed",
                                            "component a, key: the secret is not UTF-8"};
    char text[256];
    (void)snprintf(text, sizeof(text), "components: { a: { plugin = \"types\"; %s }; };",
                   sources[_i]);
    fixture_write(&f, "a.conf", text);
    CLEANUP(config_cleanup) struct config *c = fixture_load(&f);
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_options *options = NULL;
    ck_assert_int_eq(config_options(c, config_component(c, "a"), &options, &err), ORCH_E_CONFIG);
    ck_assert_ptr_null(options);
    ck_assert_msg(strstr(err.message, fragments[_i]) != NULL, "%s", err.message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("secret");
    TCase *tcase = tcase_create("secret");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_file, 0, sizeof(lines) / sizeof(lines[0]));
    tcase_add_loop_test(tcase, test_file_size, 0, 3);
    tcase_add_test(tcase, test_file_kinds);
    tcase_add_loop_test(tcase, test_file_mode, 0, sizeof(modes) / sizeof(modes[0]));
    tcase_add_test(tcase, test_env);
    tcase_add_loop_test(tcase, test_command, 0, sizeof(commands) / sizeof(commands[0]));
    tcase_add_test(tcase, test_command_background);
    tcase_add_loop_test(tcase, test_command_limit, 0, 4);
    tcase_add_test(tcase, test_command_descriptors);
    tcase_add_test(tcase, test_options);
    tcase_add_loop_test(tcase, test_options_fail, 0, 4);
    suite_add_tcase(suite, tcase);
    return fixture_run(suite);
}
