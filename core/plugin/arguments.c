/* arguments.c: see arguments.h. */
#include "plugin/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plugin/message.h"

struct arguments_options {
    struct orch_options options;
    struct orch_value *values;
    char *component, *work_dir;
};

struct arguments_restore {
    struct orch_restore restore;
    char *run_id, *facts_json;
    char **selects;
};

/* ---- options ---- */

static json_t *value_new(const struct orch_value *value)
{
    json_t *json = json_object();
    message_set_text(json, "name", value->name);
    message_set_u64(json, "type", value->type);
    message_set_u64(json, "default", value->is_default);
    message_set_text(json, "string", value->string);
    message_set_u64(json, "integer", (uint64_t)value->integer);
    (void)json_object_set_new(json, "number", json_real(value->number));
    if (value->strings != NULL || value->type == ORCH_OPTION_STRING_LIST ||
        value->type == ORCH_OPTION_PATH_LIST) {
        json_t *list = json_array();
        for (uint64_t i = 0; i < value->count; i++) {
            (void)json_array_append_new(
                list, message_bytes_new(value->strings[i], strlen(value->strings[i])));
        }
        (void)json_object_set_new(json, "strings", list);
    }
    return json;
}

json_t *arguments_options_new(const struct orch_options *options)
{
    json_t *json = json_object();
    json_t *list = json_array();
    const uint8_t *base = (const uint8_t *)options->values;
    for (uint64_t i = 0; i < options->count; i++) {
        const void *at = base + i * options->value_size;
        (void)json_array_append_new(list, value_new(at));
    }
    (void)json_object_set_new(json, "values", list);
    message_set_text(json, "component", options->component);
    message_set_text(json, "work_dir", options->work_dir);
    return json;
}

static void wipe_free(char *text)
{
    message_text_cleanup(&text);
}

/* A list with a NULL after its last string. */
static void free_strings(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        wipe_free(list[i]);
    }
    free(list);
}

static char **parse_strings(const json_t *json, uint64_t *count)
{
    size_t n = json_array_size(json);
    char **list = calloc(n + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < n; i++) {
        list[i] = message_bytes_of(json_array_get(json, i), NULL);
        if (list[i] == NULL) {
            free_strings(list);
            return NULL;
        }
    }
    *count = n;
    return list;
}

static bool parse_value(const json_t *json, struct orch_value *value)
{
    const json_t *strings = json_object_get(json, "strings");
    value->name = message_bytes(json, "name", NULL);
    value->type = message_u32(json, "type");
    value->is_default = message_u32(json, "default");
    value->string = message_bytes(json, "string", NULL);
    value->integer = (int64_t)message_u64(json, "integer");
    value->number = json_number_value(json_object_get(json, "number"));
    if (strings != NULL) {
        value->strings = (const char *const *)parse_strings(strings, &value->count);
        if (value->strings == NULL) {
            return false;
        }
    }
    return value->name != NULL &&
           (value->string != NULL || json_object_get(json, "string") == NULL);
}

void arguments_options_free(struct arguments_options *options)
{
    if (options == NULL) {
        return;
    }
    for (uint64_t i = 0; i < options->options.count; i++) {
        wipe_free((char *)(uintptr_t)options->values[i].name);
        wipe_free((char *)(uintptr_t)options->values[i].string);
        free_strings((char **)(uintptr_t)options->values[i].strings);
    }
    free(options->values);
    free(options->component);
    free(options->work_dir);
    free(options);
}

int32_t arguments_options_parse(const json_t *json, struct arguments_options **out,
                                struct orch_error *err)
{
    const json_t *values = json_object_get(json, "values");
    size_t count = json_array_size(values);
    struct arguments_options *parsed = calloc(1, sizeof(*parsed));
    if (parsed == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for options");
    }
    parsed->values = calloc(count + 1, sizeof(*parsed->values));
    parsed->component = message_bytes(json, "component", NULL);
    parsed->work_dir = message_bytes(json, "work_dir", NULL);
    bool ok = parsed->values != NULL && json_is_array(values);
    parsed->options = (struct orch_options){
        .struct_size = (uint32_t)sizeof(struct orch_options),
        .value_size = (uint32_t)sizeof(struct orch_value),
        .values = parsed->values,
        .component = parsed->component,
        .work_dir = parsed->work_dir,
    };
    for (size_t i = 0; ok && i < count; i++) {
        parsed->options.count = i + 1;
        ok = parse_value(json_array_get(values, i), &parsed->values[i]);
    }
    if (!ok) {
        arguments_options_free(parsed);
        return orch_fail(err, ORCH_E_PROTOCOL, "options that cannot be understood");
    }
    *out = parsed;
    return ORCH_OK;
}

const struct orch_options *arguments_options(const struct arguments_options *options)
{
    return &options->options;
}

/* ---- restore ---- */

json_t *arguments_restore_new(const struct orch_restore *restore, struct orch_error *err)
{
    json_t *json = json_object();
    message_set_u64(json, "strategy", restore->strategy);
    message_set_u64(json, "attempt", restore->attempt);
    message_set_u64(json, "data_format", restore->data_format);
    message_set_text(json, "run_id", restore->run_id);
    message_set_u64(json, "items", restore->items);
    message_set_u64(json, "size_bytes", restore->size_bytes);
    if (restore->facts_json != NULL) {
        json_error_t why;
        json_t *facts = json_loads(restore->facts_json, 0, &why);
        if (!json_is_object(facts)) {
            json_decref(facts);
            json_decref(json);
            (void)orch_fail(err, ORCH_E_CORRUPT, "the part's facts are no JSON object");
            return NULL;
        }
        (void)json_object_set_new(json, "facts", facts);
    }
    json_t *selects = json_array();
    for (uint64_t i = 0; i < restore->select_count; i++) {
        (void)json_array_append_new(
            selects, message_bytes_new(restore->selects[i], strlen(restore->selects[i])));
    }
    (void)json_object_set_new(json, "selects", selects);
    return json;
}

void arguments_restore_free(struct arguments_restore *restore)
{
    if (restore != NULL) {
        free(restore->run_id);
        free(restore->facts_json);
        free_strings(restore->selects);
        free(restore);
    }
}

void arguments_restore_cleanup(struct arguments_restore **slot)
{
    arguments_restore_free(*slot);
}

int32_t arguments_restore_parse(const json_t *json, struct arguments_restore **out,
                                struct orch_error *err)
{
    struct arguments_restore *parsed = calloc(1, sizeof(*parsed));
    if (parsed == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the arguments of a restore");
    }
    uint64_t count = 0;
    const json_t *facts = json_object_get(json, "facts");
    parsed->run_id = message_bytes(json, "run_id", NULL);
    parsed->facts_json = facts == NULL ? strdup("{}") : json_dumps(facts, JSON_COMPACT);
    parsed->selects = parse_strings(json_object_get(json, "selects"), &count);
    if (parsed->selects == NULL || parsed->facts_json == NULL) {
        arguments_restore_free(parsed);
        return orch_fail(err, ORCH_E_PROTOCOL, "arguments of a restore that make no sense");
    }
    parsed->restore = (struct orch_restore){
        .struct_size = (uint32_t)sizeof(struct orch_restore),
        .strategy = message_u32(json, "strategy"),
        .attempt = message_u32(json, "attempt"),
        .data_format = message_u32(json, "data_format"),
        .run_id = parsed->run_id,
        .facts_json = parsed->facts_json,
        .items = message_u64(json, "items"),
        .size_bytes = message_u64(json, "size_bytes"),
        .selects = (const char *const *)parsed->selects,
        .select_count = count,
    };
    *out = parsed;
    return ORCH_OK;
}

const struct orch_restore *arguments_restore(const struct arguments_restore *restore)
{
    return &restore->restore;
}
