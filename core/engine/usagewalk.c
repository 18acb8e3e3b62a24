/*
 * usagewalk.c: walks a part down to its last reference; see usageimpl.h.
 *
 * Whatever cannot be read ends the walk: nobody can tell what lies below it. The trees of catalogue
 * and records are nested once (long lists of references have trees of their own), so that two
 * stacks of nodes are all the memory there is, however large a part.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/catalogue.h"
#include "engine/fetch.h"
#include "engine/records.h"
#include "engine/usageimpl.h"

/* One level of a tree on the way down. */
struct level {
    struct buffer bytes;
    struct tree_node node;
};

struct usage_walk {
    struct usage *usage;
    struct fetch *fetch;
    struct level *levels[2][TREE_LEVELS_MAX]; /* of the outer tree; of a list's. Made when needed */
    struct buffer block;                      /* of the outer tree */
    struct buffer leaf;
    struct catalogue_block catalogue;
};

int32_t usage_walk_new(struct usage *usage, struct repo *repo, struct index *index,
                       struct usage_walk **out, struct orch_error *err)
{
    struct usage_walk *walk = calloc(1, sizeof(*walk));
    if (walk == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for walking sets");
    }
    walk->usage = usage;
    int32_t rc = fetch_new(repo, index, &walk->fetch, err);
    if (rc != ORCH_OK) {
        free(walk);
        return rc;
    }
    *out = walk;
    return ORCH_OK;
}

void usage_walk_free(struct usage_walk *walk)
{
    if (walk == NULL) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < TREE_LEVELS_MAX; j++) {
            if (walk->levels[i][j] != NULL) {
                buffer_free(&walk->levels[i][j]->bytes);
                free(walk->levels[i][j]);
            }
        }
    }
    buffer_free(&walk->block);
    buffer_free(&walk->leaf);
    fetch_free(walk->fetch);
    free(walk);
}

static int32_t walk_refs(struct usage_walk *walk, const struct reflist *refs,
                         struct orch_error *err);

static int32_t need_refs(struct usage_walk *walk, struct reader *in, uint64_t count,
                         struct orch_error *err)
{
    struct ref ref;
    int32_t rc = ORCH_OK;
    for (; rc == ORCH_OK && count > 0; count--) {
        if (!ref_decode(in, &ref)) {
            return orch_fail(err, ORCH_E_CORRUPT, "a list of chunks is malformed");
        }
        rc = ref.hole ? ORCH_OK : usage_need_later(walk->usage, ref.id, err);
    }
    if (rc == ORCH_OK && reader_left(in) != 0) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "a list of chunks is malformed");
    }
    return rc;
}

/* ---- blocks: what the trees lead to --------------------------------------------------------- */

static int32_t visit_leaf(struct usage_walk *walk, struct orch_error *err)
{
    struct reader in;
    uint32_t count = 0;
    int32_t rc = reflist_leaf_open(&in, walk->leaf.data, walk->leaf.len, &count, err);
    return rc == ORCH_OK ? need_refs(walk, &in, count, err) : rc;
}

static int32_t visit_objects(struct usage_walk *walk, struct orch_error *err)
{
    struct catalogue_entry entry;
    bool more = true;
    int32_t rc = catalogue_block_open(&walk->catalogue, walk->block.data, walk->block.len, err);
    while (rc == ORCH_OK) {
        rc = catalogue_block_next(&walk->catalogue, &entry, &more, err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        rc = walk_refs(walk, &entry.refs, err);
    }
    return rc;
}

static int32_t visit_records(struct usage_walk *walk, struct orch_error *err)
{
    struct records_block block;
    struct record_entry entry;
    bool more = true;
    int32_t rc = records_block_open(&block, walk->block.data, walk->block.len, err);
    while (rc == ORCH_OK) {
        rc = records_block_next(&block, &entry, &more, err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        if (entry.key_by_refs) {
            rc = walk_refs(walk, &entry.key_refs, err);
        }
        if (rc == ORCH_OK && entry.value_by_refs) {
            rc = walk_refs(walk, &entry.value_refs, err);
        }
    }
    return rc;
}

/* ---- trees ---------------------------------------------------------------------------------- */

static struct level *level_at(struct usage_walk *walk, enum usage_tree tree, size_t depth)
{
    struct level **slot = &walk->levels[tree == USAGE_REFS][depth];
    if (*slot == NULL) {
        *slot = calloc(1, sizeof(**slot));
    }
    return *slot;
}

static int32_t walk_block(struct usage_walk *walk, enum usage_tree tree,
                          const uint8_t id[CHUNK_ID_BYTES], struct orch_error *err)
{
    struct chunk_location place;
    int32_t rc = usage_need(walk->usage, id, &place, err);
    if (rc != ORCH_OK || usage_walked(walk->usage, tree, place.number)) {
        return rc;
    }
    rc = fetch_chunk(walk->fetch, id, tree == USAGE_REFS ? &walk->leaf : &walk->block, err);
    if (rc == ORCH_OK) {
        rc = tree == USAGE_REFS        ? visit_leaf(walk, err)
             : tree == USAGE_CATALOGUE ? visit_objects(walk, err)
                                       : visit_records(walk, err);
    }
    return rc == ORCH_OK ? usage_set_walked(walk->usage, tree, place.number, err) : rc;
}

/* Walks the node that a child of level `level_above` names, `depth` levels below the root. */
static int32_t walk_node(struct usage_walk *walk, enum usage_tree tree, size_t depth,
                         uint32_t level_above, const uint8_t id[CHUNK_ID_BYTES],
                         struct orch_error *err)
{
    struct chunk_location place;
    struct tree_child child;
    int32_t rc = usage_need(walk->usage, id, &place, err);
    if (rc != ORCH_OK || usage_walked(walk->usage, tree, place.number)) {
        return rc;
    }
    struct level *level = depth < TREE_LEVELS_MAX ? level_at(walk, tree, depth) : NULL;
    if (level == NULL) { /* the levels go down, so that there cannot be more of them */
        return orch_fail(err, ORCH_E_NOMEM, "no memory for walking sets");
    }
    rc = fetch_chunk(walk->fetch, id, &level->bytes, err);
    if (rc == ORCH_OK) {
        rc = tree_node_open(&level->node, level->bytes.data, level->bytes.len, err);
    }
    if (rc == ORCH_OK && level->node.level >= level_above) {
        rc = orch_fail(err, ORCH_E_CORRUPT, "the levels of a block index are out of order");
    }
    while (rc == ORCH_OK) {
        bool more = false;
        rc = tree_node_next(&level->node, &child, &more, err);
        if (rc != ORCH_OK || !more) {
            break;
        }
        rc = level->node.level == 1
                 ? walk_block(walk, tree, child.id, err)
                 : walk_node(walk, tree, depth + 1, level->node.level, child.id, err);
    }
    return rc == ORCH_OK ? usage_set_walked(walk->usage, tree, place.number, err) : rc;
}

static int32_t walk_tree(struct usage_walk *walk, enum usage_tree tree,
                         const uint8_t root[CHUNK_ID_BYTES], struct orch_error *err)
{
    return walk_node(walk, tree, 0, TREE_LEVELS_MAX + 1, root, err);
}

static int32_t walk_refs(struct usage_walk *walk, const struct reflist *refs,
                         struct orch_error *err)
{
    if (refs->tree) {
        return walk_tree(walk, USAGE_REFS, refs->root, err);
    }
    struct reader in = reader_over(refs->bytes, refs->bytes_len);
    return need_refs(walk, &in, refs->count, err);
}

int32_t usage_walk_part(struct usage_walk *walk, const struct part *part, struct orch_error *err)
{
    const struct part_content *content = &part->content;
    int32_t rc = walk_tree(walk, USAGE_CATALOGUE, content->catalogue_root, err);
    for (size_t i = 0; rc == ORCH_OK && i < content->layer_count; i++) {
        rc = walk_tree(walk, USAGE_RECORDS, content->layers[i].root, err);
    }
    return rc;
}
