/*
 * content.c: the events of a part; see content.h.
 *
 * Two walks over the same sequence of chunks go on one behind the other: the one ahead
 * (contentahead.c) only asks for chunks, this one delivers them.
 */
#include "engine/content.h"

#include <stdlib.h>
#include <string.h>

#include "engine/contentimpl.h"
#include "engine/escape.h"

#define DATA_SLOTS 24u /* decoded frames kept or under way */
#define VALUE_SLOTS 8u
/* A token counts only when the object was last changed this long before the freeze: clocks of file
 * systems are coarse. */
#define TOKEN_MARGIN_NS INT64_C(2000000000)

void content_close(struct content_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    contentahead_clear(&reader->ahead);
    prefetch_free(reader->data);
    prefetch_free(reader->values);
    reflist_cursor_clear(&reader->refs);
    reflist_cursor_clear(&reader->value_ahead);
    catalogue_cursor_free(reader->objects);
    tree_cursor_free(reader->blocks);
    fetch_free(reader->meta);
    digest_free(reader->digest);
    contentgaps_clear(&reader->gaps);
    buffer_free(&reader->key);
    free(reader);
}

int32_t content_open(struct repo *repo, struct index *index, const struct part *part,
                     uint32_t flags, struct content_reader **out, struct orch_error *err)
{
    struct content_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading a part");
    }
    reader->repo = repo;
    reader->index = index;
    reader->part = part;
    reader->flags = flags;
    contentgaps_init(&reader->gaps);
    int32_t rc = fetch_new(repo, index, &reader->meta, err);
    if (rc == ORCH_OK) {
        rc = catalogue_cursor_new(part->content.catalogue_root, fetch_chunk, reader->meta,
                                  &reader->objects, err);
    }
    if (rc == ORCH_OK) {
        rc = digest_new(&reader->digest, err);
    }
    if (rc == ORCH_OK && (flags & (CONTENT_ENTRIES_ONLY | CONTENT_FOR_EARLIER)) == 0) {
        rc = prefetch_new(repo, index, DATA_SLOTS, flags >> 16, &reader->data, err);
        if (rc == ORCH_OK) {
            rc = contentahead_init(&reader->ahead, part, reader->meta, err);
        }
    }
    if (rc != ORCH_OK) {
        content_close(reader);
        return rc;
    }
    *out = reader;
    return ORCH_OK;
}

/* Damage found while an object or record is at hand names it. */
static int32_t name_it(const struct content_reader *reader, int32_t rc, struct orch_error *err)
{
    char text[ESCAPE_TEXT];
    if (rc == ORCH_E_NOT_FOUND) {
        err->code = rc = ORCH_E_CORRUPT;
    }
    if (reader->state == CONTENT_OBJECT) {
        escape_name(reader->entry.object.name, reader->entry.object.name_len, text);
        return orch_wrap(err, "component %s, object \"%s\"", reader->part->component, text);
    }
    if (reader->state == CONTENT_RECORD) {
        escape_name(reader->record.record.key, reader->record.record.key_len, text);
        return orch_wrap(err, "component %s, record \"%s\"", reader->part->component, text);
    }
    return orch_wrap(err, "component %s, %s", reader->part->component,
                     reader->state == CONTENT_BLOCKS ? "records" : "catalogue");
}

static int32_t corrupt(struct orch_error *err, const char *what)
{
    return orch_fail(err, ORCH_E_CORRUPT, "%s", what);
}

/* The chunk that comes next in the walk, which must be `id`. */
static int32_t take_chunk(struct content_reader *reader, const uint8_t id[CHUNK_ID_BYTES],
                          const uint8_t **data, size_t *len, struct orch_error *err)
{
    uint8_t got[CHUNK_ID_BYTES];
    int32_t rc = contentahead_fill(&reader->ahead, reader->data, err);
    if (rc == ORCH_OK) {
        rc = prefetch_pop(reader->data, got, data, len, err);
    }
    if (rc == ORCH_OK && memcmp(got, id, CHUNK_ID_BYTES) != 0) {
        rc = orch_fail(err, ORCH_E_FAILED, "the order of chunks was lost; please report this");
    }
    return rc;
}

/* ---- objects ------------------------------------------------------------------------------- */

/* Is every chunk of the object in the index? */
static int32_t is_whole(struct content_reader *reader, bool *whole, struct orch_error *err)
{
    struct reflist_cursor cursor;
    *whole = true;
    int32_t rc = reflist_cursor_init(&cursor, &reader->entry.refs, fetch_chunk, reader->meta, err);
    bool more = rc == ORCH_OK;
    while (more && *whole) {
        struct ref ref;
        rc = reflist_cursor_next(&cursor, &ref, &more, err);
        more = more && rc == ORCH_OK;
        if (more && !ref.hole) {
            *whole = index_knows(reader->index, ref.id);
        }
    }
    reflist_cursor_clear(&cursor);
    if (rc == ORCH_E_NOT_FOUND || rc == ORCH_E_CORRUPT) { /* a piece of a long list */
        *whole = false;
        rc = ORCH_OK;
    }
    return rc;
}

/* The margin guards what a plugin reads beside the token too, before or after it (attributes). */
static void void_token(const struct part *part, struct orch_object *object)
{
    const struct orch_token *token = &object->token;
    int64_t changed = token->mtime_ns > token->ctime_ns ? token->mtime_ns : token->ctime_ns;
    if (part->frozen_ns < INT64_MIN + TOKEN_MARGIN_NS ||
        changed >= part->frozen_ns - TOKEN_MARGIN_NS) {
        object->flags &= ~ORCH_OBJECT_HAS_TOKEN;
        memset(&object->token, 0, sizeof(object->token));
    }
}

/* The next object that is to be told of; *more is false past the last. */
static int32_t next_entry(struct content_reader *reader, bool *more, struct orch_error *err)
{
    for (;;) {
        int32_t rc = catalogue_cursor_next(reader->objects, &reader->entry, more, err);
        if (rc != ORCH_OK || !*more) {
            return rc;
        }
        digest_object(reader->digest, &reader->entry);
        uint64_t number = reader->object_count++;
        if ((reader->flags & CONTENT_FOR_EARLIER) == 0) {
            return ORCH_OK;
        }
        bool whole = false;
        rc = is_whole(reader, &whole, err);
        contentgaps_judge(&reader->gaps, number, rc == ORCH_OK && whole);
        if (rc != ORCH_OK || whole) {
            void_token(reader->part, &reader->entry.object);
            return rc;
        }
    }
}

static int32_t begin_object(struct content_reader *reader, struct orch_event *event,
                            struct orch_error *err)
{
    event->type = ORCH_EVENT_OBJECT;
    event->object = reader->entry.object;
    if (reader->data == NULL) {
        return ORCH_OK; /* entries only */
    }
    reader->state = CONTENT_OBJECT;
    reader->left = reader->entry.object.size_bytes;
    return reflist_cursor_init(&reader->refs, &reader->entry.refs, fetch_chunk, reader->meta, err);
}

static int32_t next_ref(struct content_reader *reader, struct orch_event *event,
                        struct orch_error *err)
{
    struct ref ref;
    bool more = false;
    int32_t rc = reflist_cursor_next(&reader->refs, &ref, &more, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (!more) {
        reflist_cursor_clear(&reader->refs);
        event->type = ORCH_EVENT_ITEM_END;
        reader->state = CONTENT_OBJECTS;
        return reader->left == 0 ? ORCH_OK : corrupt(err, "its chunks are fewer than its bytes");
    }
    if (ref.len > reader->left) {
        return corrupt(err, "its chunks are more than its bytes");
    }
    reader->left -= ref.len;
    event->data_len = ref.len;
    if (ref.hole) {
        event->type = ORCH_EVENT_HOLE;
        return ORCH_OK;
    }
    size_t len = 0;
    event->type = ORCH_EVENT_DATA;
    rc = take_chunk(reader, ref.id, &event->data, &len, err);
    return rc == ORCH_OK && len != ref.len ? corrupt(err, "a chunk has another length") : rc;
}

/* ---- records ------------------------------------------------------------------------------- */

/* Opens the next block; *more is false when there is none in any layer. */
static int32_t next_block(struct content_reader *reader, bool *more, struct orch_error *err)
{
    const struct part_content *content = &reader->part->content;
    struct tree_child child;
    for (*more = false; reader->layer < content->layer_count && !*more;) {
        int32_t rc = ORCH_OK;
        if (reader->blocks == NULL) {
            const struct part_layer *layer = &content->layers[reader->layer];
            digest_layer(reader->digest, layer);
            rc = tree_cursor_new(layer->root, fetch_chunk, reader->meta, &reader->blocks, err);
        }
        if (rc == ORCH_OK) {
            rc = tree_cursor_next(reader->blocks, &child, more, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        if (!*more) {
            tree_cursor_free(reader->blocks);
            reader->blocks = NULL;
            reader->layer++;
        }
    }
    if (!*more) {
        return ORCH_OK;
    }
    const uint8_t *data = NULL;
    size_t len = 0;
    int32_t rc = take_chunk(reader, child.id, &data, &len, err);
    return rc == ORCH_OK ? records_block_open(&reader->block, data, len, err) : rc;
}

/* A key that is in chunks of its own. */
static int32_t fetch_key(struct content_reader *reader, struct orch_error *err)
{
    struct orch_record *record = &reader->record.record;
    CLEANUP_BUFFER struct buffer chunk = BUFFER_INIT;
    struct reflist_cursor cursor;
    buffer_clear(&reader->key);
    int32_t rc =
        reflist_cursor_init(&cursor, &reader->record.key_refs, fetch_chunk, reader->meta, err);
    bool more = rc == ORCH_OK;
    while (more) {
        struct ref ref;
        rc = reflist_cursor_next(&cursor, &ref, &more, err);
        more = more && rc == ORCH_OK;
        if (more && (ref.hole || ref.len > record->key_len - reader->key.len)) {
            rc = corrupt(err, "a key's chunks are more than its bytes");
        } else if (more) {
            rc = fetch_chunk(reader->meta, ref.id, &chunk, err);
            buffer_append(&reader->key, chunk.data, chunk.len);
        }
        more = more && rc == ORCH_OK;
    }
    reflist_cursor_clear(&cursor);
    if (rc == ORCH_OK && reader->key.failed) {
        rc = orch_fail(err, ORCH_E_NOMEM, "no memory for a key of %u bytes", record->key_len);
    }
    if (rc == ORCH_OK && reader->key.len != record->key_len) {
        rc = corrupt(err, "a key's chunks are not its bytes");
    }
    record->key = reader->key.data;
    return rc;
}

static int32_t begin_value(struct content_reader *reader, struct orch_error *err)
{
    const struct reflist *refs = &reader->record.value_refs;
    int32_t rc = ORCH_OK;
    if (reader->values == NULL) {
        rc = prefetch_new(reader->repo, reader->index, VALUE_SLOTS, reader->flags >> 16,
                          &reader->values, err);
    }
    if (rc == ORCH_OK) {
        rc = reflist_cursor_init(&reader->refs, refs, fetch_chunk, reader->meta, err);
    }
    if (rc == ORCH_OK) {
        rc = reflist_cursor_init(&reader->value_ahead, refs, fetch_chunk, reader->meta, err);
    }
    return rc;
}

static int32_t begin_record(struct content_reader *reader, struct orch_event *event,
                            struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    reader->state = CONTENT_RECORD;
    reader->left = reader->record.record.value_len;
    reader->record_count++;
    if (reader->record.key_by_refs) {
        rc = fetch_key(reader, err);
    }
    if (rc == ORCH_OK && reader->record.value_by_refs) {
        rc = begin_value(reader, err);
    }
    event->type = ORCH_EVENT_RECORD;
    event->record = reader->record.record;
    return rc;
}

/* Asks for the chunks of the present value that come next. */
static int32_t fill_value(struct content_reader *reader, struct orch_error *err)
{
    bool more = true;
    while (more && prefetch_room(reader->values)) {
        struct ref ref;
        int32_t rc = reflist_cursor_next(&reader->value_ahead, &ref, &more, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (more && ref.hole) {
            return corrupt(err, "a value has a hole");
        }
        if (more) {
            prefetch_push(reader->values, ref.id);
        }
    }
    return ORCH_OK;
}

static int32_t next_value_ref(struct content_reader *reader, struct orch_event *event, bool *more,
                              struct orch_error *err)
{
    struct ref ref;
    uint8_t id[CHUNK_ID_BYTES];
    size_t len = 0;
    int32_t rc = reflist_cursor_next(&reader->refs, &ref, more, err);
    if (rc != ORCH_OK || !*more) {
        return rc;
    }
    rc = fill_value(reader, err);
    if (rc == ORCH_OK) {
        rc = prefetch_pop(reader->values, id, &event->data, &len, err);
    }
    if (rc == ORCH_OK && (len != ref.len || len > reader->left)) {
        rc = corrupt(err, "its chunks are not its bytes");
    }
    event->type = ORCH_EVENT_DATA;
    event->data_len = len;
    reader->left -= len;
    return rc;
}

static int32_t next_value(struct content_reader *reader, struct orch_event *event,
                          struct orch_error *err)
{
    if (reader->record.value_by_refs) {
        bool more = false;
        int32_t rc = next_value_ref(reader, event, &more, err);
        if (rc != ORCH_OK || more) {
            return rc;
        }
        reflist_cursor_clear(&reader->refs);
        reflist_cursor_clear(&reader->value_ahead);
    } else if (reader->left > 0) {
        event->type = ORCH_EVENT_DATA;
        event->data = reader->record.value;
        event->data_len = reader->left;
        reader->left = 0;
        return ORCH_OK;
    }
    event->type = ORCH_EVENT_ITEM_END;
    reader->state = CONTENT_BLOCKS;
    return reader->left == 0 ? ORCH_OK : corrupt(err, "its chunks are fewer than its bytes");
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* At the end: everything was there, and it is what was written. */
static int32_t check_end(struct content_reader *reader, struct orch_error *err)
{
    const struct part_content *content = &reader->part->content;
    uint8_t digest[32];
    bool all = reader->data != NULL;
    for (size_t i = 0; !all && i < content->layer_count; i++) {
        digest_layer(reader->digest, &content->layers[i]);
    }
    int32_t rc = digest_finish(reader->digest, digest, err);
    if (rc == ORCH_OK && (reader->object_count != content->objects ||
                          (all && reader->record_count != content->records) ||
                          memcmp(digest, content->digest, sizeof(digest)) != 0)) {
        rc = orch_fail(err, ORCH_E_CORRUPT,
                       "component %s: its items are not those that part %s tells of",
                       reader->part->component, reader->part->id);
    }
    return rc;
}

static int32_t between_objects(struct content_reader *reader, struct orch_event *event,
                               struct orch_error *err)
{
    bool more = false;
    int32_t rc = next_entry(reader, &more, err);
    if (rc == ORCH_OK && more) {
        return begin_object(reader, event, err);
    }
    if (rc == ORCH_OK) {
        reader->state = reader->data == NULL ? CONTENT_END : CONTENT_BLOCKS;
    }
    return rc;
}

static int32_t between_records(struct content_reader *reader, struct orch_event *event,
                               struct orch_error *err)
{
    bool more = false;
    int32_t rc = ORCH_OK;
    if (reader->block_open) {
        rc = records_block_next(&reader->block, &reader->record, &more, err);
        if (rc == ORCH_OK && more) {
            return begin_record(reader, event, err);
        }
    }
    if (rc == ORCH_OK) {
        rc = next_block(reader, &more, err);
        reader->block_open = more;
    }
    if (rc == ORCH_OK && !more) {
        reader->state = CONTENT_END;
    }
    return rc;
}

int32_t content_next(struct content_reader *reader, struct orch_event *event,
                     struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    struct orch_error own = ORCH_ERROR_INIT;
    memset(event, 0, sizeof(*event));
    event->struct_size = (uint32_t)sizeof(*event);
    event->type = UINT32_MAX; /* none yet */
    while (rc == ORCH_OK && event->type == UINT32_MAX) {
        switch (reader->state) {
        case CONTENT_OBJECTS:
            rc = between_objects(reader, event, &own);
            break;
        case CONTENT_OBJECT:
            rc = next_ref(reader, event, &own);
            break;
        case CONTENT_BLOCKS:
            rc = between_records(reader, event, &own);
            break;
        case CONTENT_RECORD:
            rc = next_value(reader, event, &own);
            break;
        case CONTENT_END:
            rc = check_end(reader, &own);
            event->type = ORCH_EVENT_END;
            reader->state = CONTENT_OVER;
            break;
        case CONTENT_OVER:
            return orch_fail(err, ORCH_E_INVALID, "a part was read on after its end");
        }
    }
    if (rc != ORCH_OK) {
        rc = reader->state == CONTENT_OVER ? rc : name_it(reader, rc, &own);
        reader->state = CONTENT_OVER;
        if (err != NULL) {
            *err = own;
        }
    }
    return rc;
}
