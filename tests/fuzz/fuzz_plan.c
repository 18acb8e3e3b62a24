/*
 * fuzz_plan.c: one plan file of any bytes, against a small configuration, and the bytes as a value
 * of --target and as sizes and durations.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "plan/config_internal.h"
#include "plan/document.h"
#include "plan/plan_internal.h"

static const char conf[] =
    "state_dir = \"/s\"; cache_dir = \"/c\";\n"
    "repositories: { main: { url = \"/r\"; encryption = \"none\"; }; };\n"
    "components: { a: { plugin = \"p\"; }; b: { plugin = \"p\"; depends_on = [ \"a\" ]; };\n"
    "  c: { plugin = \"p\"; depends_on = [ \"b\" ]; }; d: { plugin = \"p\"; }; };";

static int32_t describe(void *ctx, const struct config *config, const char *name,
                        struct plugin_info **out, struct orch_error *err)
{
    (void)ctx;
    (void)config;
    (void)err;
    struct plugin_info *info = calloc(1, sizeof(*info));
    info->name = strdup(name);
    *out = info;
    return ORCH_OK;
}

static struct config *make_config(void)
{
    const struct config_plugins plugins = {NULL, describe};
    struct orch_error err = ORCH_ERROR_INIT;
    struct document *document = NULL;
    struct config *config = NULL;
    must(document_parse("f.conf", conf, sizeof(conf) - 1, &document, &err) == ORCH_OK);
    struct config_files files = {.documents = &document, .count = 1};
    must(config_build("fuzz", &files, &plugins, &config, &err) == ORCH_OK);
    document_free(document);
    return config;
}

static void try_text(struct config *config, const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    int64_t value = 0;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    must(config_parse_size(text, &value, &err) != ORCH_OK || value >= 0);
    must(config_parse_duration(text, &value, &err) != ORCH_OK || value >= 0);
    must(config_override(config, text, &err) == ORCH_E_CONFIG);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    struct orch_error err = ORCH_ERROR_INIT;
    struct document *document = NULL;
    struct plan *plan = NULL;
    if (config == NULL) {
        config = make_config();
    }
    if (size > 0 && size < 4096) {
        try_text(config, data, size);
    }
    int32_t rc = document_parse("f.plan", data, size, &document, &err);
    if (rc == ORCH_OK) {
        rc = plan_from_document(config, document, &plan, &err);
    }
    must((rc == ORCH_OK) == (plan != NULL));
    must(rc == ORCH_OK || (rc == ORCH_E_CONFIG && strncmp(err.message, "f.plan:", 7) == 0));
    must(rc != ORCH_OK || plan->step_count > 0);
    plan_free(plan);
    document_free(document);
    return 0;
}
