/* lapsed.c: leases that were given up on, and which of their sets count. See mark.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/crash.h"
#include "engine/field.h"
#include "engine/mark.h"
#include "engine/markload.h"
#include "engine/setload.h"

#define LAPSED_DOCUMENT 1u
#define ID_DIGITS (ID_TEXT - 1)

struct lapsed_list {
    struct repo *repo;
    char (*leases)[ID_TEXT]; /* sorted */
    size_t count, capacity;
};

static void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

json_t *lapsed_to_json(const char *lease, const char *kept)
{
    json_t *json = json_object();
    if (!fields_put_u64(json, "document", LAPSED_DOCUMENT) ||
        !fields_put_text(json, "lease", lease) || !fields_put_text(json, "kept", kept)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

int32_t lapsed_from_json(const json_t *json, const char *lease, const char *set_id,
                         const char *what, bool *kept, struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    char named[ID_TEXT];
    if (fields_u64(&f, "document") > LAPSED_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         what);
    }
    fields_id(&f, "lease", named, false);
    const json_t *value = json_object_get(json, "kept");
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (text == NULL || len % ID_DIGITS != 0) {
        fields_reject(&f, "kept", "is no list of ids");
        len = 0;
    }
    if (f.bad[0] == '\0' && strcmp(named, lease) != 0) {
        fields_reject(&f, "lease", "is another one");
    }
    *kept = false;
    for (size_t i = 0; i < len; i += ID_DIGITS) {
        *kept = *kept || strncmp(text + i, set_id, ID_DIGITS) == 0;
    }
    return fields_end(&f, err);
}

/* Puts the file, unless another was first: his word counts then. *first (NULL allowed): we were. */
static int32_t put_if_absent(struct repo *repo, const char *lease, const char *kept, bool *first,
                             struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    char name[LAPSED_NAME];
    (void)snprintf(name, sizeof name, "%s/%s", LAPSED_FOLDER, lease);
    CLEANUP(cleanup_json) json_t *json = kept == NULL ? NULL : lapsed_to_json(lease, kept);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to write %s", name);
    }
    int32_t rc =
        repo_put_document(repo, name, KEY_CONTROL, json, STORAGE_IF_ABSENT | STORAGE_DURABLE, &why);
    if (first != NULL) {
        *first = rc == ORCH_OK;
    }
    if (rc != ORCH_OK && rc != ORCH_E_EXISTS) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    crash_point(CRASH_LAPSED_STORED);
    return ORCH_OK;
}

int32_t lapsed_put(struct repo *repo, const char *lease, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer kept = BUFFER_INIT;
    struct set_list sets;
    /* A manifest that cannot be read might be one of this lease: then nobody can tell what counts.
     */
    int32_t rc = set_list_load_all(repo, NULL, NULL, &sets, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    for (size_t i = 0; i < sets.count; i++) {
        if (strcmp(sets.sets[i]->lease, lease) == 0) {
            buffer_append(&kept, sets.sets[i]->id, ID_DIGITS);
        }
    }
    set_list_free(&sets);
    return put_if_absent(repo, lease, buffer_string(&kept), NULL, err);
}

/* What lapsed/LEASE says of a set. */
static int32_t read_kept(struct repo *repo, const char *lease, const char *set_id, bool *kept,
                         struct orch_error *err)
{
    char name[LAPSED_NAME];
    char what[LAPSED_NAME + 32];
    CLEANUP(cleanup_json) json_t *json = NULL;
    (void)snprintf(name, sizeof name, "%s/%s", LAPSED_FOLDER, lease);
    (void)snprintf(what, sizeof what, "repository file %s", name);
    int32_t rc = repo_get_document(repo, name, KEY_CONTROL, &json, err);
    return rc != ORCH_OK ? rc : lapsed_from_json(json, lease, set_id, what, kept, err);
}

int32_t lapsed_withdraw(struct repo *repo, const char *lease, const char *set_id, bool *kept,
                        struct orch_error *err)
{
    bool first = false;
    *kept = false;
    int32_t rc = put_if_absent(repo, lease, "", &first, err);
    return rc != ORCH_OK || first ? rc : read_kept(repo, lease, set_id, kept, err);
}

/* ---- all of them --------------------------------------------------------------------------- */

static int32_t note_lease(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *err)
{
    struct lapsed_list *list = ctx;
    const char *lease = name + sizeof LAPSED_FOLDER;
    uint8_t id[ID_BYTES];
    (void)stat;
    if (hex_decode(lease, strlen(lease), id, sizeof id) != ORCH_OK) {
        return ORCH_OK; /* none of ours */
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        void *leases = reallocarray(list->leases, capacity, ID_TEXT);
        if (leases == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory to list the lapsed leases");
        }
        list->leases = leases;
        list->capacity = capacity;
    }
    memcpy(list->leases[list->count++], lease, ID_TEXT);
    return ORCH_OK;
}

static int compare_leases(const void *a, const void *b)
{
    return strcmp(a, b);
}

int32_t lapsed_list_load(struct repo *repo, struct lapsed_list **out, struct orch_error *err)
{
    struct lapsed_list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to list the lapsed leases");
    }
    list->repo = repo;
    int32_t rc = storage_list(repo_storage(repo), LAPSED_FOLDER, note_lease, list, err);
    if (rc != ORCH_OK) {
        lapsed_list_free(list);
        return rc;
    }
    if (list->count > 0) {
        qsort(list->leases, list->count, ID_TEXT, compare_leases);
    }
    *out = list;
    return ORCH_OK;
}

void lapsed_list_free(struct lapsed_list *list)
{
    if (list != NULL) {
        free(list->leases);
        free(list);
    }
}

int32_t lapsed_list_check(const struct lapsed_list *list, const char *lease, const char *set_id,
                          bool *valid, struct orch_error *err)
{
    *valid = true;
    if (lease[0] == '\0' || list->count == 0 ||
        bsearch(lease, list->leases, list->count, ID_TEXT, compare_leases) == NULL) {
        return ORCH_OK;
    }
    return read_kept(list->repo, lease, set_id, valid, err);
}
