/* config.c: the descriptor of the config plugin: configuration files. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "files/source.h"
#include "files/tally.h"

static const struct orch_option options[] = {
    {"paths", ORCH_OPTION_PATH_LIST, ORCH_OPTION_REQUIRED, NULL,
     "Configuration files and folders; none inside another."},
    {"root", ORCH_OPTION_PATH, 0, "/",
     "Prefix of all paths, where a restore may put them elsewhere."},
    {"exclude", ORCH_OPTION_STRING_LIST, 0, NULL,
     "Patterns of what to leave out and leave alone, relative to each path: * ? [] and **."},
    {"on_unreadable", ORCH_OPTION_STRING, 0, "fail",
     "What to do with a file that cannot be read: fail the component, or note it and go on."},
    {"check_command", ORCH_OPTION_STRING, 0, NULL,
     "Shell command that judges the restored files; if it fails, the old ones are put back."},
    {"check_timeout", ORCH_OPTION_DURATION, 0, "60s", "How long the check command may take."},
    {"aside_keep", ORCH_OPTION_INTEGER, 0, "3",
     "How many copies of replaced files stay in the work folder, 0 for none."},
};

static void plugin_close(void *instance)
{
    struct config *config = instance;
    roots_close(&config->roots);
    patterns_free(config->exclude);
    free(config->work_dir);
    free(config->check_command);
    free(config);
}

static int copy_text(const char *text, char **out)
{
    *out = text == NULL || text[0] == 0 ? NULL : strdup(text);
    return *out == NULL && text != NULL && text[0] != 0 ? -1 : 0;
}

static int32_t read_numbers(struct config *config, const struct orch_options *given,
                            struct orch_error *err)
{
    config->check_timeout_ms = orch_option_integer(given, "check_timeout", 60000);
    config->aside_keep = orch_option_integer(given, "aside_keep", 3);
    if (config->check_timeout_ms <= 0) {
        return orch_fail(err, ORCH_E_CONFIG, "check_timeout must be longer than nothing");
    }
    if (config->aside_keep < 0) {
        return orch_fail(err, ORCH_E_CONFIG, "aside_keep cannot be negative");
    }
    return ORCH_OK;
}

static int32_t read_options(struct config *config, const struct orch_options *given,
                            struct orch_error *err)
{
    int32_t rc = roots_open(&config->roots, given, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (strcmp(config->roots.items[0].name, "/") == 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "the config plugin does not take /: name the files and folders");
    }
    const struct orch_value *exclude = orch_option(given, "exclude");
    rc = patterns_new(exclude == NULL ? NULL : exclude->strings,
                      exclude == NULL ? 0 : exclude->count, &config->exclude, err);
    if (rc == ORCH_OK) {
        rc = read_numbers(config, given, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    const char *policy = orch_option_string(given, "on_unreadable", "fail");
    if (strcmp(policy, "fail") != 0 && strcmp(policy, "note") != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "on_unreadable is \"%s\": it can be fail or note",
                         policy);
    }
    config->note_unreadable = strcmp(policy, "note") == 0;
    if (copy_text(given->work_dir, &config->work_dir) != 0 ||
        copy_text(orch_option_string(given, "check_command", NULL), &config->check_command) != 0) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for options");
    }
    return ORCH_OK;
}

static int32_t plugin_open(const struct orch_host *host, const struct orch_options *given,
                           void **instance, struct orch_error *err)
{
    struct config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an instance");
    }
    config->host = host;
    int32_t rc = read_options(config, given, err);
    if (rc != ORCH_OK) {
        plugin_close(config);
        return rc;
    }
    *instance = config;
    return ORCH_OK;
}

static struct source source_of(const struct config *config)
{
    return (struct source){
        .host = config->host,
        .roots = &config->roots,
        .exclude = config->exclude,
        .note_unreadable = config->note_unreadable,
        .skip_temporary = 1,
        .file_bytes_max = CONFIG_FILE_BYTES_MAX,
    };
}

static int32_t plugin_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct source source = source_of(instance);
    return source_probe(&source, probe, err);
}

/*
 * The files are read one after another, yet when nothing at all changed from before the first to
 * after the last, the copy is what a snapshot in between would have been. That is known only
 * afterwards, so the part stays "fuzzy", and says this as a fact.
 */
static int32_t plugin_backup(void *instance, struct orch_error *err)
{
    const struct config *config = instance;
    struct source source = source_of(config);
    char before[TALLY_HEX_SIZE];
    char after[TALLY_HEX_SIZE];
    int32_t rc = source_stamp(&source, before, err);
    if (rc == ORCH_OK) {
        rc = source_backup(&source, err);
    }
    if (rc == ORCH_OK) {
        rc = source_stamp(&source, after, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    int stable = memcmp(before, after, sizeof(before)) == 0;
    return config->host->fact(config->host->ctx, "stable_while_read", stable ? "true" : "false",
                              err);
}

static int32_t plugin_check(void *instance, const struct orch_restore *restore,
                            struct orch_error *err)
{
    return config_check(instance, restore, err);
}

static int32_t plugin_restore(void *instance, const struct orch_restore *restore,
                              struct orch_error *err)
{
    return config_restore(instance, restore, err);
}

static int32_t plugin_verify(void *instance, const struct orch_restore *restore,
                             struct orch_error *err)
{
    return config_verify(instance, restore, err);
}

static int32_t plugin_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                             struct orch_error *err)
{
    return config_settle(instance, restore, outcome, err);
}

static int32_t plugin_scratch(void *instance, const char *directory, struct orch_error *err)
{
    struct config *config = instance;
    config->is_scratch = 1;
    return roots_move(&config->roots, directory, err);
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_TOKENS,
    .name = "config",
    .version = ORCHESTRATE_VERSION,
    .summary = "Configuration files, replaced one by one, with the old copy kept",
    .data_format = CONFIG_FORMAT,
    .data_format_oldest = CONFIG_FORMAT,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .open = plugin_open,
    .close = plugin_close,
    .probe = plugin_probe,
    .backup = plugin_backup,
    .check = plugin_check,
    .restore = plugin_restore,
    .verify = plugin_verify,
    .settle = plugin_settle,
    .scratch = plugin_scratch,
};
