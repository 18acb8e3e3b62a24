/* checkparts.c: walks parts for a check and tells which items are hurt; see checkimpl.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/checkimpl.h"
#include "engine/contentimpl.h"
#include "engine/escape.h"

/* Findings about single objects of one part, before they are only counted. */
#define OBJECTS_TOLD 1000u

/* Of what is clean: the chunk's id, what it holds in the end, the level that it was found at. */
#define CLEAN_BYTES (CHUNK_ID_BYTES + 2u)

struct walk {
    struct check *check;
    struct fetch *fetch;   /* over the rescue index */
    struct byteset *clean; /* nodes and blocks of trees below which nothing is hurt: sets share most
                              of theirs, and each is walked once */
    uint64_t hurt;         /* findings so far, told or only counted */
    uint64_t items;        /* objects and records walked so far */
    bool collect;
    const struct set *set;
    const struct part *part;
    uint64_t told, untold;
    struct buffer block;
};

static void tell(struct walk *walk, const void *name, size_t name_len, const char *problem)
{
    char text[ESCAPE_TEXT];
    walk->hurt++;
    if (walk->collect) {
        return;
    }
    if (walk->told == OBJECTS_TOLD) {
        walk->untold++;
        return;
    }
    walk->told++;
    escape_name(name, name_len, text);
    check_report(walk->check, NULL, walk->set->name, walk->part->component,
                 name == NULL ? NULL : text, "%s", problem);
}

static int by_id(const void *key, const void *element)
{
    return memcmp(key, ((const struct check_pack *)element)->id, PACK_ID_BYTES);
}

/* What is wrong with a chunk; NULL when nothing is. */
static const char *chunk_problem(struct walk *walk, const uint8_t id[CHUNK_ID_BYTES])
{
    struct check *check = walk->check;
    struct chunk_location place;
    if (walk->collect) {
        if (index_find(check->rescue, id, &place) == ORCH_OK && check->pack_count > 0) {
            struct check_pack *pack =
                bsearch(place.pack, check->packs, check->pack_count, sizeof(*check->packs), by_id);
            if (pack != NULL) {
                pack->wanted = true;
            }
        }
        return NULL;
    }
    if (index_find(check->index, id, &place) != ORCH_OK) {
        return "a chunk of it is named by no index segment";
    }
    return check_is_bad(check, &place) ? "a chunk of it lies in a damaged or missing pack" : NULL;
}

/* ---- trees --------------------------------------------------------------------------------- */

/* Takes one block; `problem` (or NULL) tells what is wrong with the way to it or with itself, but
 * its bytes are in walk->block. */
typedef int32_t (*block_visit)(struct walk *walk, const char *problem, struct orch_error *err);

/* Tells that everything below a child is lost. */
static void tell_lost(struct walk *walk, const struct tree_child *child, const char *what,
                      const struct orch_error *why)
{
    char problem[ORCH_ERROR_MESSAGE_MAX];
    (void)snprintf(problem, sizeof(problem), "%llu %s from here on cannot be read: %.800s",
                   (unsigned long long)child->items, what, why->message);
    tell(walk, child->key, child->key_len, problem);
}

/* Fetches a chunk of a tree. *lost: it was told, and there is nothing below. */
static int32_t fetch_child(struct walk *walk, const struct tree_child *child, const char *what,
                           struct buffer *out, const char **problem, bool *lost,
                           struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    const char *found = chunk_problem(walk, child->id);
    *problem = *problem == NULL ? found : *problem;
    int32_t rc = fetch_chunk(walk->fetch, child->id, out, &why);
    *lost = rc != ORCH_OK;
    if (rc == ORCH_E_NOMEM) {
        *err = why;
        return rc;
    }
    if (rc != ORCH_OK) {
        tell_lost(walk, child, what, &why);
    }
    return ORCH_OK;
}

static int32_t walk_node(struct walk *walk, const struct tree_child *from, const char *what,
                         const char *problem, uint32_t level_above, block_visit visit,
                         struct orch_error *err);

static int32_t walk_block(struct walk *walk, const struct tree_child *from, const char *what,
                          const char *problem, block_visit visit, struct orch_error *err)
{
    bool lost = false;
    int32_t rc = fetch_child(walk, from, what, &walk->block, &problem, &lost, err);
    return rc == ORCH_OK && !lost ? visit(walk, problem, err) : rc;
}

/* A node (`level` is that above it), or a block (`level` 1) and what it holds, unless that was
 * found whole before: sets share most of their trees. */
static int32_t walk_below(struct walk *walk, const struct tree_child *child, const char *what,
                          const char *problem, uint32_t level, block_visit visit,
                          struct orch_error *err)
{
    uint8_t key[CLEAN_BYTES];
    memcpy(key, child->id, CHUNK_ID_BYTES);
    key[CHUNK_ID_BYTES] = (uint8_t)what[0];
    key[CHUNK_ID_BYTES + 1] = (uint8_t)level;
    if (problem == NULL && byteset_has(walk->clean, key)) {
        walk->items += child->items;
        return ORCH_OK;
    }
    uint64_t hurt = walk->hurt;
    uint64_t items = walk->items;
    int32_t rc = level > 1 ? walk_node(walk, child, what, problem, level, visit, err)
                           : walk_block(walk, child, what, problem, visit, err);
    bool clean = problem == NULL && walk->hurt == hurt && walk->items - items == child->items;
    return rc == ORCH_OK && clean ? byteset_add(walk->clean, key, err) : rc;
}

static int32_t walk_node(struct walk *walk, const struct tree_child *from, const char *what,
                         const char *problem, uint32_t level_above, block_visit visit,
                         struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    CLEANUP_FREE struct tree_node *node = malloc(sizeof(*node));
    struct orch_error why = ORCH_ERROR_INIT;
    struct tree_child child;
    bool lost = false;
    if (node == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for walking a part");
    }
    int32_t rc = fetch_child(walk, from, what, &bytes, &problem, &lost, err);
    if (rc != ORCH_OK || lost) {
        return rc;
    }
    rc = tree_node_open(node, bytes.data, bytes.len, &why);
    if (rc == ORCH_OK && node->level >= level_above) {
        rc = orch_fail(&why, ORCH_E_CORRUPT, "the levels of a block index are out of order");
    }
    if (rc != ORCH_OK) {
        tell_lost(walk, from, what, &why);
        return ORCH_OK;
    }
    for (bool more = true; rc == ORCH_OK && more;) {
        if (tree_node_next(node, &child, &more, &why) != ORCH_OK) {
            tell_lost(walk, from, what, &why);
            return ORCH_OK;
        }
        if (!more) {
            break;
        }
        rc = walk_below(walk, &child, what, problem, node->level, visit, err);
    }
    return rc;
}

/* `found` grows by the items in it. */
static int32_t walk_tree(struct walk *walk, const uint8_t root[CHUNK_ID_BYTES], uint64_t items,
                         const char *what, block_visit visit, uint64_t *found,
                         struct orch_error *err)
{
    struct tree_child child = {.items = items};
    memcpy(child.id, root, CHUNK_ID_BYTES);
    uint64_t before = walk->items;
    int32_t rc = walk_below(walk, &child, what, NULL, TREE_LEVELS_MAX + 1, visit, err);
    *found += walk->collect ? 0 : walk->items - before;
    return rc;
}

/* ---- objects and records ------------------------------------------------------------------- */

/* The chunks of one object or value; *problem is set at the first that is hurt. Pieces of a long
 * list are found hurt when they cannot be fetched, or are no longer named. */
static int32_t walk_refs(struct walk *walk, const struct reflist *refs, const char **problem,
                         struct orch_error *err)
{
    struct reflist_cursor cursor;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = reflist_cursor_init(&cursor, refs, fetch_chunk, walk->fetch, &why);
    if (rc == ORCH_OK && refs->tree && *problem == NULL) {
        *problem = chunk_problem(walk, refs->root);
    }
    for (bool more = rc == ORCH_OK; more;) {
        struct ref ref;
        rc = reflist_cursor_next(&cursor, &ref, &more, &why);
        more = more && rc == ORCH_OK;
        if (more && !ref.hole) {
            const char *found = chunk_problem(walk, ref.id);
            *problem = *problem == NULL ? found : *problem;
        }
    }
    reflist_cursor_clear(&cursor);
    if (rc == ORCH_E_NOMEM) {
        *err = why;
        return rc;
    }
    if (rc != ORCH_OK && *problem == NULL) {
        *problem = "the list of its chunks cannot be read";
    }
    return ORCH_OK;
}

static int32_t visit_objects(struct walk *walk, const char *block_problem, struct orch_error *err)
{
    CLEANUP_FREE struct catalogue_block *block = malloc(sizeof(*block));
    struct orch_error why = ORCH_ERROR_INIT;
    struct catalogue_entry entry;
    bool more = false;
    if (block == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for walking a part");
    }
    int32_t rc = catalogue_block_open(block, walk->block.data, walk->block.len, &why);
    while (rc == ORCH_OK) {
        rc = catalogue_block_next(block, &entry, &more, &why);
        if (rc != ORCH_OK || !more) {
            break;
        }
        const char *problem =
            block_problem == NULL ? NULL : "its entry lies in a damaged or unindexed chunk";
        int32_t walked = walk_refs(walk, &entry.refs, &problem, err);
        if (walked != ORCH_OK) {
            return walked;
        }
        if (problem != NULL) {
            tell(walk, entry.object.name, entry.object.name_len, problem);
        }
        walk->items++;
    }
    if (rc != ORCH_OK) {
        tell(walk, block->name_len == 0 ? NULL : block->name, block->name_len, why.message);
    }
    return ORCH_OK;
}

static int32_t visit_records(struct walk *walk, const char *block_problem, struct orch_error *err)
{
    struct records_block block;
    struct orch_error why = ORCH_ERROR_INIT;
    struct record_entry entry;
    bool more = false;
    int32_t rc = records_block_open(&block, walk->block.data, walk->block.len, &why);
    while (rc == ORCH_OK) {
        rc = records_block_next(&block, &entry, &more, &why);
        if (rc != ORCH_OK || !more) {
            break;
        }
        const char *problem =
            block_problem == NULL ? NULL : "it lies in a damaged or unindexed chunk";
        int32_t walked = ORCH_OK;
        if (entry.key_by_refs) {
            walked = walk_refs(walk, &entry.key_refs, &problem, err);
        }
        if (walked == ORCH_OK && entry.value_by_refs) {
            walked = walk_refs(walk, &entry.value_refs, &problem, err);
        }
        if (walked != ORCH_OK) {
            return walked;
        }
        if (problem != NULL) {
            tell(walk, entry.record.key, entry.record.key == NULL ? 0 : entry.record.key_len,
                 problem);
        }
        walk->items++;
    }
    if (rc != ORCH_OK) {
        tell(walk, NULL, 0, why.message);
    }
    return ORCH_OK;
}

static int32_t walk_part(struct walk *walk, struct orch_error *err)
{
    const struct part_content *content = &walk->part->content;
    walk->told = 0;
    walk->untold = 0;
    struct check_result *result = walk->check->result;
    int32_t rc = walk_tree(walk, content->catalogue_root, content->objects, "objects",
                           visit_objects, &result->objects, err);
    for (size_t i = 0; rc == ORCH_OK && i < content->layer_count; i++) {
        rc = walk_tree(walk, content->layers[i].root, content->layers[i].records, "records",
                       visit_records, &result->records, err);
    }
    if (walk->untold > 0) {
        check_report(walk->check, NULL, walk->set->name, walk->part->component, NULL,
                     "%llu more items are hurt", (unsigned long long)walk->untold);
    }
    return rc;
}

static int32_t walk_component(struct walk *walk, const struct set_component *component, bool deep,
                              struct orch_error *err)
{
    struct check *check = walk->check;
    struct part *part = NULL;
    struct orch_error why = ORCH_ERROR_INIT;
    char name[64];
    (void)snprintf(name, sizeof(name), "parts/%s", component->part);
    int32_t rc = part_load(check->repo, component->part, &part, &why);
    if (rc == ORCH_E_NOMEM) {
        *err = why;
        return rc;
    }
    if (rc != ORCH_OK) {
        if (!walk->collect) {
            check_report(check, name, walk->set->name, component->name, NULL, "%s", why.message);
        }
        return ORCH_OK;
    }
    if (!walk->collect) {
        check->result->parts++;
        check->result->objects += deep ? 0 : part->content.objects;
        check->result->records += deep ? 0 : part->content.records;
    }
    walk->part = part;
    rc = deep ? walk_part(walk, err) : ORCH_OK;
    part_free(part);
    return rc;
}

int32_t checkparts_run(struct check *check, bool deep, bool collect, struct orch_error *err)
{
    struct walk walk = {.check = check, .collect = collect, .block = BUFFER_INIT};
    int32_t rc = deep ? fetch_new(check->repo, check->rescue, &walk.fetch, err) : ORCH_OK;
    if (rc == ORCH_OK) {
        rc = byteset_new(CLEAN_BYTES, &walk.clean, err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < check->sets.count; i++) {
        walk.set = check->sets.sets[i];
        if (!check_wants_set(check, walk.set)) {
            continue;
        }
        check->result->sets += !collect;
        for (size_t j = 0; rc == ORCH_OK && j < walk.set->component_count; j++) {
            if (walk.set->components[j].good) {
                rc = walk_component(&walk, &walk.set->components[j], deep, err);
            }
        }
    }
    fetch_free(walk.fetch);
    byteset_free(walk.clean);
    buffer_free(&walk.block);
    return rc;
}
