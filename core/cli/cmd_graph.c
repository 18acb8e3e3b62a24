/* cmd_graph.c: the dependency graph as text, dot or JSON. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    const char *format = cli_has(cli, "format") ? cli_value(cli, "format") : "text";
    if (cli->json || strcmp(format, "json") == 0) {
        cli_print_json(cli, graph_json(cli->run.config->graph));
        return EXIT_DONE;
    }
    CLEANUP_FREE char *text = NULL;
    int32_t rc = ORCH_OK;
    if (strcmp(format, "text") == 0) {
        rc = graph_text(cli->run.config->graph, &text, &err);
    } else if (strcmp(format, "dot") == 0) {
        rc = graph_dot(cli->run.config->graph, &text, &err);
    } else {
        rc = orch_fail(&err, ORCH_E_CONFIG, "--format is text, dot or json");
    }
    if (rc != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    (void)fputs(text, stdout);
    return EXIT_DONE;
}

static const struct cli_flag flags[] = {
    {"format", "F", false, "text (default), dot (for graphviz) or json"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_graph = {
    .name = "graph",
    .arguments = "",
    .summary = "the dependency graph and its recovery stages",
    .flags = flags,
    .needs = CLI_NEEDS_CONFIG,
    .run = run,
};
