/*
 * config_options.c: the options of a component as a worker gets them: values in one block that
 * stands by itself, secrets read, and wiped when it is freed.
 */
#include "plan/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "plan/document.h"
#include "plan/scan.h"

/* `options` comes first: its address is the block's. */
struct resolved {
    struct orch_options options;
    struct orch_value *values;
    bool *secret; /* of each value */
};

void config_options_free(struct orch_options *options)
{
    struct resolved *resolved = (struct resolved *)options;
    if (resolved == NULL) {
        return;
    }
    for (uint64_t i = 0; resolved->values != NULL && i < options->count; i++) {
        struct orch_value *value = &resolved->values[i];
        if (resolved->secret != NULL && resolved->secret[i]) {
            config_secret_free((char *)(uintptr_t)value->string);
        } else {
            free((void *)(uintptr_t)value->string);
        }
        document_texts_free((char **)(uintptr_t)value->strings);
        free((void *)(uintptr_t)value->name);
    }
    free(resolved->secret);
    free(resolved->values);
    free((void *)(uintptr_t)options->component);
    free((void *)(uintptr_t)options->work_dir);
    free(resolved);
}

static int32_t fail_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the options of a component");
}

static int32_t copy_strings(const struct orch_value *from, struct orch_value *to,
                            struct orch_error *err)
{
    if (from->strings == NULL) {
        return ORCH_OK;
    }
    char **list = calloc((size_t)from->count + 1, sizeof(*list));
    to->strings = (const char *const *)list;
    for (size_t i = 0; list != NULL && i < from->count; i++) {
        list[i] = strdup(from->strings[i]);
        if (list[i] == NULL) {
            return fail_memory(err);
        }
    }
    return list == NULL ? fail_memory(err) : ORCH_OK;
}

static int32_t read_secret(const struct config_component *component,
                           const struct config_option *option, char **out, struct orch_error *err)
{
    CLEANUP_FREE char *what = NULL;
    if (asprintf(&what, "component %s, %s", component->name, option->value.name) < 0) {
        what = NULL;
        return fail_memory(err);
    }
    int32_t rc = config_secret_read(&option->secret, what, out, err);
    /* Options travel to the worker as JSON. */
    if (rc == ORCH_OK && !scan_utf8(*out, strlen(*out))) {
        config_secret_free(*out);
        *out = NULL;
        rc = orch_fail(err, ORCH_E_CONFIG, "%s: the secret is not UTF-8", what);
    }
    return rc;
}

static int32_t resolve(const struct config_component *component, const struct config_option *option,
                       struct orch_value *to, bool *secret, struct orch_error *err)
{
    *to = option->value;
    to->string = NULL;
    to->strings = NULL;
    to->name = strdup(option->value.name);
    if (to->name == NULL) {
        return fail_memory(err);
    }
    if (option->is_secret) {
        char *text = NULL;
        *secret = true;
        int32_t rc = read_secret(component, option, &text, err);
        to->string = text;
        return rc;
    }
    if (option->value.string != NULL) {
        to->string = strdup(option->value.string);
        if (to->string == NULL) {
            return fail_memory(err);
        }
    }
    return copy_strings(&option->value, to, err);
}

static int32_t resolve_all(const struct config *config, const struct config_component *component,
                           struct resolved *resolved, struct orch_error *err)
{
    struct orch_options *options = &resolved->options;
    size_t count = component->option_count;
    char *work_dir = NULL;
    options->struct_size = (uint32_t)sizeof(*options);
    options->value_size = (uint32_t)sizeof(struct orch_value);
    if (asprintf(&work_dir, "%s/work/%s", config->state_dir, component->name) < 0) {
        return fail_memory(err);
    }
    options->work_dir = work_dir;
    options->component = strdup(component->name);
    resolved->values = calloc(count + 1, sizeof(*resolved->values));
    resolved->secret = calloc(count + 1, sizeof(*resolved->secret));
    if (options->component == NULL || resolved->values == NULL || resolved->secret == NULL) {
        return fail_memory(err);
    }
    options->values = resolved->values;
    for (size_t i = 0; i < count; i++) {
        options->count = i + 1; /* also a half-filled one is freed */
        int32_t rc = resolve(component, &component->options[i], &resolved->values[i],
                             &resolved->secret[i], err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

int32_t config_options(const struct config *config, const struct config_component *component,
                       struct orch_options **out, struct orch_error *err)
{
    struct resolved *resolved = calloc(1, sizeof(*resolved));
    if (resolved == NULL) {
        return fail_memory(err);
    }
    int32_t rc = resolve_all(config, component, resolved, err);
    if (rc != ORCH_OK) {
        config_options_free(&resolved->options);
        return rc;
    }
    *out = &resolved->options;
    return ORCH_OK;
}
