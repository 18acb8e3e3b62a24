/* info.c: see info.h. */
#include "plugin/info.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/info_check.h"
#include "plugin/message.h"

#define OPTIONS_MAX 500u

void plugin_info_free(struct plugin_info *info)
{
    if (info == NULL) {
        return;
    }
    for (size_t i = 0; i < info->option_count; i++) {
        free(info->options[i].name);
        free(info->options[i].default_value);
        free(info->options[i].help);
    }
    free(info->options);
    free(info->name);
    free(info->version);
    free(info->summary);
    free(info->path);
    free(info);
}

const char *plugin_option_type_name(uint32_t type)
{
    static const char *const names[] = {"unknown", "string",       "integer",  "float",
                                        "boolean", "size",         "duration", "list of strings",
                                        "path",    "list of paths"};
    return type < sizeof(names) / sizeof(names[0]) ? names[type] : names[0];
}

/* ---- the rules ---- */

bool info_name_is_legal(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 63 || name[0] < 'a' || name[0] > 'z') {
        return false;
    }
    for (const char *p = name; *p != 0; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-')) {
            return false;
        }
    }
    return true;
}

/* "model", "embedding.model": words of letters, digits and underscores, joined by dots. */
static bool option_name_is_legal(const char *name)
{
    if (strlen(name) > 127) {
        return false;
    }
    bool start = true;
    for (const char *p = name; *p != 0; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        bool other = (*p >= '0' && *p <= '9') || *p == '_';
        if (*p == '.' && !start) {
            start = true;
        } else if (letter || (other && !start)) {
            start = false;
        } else {
            return false;
        }
    }
    return !start;
}

static int32_t check_option(const struct plugin_info *info, size_t i, struct orch_error *err)
{
    const struct plugin_option *option = &info->options[i];
    if (!option_name_is_legal(option->name)) {
        return orch_fail(err, ORCH_E_INVALID,
                         "plugin %s declares an option with the name \"%.64s\", which is not legal",
                         info->name, option->name);
    }
    if (option->type < ORCH_OPTION_STRING || option->type > ORCH_OPTION_PATH_LIST) {
        return orch_fail(err, ORCH_E_INVALID,
                         "plugin %s declares option %s with the unknown type %u", info->name,
                         option->name, option->type);
    }
    for (size_t k = 0; k < i; k++) {
        if (strcmp(info->options[k].name, option->name) == 0) {
            return orch_fail(err, ORCH_E_INVALID, "plugin %s declares option %s twice", info->name,
                             option->name);
        }
    }
    return ORCH_OK;
}

int32_t info_check(const struct plugin_info *info, struct orch_error *err)
{
    if (!info_name_is_legal(info->name)) {
        return orch_fail(err, ORCH_E_INVALID,
                         "a plugin is named \"%.64s\": a name is a lower-case letter and up to 62 "
                         "lower-case letters, digits and hyphens",
                         info->name);
    }
    if (info->data_format_oldest > info->data_format) {
        return orch_fail(err, ORCH_E_INVALID,
                         "plugin %s writes data format %u, but reads from %u on", info->name,
                         info->data_format, info->data_format_oldest);
    }
    if (info->option_count > OPTIONS_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "plugin %s declares %zu options; at most %u may be",
                         info->name, info->option_count, OPTIONS_MAX);
    }
    for (size_t i = 0; i < info->option_count; i++) {
        int32_t rc = check_option(info, i, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* ---- JSON ---- */

static bool option_from_json(const json_t *json, struct plugin_option *option)
{
    option->name = message_bytes(json, "name", NULL);
    option->type = message_u32(json, "type");
    option->flags = message_u32(json, "flags");
    option->default_value = message_bytes(json, "default", NULL);
    option->help = message_bytes(json, "help", NULL);
    return option->name != NULL && option->help != NULL &&
           (option->default_value != NULL || json_object_get(json, "default") == NULL);
}

static bool fill_from_json(const json_t *json, struct plugin_info *info)
{
    const json_t *options = json_object_get(json, "options");
    size_t count = json_array_size(options);
    info->name = message_bytes(json, "name", NULL);
    info->version = message_bytes(json, "version", NULL);
    info->summary = message_bytes(json, "summary", NULL);
    info->path = message_bytes(json, "path", NULL);
    info->abi_major = message_u32(json, "abi_major");
    info->abi_minor = message_u32(json, "abi_minor");
    info->capabilities = message_u64(json, "capabilities");
    info->callbacks = message_u32(json, "callbacks");
    info->data_format = message_u32(json, "data_format");
    info->data_format_oldest = message_u32(json, "data_format_oldest");
    info->options = calloc(count + 1, sizeof(*info->options));
    if (info->name == NULL || info->version == NULL || info->summary == NULL ||
        info->path == NULL || info->options == NULL || !json_is_array(options)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        info->option_count = i + 1;
        if (!option_from_json(json_array_get(options, i), &info->options[i])) {
            return false;
        }
    }
    return true;
}

int32_t plugin_info_from_json(const json_t *json, struct plugin_info **out, struct orch_error *err)
{
    struct plugin_info *info = calloc(1, sizeof(*info));
    if (info == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a plugin's descriptor");
    }
    int32_t rc = ORCH_OK;
    if (!fill_from_json(json, info)) {
        rc = orch_fail(err, ORCH_E_PROTOCOL, "a plugin's descriptor came incomplete");
    } else {
        rc = info_check(info, err);
    }
    if (rc != ORCH_OK) {
        plugin_info_free(info);
        return rc;
    }
    *out = info;
    return ORCH_OK;
}

json_t *plugin_info_to_json(const struct plugin_info *info)
{
    json_t *json = json_object();
    json_t *options = json_array();
    message_set_text(json, "name", info->name);
    message_set_text(json, "version", info->version);
    message_set_text(json, "summary", info->summary);
    message_set_text(json, "path", info->path);
    message_set_u64(json, "abi_major", info->abi_major);
    message_set_u64(json, "abi_minor", info->abi_minor);
    message_set_u64(json, "capabilities", info->capabilities);
    message_set_u64(json, "callbacks", info->callbacks);
    message_set_u64(json, "data_format", info->data_format);
    message_set_u64(json, "data_format_oldest", info->data_format_oldest);
    for (size_t i = 0; i < info->option_count; i++) {
        json_t *option = json_object();
        message_set_text(option, "name", info->options[i].name);
        message_set_u64(option, "type", info->options[i].type);
        message_set_u64(option, "flags", info->options[i].flags);
        message_set_text(option, "default", info->options[i].default_value);
        message_set_text(option, "help", info->options[i].help);
        (void)json_array_append_new(options, option);
    }
    (void)json_object_set_new(json, "options", options);
    return json;
}
