/*
 * fuzz_info.c: a plugin's descriptor as a worker sends it, and the arguments of calls as the host
 * does. A sound descriptor must come through the wire the same.
 */
#include <string.h>

#include "fuzz.h"
#include "plugin/arguments.h"
#include "plugin/info.h"
#include "plugin/message.h"

static void check_info(const struct plugin_info *info)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct plugin_info *again = NULL;
    json_t *json = plugin_info_to_json(info);
    must(plugin_info_from_json(json, &again, &err) == ORCH_OK);
    must(strcmp(info->name, again->name) == 0 && strcmp(info->summary, again->summary) == 0 &&
         info->capabilities == again->capabilities && info->option_count == again->option_count);
    for (size_t i = 0; i < info->option_count; i++) {
        must(strcmp(info->options[i].name, again->options[i].name) == 0);
        must(plugin_option_type_name(info->options[i].type) != NULL);
    }
    plugin_info_free(again);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct plugin_info *info = NULL;
    struct arguments_options *options = NULL;
    struct arguments_restore *restore = NULL;
    json_t *json = NULL;
    if (message_parse(data, size, "worker", &json, &err) != ORCH_OK) {
        must(json == NULL && err.code == ORCH_E_PROTOCOL);
        return 0;
    }
    if (plugin_info_from_json(json, &info, &err) == ORCH_OK) {
        check_info(info);
    }
    plugin_info_free(info);
    if (arguments_options_parse(json, &options, &err) == ORCH_OK) {
        must(arguments_options(options) != NULL);
    }
    arguments_options_free(options);
    if (arguments_restore_parse(json, &restore, &err) == ORCH_OK) {
        must(arguments_restore(restore) != NULL);
    }
    arguments_restore_free(restore);
    json_decref(json);
    return 0;
}
