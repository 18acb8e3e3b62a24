/* cli.c: see cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/args.h"
#include "cli/progress.h"
#include "engine/scryptmemory.h"
#include "run/describe.h"

/* Set by the signal handler, read by every loop that can take long. */
static volatile int cancel_requested;

static void on_signal(int number)
{
    (void)number;
    if (cancel_requested != 0) {
        _exit(EXIT_CANCELLED); /* the second Ctrl-C: now */
    }
    cancel_requested = 1;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&ignore.sa_mask);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

const char *cli_value(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->value_count; i++) {
        if (strcmp(cli->values[i].name, name) == 0) {
            return cli->values[i].text;
        }
    }
    return NULL;
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

const char **cli_values(const struct cli *cli, const char *name, size_t *count)
{
    const char **list = calloc(cli->value_count + 1, sizeof(*list));
    *count = 0;
    for (size_t i = 0; list != NULL && i < cli->value_count; i++) {
        if (strcmp(cli->values[i].name, name) == 0) {
            list[(*count)++] = cli->values[i].text;
        }
    }
    return list;
}

int cli_exit_code(int32_t rc)
{
    switch (rc) {
    case ORCH_OK:
        return EXIT_DONE;
    case ORCH_E_CONFIG:
    case ORCH_E_UNSUPPORTED:
        return EXIT_USAGE;
    case ORCH_E_REFUSED:
        return EXIT_REFUSED;
    case ORCH_E_CANCELLED:
        return EXIT_CANCELLED;
    default:
        return EXIT_FAILED;
    }
}

void cli_print_json(struct cli *cli, json_t *document)
{
    (void)json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    (void)printf("\n");
    json_decref(document);
    cli->document_printed = true;
}

int cli_fail(struct cli *cli, const struct orch_error *err)
{
    int code = cli_exit_code(err->code);
    char message[ORCH_ERROR_MESSAGE_MAX];
    (void)snprintf(message, sizeof(message), "%s", err->message);
    text_clean(message, sizeof(message));
    progress_end();
    (void)fprintf(stderr, "orchestrate: %s\n", message);
    if (cli->json && !cli->document_printed) {
        cli_print_json(cli,
                       json_pack("{s:{s:s, s:s}, s:i}", "error", "code", orch_error_name(err->code),
                                 "message", message, "exit", code));
    }
    return code;
}

static void apply_globals(struct cli *cli)
{
    const char *dir = getenv("ORCHESTRATE_CONFIG");
    size_t verbose = 0;
    free(cli_values(cli, "verbose", &verbose));
    cli->config_dir = cli_has(cli, "config") ? cli_value(cli, "config")
                      : dir != NULL && *dir  ? dir
                                             : "/etc/orchestrate/conf.d";
    cli->repository = cli_value(cli, "repository");
    cli->json = cli_has(cli, "json");
    cli->quiet = cli_has(cli, "quiet");
    cli->verbosity = (int)verbose;
    cli->run.plugin_path = cli_value(cli, "plugin-path");
    cli->run.in_process = cli_has(cli, "in-process");
    cli->run.cancel = &cancel_requested;
    log_set_level(cli->quiet     ? ORCH_LOG_ERROR
                  : verbose == 0 ? ORCH_LOG_WARNING
                  : verbose == 1 ? ORCH_LOG_INFO
                                 : ORCH_LOG_DEBUG);
}

static int32_t load(struct cli *cli, struct orch_error *err)
{
    if (cli->command->needs == 0) {
        return ORCH_OK;
    }
    struct describe describe = {.plugin_path = cli->run.plugin_path,
                                .in_process = cli->run.in_process};
    struct config_plugins plugins = {.ctx = &describe, .describe = describe_plugin};
    int32_t rc = config_load(cli->config_dir, &plugins, &cli->run.config, err);
    if (rc == ORCH_OK && (cli->command->needs & CLI_NEEDS_REPOSITORY) != 0) {
        rc = context_open_repository(&cli->run, cli->repository, err);
    }
    return rc;
}

static int run_command(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct report_receiver receiver;
    watch_signals();
    progress_start(cli->quiet, cli->json, &receiver);
    cli->run.report = report_new(&receiver);
    int code = EXIT_DONE;
    if (load(cli, &err) != ORCH_OK) {
        code = cli_fail(cli, &err);
    } else {
        code = cli->command->run(cli);
    }
    progress_end();
    context_close_repository(&cli->run);
    config_free(cli->run.config);
    report_free(cli->run.report);
    return code;
}

/* What was printed must have arrived; a full disk or closed pipe is a failure. */
static int end_output(int code)
{
    bool lost = ferror(stdout) != 0; /* by an earlier write, whose errno is gone */
    if (fflush(stdout) == 0 && !lost) {
        return code;
    }
    (void)fprintf(stderr, "orchestrate: cannot write the output: %s\n",
                  lost ? "a write failed" : strerror(errno));
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    bool help = false;
    int code = EXIT_DONE;
    scryptmemory_prepare();
    int32_t rc = args_parse(&cli, argc, argv, &help, &err);
    if (rc == ORCH_OK && help) {
        args_print_help(cli.command);
    } else {
        apply_globals(&cli);
        code = rc != ORCH_OK ? cli_fail(&cli, &err) : run_command(&cli);
    }
    free(cli.values);
    free(cli.arguments);
    return end_output(code);
}
