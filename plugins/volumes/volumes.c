/* volumes.c: the descriptor of the volumes plugin: file trees, as they are. */
#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "files/source.h"
#include "volumes.h"

static const struct orch_option options[] = {
    {"paths", ORCH_OPTION_PATH_LIST, ORCH_OPTION_REQUIRED | ORCH_OPTION_REPLACED, NULL,
     "Folders or files to protect; none inside another."},
    {"root", ORCH_OPTION_PATH, 0, "/",
     "Prefix of all paths, where a restore may put them elsewhere."},
    {"exclude", ORCH_OPTION_STRING_LIST, 0, NULL,
     "Patterns of what to leave out, relative to each path: * ? [] and **."},
    {"one_file_system", ORCH_OPTION_BOOLEAN, 0, "false",
     "Do not enter file systems that are mounted inside the paths."},
    {"on_unreadable", ORCH_OPTION_STRING, 0, "fail",
     "What to do with a file that cannot be read: fail the component, or note it and go on."},
};

static void plugin_close(void *instance)
{
    struct volumes *volumes = instance;
    roots_close(&volumes->roots);
    patterns_free(volumes->exclude);
    free(volumes->work_dir);
    free(volumes);
}

static int32_t read_options(struct volumes *volumes, const struct orch_options *given,
                            struct orch_error *err)
{
    int32_t rc = roots_open(&volumes->roots, given, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const struct orch_value *exclude = orch_option(given, "exclude");
    rc = patterns_new(exclude == NULL ? NULL : exclude->strings,
                      exclude == NULL ? 0 : exclude->count, &volumes->exclude, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const char *policy = orch_option_string(given, "on_unreadable", "fail");
    if (strcmp(policy, "fail") != 0 && strcmp(policy, "note") != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "on_unreadable is \"%s\": it can be fail or note",
                         policy);
    }
    volumes->note_unreadable = strcmp(policy, "note") == 0;
    volumes->one_file_system = orch_option_integer(given, "one_file_system", 0) != 0;
    if (given->work_dir != NULL) {
        volumes->work_dir = strdup(given->work_dir);
        if (volumes->work_dir == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
        }
    }
    return ORCH_OK;
}

static int32_t plugin_open(const struct orch_host *host, const struct orch_options *given,
                           void **instance, struct orch_error *err)
{
    struct volumes *volumes = calloc(1, sizeof(*volumes));
    if (volumes == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an instance");
    }
    volumes->host = host;
    int32_t rc = read_options(volumes, given, err);
    if (rc != ORCH_OK) {
        plugin_close(volumes);
        return rc;
    }
    *instance = volumes;
    return ORCH_OK;
}

static struct source source_of(const struct volumes *volumes)
{
    return (struct source){
        .host = volumes->host,
        .roots = &volumes->roots,
        .exclude = volumes->exclude,
        .one_file_system = volumes->one_file_system,
        .note_unreadable = volumes->note_unreadable,
        .hard_links = 1,
        .special_files = 1,
    };
}

static int32_t plugin_probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct source source = source_of(instance);
    return source_probe(&source, probe, err);
}

static int32_t plugin_backup(void *instance, struct orch_error *err)
{
    struct source source = source_of(instance);
    return source_backup(&source, err);
}

static int32_t plugin_check(void *instance, const struct orch_restore *restore,
                            struct orch_error *err)
{
    return volumes_preflight(instance, restore, err);
}

static int32_t plugin_restore(void *instance, const struct orch_restore *restore,
                              struct orch_error *err)
{
    return volumes_restore(instance, restore, err);
}

static int32_t plugin_verify(void *instance, const struct orch_restore *restore,
                             struct orch_error *err)
{
    return volumes_verify(instance, restore, err);
}

static int32_t plugin_settle(void *instance, const struct orch_restore *restore, uint32_t outcome,
                             struct orch_error *err)
{
    return volumes_settle(instance, restore, outcome, err);
}

static int32_t plugin_scratch(void *instance, const char *directory, struct orch_error *err)
{
    struct volumes *volumes = instance;
    return roots_move(&volumes->roots, directory, err);
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_OBJECTS | ORCH_CAP_TOKENS,
    .name = "volumes",
    .version = ORCHESTRATE_VERSION,
    .summary = "File trees with all their metadata",
    .data_format = VOLUMES_FORMAT,
    .data_format_oldest = VOLUMES_FORMAT,
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
