/*
 * fuzz_mark.c: marks: the JSON of one, and the file marks/ID among all. What was read is stored
 * again and must read the same.
 *
 * The id that the file is expected to have is taken from the input, so that it fits.
 */
#include <stdio.h>
#include <string.h>

#include "engine/markload.h"
#include "engine/pack.h"
#include "fuzz.h"
#include "memstore.h"

static void check_same(const struct mark *a, const struct mark *b)
{
    must(strcmp(a->lease, b->lease) == 0 && a->pack_count == b->pack_count &&
         a->part_count == b->part_count);
    must(memcmp(a->packs, b->packs, a->pack_count * sizeof(*a->packs)) == 0);
    for (size_t i = 0; i < a->part_count; i++) {
        must(strlen(a->parts[i]) == ID_TEXT - 1 && strcmp(a->parts[i], b->parts[i]) == 0);
    }
}

/* A pack of the index, with one chunk. */
static void add_pack(struct index *index, const uint8_t id[PACK_ID_BYTES], uint8_t number)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct pack_table table = {.kind = PACK_DATA, .size_bytes = 1000};
    struct pack_chunk chunk = {.id = {number, 1}, .len = 10};
    memcpy(table.id, id, PACK_ID_BYTES);
    if (index_pack_find(index, id) == SIZE_MAX) {
        must(pack_table_add(&table, 40, 10, 0, &chunk, 1, &err) == ORCH_OK);
        must(index_add_pack(index, &table, &err) == ORCH_OK);
        must(index_knows(index, chunk.id));
        pack_table_clear(&table);
    }
}

/* All marks of the store, which must come to `count`; a damaged one fails the call. */
static void list_marks(struct memstore *store, size_t count, const struct mark *last)
{
    struct mark_list list;
    struct index *index = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    must(mark_list_load(store->repo, &list, &err) == ORCH_OK && list.count == count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list.marks[i].id, last->id) == 0) {
            check_same(&list.marks[i], last);
        }
    }
    must(index_new(&index, &err) == ORCH_OK);
    for (size_t i = 0; i < last->pack_count && i < 4; i++) {
        add_pack(index, last->packs[i], (uint8_t)i);
    }
    must(mark_list_shun(&list, index, &err) == ORCH_OK);
    for (size_t i = 0; i < last->pack_count && i < 4; i++) {
        const uint8_t chunk[CHUNK_ID_BYTES] = {(uint8_t)i, 1};
        must(index_shunned(index, index_pack_find(index, last->packs[i])));
        must(!index_knows(index, chunk)); /* what it holds is as good as absent */
    }
    index_close(index);
    mark_list_clear(&list);
}

static void use(struct memstore *store, struct mark *mark)
{
    struct orch_error err = ORCH_ERROR_INIT;
    list_marks(store, 1, mark);
    must(mark_store(store->repo, mark, &err) == ORCH_OK);
    list_marks(store, 2, mark);
    must(mark_remove(store->repo, mark->id, &err) == ORCH_OK);
    must(mark_remove(store->repo, mark->id, &err) == ORCH_OK);
    list_marks(store, 1, mark);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct mark mark = {.pack_count = 0};
    struct mark_list list;
    char name[STORAGE_NAME_MAX + 1];
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(json, "id"));
    id = id == NULL ? "" : id;
    (void)snprintf(name, sizeof(name), "marks/%s", id);
    if (json_is_object(json)) {
        struct memstore *store = memstore_fresh();
        int32_t rc = mark_from_json(json, id, "file x", &mark, &err);
        must(rc == ORCH_OK || rc == ORCH_E_CORRUPT || rc == ORCH_E_VERSION);
        if (storage_name_ok(name)) {
            memstore_set_document(store, name, KEY_CONTROL, json);
        }
        if (rc == ORCH_OK) {
            use(store, &mark);
        } else if (storage_name_ok(name)) {
            uint8_t bytes[ID_BYTES];
            bool foreign = hex_decode(id, strlen(id), bytes, sizeof(bytes)) != ORCH_OK;
            must(mark_list_load(store->repo, &list, &err) == (foreign ? ORCH_OK : rc));
            must(list.count == 0 && (foreign || strstr(err.message, name) != NULL));
        }
    }
    mark_clear(&mark);
    json_decref(json);
    return 0;
}
