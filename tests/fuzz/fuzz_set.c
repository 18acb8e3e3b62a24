/*
 * fuzz_set.c: manifests: the JSON of one, and the file sets/NAME.ID in a list of sets, as it is and
 * when its lease was given up on. What was read is stored again and must read the same.
 *
 * The name that the file is expected to have is taken from the input, so that it fits.
 */
#include <stdio.h>
#include <string.h>

#include "engine/mark.h"
#include "engine/setload.h"
#include "fuzz.h"
#include "memstore.h"

static void check_components(const struct set *set)
{
    for (size_t i = 0; i < set->component_count; i++) {
        const struct set_component *component = &set->components[i];
        must(component->good == (component->part[0] != '\0'));
        must(component->good || set->state == SET_PARTIAL);
        must(component->depends_on != NULL);
        must(set_component_find(set, component->name) == component);
    }
}

static void check_same(const struct set *a, const struct set *b)
{
    must(strcmp(a->lease, b->lease) == 0 && strcmp(a->type, b->type) == 0 &&
         strcmp(a->label, b->label) == 0 && a->state == b->state &&
         strcmp(a->run_id, b->run_id) == 0 && strcmp(a->base, b->base) == 0 &&
         strcmp(a->host, b->host) == 0 && a->started_ns == b->started_ns &&
         a->finished_ns == b->finished_ns && a->skew_ns == b->skew_ns &&
         a->component_count == b->component_count);
    for (size_t i = 0; i < a->component_count; i++) {
        const struct set_component *one = &a->components[i], *other = &b->components[i];
        must(strcmp(one->name, other->name) == 0 && strcmp(one->part, other->part) == 0 &&
             one->items == other->items && one->size_bytes == other->size_bytes &&
             strcmp(one->error, other->error) == 0);
        for (size_t j = 0; one->depends_on[j] != NULL; j++) {
            must(strcmp(one->depends_on[j], other->depends_on[j]) == 0);
        }
    }
}

static void count_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    unsigned *count = ctx;
    must(name != NULL && why->message[0] != 0);
    ++*count;
}

/* The list of sets: with the file, without it, or without it as damaged. */
static size_t list_sets(struct memstore *store, unsigned *damaged)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct set_list list = {0};
    *damaged = 0;
    must(set_list_load(store->repo, count_damaged, damaged, &list, &err) == ORCH_OK);
    size_t count = list.count;
    set_list_free(&list);
    return count;
}

/* The file among the sets. `set`: what it says, or NULL. */
static void load(struct memstore *store, const json_t *json, const char *file,
                 const struct set *set)
{
    struct orch_error err = ORCH_ERROR_INIT;
    unsigned damaged = 0;
    if (!storage_name_ok(file)) {
        return;
    }
    memstore_set_document(store, file, KEY_MANIFEST, json);
    size_t count = list_sets(store, &damaged);
    must(count + damaged == 1 && count == (set == NULL ? 0 : 1));
    if (set == NULL || set->lease[0] == '\0') {
        return;
    }
    /* Given up on, it still counts, since it was there before; one that comes later does not. */
    must(lapsed_put(store->repo, set->lease, &err) == ORCH_OK);
    must(list_sets(store, &damaged) == 1);
    char name[STORAGE_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "lapsed/%s", set->lease);
    json_t *none = json_pack("{s:i, s:s, s:s}", "document", 1, "lease", set->lease, "kept", "");
    memstore_set_document(store, name, KEY_CONTROL, none);
    json_decref(none);
    must(list_sets(store, &damaged) == 0 && damaged == 0);
}

static void find(struct set *set)
{
    struct set_list list = {.sets = &set, .count = 1};
    struct orch_error err = ORCH_ERROR_INIT;
    const struct set *found = NULL;
    const char *wanted[] = {"a", "b"};
    must(set_find(&list, set->id, NULL, 0, &found, &err) == ORCH_OK && found == set);
    must(set_find(&list, set->name, NULL, 0, &found, &err) == ORCH_OK && found == set);
    int32_t rc = set_find(&list, "latest", wanted, 2, &found, &err);
    must(rc == ORCH_E_NOT_FOUND ||
         (rc == ORCH_OK && set->state == SET_COMPLETED && set_component_find(set, "b") != NULL));
}

static void store_again(struct memstore *store, struct set *set)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct set *again = NULL;
    char file[SET_FILE_NAME];
    int32_t rc = set_store(store->repo, set, &err);
    must(rc == ORCH_OK || rc == ORCH_E_INVALID); /* a start that is no time of this calendar */
    if (rc == ORCH_OK) {
        set_file_name(set, file);
        must(set_load(store->repo, file, &again, &err) == ORCH_OK);
        check_same(set, again);
        set_free(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *json =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (json == NULL) {
        return 0;
    }
    struct memstore *store = memstore_fresh();
    struct set *set = calloc(1, sizeof(*set));
    must(set != NULL);
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *id = json_string_value(json_object_get(json, "id"));
    char file[SET_FILE_NAME];
    (void)snprintf(file, sizeof(file), "sets/%s.%s", name == NULL ? "" : name,
                   id == NULL ? "" : id);
    int32_t rc = set_from_json(json, file, "file x", set, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    if (json_is_object(json)) {
        load(store, json, file, rc == ORCH_OK ? set : NULL);
    }
    if (rc == ORCH_OK) {
        check_components(set);
        if (set->name[0] != 0 && strcmp(set->name, "latest") != 0) {
            find(set);
        }
        store_again(store, set);
    }
    set_free(set);
    json_decref(json);
    return 0;
}
