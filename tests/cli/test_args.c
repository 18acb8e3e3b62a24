/* test_args.c: command lines to commands, flags and arguments, and what is said of wrong ones. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/args.h"
#include "testing.h"

#define WORDS 12

static struct orch_error err;

/* Parses "orchestrate" and the words; the caller frees cli->values and cli->arguments. */
static int32_t parse(struct cli *cli, const char *const *words, bool *help)
{
    char *argv[WORDS + 2] = {(char *)(uintptr_t) "orchestrate"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    *cli = (struct cli){0};
    *help = false;
    err = (struct orch_error)ORCH_ERROR_INIT;
    return args_parse(cli, argc, argv, help, &err);
}

static void clear(struct cli *cli)
{
    free(cli->values);
    free(cli->arguments);
}

/* "command; flag=value; …; argument argument" */
static const struct {
    const char *words[WORDS];
    const char *parsed;
} good[] = {
    {{"list"}, "list;;"},
    {{"backup"}, "backup;;"},
    {{"backup", "kb", "app-db"}, "backup;;kb app-db"},
    {{"backup", "--type", "incremental", "kb"}, "backup;type=incremental;kb"},
    {{"backup", "--type=incremental", "kb"}, "backup;type=incremental;kb"},
    {{"backup", "kb", "--type=full", "db"}, "backup;type=full;kb db"},
    {{"backup", "--label="}, "backup;label=;"},
    {{"backup", "--label=a=b"}, "backup;label=a=b;"},
    {{"backup", "--label", "--type"}, "backup;label=--type;"}, /* what follows is the value */
    /* Global flags stand anywhere. */
    {{"--config", "/etc/x", "list"}, "list;config=/etc/x;"},
    {{"list", "--config=/etc/x"}, "list;config=/etc/x;"},
    {{"--json", "backup", "kb", "--quiet"}, "backup;json=,quiet=;kb"},
    {{"-q", "list"}, "list;quiet=;"},
    {{"list", "-vv"}, "list;verbose=,verbose=;"},
    {{"list", "-v", "--verbose", "-vqv"}, "list;verbose=,verbose=,verbose=,quiet=,verbose=;"},
    {{"list", "--plugin-path", "/a:/b", "--in-process", "--repository=x"},
     "list;plugin-path=/a:/b,in-process=,repository=x;"},
    /* Flags that may be repeated keep their order. */
    {{"restore", "latest", "kb", "--target", "kb.path=/a", "--target=db.dbname=b", "--yes"},
     "restore;target=kb.path=/a,target=db.dbname=b,yes=;latest kb"},
    /* "--" ends the flags; a lone "-" is an argument. */
    {{"backup", "--", "--type", "-v"}, "backup;;--type -v"},
    {{"show", "-"}, "show;;-"},
    {{"--", "list"}, "list;;"},
    {{"show", "--items", "kb", "latest"}, "show;items=kb;latest"},
    {{"run", "recover", "--dry-run"}, "run;dry-run=;recover"},
    {{"plugin", "show", "redis"}, "plugin;;show redis"},
};

START_TEST(test_good)
{
    struct cli cli;
    bool help = false;
    char text[512];
    ASSERT_OK(parse(&cli, good[_i].words, &help), err);
    ck_assert(!help);
    int n = snprintf(text, sizeof(text), "%s;", cli.command->name);
    for (size_t i = 0; i < cli.value_count; i++) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s=%s", i == 0 ? "" : ",",
                      cli.values[i].name, cli.values[i].text);
    }
    n += snprintf(text + n, sizeof(text) - (size_t)n, ";");
    for (size_t i = 0; i < cli.argument_count; i++) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", i == 0 ? "" : " ",
                      cli.arguments[i]);
    }
    ck_assert_str_eq(text, good[_i].parsed);
    clear(&cli);
}
END_TEST

static const struct {
    const char *words[WORDS];
    const char *says;
} wrong[] = {
    {{NULL}, "which command? see orchestrate --help"},
    {{"--json"}, "which command?"},
    {{"--"}, "which command?"},
    {{"frobnicate"}, "there is no command \"frobnicate\""},
    {{"List"}, "there is no command \"List\""},
    {{""}, "there is no command \"\""},
    {{"--type", "full", "backup"}, "unknown option --type (options of a command stand behind it)"},
    {{"backup", "--typ", "full"}, "\"backup\" has no option --typ; see orchestrate backup --help"},
    {{"backup", "--types=full"}, "\"backup\" has no option --types"},
    {{"backup", "--=full"}, "\"backup\" has no option --"},
    {{"list", "--yes"}, "\"list\" has no option --yes"},
    {{"backup", "--type"}, "--type needs a value: --type T"},
    {{"list", "--config"}, "--config needs a value: --config DIR"},
    {{"list", "--json=yes"}, "--json takes no value"},
    {{"backup", "--type", "full", "--type=full"}, "--type is given twice"},
    {{"list", "--json", "--json"}, "--json is given twice"},
    {{"list", "-qq"}, "--quiet is given twice"},
    {{"list", "-x"}, "unknown option -x"},
    {{"list", "-vx"}, "unknown option -x"},
    {{"list", "extra"}, "usage: orchestrate list (see orchestrate list --help)"},
    {{"show"}, "usage: orchestrate show SET"},
    {{"show", "a", "b"}, "usage: orchestrate show SET"},
    {{"run"}, "usage: orchestrate run PLAN"},
    {{"restore"}, "usage: orchestrate restore SET [COMPONENT"},
    {{"verify", "a", "b"}, "usage: orchestrate verify [SET]"},
};

START_TEST(test_wrong)
{
    struct cli cli;
    bool help = false;
    ASSERT_FAILS(parse(&cli, wrong[_i].words, &help), ORCH_E_CONFIG, err, wrong[_i].says);
    ck_assert(!help);
    clear(&cli);
}
END_TEST

/* What the design names and a later version brings says so, and is no typing mistake. */
START_TEST(test_later)
{
    static const char *const names[] = {"drill", "diff",    "delete",   "prune",
                                        "copy",  "dr-plan", "key",      "audit",
                                        "serve", "mcp",     "schedule", "scheduling"};
    struct cli cli;
    bool help = false, built = false;
    const char *words[] = {names[_i], NULL};
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        built |= strcmp(cli_commands[i]->name, names[_i]) == 0;
    }
    int32_t rc = parse(&cli, words, &help);
    if (!built) {
        ASSERT_FAILS(rc, ORCH_E_CONFIG, err, "is not built yet; it comes in a later version");
    }
    clear(&cli);
}
END_TEST

START_TEST(test_help)
{
    static const struct {
        const char *words[WORDS];
        const char *command;
    } cases[] = {
        {{"--help"}, NULL},
        {{"-h"}, NULL},
        {{"restore", "--help"}, "restore"}, /* though arguments are missing */
        {{"--help", "restore"}, "restore"},
        {{"list", "one", "too-many", "-h"}, "list"},
    };
    struct cli cli;
    bool help = false;
    ASSERT_OK(parse(&cli, cases[_i].words, &help), err);
    ck_assert(help);
    if (cases[_i].command != NULL) {
        ck_assert_str_eq(cli.command->name, cases[_i].command);
    } else {
        ck_assert_ptr_null(cli.command);
    }
    clear(&cli);
}
END_TEST

/* More flags in one word than words. */
START_TEST(test_many_in_one_word)
{
    char word[400];
    const char *words[] = {"list", word, NULL};
    struct cli cli;
    bool help = false;
    size_t count = 0;
    memset(word, 'v', sizeof(word) - 1);
    word[0] = '-';
    word[sizeof(word) - 1] = 0;
    ASSERT_OK(parse(&cli, words, &help), err);
    free(cli_values(&cli, "verbose", &count));
    ck_assert_uint_eq(count, sizeof(word) - 2);
    clear(&cli);
}
END_TEST

START_TEST(test_values)
{
    static const char *const words[] = {"restore",    "latest", "--target", "a",
                                        "--target=b", "--yes",  NULL};
    struct cli cli;
    bool help = false;
    size_t count = 0;
    ASSERT_OK(parse(&cli, words, &help), err);
    ck_assert_str_eq(cli_value(&cli, "target"), "a");
    ck_assert_str_eq(cli_value(&cli, "yes"), "");
    ck_assert_ptr_null(cli_value(&cli, "resume"));
    ck_assert(cli_has(&cli, "yes") && !cli_has(&cli, "resume"));
    const char **targets = cli_values(&cli, "target", &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(targets[0], "a");
    ck_assert_str_eq(targets[1], "b");
    free(targets);
    clear(&cli);
}
END_TEST

/* Each command is whole: what help prints is there, and no flag hides a global one. */
START_TEST(test_declarations)
{
    static const char *const globals[] = {"config", "repository", "plugin-path", "json",
                                          "quiet",  "verbose",    "in-process",  "help"};
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *c = cli_commands[i];
        ck_assert_msg(c->summary != NULL && c->arguments != NULL && c->run != NULL, "%s", c->name);
        ck_assert_uint_le(c->min_arguments, c->max_arguments);
        ck_assert_int_eq(c->arguments[0] == 0, c->max_arguments == 0);
        for (size_t k = 0; k < i; k++) {
            ck_assert_str_ne(cli_commands[k]->name, c->name);
        }
        for (const struct cli_flag *f = c->flags; f != NULL && f->name != NULL; f++) {
            ck_assert_ptr_nonnull(f->help);
            for (size_t k = 0; k < COUNT_OF(globals); k++) {
                ck_assert_msg(strcmp(f->name, globals[k]) != 0, "%s --%s", c->name, f->name);
            }
            for (const struct cli_flag *g = c->flags; g != f; g++) {
                ck_assert_str_ne(f->name, g->name);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("args");
    TCase *tests = tcase_create("args");
    tcase_add_loop_test(tests, test_good, 0, (int)COUNT_OF(good));
    tcase_add_loop_test(tests, test_wrong, 0, (int)COUNT_OF(wrong));
    tcase_add_loop_test(tests, test_later, 0, 12);
    tcase_add_loop_test(tests, test_help, 0, 5);
    tcase_add_test(tests, test_many_in_one_word);
    tcase_add_test(tests, test_values);
    tcase_add_test(tests, test_declarations);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
