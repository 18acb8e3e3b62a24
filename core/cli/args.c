/* args.c: see args.h. */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {
    &cmd_init,    &cmd_run,    &cmd_backup, &cmd_list,  &cmd_show,   &cmd_verify, &cmd_restore,
    &cmd_history, &cmd_delete, &cmd_prune,  &cmd_graph, &cmd_plugin, &cmd_status, NULL,
};

/* What DESIGN names, or somebody may look for, and a later version brings. */
static const char *const later_commands[] = {"drill", "diff",  "copy", "dr-plan",  "key",
                                             "audit", "serve", "mcp",  "schedule", "scheduling"};

static const struct cli_flag global_flags[] = {
    {"config", "DIR", false,
     "the folder of configuration files (default: $ORCHESTRATE_CONFIG, "
     "else /etc/orchestrate/conf.d)"},
    {"repository", "NAME", false, "the repository to work on, when several are configured"},
    {"plugin-path", "DIR", false, "look for plugins here first (several: separated by colons)"},
    {"json", NULL, false, "one JSON document on standard output, logs on standard error"},
    {"quiet", NULL, false, "-q: no progress; errors only"},
    {"verbose", NULL, true, "-v: tell more; twice (-vv): the debug log"},
    {"in-process", NULL, false, "run plugins inside this process (for debuggers)"},
    {"help", NULL, false, "-h: this text; behind a command: that of the command"},
    {NULL, NULL, false, NULL},
};

static const struct cli_flag *find_flag(const struct cli_flag *flags, const char *name, size_t len)
{
    for (const struct cli_flag *f = flags; f != NULL && f->name != NULL; f++) {
        if (strlen(f->name) == len && strncmp(f->name, name, len) == 0) {
            return f;
        }
    }
    return NULL;
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0) {
            return cli_commands[i];
        }
    }
    return NULL;
}

static int32_t add_value(struct cli *cli, const struct cli_flag *flag, const char *text,
                         struct orch_error *err)
{
    if (!flag->repeated && cli_value(cli, flag->name) != NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "--%s is given twice", flag->name);
    }
    cli->values[cli->value_count++] = (struct cli_value){.name = flag->name, .text = text};
    return ORCH_OK;
}

/* A flag of the command or a global one; before the command is known, any command's flag that takes
 * a value would be ambiguous, so only global ones may stand there. */
static int32_t parse_flag(struct cli *cli, int argc, char **argv, int *at, struct orch_error *err)
{
    const char *word = argv[*at] + 2;
    size_t len = strcspn(word, "=");
    const struct cli_flag *flag = find_flag(global_flags, word, len);
    if (flag == NULL && cli->command != NULL) {
        flag = find_flag(cli->command->flags, word, len);
    }
    if (flag == NULL) {
        return cli->command == NULL
                   ? orch_fail(err, ORCH_E_CONFIG,
                               "unknown option --%.*s (options of a command "
                               "stand behind it); see orchestrate --help",
                               (int)len, word)
                   : orch_fail(err, ORCH_E_CONFIG,
                               "\"%s\" has no option --%.*s; see orchestrate %s --help",
                               cli->command->name, (int)len, word, cli->command->name);
    }
    if (flag->argument == NULL) {
        return word[len] == '=' ? orch_fail(err, ORCH_E_CONFIG, "--%s takes no value", flag->name)
                                : add_value(cli, flag, "", err);
    }
    if (word[len] == '=') {
        return add_value(cli, flag, word + len + 1, err);
    }
    if (*at + 1 >= argc) {
        return orch_fail(err, ORCH_E_CONFIG, "--%s needs a value: --%s %s", flag->name, flag->name,
                         flag->argument);
    }
    return add_value(cli, flag, argv[++*at], err);
}

static int32_t parse_short(struct cli *cli, const char *word, struct orch_error *err)
{
    for (const char *p = word + 1; *p != 0; p++) {
        const char *name = *p == 'q' ? "quiet" : *p == 'v' ? "verbose" : *p == 'h' ? "help" : NULL;
        if (name == NULL) {
            return orch_fail(err, ORCH_E_CONFIG, "unknown option -%c; see orchestrate --help", *p);
        }
        int32_t rc = add_value(cli, find_flag(global_flags, name, strlen(name)), "", err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static int32_t parse_command(struct cli *cli, const char *word, struct orch_error *err)
{
    cli->command = find_command(word);
    if (cli->command != NULL) {
        return ORCH_OK;
    }
    for (size_t i = 0; i < sizeof(later_commands) / sizeof(later_commands[0]); i++) {
        if (strcmp(later_commands[i], word) == 0) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "\"%s\" is not built yet; it comes in a later "
                             "version",
                             word);
        }
    }
    return orch_fail(err, ORCH_E_CONFIG, "there is no command \"%s\"; see orchestrate --help",
                     word);
}

static int32_t check_count(const struct cli *cli, struct orch_error *err)
{
    const struct cli_command *c = cli->command;
    if (cli->argument_count < c->min_arguments || cli->argument_count > c->max_arguments) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "usage: orchestrate %s%s%s (see orchestrate %s --help)", c->name,
                         c->arguments[0] == 0 ? "" : " ", c->arguments, c->name);
    }
    return ORCH_OK;
}

int32_t args_parse(struct cli *cli, int argc, char **argv, bool *help, struct orch_error *err)
{
    bool only_arguments = false;
    int32_t rc = ORCH_OK;
    size_t room = 1;
    for (int i = 1; i < argc; i++) {
        room += strlen(argv[i]) + 1; /* "-vvv" makes three values of one word */
    }
    cli->values = calloc(room, sizeof(*cli->values));
    cli->arguments = calloc((size_t)argc + 1, sizeof(*cli->arguments));
    if (cli->values == NULL || cli->arguments == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the command line");
    }
    for (int i = 1; rc == ORCH_OK && i < argc; i++) {
        const char *word = argv[i];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && strncmp(word, "--", 2) == 0) {
            rc = parse_flag(cli, argc, argv, &i, err);
        } else if (!only_arguments && word[0] == '-' && word[1] != 0) {
            rc = parse_short(cli, word, err);
        } else if (cli->command == NULL) {
            rc = parse_command(cli, word, err);
        } else {
            cli->arguments[cli->argument_count++] = word;
        }
    }
    *help = cli_has(cli, "help");
    if (rc != ORCH_OK || *help) {
        return rc;
    }
    if (cli->command == NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "which command? see orchestrate --help");
    }
    return check_count(cli, err);
}

static void print_flags(const struct cli_flag *flags)
{
    for (const struct cli_flag *f = flags; f->name != NULL; f++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s%s%s", f->name, f->argument == NULL ? "" : " ",
                       f->argument == NULL ? "" : f->argument);
        (void)printf("  %-26s %s\n", left, f->help);
    }
}

void args_print_help(const struct cli_command *command)
{
    if (command != NULL) {
        (void)printf("orchestrate %s %s\n\n%s.\n", command->name, command->arguments,
                     command->summary);
        if (command->details != NULL) {
            (void)printf("\n%s\n", command->details);
        }
        if (command->flags != NULL && command->flags[0].name != NULL) {
            (void)printf("\nOptions:\n");
            print_flags(command->flags);
        }
    } else {
        (void)printf("orchestrate [--config DIR] [--repository NAME] COMMAND …\n\n"
                     "Backs up, checks and recovers a whole application: databases, caches, vector "
                     "stores,\nvolumes and configuration, each by a plugin, in the order of their "
                     "dependencies.\n\nCommands:\n");
        for (size_t i = 0; cli_commands[i] != NULL; i++) {
            (void)printf("  %-9s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
        }
        (void)printf("\nA first day:\n"
                     "  orchestrate init                   make the repository\n"
                     "  orchestrate backup                 take a set of all components\n"
                     "  orchestrate restore latest --dry-run\n"
                     "  orchestrate run recover            carry out conf.d/plans/recover.plan\n"
                     "\nSET is an id, a unique prefix of one, a time like 20260131_120000, or "
                     "\"latest\".\n"
                     "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partial, 4 refused "
                     "by preflight\n(nothing was touched), 130 cancelled.\n");
    }
    (void)printf("\nGlobal options:\n");
    print_flags(global_flags);
    if (command == NULL) {
        (void)printf("  %-26s %s\n", "--version", "alone: the version of this program");
    }
}
