/* items.h: the objects of one component of a set, listed for `show --items`. */
#ifndef CORE_CLI_ITEMS_H
#define CORE_CLI_ITEMS_H

#include "cli/cli.h"
#include "engine/set.h"

/* Prints them as a table, or in JSON mode as one document, while they are read: there may be
 * millions. When reading fails midway, the document is ended with the error in it. */
int32_t items_print(struct cli *cli, const struct set *set, const char *component,
                    struct orch_error *err) ORCH_CHECKED;

#endif
