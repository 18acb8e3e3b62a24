/*
 * cli.h: the frame of the command line: commands with declared flags, global options, exit codes.
 *
 * A command is data (name, help, flags) and a function; cli.c parses, prints help, loads what the
 * command needs, and turns a result into an exit code.
 */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H

#include "run/context.h"

/* Exit codes. */
#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_PARTIAL 3
#define EXIT_REFUSED 4
#define EXIT_CANCELLED 130

struct cli_flag {
    const char *name;     /* without the dashes */
    const char *argument; /* NULL: a switch; else what it takes, for the help: "SET" */
    bool repeated;        /* may be given several times */
    const char *help;
};

/* What a command needs before it runs. */
#define CLI_NEEDS_CONFIG 1u
#define CLI_NEEDS_REPOSITORY 2u /* opened; implies the configuration */

struct cli;

struct cli_command {
    const char *name;
    const char *arguments;        /* "[SET] [COMPONENT…]" */
    const char *summary;          /* one line */
    const char *details;          /* paragraphs and examples, or NULL */
    const struct cli_flag *flags; /* ends with a NULL name; may be NULL */
    size_t min_arguments, max_arguments;
    uint32_t needs;
    int (*run)(struct cli *cli);
};

struct cli_value {
    const char *name;
    const char *text; /* "" for a switch */
};

/* One invocation. */
struct cli {
    const struct cli_command *command;
    const char *config_dir;
    const char *repository;
    bool json, quiet;
    int verbosity;
    struct run_context run;
    const char **arguments;
    size_t argument_count;
    struct cli_value *values;
    size_t value_count;
    bool document_printed; /* --json: the one document is out */
};

/* The text of a flag, or NULL when it was not given; "" for a switch. */
const char *cli_value(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);
/* All texts of a repeated flag: a new array of *count, to be freed. */
const char **cli_values(const struct cli *cli, const char *name, size_t *count);

/* The exit code of a result. */
int cli_exit_code(int32_t rc);
/* Prints an error (in JSON mode: as the document, when none is out yet) and gives its exit code. */
int cli_fail(struct cli *cli, const struct orch_error *err);
/* Prints the one JSON document; takes over the reference. */
void cli_print_json(struct cli *cli, json_t *document);

int cli_main(int argc, char **argv);

/* The commands. */
extern const struct cli_command cmd_init, cmd_run, cmd_backup, cmd_list, cmd_show, cmd_verify,
    cmd_restore, cmd_history, cmd_graph, cmd_plugin, cmd_status, cmd_prune, cmd_delete;

#endif
