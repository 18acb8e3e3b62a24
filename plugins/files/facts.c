/*
 * facts.c: see facts.h. Names stand in the facts as name_add_json writes them, so that is the form
 * in which they are compared.
 */
#include "facts.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "name.h"

static json_t *load_list(const char *facts_json, const char *name, json_t **facts)
{
    *facts = facts_json == NULL ? NULL : json_loads(facts_json, 0, NULL);
    json_t *list = json_object_get(*facts, name);
    return json_is_array(list) ? list : NULL;
}

int32_t facts_exclude(const char *facts_json, struct patterns **out, struct orch_error *err)
{
    json_t *facts = NULL;
    json_t *list = load_list(facts_json, "exclude", &facts);
    size_t count = json_array_size(list);
    const char **texts = calloc(count + 1, sizeof(*texts));
    if (texts == NULL) {
        json_decref(facts);
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the exclude patterns");
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text != NULL && text[0] != 0) {
            texts[used++] = text;
        }
    }
    int32_t rc = patterns_new(texts, used, out, err);
    free(texts);
    json_decref(facts);
    return rc;
}

/* The root's name as the facts write it, for json_decref(). */
static json_t *root_text(const struct root *root)
{
    struct bytes json CLEANUP_BYTES = {0};
    if (name_add_json(&json, root->name, root->name_len) != 0) {
        return NULL;
    }
    return json_loadb((const char *)json.data, json.len, JSON_DECODE_ANY, NULL);
}

static int list_has(json_t *list, json_t *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_equal(json_array_get(list, i), text)) {
            return 1;
        }
    }
    return 0;
}

int facts_have_path(const char *facts_json, const struct root *root)
{
    json_t *facts = NULL;
    json_t *list = load_list(facts_json, "paths", &facts);
    json_t *text = root_text(root);
    int found = text != NULL && list_has(list, text);
    json_decref(text);
    json_decref(facts);
    return found;
}

char *facts_path_missing(const char *facts_json, const struct roots *roots)
{
    json_t *facts = NULL;
    json_t *list = load_list(facts_json, "paths", &facts);
    char *missing = NULL;
    for (size_t i = 0; i < json_array_size(list) && missing == NULL; i++) {
        json_t *path = json_array_get(list, i);
        int found = 0;
        for (size_t j = 0; j < roots->count && !found; j++) {
            json_t *text = root_text(&roots->items[j]);
            found = text != NULL && json_equal(path, text);
            json_decref(text);
        }
        if (!found) {
            const char *text = json_string_value(path);
            missing = strdup(text == NULL ? "(no text)" : text);
        }
    }
    json_decref(facts);
    return missing;
}

int32_t facts_roots(const char *facts_json, const struct roots *roots, struct roots *out,
                    struct orch_error *err)
{
    *out = (struct roots){.prefix = roots->prefix};
    out->items = calloc(roots->count, sizeof(*out->items));
    if (out->items == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for paths");
    }
    for (size_t i = 0; i < roots->count; i++) {
        if (facts_have_path(facts_json, &roots->items[i])) {
            out->items[out->count++] = roots->items[i];
        }
    }
    return ORCH_OK;
}
