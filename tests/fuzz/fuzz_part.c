/*
 * fuzz_part.c: parts: the JSON of one, and the file parts/ID. What was read is stored again and
 * must read the same.
 *
 * The id that the file is expected to have is taken from the input, so that it fits.
 */
#include <string.h>

#include "engine/partload.h"
#include "fuzz.h"
#include "memstore.h"

static void check_texts(const struct part *part)
{
    must(strlen(part->id) == ID_TEXT - 1);
    must(part->earlier[0] == 0 || strlen(part->earlier) == ID_TEXT - 1);
    must(memchr(part->component, 0, sizeof(part->component)) != NULL &&
         memchr(part->plugin, 0, sizeof(part->plugin)) != NULL &&
         memchr(part->plugin_version, 0, sizeof(part->plugin_version)) != NULL &&
         memchr(part->type, 0, sizeof(part->type)) != NULL &&
         memchr(part->source_version, 0, sizeof(part->source_version)) != NULL &&
         memchr(part->source_identity, 0, sizeof(part->source_identity)) != NULL);
}

static void check_same(const struct part *a, const struct part *b)
{
    const struct part_content *one = &a->content, *other = &b->content;
    must(strcmp(a->component, b->component) == 0 && strcmp(a->plugin, b->plugin) == 0 &&
         strcmp(a->type, b->type) == 0 && strcmp(a->earlier, b->earlier) == 0 &&
         strcmp(a->source_identity, b->source_identity) == 0 &&
         strcmp(a->facts_json, b->facts_json) == 0);
    must(a->data_format == b->data_format && a->consistency == b->consistency &&
         a->frozen_ns == b->frozen_ns && a->started_ns == b->started_ns &&
         a->finished_ns == b->finished_ns);
    must(memcmp(&a->stats, &b->stats, sizeof(a->stats)) == 0);
    must(memcmp(one->catalogue_root, other->catalogue_root, CHUNK_ID_BYTES) == 0 &&
         memcmp(one->digest, other->digest, sizeof(one->digest)) == 0 &&
         one->objects == other->objects && one->object_bytes == other->object_bytes &&
         one->records == other->records && one->record_bytes == other->record_bytes &&
         one->layer_count == other->layer_count);
    must(one->layer_count == 0 ||
         memcmp(one->layers, other->layers, one->layer_count * sizeof(*one->layers)) == 0);
}

/* Stores the part and reads it back. */
static void store_again(struct memstore *store, struct part *part)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct part *again = NULL;
    must(part_store(store->repo, part, &err) == ORCH_OK);
    must(part_load(store->repo, part->id, &again, &err) == ORCH_OK);
    check_same(part, again);
    part_free(again);
}

/* The same verdict through the file as of its JSON alone. */
static void load(struct memstore *store, const json_t *json, const char *id, int32_t expected)
{
    char name[ID_TEXT + 8];
    struct orch_error err = ORCH_ERROR_INIT;
    struct part *part = NULL;
    uint8_t bytes[ID_BYTES];
    if (hex_decode(id, strlen(id), bytes, sizeof(bytes)) != ORCH_OK) {
        must(part_load(store->repo, id, &part, &err) == ORCH_E_INVALID);
        return;
    }
    (void)snprintf(name, sizeof(name), "parts/%s", id);
    memstore_set_document(store, name, KEY_MANIFEST, json);
    must(part_load(store->repo, id, &part, &err) == expected);
    must((part != NULL) == (expected == ORCH_OK));
    part_free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct part part = {0};
    json_t *json =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (json == NULL) {
        return 0;
    }
    struct memstore *store = memstore_fresh();
    const char *id = json_string_value(json_object_get(json, "id"));
    id = id == NULL ? "" : id;
    int32_t rc = part_from_json(json, id, "file x", &part, &err);
    must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
    must((part.content.layer_count == 0) == (part.content.layers == NULL));
    if (json_is_object(json)) {
        load(store, json, id, rc);
    }
    if (rc == ORCH_OK) {
        must(part.facts_json != NULL);
        check_texts(&part);
        store_again(store, &part);
    }
    part_clear(&part);
    json_decref(json);
    return 0;
}
