/* cmd_history.c: what was restored when, and the runs that the repository knows of. */
#include <stdio.h>

#include "cli/output.h"
#include "cli/render.h"
#include "engine/runlog.h"
#include "run/ledger.h"

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text == NULL ? "-" : text;
}

static void print_restores(const json_t *entries)
{
    for (size_t i = json_array_size(entries); i > 0; i--) {
        const json_t *entry = json_array_get(entries, i - 1);
        char time[RENDER_TEXT];
        const char *name;
        json_t *component;
        (void)printf(
            "%s  restore  %.8s  set %s  %-9s %s\n", text_of(entry, "time"), text_of(entry, "run"),
            text_of(entry, "set_name"), text_of(entry, "state"),
            render_duration(json_integer_value(json_object_get(entry, "elapsed_ms")), time));
        json_object_foreach(json_object_get(entry, "components"), name, component)
        {
            (void)printf("    %-16s %s%s%s\n", name, text_of(component, "state"),
                         json_object_get(component, "error") == NULL ? "" : ": ",
                         json_object_get(component, "error") == NULL ? ""
                                                                     : text_of(component, "error"));
        }
    }
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *entries = NULL;
    if (ledger_read(cli->run.config, LEDGER_HISTORY, &entries, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        cli_print_json(cli, json_pack("{s:O}", "restores", entries));
    } else if (json_array_size(entries) == 0) {
        (void)printf("Nothing was restored from here yet.\n");
    } else {
        print_restores(entries);
    }
    json_decref(entries);
    return EXIT_DONE;
}

const struct cli_command cmd_history = {
    .name = "history",
    .arguments = "",
    .summary = "what was restored when, newest first",
    .needs = CLI_NEEDS_CONFIG,
    .run = run,
};
