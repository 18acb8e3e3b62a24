/* cmd_plugin.c: the plugins that can be found, and what each declares. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "plugin/search.h"
#include "run/describe.h"

static int32_t describe(const struct cli *cli, const char *name, struct plugin_info **out,
                        struct orch_error *err)
{
    struct describe ctx = {.plugin_path = cli->run.plugin_path,
                           .in_process = cli->run.in_process};
    return describe_plugin(&ctx, NULL, name, out, err);
}

static int list(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    char **names = NULL;
    if (plugin_search_all(cli->run.plugin_path, &names, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    json_t *plugins = json_array();
    int code = EXIT_DONE;
    for (size_t i = 0; names[i] != NULL; i++) {
        struct plugin_info *info = NULL;
        if (describe(cli, names[i], &info, &err) != ORCH_OK) {
            (void)fprintf(stderr, "%-14s %s\n", names[i], err.message);
            code = EXIT_FAILED;
            continue;
        }
        if (cli->json) {
            (void)json_array_append_new(plugins, plugin_info_to_json(info));
        } else {
            (void)printf("%-14s %-8s %s\n", info->name, info->version, info->summary);
        }
        plugin_info_free(info);
    }
    if (cli->json) {
        cli_print_json(cli, json_pack("{s:O}", "plugins", plugins));
    } else if (names[0] == NULL) {
        (void)printf("No plugins were found; say where they are with --plugin-path.\n");
    }
    json_decref(plugins);
    plugin_names_free(names);
    return code;
}

static void print_option(const struct plugin_option *o)
{
    char type[64];
    (void)snprintf(type, sizeof(type), "%s%s", plugin_option_type_name(o->type),
                   (o->flags & ORCH_OPTION_SECRET) != 0 ? ", secret" : "");
    (void)printf("  %-26s %-16s %-14s %s\n", o->name, type,
                 (o->flags & ORCH_OPTION_REQUIRED) != 0 ? "required"
                 : o->default_value != NULL             ? o->default_value
                                                        : "-",
                 o->help);
    if ((o->flags & ORCH_OPTION_SECRET) != 0) {
        (void)printf("  %-26s %-16s %-14s give it as %s_file, %s_env or %s_command\n", "", "", "",
                     o->name, o->name, o->name);
    }
}

static int show(struct cli *cli, const char *name)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct plugin_info *info = NULL;
    if (describe(cli, name, &info, &err) != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        cli_print_json(cli, plugin_info_to_json(info));
    } else {
        (void)printf("%s %s: %s\n", info->name, info->version, info->summary);
        (void)printf("  file %s\n  interface %u.%u, writes data format %u, reads %u to %u\n",
                     info->path, info->abi_major, info->abi_minor, info->data_format,
                     info->data_format_oldest, info->data_format);
        (void)printf("\n  %-26s %-16s %-14s %s\n", "OPTION", "TYPE", "DEFAULT", "MEANING");
        for (size_t i = 0; i < info->option_count; i++) {
            print_option(&info->options[i]);
        }
    }
    plugin_info_free(info);
    return EXIT_DONE;
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    const char *action = cli->arguments[0];
    if (strcmp(action, "list") == 0 && cli->argument_count == 1) {
        return list(cli);
    }
    if (strcmp(action, "show") == 0 && cli->argument_count == 2) {
        return show(cli, cli->arguments[1]);
    }
    if (strcmp(action, "check") == 0) {
        (void)orch_fail(&err, ORCH_E_CONFIG,
                        "\"plugin check\" is not built yet; it comes in a "
                        "later version");
    } else {
        (void)orch_fail(&err, ORCH_E_CONFIG, "usage: orchestrate plugin list, or plugin show NAME");
    }
    return cli_fail(cli, &err);
}

const struct cli_command cmd_plugin = {
    .name = "plugin",
    .arguments = "list | show NAME",
    .summary = "the plugins that are installed, and their options",
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};
