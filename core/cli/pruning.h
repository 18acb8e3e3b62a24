/* pruning.h: runs a prune and prints what came of it. Shared by `prune` and by `run`. */
#ifndef CORE_CLI_PRUNING_H
#define CORE_CLI_PRUNING_H

#include "cli/cli.h"
#include "run/removal.h"

/* Gives the exit code. In JSON mode the document is printed or, when `collect` is not NULL,
 * appended to that array. */
int pruning_run(struct cli *cli, const struct removal_options *options, json_t *collect);
/* A table of sets as struct removal_result describes them; `verdicts`: with keep and reason. */
void pruning_print_sets(const json_t *sets, bool verdicts);

#endif
