/* facts.c: see facts.h. */
#include "facts.h"

#include "cleanup.h"
#include "names.h"

#include <fnmatch.h>
#include <string.h>

static int is_object_of_objects(const json_t *json)
{
    const char *name = NULL;
    json_t *value = NULL;
    if (!json_is_object(json)) {
        return 0;
    }
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (!json_is_object(value)) {
            return 0;
        }
    }
    return 1;
}

int32_t facts_parse(const struct orch_restore *restore, json_t **facts, struct orch_error *err)
{
    json_error_t where;
    *facts = NULL;
    CLEANUP_JSON json_t *json =
        restore->facts_json == NULL ? NULL : json_loads(restore->facts_json, 0, &where);
    if (json == NULL || !is_object_of_objects(json_object_get(json, "stores")) ||
        !is_object_of_objects(json_object_get(json, "files"))) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "the part's facts are not those of a vectorstore; choose another set");
    }
    *facts = json_incref(json);
    return ORCH_OK;
}

int32_t facts_state(const struct orch_host *host, const char *name, json_t *value,
                    struct orch_error *err)
{
    /* Six digits are more than a cosine or a neighbour's distance is compared by. */
    CLEANUP_FREE char *text =
        value == NULL ? NULL
                      : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(8));
    json_decref(value);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for fact %s", name);
    }
    return host->fact(host->ctx, name, text, err);
}

const char *facts_digest(const json_t *facts, const char *name)
{
    CLEANUP_FREE char *shown = names_escape(name);
    const json_t *files = json_object_get(facts, "files");
    return shown == NULL
               ? NULL
               : json_string_value(json_object_get(json_object_get(files, shown), "sha256"));
}

static int selected(const struct orch_restore *restore, const char *name)
{
    for (uint64_t i = 0; i < restore->select_count; i++) {
        if (fnmatch(restore->selects[i], name, 0) == 0) {
            return 1;
        }
    }
    return restore->select_count == 0;
}

int facts_store_selected(const struct orch_restore *restore, const char *store,
                         const json_t *store_facts)
{
    return selected(restore, store) || selected(restore, facts_text(store_facts, "index"));
}

int facts_file_selected(const struct orch_restore *restore, const json_t *facts, const char *name)
{
    CLEANUP_FREE char *shown = names_escape(name);
    const char *store = NULL;
    json_t *about = NULL;
    if (selected(restore, name)) {
        return 1;
    }
    if (shown == NULL) {
        return 0;
    }
    json_object_foreach(json_object_get(facts, "stores"), store, about)
    {
        if (facts_store_selected(restore, store, about) &&
            (strcmp(facts_text(about, "index"), shown) == 0 ||
             json_object_get(json_object_get(about, "side_files"), shown) != NULL)) {
            return 1;
        }
    }
    return 0;
}

const char *facts_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

int64_t facts_integer(const json_t *object, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}
