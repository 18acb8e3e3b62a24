/*
 * fuzz_part.c: the JSON of a part and of a manifest.
 *
 * The id and the name that the file is expected to have are taken from the input, so that they fit.
 */
#include <stdio.h>
#include <string.h>

#include "engine/partload.h"
#include "engine/setload.h"
#include "fuzz.h"

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? "" : text;
}

static void try_part(const json_t *json)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct part part = {0};
    if (part_from_json(json, text_of(json, "id"), "file x", &part, &err) == ORCH_OK) {
        must(strlen(part.id) == ID_TEXT - 1 && part.facts_json != NULL);
        must((part.content.layer_count == 0) == (part.content.layers == NULL));
    } else {
        must(err.code == ORCH_E_CORRUPT || err.code == ORCH_E_VERSION);
    }
    part_clear(&part);
}

static void try_set(const json_t *json)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct set *set = calloc(1, sizeof(*set));
    must(set != NULL);
    char file[SET_FILE_NAME];
    (void)snprintf(file, sizeof(file), "sets/%s.%s", text_of(json, "name"), text_of(json, "id"));
    if (set_from_json(json, file, "file x", set, &err) == ORCH_OK) {
        struct set_list list = {.sets = &set, .count = 1};
        const struct set *found = NULL;
        must(strlen(set->id) == ID_TEXT - 1);
        must(set_find(&list, set->id, NULL, 0, &found, &err) == ORCH_OK && found == set);
        for (size_t i = 0; i < set->component_count; i++) {
            const struct set_component *component = &set->components[i];
            must(component->good == (component->part[0] != '\0'));
            must(component->depends_on != NULL);
        }
    } else {
        must(err.code == ORCH_E_CORRUPT || err.code == ORCH_E_VERSION);
    }
    set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_error_t why;
    json_t *json =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (json != NULL) {
        try_part(json);
        try_set(json);
    }
    json_decref(json);
    return 0;
}
