/*
 * fuzz_config.c: one configuration file of any bytes, read into a model with made-up plugins.
 *
 * What is right must also load again to the same; what is wrong must give ORCH_E_CONFIG with a
 * place. Whatever passes scan_check() must not be refused by libconfig for its syntax, since
 * libconfig leaks then.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "plan/config_internal.h"
#include "plan/document.h"

static const struct plugin_option options[] = {
    {(char *)"text", ORCH_OPTION_STRING, 0, (char *)"x", (char *)"h"},
    {(char *)"count", ORCH_OPTION_INTEGER, 0, (char *)"1", NULL},
    {(char *)"ratio", ORCH_OPTION_FLOAT, 0, NULL, NULL},
    {(char *)"flag", ORCH_OPTION_BOOLEAN, 0, NULL, NULL},
    {(char *)"room", ORCH_OPTION_SIZE, 0, NULL, NULL},
    {(char *)"wait", ORCH_OPTION_DURATION, 0, NULL, NULL},
    {(char *)"words", ORCH_OPTION_STRING_LIST, 0, (char *)"a,b", NULL},
    {(char *)"place", ORCH_OPTION_PATH, 0, NULL, NULL},
    {(char *)"places", ORCH_OPTION_PATH_LIST, 0, NULL, NULL},
    {(char *)"deep.er", ORCH_OPTION_STRING, 0, NULL, NULL},
    {(char *)"key", ORCH_OPTION_STRING, ORCH_OPTION_SECRET, NULL, NULL},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static char *copy(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

static int32_t describe(void *ctx, const struct config *config, const char *name,
                        struct plugin_info **out, struct orch_error *err)
{
    (void)ctx;
    (void)config;
    if (name[0] == 'x') {
        return orch_fail(err, ORCH_E_NOT_FOUND, "no such plugin");
    }
    struct plugin_info *info = calloc(1, sizeof(*info));
    info->name = strdup(name);
    info->options = calloc(OPTIONS, sizeof(*info->options));
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct plugin_option *o = &options[i];
        info->options[i] = (struct plugin_option){copy(o->name), o->type, o->flags,
                                                  copy(o->default_value), copy(o->help)};
    }
    info->option_count = OPTIONS;
    *out = info;
    return ORCH_OK;
}

static void build(struct document *document)
{
    struct document *documents[] = {document};
    struct config_files files = {.documents = documents, .count = 1};
    const struct config_plugins plugins = {NULL, describe};
    struct orch_error err = ORCH_ERROR_INIT;
    struct config *config = NULL;
    int32_t rc = config_build("fuzz", &files, &plugins, &config, &err);
    must((rc == ORCH_OK) == (config != NULL));
    if (rc != ORCH_OK) {
        must(rc == ORCH_E_CONFIG && strncmp(err.message, "f.conf:", 7) == 0);
        return;
    }
    for (size_t i = 0; i < config->component_count; i++) {
        must(graph_stage_of(config->graph, config->components[i].name) >= 0);
    }
    if (config->component_count > 0) {
        char text[128];
        (void)snprintf(text, sizeof(text), "%s.place=/p", config->components[0].name);
        must(config_override(config, text, &err) == ORCH_OK);
    }
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document *document = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    (void)unsetenv("ORCHESTRATE_STATE_DIR");
    (void)unsetenv("ORCHESTRATE_CACHE_DIR");
    int32_t rc = document_parse("f.conf", data, size, &document, &err);
    if (rc != ORCH_OK) {
        must(rc == ORCH_E_CONFIG && strncmp(err.message, "f.conf:", 7) == 0);
        must(strstr(err.message, "syntax error") == NULL);
        return 0;
    }
    build(document);
    document_free(document);
    return 0;
}
