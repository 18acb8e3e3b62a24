/* set.c: manifests to sealed documents and back. Lists and searches: setlist.c. */
#include "engine/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/plugin.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/field.h"
#include "engine/setload.h"

#define SET_DOCUMENT 1u /* version of the document */
#define SET_COMPONENTS_MAX 4096u
#define SET_DEPENDS_MAX 4096u
#define SET_SUFFIX_MAX 10000u /* sets within one second */

static void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

static json_t *component_to_json(const struct set_component *component)
{
    json_t *json = json_object();
    json_t *depends = json_array();
    bool good = depends != NULL && fields_put_text(json, "name", component->name) &&
                fields_put_text(json, "plugin", component->plugin) &&
                json_object_set_new(json, "good", json_boolean(component->good)) == 0 &&
                fields_put_text(json, "part", component->part) &&
                fields_put_u64(json, "consistency", component->consistency) &&
                fields_put_u64(json, "items", component->items) &&
                fields_put_u64(json, "size_bytes", component->size_bytes) &&
                fields_put_text(json, "error", component->error);
    for (char **name = component->depends_on; good && name != NULL && *name != NULL; name++) {
        good = json_array_append_new(depends, json_string(*name)) == 0;
    }
    good = good && json_object_set(json, "depends_on", depends) == 0;
    json_decref(depends);
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *set_to_json(const struct set *set)
{
    json_t *json = json_object();
    json_t *components = json_array();
    bool good =
        components != NULL && fields_put_u64(json, "document", SET_DOCUMENT) &&
        fields_put_text(json, "id", set->id) && fields_put_text(json, "name", set->name) &&
        fields_put_text(json, "type", set->type) && fields_put_text(json, "label", set->label) &&
        fields_put_text(json, "state", set->state == SET_COMPLETED ? "completed" : "partial") &&
        fields_put_text(json, "run_id", set->run_id) &&
        (set->lease[0] == '\0' || fields_put_text(json, "lease", set->lease)) &&
        fields_put_text(json, "base", set->base) && fields_put_text(json, "host", set->host) &&
        fields_put_text(json, "program_version", set->program_version) &&
        fields_put_i64(json, "started_ns", set->started_ns) &&
        fields_put_i64(json, "finished_ns", set->finished_ns) &&
        fields_put_i64(json, "first_freeze_ns", set->first_freeze_ns) &&
        fields_put_i64(json, "skew_ns", set->skew_ns);
    for (size_t i = 0; good && i < set->component_count; i++) {
        good = json_array_append_new(components, component_to_json(&set->components[i])) == 0;
    }
    good = good && json_object_set(json, "components", components) == 0;
    json_decref(components);
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* A manifest must not say more than is true. */
static int32_t set_check(const struct set *set, struct orch_error *err)
{
    for (size_t i = 0; i < set->component_count; i++) {
        const struct set_component *component = &set->components[i];
        if (component->good != (component->part[0] != '\0')) {
            return orch_fail(err, ORCH_E_INVALID,
                             "component %s of a set is good without a part, or failed with one",
                             component->name);
        }
        if (!component->good && set->state == SET_COMPLETED) {
            return orch_fail(err, ORCH_E_INVALID,
                             "a set cannot be completed while its component %s failed",
                             component->name);
        }
        if (set_component_find(set, component->name) != component) {
            return orch_fail(err, ORCH_E_INVALID, "component %s is twice in one set",
                             component->name);
        }
    }
    return ORCH_OK;
}

void set_file_name(const struct set *set, char file[SET_FILE_NAME])
{
    (void)snprintf(file, SET_FILE_NAME, "%s/%s.%s", SET_FOLDER, set->name, set->id);
}

void set_name_of_file(const char *file, char name[32])
{
    const char *slash = strrchr(file, '/');
    const char *base = slash == NULL ? file : slash + 1;
    size_t len = strcspn(base, ".");
    (void)snprintf(name, 32, "%.*s", (int)(len < 31 ? len : 31), base);
}

/* Which names of the same second are taken: bit N for the suffix N. */
struct taken {
    const char *base;
    uint8_t bits[SET_SUFFIX_MAX / 8 + 1];
};

static int32_t note_taken(void *ctx, const char *file, const struct storage_stat *stat,
                          struct orch_error *err)
{
    struct taken *taken = ctx;
    char name[32];
    size_t len = strlen(taken->base);
    (void)stat;
    (void)err;
    set_name_of_file(file, name);
    if (strncmp(name, taken->base, len) == 0 && (name[len] == '\0' || name[len] == '-')) {
        unsigned long number = name[len] == '-' ? strtoul(name + len + 1, NULL, 10) : 1;
        if (number <= SET_SUFFIX_MAX) {
            taken->bits[number / 8] |= (uint8_t)(1u << number % 8);
        }
    }
    return ORCH_OK;
}

static int32_t choose_name(struct repo *repo, struct set *set, struct orch_error *err)
{
    char base[16];
    CLEANUP_FREE struct taken *taken = calloc(1, sizeof *taken);
    if (taken == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a manifest");
    }
    clock_set_name(set->started_ns, base);
    if (base[0] == '\0') {
        return orch_fail(err, ORCH_E_INVALID, "the start of the backup is no valid time");
    }
    taken->base = base;
    int32_t rc = storage_list(repo_storage(repo), SET_FOLDER, note_taken, taken, err);
    unsigned suffix = 1;
    while (suffix < SET_SUFFIX_MAX && (taken->bits[suffix / 8] & 1u << suffix % 8) != 0) {
        suffix++;
    }
    if (suffix == 1) {
        (void)snprintf(set->name, sizeof set->name, "%s", base);
    } else {
        (void)snprintf(set->name, sizeof set->name, "%s-%u", base, suffix);
    }
    return rc;
}

int32_t set_store(struct repo *repo, struct set *set, struct orch_error *err)
{
    char file[SET_FILE_NAME];
    int32_t rc = set_check(set, err);
    if (rc == ORCH_OK) {
        rc = id_new(set->id, err);
    }
    if (rc == ORCH_OK) {
        rc = choose_name(repo, set, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP(cleanup_json) json_t *json = set_to_json(set);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_INVALID,
                         "the manifest of set %s cannot be written: a number is out of range, "
                         "a name is no UTF-8, or memory ran out",
                         set->name);
    }
    set_file_name(set, file);
    return repo_put_document(repo, file, KEY_MANIFEST, json, STORAGE_IF_ABSENT | STORAGE_DURABLE,
                             err);
}

static int32_t depends_from_json(const json_t *array, const char *what,
                                 struct set_component *component, struct orch_error *err)
{
    size_t count = json_array_size(array);
    component->depends_on = calloc(count + 1, sizeof *component->depends_on);
    for (size_t i = 0; component->depends_on != NULL && i < count; i++) {
        const char *name = json_string_value(json_array_get(array, i));
        if (name == NULL) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "%s is not as this program writes it: field \"depends_on\" holds "
                             "something other than names",
                             what);
        }
        component->depends_on[i] = strdup(name);
        if (component->depends_on[i] == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
        }
    }
    return component->depends_on != NULL
               ? ORCH_OK
               : orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
}

static int32_t component_from_json(const json_t *json, const char *what,
                                   struct set_component *component, struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    fields_text(&f, "name", component->name, sizeof component->name);
    fields_text(&f, "plugin", component->plugin, sizeof component->plugin);
    component->good = fields_bool(&f, "good");
    fields_id(&f, "part", component->part, !component->good);
    component->consistency = fields_u32(&f, "consistency", ORCH_CONSISTENCY_QUIESCED);
    component->items = fields_u64(&f, "items");
    component->size_bytes = fields_u64(&f, "size_bytes");
    fields_text(&f, "error", component->error, sizeof component->error);
    const json_t *depends = fields_array(&f, "depends_on", SET_DEPENDS_MAX);
    int32_t rc = fields_end(&f, err);
    return rc != ORCH_OK ? rc : depends_from_json(depends, what, component, err);
}

static void set_fields(struct fields *f, struct set *set)
{
    char state[16];
    fields_id(f, "id", set->id, false);
    fields_text(f, "name", set->name, sizeof set->name);
    fields_text(f, "type", set->type, sizeof set->type);
    fields_text(f, "label", set->label, sizeof set->label);
    fields_text(f, "state", state, sizeof state);
    set->state = SET_PARTIAL;
    if (strcmp(state, "completed") == 0) {
        set->state = SET_COMPLETED;
    } else if (strcmp(state, "partial") != 0) {
        fields_reject(f, "state", "is no state of a set");
    }
    fields_id(f, "run_id", set->run_id, true);
    if (json_object_get(f->object, "lease") != NULL) {
        fields_id(f, "lease", set->lease, true);
    }
    fields_id(f, "base", set->base, true);
    fields_text(f, "host", set->host, sizeof set->host);
    fields_text(f, "program_version", set->program_version, sizeof set->program_version);
    set->started_ns = fields_i64(f, "started_ns");
    set->finished_ns = fields_i64(f, "finished_ns");
    set->first_freeze_ns = fields_i64(f, "first_freeze_ns");
    set->skew_ns = fields_i64(f, "skew_ns");
}

int32_t set_from_json(const json_t *json, const char *file, const char *what, struct set *set,
                      struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    if (fields_u64(&f, "document") > SET_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         what);
    }
    set_fields(&f, set);
    const json_t *components = fields_array(&f, "components", SET_COMPONENTS_MAX);
    char own[SET_FILE_NAME];
    set_file_name(set, own);
    if (f.bad[0] == '\0' && strcmp(own, file) != 0) {
        fields_reject(&f, "name", "or the id is another set's");
    }
    int32_t rc = fields_end(&f, err);
    size_t count = json_array_size(components);
    if (rc != ORCH_OK || count == 0) {
        return rc;
    }
    set->components = calloc(count, sizeof *set->components);
    if (set->components == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
    }
    set->component_count = count;
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        rc = component_from_json(json_array_get(components, i), what, &set->components[i], err);
    }
    struct orch_error untrue = ORCH_ERROR_INIT;
    if (rc == ORCH_OK && set_check(set, &untrue) != ORCH_OK) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "%s contradicts itself: %s", what, untrue.message);
    }
    return rc;
}

int32_t set_load(struct repo *repo, const char *file, struct set **out, struct orch_error *err)
{
    char what[STORAGE_NAME_MAX + 32];
    (void)snprintf(what, sizeof what, "repository file %s", file);
    CLEANUP(cleanup_json) json_t *json = NULL;
    int32_t rc = repo_get_document(repo, file, KEY_MANIFEST, &json, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP(set_cleanup) struct set *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", file);
    }
    rc = set_from_json(json, file, what, set, err);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&set);
    }
    return rc;
}

void set_free(struct set *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->component_count; i++) {
        for (char **name = set->components[i].depends_on; name != NULL && *name != NULL; name++) {
            free(*name);
        }
        free((void *)set->components[i].depends_on);
    }
    free(set->components);
    free(set);
}

void set_cleanup(struct set **slot)
{
    set_free(*slot);
}

const struct set_component *set_component_find(const struct set *set, const char *name)
{
    for (size_t i = 0; i < set->component_count; i++) {
        if (strcmp(set->components[i].name, name) == 0) {
            return &set->components[i];
        }
    }
    return NULL;
}
