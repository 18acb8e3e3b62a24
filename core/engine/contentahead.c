/* contentahead.c: the walk ahead of the delivery; see contentimpl.h. */
#include <string.h>

#include "engine/contentimpl.h"

int32_t contentahead_init(struct contentahead *ahead, const struct part *part, struct fetch *meta,
                          struct orch_error *err)
{
    ahead->part = part;
    ahead->meta = meta;
    return catalogue_cursor_new(part->content.catalogue_root, fetch_chunk, meta, &ahead->objects,
                                err);
}

void contentahead_clear(struct contentahead *ahead)
{
    reflist_cursor_clear(&ahead->refs);
    catalogue_cursor_free(ahead->objects);
    tree_cursor_free(ahead->blocks);
    memset(ahead, 0, sizeof(*ahead));
}

/* One step among the objects: *found when `id` is a chunk. */
static int32_t step_objects(struct contentahead *ahead, uint8_t id[CHUNK_ID_BYTES], bool *found,
                            struct orch_error *err)
{
    bool more = false;
    if (ahead->in_object) {
        struct ref ref;
        int32_t rc = reflist_cursor_next(&ahead->refs, &ref, &more, err);
        if (rc == ORCH_OK && more && !ref.hole) {
            memcpy(id, ref.id, CHUNK_ID_BYTES);
            *found = true;
        }
        if (rc == ORCH_OK && !more) {
            reflist_cursor_clear(&ahead->refs);
            ahead->in_object = false;
        }
        return rc;
    }
    int32_t rc = catalogue_cursor_next(ahead->objects, &ahead->entry, &more, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (!more) {
        catalogue_cursor_free(ahead->objects);
        ahead->objects = NULL;
        return ORCH_OK;
    }
    ahead->in_object = true;
    return reflist_cursor_init(&ahead->refs, &ahead->entry.refs, fetch_chunk, ahead->meta, err);
}

static int32_t step_layers(struct contentahead *ahead, uint8_t id[CHUNK_ID_BYTES], bool *found,
                           struct orch_error *err)
{
    const struct part_content *content = &ahead->part->content;
    struct tree_child child;
    if (ahead->layer >= content->layer_count) {
        ahead->ended = true;
        return ORCH_OK;
    }
    int32_t rc = ORCH_OK;
    if (ahead->blocks == NULL) {
        rc = tree_cursor_new(content->layers[ahead->layer].root, fetch_chunk, ahead->meta,
                             &ahead->blocks, err);
    }
    if (rc == ORCH_OK) {
        rc = tree_cursor_next(ahead->blocks, &child, found, err);
    }
    if (rc == ORCH_OK && *found) {
        memcpy(id, child.id, CHUNK_ID_BYTES);
    } else if (rc == ORCH_OK) {
        tree_cursor_free(ahead->blocks);
        ahead->blocks = NULL;
        ahead->layer++;
    }
    return rc;
}

int32_t contentahead_fill(struct contentahead *ahead, struct prefetch *data, struct orch_error *err)
{
    while (!ahead->ended && prefetch_room(data)) {
        uint8_t id[CHUNK_ID_BYTES];
        bool found = false;
        int32_t rc = ahead->objects != NULL ? step_objects(ahead, id, &found, &ahead->error)
                                            : step_layers(ahead, id, &found, &ahead->error);
        if (rc != ORCH_OK) {
            ahead->ended = true; /* the delivery comes to the same place and tells */
        } else if (found) {
            prefetch_push(data, id);
        }
    }
    if (!prefetch_empty(data)) {
        return ORCH_OK;
    }
    if (ahead->error.code != ORCH_OK) {
        *err = ahead->error;
        return err->code;
    }
    return orch_fail(err, ORCH_E_FAILED, "the order of chunks was lost; please report this");
}
