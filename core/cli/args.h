/* args.h: the words of a command line, sorted into command, flags and arguments. */
#ifndef CORE_CLI_ARGS_H
#define CORE_CLI_ARGS_H

#include "cli/cli.h"

/* Every command, ended by NULL. */
extern const struct cli_command *const cli_commands[];

/*
 * Fills cli->command, values and arguments. --flag VALUE and --flag=VALUE; -- ends the flags;
 * global flags may stand anywhere. ORCH_E_CONFIG with what to do. *help becomes true for --help;
 * the command is then set if one was named.
 */
int32_t args_parse(struct cli *cli, int argc, char **argv, bool *help,
                   struct orch_error *err) ORCH_CHECKED;

void args_print_help(const struct cli_command *command);

#endif
