/*
 * config_override.c: --target component.option=value, applied to a configuration that was read.
 *
 * No message shows the value: it may be a secret that does not belong there.
 */
#include "plan/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "plan/suggest.h"

struct assignment {
    char *component;
    char *option;
    const char *value; /* borrowed */
};

static void free_assignment(struct assignment *a)
{
    free(a->component);
    free(a->option);
}

static int32_t split(const char *text, struct assignment *out, struct orch_error *err)
{
    const char *equals = strchr(text, '=');
    size_t name = strcspn(text, ".=");
    if (equals == NULL || text[name] != '.' || name == 0 || equals == text + name + 1) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "--target %.*s: expected COMPONENT.OPTION=VALUE, such as "
                         "app-db.conninfo=\"dbname=other\"",
                         (int)strcspn(text, "="), text);
    }
    out->component = strndup(text, name);
    out->option = strndup(text + name + 1, (size_t)(equals - text) - name - 1);
    out->value = equals + 1;
    return out->component == NULL || out->option == NULL
               ? orch_fail(err, ORCH_E_NOMEM, "no memory for --target")
               : ORCH_OK;
}

static int32_t fail_component(const struct config *config, const struct assignment *a,
                              struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    config_suggest_component(config, a->component, &hint);
    const char *text = buffer_string(&hint);
    return orch_fail(err, ORCH_E_CONFIG, "--target %s.%s: there is no component %s%s", a->component,
                     a->option, a->component, text == NULL ? "" : text);
}

static int32_t fail_option(const struct plugin_info *info, const struct assignment *a,
                           struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    CLEANUP_FREE const char **names = calloc(info->option_count + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < info->option_count; i++) {
        names[i] = info->options[i].name;
    }
    if (names != NULL) {
        suggest_append(&hint, a->option, names, info->option_count);
    }
    const char *text = buffer_string(&hint);
    return orch_fail(err, ORCH_E_CONFIG,
                     "--target %s.%s: the plugin %s has no option %s that could be changed%s",
                     a->component, a->option, info->name, a->option, text == NULL ? "" : text);
}

static const struct plugin_option *find(const struct plugin_info *info, const char *name,
                                        size_t len)
{
    for (size_t i = 0; i < info->option_count; i++) {
        if (strncmp(info->options[i].name, name, len) == 0 && info->options[i].name[len] == 0) {
            return &info->options[i];
        }
    }
    return NULL;
}

/* Makes the new value. Secrets are named with _file, _env or _command. */
static int32_t make_value(const struct config_component *component, const struct assignment *a,
                          struct config_option *value, struct orch_error *err)
{
    const char *suffix = NULL;
    const struct plugin_option *option = find(component->info, a->option, strlen(a->option));
    if (option == NULL) {
        size_t len = config_secret_suffix(a->option, &suffix);
        option = len == 0 ? NULL : find(component->info, a->option, len);
        if (option == NULL || (option->flags & ORCH_OPTION_SECRET) == 0) {
            return fail_option(component->info, a, err);
        }
    } else if ((option->flags & ORCH_OPTION_SECRET) != 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "--target %s.%s: %s is a secret and does not stand on the command line, "
                         "where others can read it; give %s_file, %s_env or %s_command",
                         a->component, a->option, a->option, a->option, a->option, a->option);
    }
    int32_t rc;
    if (suffix != NULL) {
        value->is_secret = true;
        value->value.type = option->type;
        rc = config_secret_assign(&value->secret, suffix, a->value, err);
    } else {
        rc = config_value_from_text(option, a->value, value, err);
    }
    value->value.name = option->name;
    return rc == ORCH_OK ? rc : orch_wrap(err, "--target %s.%s", a->component, a->option);
}

int32_t config_override(struct config *config, const char *text, struct orch_error *err)
{
    CLEANUP(free_assignment) struct assignment a = {NULL, NULL, NULL};
    CLEANUP(config_value_clear) struct config_option value = {0};
    int32_t rc = split(text, &a, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct config_component *component =
        (struct config_component *)(uintptr_t)config_component(config, a.component);
    if (component == NULL) {
        return fail_component(config, &a, err);
    }
    rc = make_value(component, &a, &value, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct config_option *slot = NULL;
    for (size_t i = 0; i < component->option_count && slot == NULL; i++) {
        if (strcmp(component->options[i].value.name, value.value.name) == 0) {
            slot = &component->options[i];
        }
    }
    if (slot == NULL) {
        /* config_component_take() made room for one of each declared option. */
        slot = &component->options[component->option_count++];
    }
    config_value_clear(slot);
    *slot = value;
    value = (struct config_option){0};
    return ORCH_OK;
}
