/*
 * mark.c: marks: what a prune has condemned. See mark.h; leases that were given up on: lapsed.c.
 *
 * The ids stand in the document as one long text each, 32 digits an id: a mark may name a hundred
 * thousand packs, and so it costs neither a JSON value for each nor much of a document's length.
 */
#include "engine/mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/field.h"
#include "engine/markload.h"

#define MARK_DOCUMENT 1u
#define ID_DIGITS (ID_TEXT - 1)

_Static_assert(PACK_ID_BYTES == ID_BYTES, "packs and parts have ids of the same length");

static void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

static void mark_name(const char *id, char name[MARK_NAME])
{
    (void)snprintf(name, MARK_NAME, "%s/%s", MARK_FOLDER, id);
}

json_t *mark_to_json(const struct mark *mark)
{
    CLEANUP_FREE char *packs = malloc(mark->pack_count * ID_DIGITS + 1);
    CLEANUP_FREE char *parts = malloc(mark->part_count * ID_DIGITS + 1);
    if (packs == NULL || parts == NULL) {
        return NULL;
    }
    packs[0] = parts[0] = '\0';
    for (size_t i = 0; i < mark->pack_count; i++) {
        hex_encode(mark->packs[i], PACK_ID_BYTES, packs + i * ID_DIGITS);
    }
    for (size_t i = 0; i < mark->part_count; i++) {
        memcpy(parts + i * ID_DIGITS, mark->parts[i], ID_TEXT);
    }
    json_t *json = json_object();
    if (!fields_put_u64(json, "document", MARK_DOCUMENT) ||
        !fields_put_text(json, "id", mark->id) || !fields_put_text(json, "lease", mark->lease) ||
        !fields_put_text(json, "packs", packs) || !fields_put_text(json, "parts", parts)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* A text of ids: how many, and where they stand; marks the field bad when it is none. */
static const char *ids_text(struct fields *f, const char *key, size_t *count)
{
    const json_t *value = json_object_get(f->object, key);
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    *count = 0;
    if (text == NULL || len % ID_DIGITS != 0) {
        fields_reject(f, key, "is no list of ids");
        return NULL;
    }
    for (size_t i = 0; i < len; i += ID_DIGITS) {
        uint8_t id[ID_BYTES];
        if (hex_decode(text + i, ID_DIGITS, id, sizeof id) != ORCH_OK) {
            fields_reject(f, key, "holds something other than ids");
            return NULL;
        }
    }
    *count = len / ID_DIGITS;
    return text;
}

int32_t mark_from_json(const json_t *json, const char *id, const char *what, struct mark *mark,
                       struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    if (fields_u64(&f, "document") > MARK_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         what);
    }
    size_t packs = 0;
    size_t parts = 0;
    fields_id(&f, "id", mark->id, false);
    fields_id(&f, "lease", mark->lease, false);
    const char *pack_text = ids_text(&f, "packs", &packs);
    const char *part_text = ids_text(&f, "parts", &parts);
    if (f.bad[0] == '\0' && strcmp(mark->id, id) != 0) {
        fields_reject(&f, "id", "is another mark's");
    }
    int32_t rc = fields_end(&f, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    mark->packs = calloc(packs + 1, sizeof *mark->packs);
    mark->parts = calloc(parts + 1, sizeof *mark->parts);
    if (mark->packs == NULL || mark->parts == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
    }
    for (; mark->pack_count < packs; mark->pack_count++) {
        const char *digits = pack_text + mark->pack_count * ID_DIGITS;
        (void)!hex_decode(digits, ID_DIGITS, mark->packs[mark->pack_count], PACK_ID_BYTES);
    }
    for (; mark->part_count < parts; mark->part_count++) {
        memcpy(mark->parts[mark->part_count], part_text + mark->part_count * ID_DIGITS, ID_DIGITS);
    }
    return ORCH_OK;
}

int32_t mark_store(struct repo *repo, struct mark *mark, struct orch_error *err)
{
    char name[MARK_NAME];
    int32_t rc = id_new(mark->id, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    mark_name(mark->id, name);
    CLEANUP(cleanup_json) json_t *json = mark_to_json(mark);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to write %s", name);
    }
    return repo_put_document(repo, name, KEY_CONTROL, json, STORAGE_IF_ABSENT | STORAGE_DURABLE,
                             err);
}

int32_t mark_remove(struct repo *repo, const char *id, struct orch_error *err)
{
    char name[MARK_NAME];
    struct orch_error why = ORCH_ERROR_INIT;
    mark_name(id, name);
    int32_t rc = storage_remove(repo_storage(repo), name, &why);
    if (rc == ORCH_OK || rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK;
    }
    if (err != NULL) {
        *err = why;
    }
    return rc;
}

void mark_clear(struct mark *mark)
{
    free(mark->packs);
    free(mark->parts);
    memset(mark, 0, sizeof *mark);
}

/* ---- all marks ----------------------------------------------------------------------------- */

struct loading {
    struct repo *repo;
    struct mark_list *list;
};

static int32_t load_one(void *ctx, const char *name, const struct storage_stat *stat,
                        struct orch_error *err)
{
    struct loading *loading = ctx;
    struct mark_list *list = loading->list;
    char what[STORAGE_NAME_MAX + 32];
    CLEANUP(cleanup_json) json_t *json = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    uint8_t id[ID_BYTES];
    (void)stat;
    (void)snprintf(what, sizeof what, "repository file %s", name);
    const char *base = name + sizeof MARK_FOLDER;
    if (hex_decode(base, strlen(base), id, sizeof id) != ORCH_OK) {
        log_warning("marks",
                    "%s is no mark, by its name, and is left alone; remove it if it is not needed",
                    what);
        return ORCH_OK;
    }
    int32_t rc = repo_get_document(loading->repo, name, KEY_CONTROL, &json, &why);
    if (rc == ORCH_E_NOT_FOUND) {
        return ORCH_OK; /* whoever removed it has removed the packs before */
    }
    struct mark *marks = reallocarray(list->marks, list->count + 1, sizeof *marks);
    if (marks == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
    }
    list->marks = marks;
    struct mark *mark = &marks[list->count];
    memset(mark, 0, sizeof *mark);
    if (rc == ORCH_OK) {
        rc = mark_from_json(json, base, what, mark, &why);
    }
    if (rc != ORCH_OK) {
        mark_clear(mark);
        return orch_fail(err, rc,
                         "%.700s; it tells which packs are about to be deleted, and nothing can be "
                         "stored while that is not known: when no prune is at work any more, on "
                         "any host, remove that file",
                         why.message);
    }
    list->count++;
    return ORCH_OK;
}

int32_t mark_list_load(struct repo *repo, struct mark_list *out, struct orch_error *err)
{
    struct loading loading = {.repo = repo, .list = out};
    *out = (struct mark_list){NULL, 0};
    int32_t rc = storage_list(repo_storage(repo), MARK_FOLDER, load_one, &loading, err);
    if (rc != ORCH_OK) {
        mark_list_clear(out);
    }
    return rc;
}

void mark_list_clear(struct mark_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mark_clear(&list->marks[i]);
    }
    free(list->marks);
    *list = (struct mark_list){NULL, 0};
}

int32_t mark_list_shun(const struct mark_list *list, struct index *index, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < list->count; i++) {
        const struct mark *mark = &list->marks[i];
        rc = index_shun(index, (const uint8_t(*)[PACK_ID_BYTES])mark->packs, mark->pack_count, err);
    }
    return rc;
}
