/* part.c: parts to sealed documents and back, each field checked. */
#include "engine/part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/plugin.h>

#include "base/cleanup.h"
#include "engine/field.h"
#include "engine/partload.h"

#define PART_DOCUMENT 1u    /* version of the document */
#define PART_LAYERS_MAX 64u /* more than any writer makes */

static void cleanup_json(json_t **slot)
{
    json_decref(*slot);
}

static void part_name(const char *id, char out[ID_TEXT + 8])
{
    (void)snprintf(out, ID_TEXT + 8, "parts/%s", id);
}

static json_t *content_to_json(const struct part_content *content)
{
    json_t *json = json_object();
    json_t *layers = json_array();
    bool good = layers != NULL &&
                fields_put_hex(json, "catalogue_root", content->catalogue_root, CHUNK_ID_BYTES) &&
                fields_put_u64(json, "objects", content->objects) &&
                fields_put_u64(json, "object_bytes", content->object_bytes) &&
                fields_put_u64(json, "records", content->records) &&
                fields_put_u64(json, "record_bytes", content->record_bytes) &&
                fields_put_hex(json, "digest", content->digest, sizeof content->digest);
    for (size_t i = 0; good && i < content->layer_count; i++) {
        const struct part_layer *layer = &content->layers[i];
        json_t *item = json_object();
        good = fields_put_hex(item, "root", layer->root, CHUNK_ID_BYTES) &&
               fields_put_u64(item, "records", layer->records) &&
               fields_put_u64(item, "bytes", layer->bytes);
        good = json_array_append_new(layers, item) == 0 && good;
    }
    good = good && json_object_set(json, "layers", layers) == 0;
    json_decref(layers);
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *stats_to_json(const struct part_stats *stats)
{
    json_t *json = json_object();
    bool good = fields_put_u64(json, "items_read", stats->items_read) &&
                fields_put_u64(json, "items_unchanged", stats->items_unchanged) &&
                fields_put_u64(json, "bytes_read", stats->bytes_read) &&
                fields_put_u64(json, "bytes_reused", stats->bytes_reused) &&
                fields_put_u64(json, "bytes_new", stats->bytes_new) &&
                fields_put_u64(json, "bytes_stored", stats->bytes_stored);
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *part_to_json(const struct part *part, const json_t *facts)
{
    json_t *json = json_object();
    bool good = fields_put_u64(json, "document", PART_DOCUMENT) &&
                fields_put_text(json, "id", part->id) &&
                fields_put_text(json, "component", part->component) &&
                fields_put_text(json, "plugin", part->plugin) &&
                fields_put_text(json, "plugin_version", part->plugin_version) &&
                fields_put_u64(json, "data_format", part->data_format) &&
                fields_put_text(json, "type", part->type) &&
                fields_put_text(json, "earlier", part->earlier) &&
                fields_put_u64(json, "consistency", part->consistency) &&
                fields_put_i64(json, "frozen_ns", part->frozen_ns) &&
                fields_put_i64(json, "started_ns", part->started_ns) &&
                fields_put_i64(json, "finished_ns", part->finished_ns) &&
                fields_put_text(json, "source_version", part->source_version) &&
                fields_put_text(json, "source_identity", part->source_identity) &&
                json_object_set_new(json, "facts", json_deep_copy(facts)) == 0 &&
                json_object_set_new(json, "content", content_to_json(&part->content)) == 0 &&
                json_object_set_new(json, "stats", stats_to_json(&part->stats)) == 0;
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

int32_t part_store(struct repo *repo, struct part *part, struct orch_error *err)
{
    char name[ID_TEXT + 8];
    const char *text = part->facts_json == NULL ? "{}" : part->facts_json;
    json_error_t wrong;
    CLEANUP(cleanup_json) json_t *facts = json_loads(text, JSON_REJECT_DUPLICATES, &wrong);
    if (!json_is_object(facts)) {
        return orch_fail(err, ORCH_E_INVALID, "the facts of component %s are no JSON object: %s",
                         part->component, facts == NULL ? wrong.text : "another kind of value");
    }
    int32_t rc = id_new(part->id, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP(cleanup_json) json_t *json = part_to_json(part, facts);
    if (json == NULL) {
        return orch_fail(err, ORCH_E_INVALID,
                         "the part of component %s cannot be written: a number is out of range, or "
                         "memory ran out",
                         part->component);
    }
    part_name(part->id, name);
    return repo_put_document(repo, name, KEY_MANIFEST, json, STORAGE_IF_ABSENT, err);
}

static int32_t content_from_json(const json_t *json, const char *what, struct part_content *content,
                                 struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    fields_hex(&f, "catalogue_root", content->catalogue_root, CHUNK_ID_BYTES);
    content->objects = fields_u64(&f, "objects");
    content->object_bytes = fields_u64(&f, "object_bytes");
    content->records = fields_u64(&f, "records");
    content->record_bytes = fields_u64(&f, "record_bytes");
    fields_hex(&f, "digest", content->digest, sizeof content->digest);
    const json_t *layers = fields_array(&f, "layers", PART_LAYERS_MAX);
    size_t count = json_array_size(layers);
    int32_t rc = fields_end(&f, err);
    if (rc != ORCH_OK || count == 0) {
        return rc;
    }
    content->layers = calloc(count, sizeof *content->layers);
    if (content->layers == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
    }
    content->layer_count = count;
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        struct fields layer = fields_over(json_array_get(layers, i), what);
        fields_hex(&layer, "root", content->layers[i].root, CHUNK_ID_BYTES);
        content->layers[i].records = fields_u64(&layer, "records");
        content->layers[i].bytes = fields_u64(&layer, "bytes");
        rc = fields_end(&layer, err);
    }
    return rc;
}

static int32_t stats_from_json(const json_t *json, const char *what, struct part_stats *stats,
                               struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    stats->items_read = fields_u64(&f, "items_read");
    stats->items_unchanged = fields_u64(&f, "items_unchanged");
    stats->bytes_read = fields_u64(&f, "bytes_read");
    stats->bytes_reused = fields_u64(&f, "bytes_reused");
    stats->bytes_new = fields_u64(&f, "bytes_new");
    stats->bytes_stored = fields_u64(&f, "bytes_stored");
    return fields_end(&f, err);
}

int32_t part_from_json(const json_t *json, const char *id, const char *what, struct part *part,
                       struct orch_error *err)
{
    struct fields f = fields_over(json, what);
    if (fields_u64(&f, "document") > PART_DOCUMENT) {
        return orch_fail(err, ORCH_E_VERSION,
                         "%s was written by a newer program; use a newer version of orchestrate",
                         what);
    }
    fields_id(&f, "id", part->id, false);
    fields_text(&f, "component", part->component, sizeof part->component);
    fields_text(&f, "plugin", part->plugin, sizeof part->plugin);
    fields_text(&f, "plugin_version", part->plugin_version, sizeof part->plugin_version);
    part->data_format = fields_u32(&f, "data_format", UINT32_MAX);
    fields_text(&f, "type", part->type, sizeof part->type);
    fields_id(&f, "earlier", part->earlier, true);
    part->consistency = fields_u32(&f, "consistency", ORCH_CONSISTENCY_QUIESCED);
    part->frozen_ns = fields_i64(&f, "frozen_ns");
    part->started_ns = fields_i64(&f, "started_ns");
    part->finished_ns = fields_i64(&f, "finished_ns");
    fields_text(&f, "source_version", part->source_version, sizeof part->source_version);
    fields_text(&f, "source_identity", part->source_identity, sizeof part->source_identity);
    const json_t *facts = fields_object(&f, "facts");
    const json_t *content = fields_object(&f, "content");
    const json_t *stats = fields_object(&f, "stats");
    if (f.bad[0] == '\0' && strcmp(part->id, id) != 0) {
        fields_reject(&f, "id", "is another part's");
    }
    int32_t rc = fields_end(&f, err);
    if (rc == ORCH_OK) {
        part->facts_json = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS);
        if (part->facts_json == NULL) {
            rc = orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", what);
        }
    }
    if (rc == ORCH_OK) {
        rc = content_from_json(content, what, &part->content, err);
    }
    return rc != ORCH_OK ? rc : stats_from_json(stats, what, &part->stats, err);
}

int32_t part_load(struct repo *repo, const char *id, struct part **out, struct orch_error *err)
{
    char name[ID_TEXT + 8];
    uint8_t bytes[ID_BYTES];
    char what[ID_TEXT + 32];
    if (hex_decode(id, strlen(id), bytes, sizeof bytes) != ORCH_OK) {
        return orch_fail(err, ORCH_E_INVALID, "\"%.64s\" is no id of a part", id);
    }
    part_name(id, name);
    (void)snprintf(what, sizeof what, "repository file %s", name);
    CLEANUP(cleanup_json) json_t *json = NULL;
    int32_t rc = repo_get_document(repo, name, KEY_MANIFEST, &json, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP(part_cleanup) struct part *part = calloc(1, sizeof *part);
    if (part == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to read %s", name);
    }
    rc = part_from_json(json, id, what, part, err);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&part);
    }
    return rc;
}

void part_clear(struct part *part)
{
    free(part->facts_json);
    part->facts_json = NULL;
    free(part->content.layers);
    part->content.layers = NULL;
    part->content.layer_count = 0;
}

void part_free(struct part *part)
{
    if (part != NULL) {
        part_clear(part);
        free(part);
    }
}

void part_cleanup(struct part **slot)
{
    part_free(*slot);
}
