/*
 * config_component.c: one component: the keys that every component has, then the options that its
 * plugin declares. Everything else is an error.
 */
#include "plan/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "plan/document.h"
#include "plan/suggest.h"

/* The last six are those of struct config_common. */
static const char *const core_keys[] = {"plugin",  "depends_on",    "rto",     "rpo",
                                        "timeout", "stall_timeout", "retries", "rate_limit"};
#define CORE_KEYS (sizeof(core_keys) / sizeof(core_keys[0]))
#define COMMON_FIRST 2
#define RETRIES_MAX 100
#define NAME_MAX_LEN 200 /* of an option, with its dots */

static bool is_core_key(const char *name)
{
    for (size_t i = 0; i < CORE_KEYS; i++) {
        if (strcmp(name, core_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

const char *const *config_common_names(size_t *count)
{
    *count = CORE_KEYS - COMMON_FIRST;
    return core_keys + COMMON_FIRST;
}

int32_t config_common_take(const config_setting_t *setting, struct config_common *common,
                           bool *known, struct orch_error *err)
{
    const char *name = config_setting_name(setting);
    int64_t *durations[] = {&common->rto_ms, &common->rpo_ms, &common->timeout_ms,
                            &common->stall_timeout_ms};
    *known = true;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        if (strcmp(name, core_keys[COMMON_FIRST + i]) == 0) {
            return document_duration(setting, durations[i], err);
        }
    }
    if (strcmp(name, "retries") == 0) {
        int64_t retries = 0;
        int32_t rc = document_integer(setting, 0, RETRIES_MAX, &retries, err);
        common->retries = rc == ORCH_OK ? (uint32_t)retries : common->retries;
        return rc;
    }
    if (strcmp(name, "rate_limit") == 0) {
        return document_rate(setting, &common->rate_limit, err);
    }
    *known = false;
    return ORCH_OK;
}

void config_component_clear(struct config_component *component)
{
    for (size_t i = 0; i < component->option_count; i++) {
        config_value_clear(&component->options[i]);
    }
    free(component->options);
    document_texts_free(component->depends_on);
    free(component->name);
    free(component->plugin);
    free(component->file);
    *component = (struct config_component){0};
}

/* ---- what a plugin declares --------------------------------------------------------------- */

/* A size that a plugin declares may lack its unit; who configures one might mean another. */
static int32_t take_default(const struct plugin_option *option, struct config_option *out,
                            struct orch_error *err)
{
    const char *text = option->default_value;
    char bytes[32];
    size_t len = strlen(text);
    if (option->type == ORCH_OPTION_SIZE && strspn(text, "0123456789") == len &&
        len < sizeof(bytes) - 1) {
        (void)snprintf(bytes, sizeof(bytes), "%sB", text);
        text = bytes;
    }
    return config_value_from_text(option, text, out, err);
}

int32_t config_plugin_check(const struct plugin_info *info, struct orch_error *err)
{
    for (size_t i = 0; i < info->option_count; i++) {
        const struct plugin_option *option = &info->options[i];
        bool is_secret = (option->flags & ORCH_OPTION_SECRET) != 0;
        if (is_core_key(option->name)) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the plugin declares an option %s, which is a key of every component; "
                             "its author has to rename it",
                             option->name);
        }
        if (strlen(option->name) >= NAME_MAX_LEN || option->name[0] == 0) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the plugin declares an option without a usable "
                             "name");
        }
        if (is_secret && option->type != ORCH_OPTION_STRING && option->type != ORCH_OPTION_PATH) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the plugin declares the secret %s, which is no string; its author "
                             "has to change that",
                             option->name);
        }
        if (option->type < ORCH_OPTION_STRING || option->type > ORCH_OPTION_PATH_LIST) {
            return orch_fail(err, ORCH_E_CONFIG,
                             "the plugin declares option %s with type %u, which this program does "
                             "not know; a newer version may",
                             option->name, option->type);
        }
        if (option->default_value != NULL && !is_secret) {
            struct config_option value = {0};
            int32_t rc = take_default(option, &value, err);
            config_value_clear(&value);
            if (rc != ORCH_OK) {
                return orch_wrap(err, "the plugin declares a default for %s that is wrong",
                                 option->name);
            }
        }
    }
    return ORCH_OK;
}

/* ---- the options -------------------------------------------------------------------------- */

/* What is at work while a component is read. `slots` has one entry per declared option; a slot is
 * in use when value.name is set. */
struct reading {
    const config_setting_t *component;
    const struct plugin_info *info;
    struct config_option *slots;
    struct orch_error *err;
};

static size_t find_option(const struct plugin_info *info, const char *name, size_t len)
{
    for (size_t i = 0; i < info->option_count; i++) {
        if (strncmp(info->options[i].name, name, len) == 0 && info->options[i].name[len] == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Whether `name` is a group: some option begins with it and a dot. */
static const char *option_below(const struct plugin_info *info, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < info->option_count; i++) {
        const char *option = info->options[i].name;
        if (strncmp(option, name, len) == 0 && option[len] == '.') {
            return option + len + 1;
        }
    }
    return NULL;
}

/* Adds, for "did you mean", what may stand where `prefix` is open: an option's next part, and a
 * secret's three spellings. `words` are new memory. */
static int32_t known_words(const struct plugin_info *info, const char *prefix, char ***words,
                           size_t *count)
{
    size_t n = 0;
    size_t skip = strlen(prefix);
    char **list = calloc(CORE_KEYS + 3 * info->option_count + 1, sizeof(*list));
    if (list == NULL) {
        return ORCH_E_NOMEM;
    }
    for (size_t i = 0; i < info->option_count; i++) {
        const struct plugin_option *option = &info->options[i];
        if (strncmp(option->name, prefix, skip) != 0) {
            continue;
        }
        const char *rest = option->name + skip;
        const char *dot = strchr(rest, '.');
        static const char *const tails[] = {"_file", "_env", "_command"};
        bool is_secret = dot == NULL && (option->flags & ORCH_OPTION_SECRET) != 0;
        int len = dot == NULL ? (int)strlen(rest) : (int)(dot - rest);
        for (size_t k = 0; k < (is_secret ? 3u : 1u); k++) {
            char *word = NULL;
            if (asprintf(&word, "%.*s%s", len, rest, is_secret ? tails[k] : "") < 0) {
                list[n] = NULL;
                document_texts_free(list);
                return ORCH_E_NOMEM;
            }
            list[n++] = word;
            if (n > 1 && strcmp(list[n - 2], word) == 0) {
                free(list[--n]);
                list[n] = NULL;
            }
        }
    }
    for (size_t i = 0; prefix[0] == 0 && i < CORE_KEYS; i++) {
        list[n] = strdup(core_keys[i]);
        n += list[n] != NULL;
    }
    *words = list;
    *count = n;
    return ORCH_OK;
}

static int32_t fail_unknown(const struct reading *reading, const config_setting_t *setting,
                            const char *prefix)
{
    CLEANUP(document_texts_cleanup) char **words = NULL;
    CLEANUP_BUFFER struct buffer hint = BUFFER_INIT;
    size_t count = 0;
    if (known_words(reading->info, prefix, &words, &count) != ORCH_OK) {
        return orch_fail(reading->err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    suggest_append(&hint, config_setting_name(setting), (const char *const *)words, count);
    const char *text = buffer_string(&hint);
    return document_fail(setting, reading->err,
                         "unknown key '%s%.80s' in component %s (plugin %s)%s", prefix,
                         config_setting_name(setting), config_setting_name(reading->component),
                         reading->info->name, text == NULL ? "" : text);
}

/* "password_file" and its like. *taken is false when the name is no spelling of a secret. */
static int32_t take_secret(const struct reading *reading, const config_setting_t *setting,
                           const char *name, bool *taken)
{
    const char *suffix = NULL;
    size_t len = config_secret_suffix(name, &suffix);
    size_t i = len == 0 ? SIZE_MAX : find_option(reading->info, name, len);
    if (i == SIZE_MAX || (reading->info->options[i].flags & ORCH_OPTION_SECRET) == 0) {
        *taken = false;
        return ORCH_OK;
    }
    *taken = true;
    CLEANUP_FREE char *text = NULL;
    int32_t rc = document_text(setting, &text, reading->err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct config_option *slot = &reading->slots[i];
    if (config_secret_assign(&slot->secret, suffix, text, reading->err) != ORCH_OK) {
        (void)orch_wrap(reading->err, "%.80s", name);
        return document_wrap(setting, reading->err);
    }
    slot->is_secret = true;
    slot->value.type = reading->info->options[i].type;
    slot->value.name = reading->info->options[i].name;
    return ORCH_OK;
}

static int32_t take_declared(const struct reading *reading, const config_setting_t *setting,
                             size_t i)
{
    const struct plugin_option *option = &reading->info->options[i];
    if ((option->flags & ORCH_OPTION_SECRET) != 0) {
        return document_fail(setting, reading->err,
                             "%s is a secret and does not stand in the configuration; give %s_file "
                             "(a file with it), %s_env (an environment variable) or %s_command (a "
                             "command that prints it)",
                             option->name, option->name, option->name, option->name);
    }
    struct config_option *slot = &reading->slots[i];
    int32_t rc = config_value_from_setting(option, setting, slot, reading->err);
    slot->value.name = option->name;
    return rc;
}

static int32_t take_options(const struct reading *reading, const config_setting_t *group,
                            const char *prefix);

static int32_t take_member(const struct reading *reading, const config_setting_t *member,
                           const char *prefix)
{
    char name[NAME_MAX_LEN + 2];
    int len = snprintf(name, sizeof(name), "%s%s", prefix, config_setting_name(member));
    if (len < 0 || (size_t)len >= sizeof(name) - 1) {
        return fail_unknown(reading, member, prefix);
    }
    size_t i = find_option(reading->info, name, (size_t)len);
    if (i != SIZE_MAX) {
        return take_declared(reading, member, i);
    }
    const char *below = option_below(reading->info, name);
    if (below != NULL) {
        if (!config_setting_is_group(member)) {
            char found[64];
            return document_fail(member, reading->err,
                                 "%s: expected a group such as %s: { %s = …; }, found %s", name,
                                 config_setting_name(member), below, document_found(member, found));
        }
        name[len] = '.';
        name[len + 1] = 0;
        return take_options(reading, member, name);
    }
    bool taken = false;
    int32_t rc = take_secret(reading, member, name, &taken);
    return rc == ORCH_OK && !taken ? fail_unknown(reading, member, prefix) : rc;
}

/* Recurses as deep as scan.h lets brackets nest. */
static int32_t take_options(const struct reading *reading, const config_setting_t *group,
                            const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
        if (prefix[0] == 0 && is_core_key(config_setting_name(member))) {
            continue;
        }
        int32_t rc = take_member(reading, member, prefix);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* Defaults for what is not configured; what is required must be there. */
static int32_t complete_options(const struct reading *reading)
{
    const char *component = config_setting_name(reading->component);
    for (size_t i = 0; i < reading->info->option_count; i++) {
        const struct plugin_option *option = &reading->info->options[i];
        struct config_option *slot = &reading->slots[i];
        bool is_secret = (option->flags & ORCH_OPTION_SECRET) != 0;
        if (slot->value.name != NULL) {
            continue;
        }
        if (option->default_value != NULL && !is_secret) {
            int32_t rc = take_default(option, slot, reading->err);
            if (rc != ORCH_OK) {
                return document_wrap(reading->component, reading->err);
            }
            slot->value.name = option->name;
            slot->value.is_default = 1;
        } else if ((option->flags & ORCH_OPTION_REQUIRED) != 0) {
            CLEANUP_FREE char *ways = NULL;
            if (asprintf(&ways, is_secret ? "%s_file, %s_env or %s_command" : "%s", option->name,
                         option->name, option->name) < 0) {
                ways = NULL;
            }
            return document_fail(
                reading->component, reading->err, "component %s (plugin %s) lacks %s%s%s",
                component, reading->info->name, ways == NULL ? option->name : ways,
                option->help == NULL ? "" : ": ", option->help == NULL ? "" : option->help);
        }
    }
    return ORCH_OK;
}

static int32_t take_core(const config_setting_t *setting, struct config_component *out,
                         struct config_common *common, struct orch_error *err)
{
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *member = config_setting_get_elem(setting, (unsigned int)i);
        bool known = false;
        int32_t rc = config_common_take(member, common, &known, err);
        if (rc == ORCH_OK && strcmp(config_setting_name(member), "depends_on") == 0) {
            size_t count = 0;
            rc = document_texts(member, &out->depends_on, &count, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (out->depends_on == NULL) {
        out->depends_on = calloc(1, sizeof(*out->depends_on));
    }
    return out->depends_on == NULL ? orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration")
                                   : ORCH_OK;
}

int32_t config_component_take(const config_setting_t *setting, const struct config_common *defaults,
                              const struct plugin_info *info, struct config_component *out,
                              struct orch_error *err)
{
    struct config_common common = *defaults;
    out->info = info;
    out->line = document_line(setting);
    out->name = strdup(config_setting_name(setting));
    out->file = strdup(document_path(setting));
    out->plugin = strdup(info->name);
    /* Room for one of each, so that --target can add one without moving the others. */
    out->options = calloc(info->option_count + 1, sizeof(*out->options));
    if (out->name == NULL || out->file == NULL || out->plugin == NULL || out->options == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the configuration");
    }
    out->option_count = info->option_count; /* all slots, so that a failure frees them */
    int32_t rc = take_core(setting, out, &common, err);
    struct reading reading = {setting, info, out->options, err};
    if (rc == ORCH_OK) {
        rc = take_options(&reading, setting, "");
    }
    if (rc == ORCH_OK) {
        rc = complete_options(&reading);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t used = 0;
    for (size_t i = 0; i < info->option_count; i++) {
        if (out->options[i].value.name != NULL) {
            struct config_option option = out->options[i];
            out->options[i] = (struct config_option){0};
            out->options[used++] = option;
        }
    }
    out->option_count = used;
    out->rto_ms = common.rto_ms;
    out->rpo_ms = common.rpo_ms;
    out->timeout_ms = common.timeout_ms;
    out->stall_timeout_ms = common.stall_timeout_ms;
    out->retries = common.retries;
    out->rate_limit = common.rate_limit;
    return ORCH_OK;
}
