/* reflist.c: see reflist.h. */
#include "engine/reflist.h"

#include <stdlib.h>
#include <string.h>

#include "engine/frame.h"

#define LEAF_HEADER_BYTES 8
#define LEAF_MIN 512u
#define LEAF_MAX 2048u
#define LEAF_CUT_MASK 0x1ffu /* of the first two bytes of the id that ends a leaf */
#define HOLE_MAX (UINT64_MAX >> 2)

struct reflist_writer {
    tree_store store;
    void *ctx;
    uint64_t count;
    struct ref hole;    /* not yet written, so that it can grow; len 0: none */
    struct buffer refs; /* short list, or the open leaf behind its header */
    uint32_t leaf_count;
    uint64_t leaf_bytes;
    struct tree_writer *tree; /* NULL while the list is short */
};

void ref_encode(struct buffer *out, const struct ref *ref)
{
    buffer_varint(out, ref->len << 1 | (ref->hole ? 1u : 0u));
    if (!ref->hole) {
        buffer_append(out, ref->id, CHUNK_ID_BYTES);
    }
}

bool ref_decode(struct reader *in, struct ref *ref)
{
    uint64_t value = reader_varint(in);
    ref->hole = (value & 1) != 0;
    ref->len = value >> 1;
    if (in->failed || ref->len == 0 || ref->len > (ref->hole ? HOLE_MAX : FRAME_CHUNK_MAX)) {
        return false;
    }
    if (!ref->hole) {
        const uint8_t *id = reader_take(in, CHUNK_ID_BYTES);
        if (id == NULL) {
            return false;
        }
        memcpy(ref->id, id, CHUNK_ID_BYTES);
    }
    return true;
}

void reflist_encode(struct buffer *out, const struct reflist *list)
{
    buffer_varint(out, list->count << 1 | (list->tree ? 1u : 0u));
    if (list->tree) {
        buffer_append(out, list->root, CHUNK_ID_BYTES);
    } else {
        buffer_append(out, list->bytes, list->bytes_len);
    }
}

bool reflist_decode(struct reader *in, struct reflist *list)
{
    uint64_t value = reader_varint(in);
    memset(list, 0, sizeof(*list));
    list->tree = (value & 1) != 0;
    list->count = value >> 1;
    if (in->failed) {
        return false;
    }
    if (list->tree) {
        const uint8_t *root = reader_take(in, CHUNK_ID_BYTES);
        if (root != NULL) {
            memcpy(list->root, root, CHUNK_ID_BYTES);
        }
        return root != NULL;
    }
    if (list->count > REFLIST_INLINE_MAX) {
        return false;
    }
    size_t start = in->pos;
    for (uint64_t i = 0; i < list->count; i++) {
        struct ref ref;
        if (!ref_decode(in, &ref)) {
            return false;
        }
    }
    list->bytes = in->data + start;
    list->bytes_len = in->pos - start;
    return true;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for a list of chunks");
}

int32_t reflist_writer_new(tree_store store, void *ctx, struct reflist_writer **out,
                           struct orch_error *err)
{
    struct reflist_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return no_memory(err);
    }
    writer->store = store;
    writer->ctx = ctx;
    *out = writer;
    return ORCH_OK;
}

void reflist_writer_start(struct reflist_writer *writer)
{
    tree_writer_free(writer->tree);
    writer->tree = NULL;
    writer->count = 0;
    writer->hole.len = 0;
    writer->leaf_count = 0;
    writer->leaf_bytes = 0;
    buffer_clear(&writer->refs);
}

void reflist_writer_free(struct reflist_writer *writer)
{
    if (writer != NULL) {
        tree_writer_free(writer->tree);
        buffer_free(&writer->refs);
        free(writer);
    }
}

static int32_t close_leaf(struct reflist_writer *writer, struct orch_error *err)
{
    if (writer->refs.failed) {
        return no_memory(err);
    }
    put_le32(writer->refs.data + 4, writer->leaf_count);
    struct tree_child leaf = {.len = (uint32_t)writer->refs.len,
                              .items = writer->leaf_count,
                              .bytes = writer->leaf_bytes};
    int32_t rc = writer->store(writer->ctx, writer->refs.data, writer->refs.len, leaf.id, err);
    writer->leaf_count = 0;
    writer->leaf_bytes = 0;
    return rc == ORCH_OK ? tree_writer_add(writer->tree, &leaf, err) : rc;
}

static int32_t add_to_leaf(struct reflist_writer *writer, const struct ref *ref,
                           struct orch_error *err)
{
    if (writer->leaf_count == 0) {
        static const uint8_t header[LEAF_HEADER_BYTES] = {'L', 1};
        buffer_clear(&writer->refs);
        buffer_append(&writer->refs, header, sizeof(header));
    }
    ref_encode(&writer->refs, ref);
    writer->leaf_count++;
    writer->leaf_bytes += ref->len;
    bool cut = writer->leaf_count == LEAF_MAX;
    if (writer->leaf_count >= LEAF_MIN && !ref->hole) {
        cut = cut || ((ref->id[0] | (uint32_t)ref->id[1] << 8) & LEAF_CUT_MASK) == 0;
    }
    return cut ? close_leaf(writer, err) : ORCH_OK;
}

/* The list has become too long to stand inline: what there is of it becomes leaves. */
static int32_t make_tree(struct reflist_writer *writer, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer refs = writer->refs;
    writer->refs = (struct buffer)BUFFER_INIT;
    int32_t rc = tree_writer_new(false, writer->store, writer->ctx, &writer->tree, err);
    struct reader in = reader_over(refs.data, refs.len);
    while (rc == ORCH_OK && reader_left(&in) > 0) {
        struct ref ref;
        rc = ref_decode(&in, &ref) ? add_to_leaf(writer, &ref, err)
                                   : orch_fail(err, ORCH_E_FAILED, "a list of chunks is broken");
    }
    return rc;
}

static int32_t write_ref(struct reflist_writer *writer, const struct ref *ref,
                         struct orch_error *err)
{
    writer->count++;
    if (writer->tree == NULL) {
        if (writer->count <= REFLIST_INLINE_MAX) {
            ref_encode(&writer->refs, ref);
            return writer->refs.failed ? no_memory(err) : ORCH_OK;
        }
        int32_t rc = make_tree(writer, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return add_to_leaf(writer, ref, err);
}

static int32_t write_hole(struct reflist_writer *writer, struct orch_error *err)
{
    if (writer->hole.len == 0) {
        return ORCH_OK;
    }
    struct ref hole = writer->hole;
    writer->hole.len = 0;
    return write_ref(writer, &hole, err);
}

int32_t reflist_writer_add(struct reflist_writer *writer, const struct ref *ref,
                           struct orch_error *err)
{
    if (ref->hole) {
        if (ref->len > HOLE_MAX || writer->hole.len > HOLE_MAX - ref->len) {
            return orch_fail(err, ORCH_E_INVALID, "a hole is too long");
        }
        writer->hole.hole = true;
        writer->hole.len += ref->len;
        return ORCH_OK;
    }
    int32_t rc = write_hole(writer, err);
    return rc == ORCH_OK ? write_ref(writer, ref, err) : rc;
}

int32_t reflist_writer_finish(struct reflist_writer *writer, struct reflist *list,
                              struct orch_error *err)
{
    memset(list, 0, sizeof(*list));
    int32_t rc = write_hole(writer, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    list->count = writer->count;
    list->tree = writer->tree != NULL;
    if (!list->tree) {
        list->bytes = writer->refs.data;
        list->bytes_len = writer->refs.len;
        return ORCH_OK;
    }
    if (writer->leaf_count > 0 && (rc = close_leaf(writer, err)) != ORCH_OK) {
        return rc;
    }
    return tree_writer_finish(writer->tree, list->root, err);
}

/* ---- reading ------------------------------------------------------------------------------- */

int32_t reflist_cursor_init(struct reflist_cursor *cursor, const struct reflist *list,
                            tree_fetch fetch, void *ctx, struct orch_error *err)
{
    memset(cursor, 0, sizeof(*cursor));
    cursor->left = list->count;
    cursor->fetch = fetch;
    cursor->ctx = ctx;
    if (list->tree) {
        return tree_cursor_new(list->root, fetch, ctx, &cursor->tree, err);
    }
    cursor->in = reader_over(list->bytes, list->bytes_len);
    return ORCH_OK;
}

void reflist_cursor_clear(struct reflist_cursor *cursor)
{
    tree_cursor_free(cursor->tree);
    cursor->tree = NULL;
    buffer_free(&cursor->leaf);
}

static int32_t malformed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "a list of chunks is malformed");
}

int32_t reflist_leaf_open(struct reader *in, const void *data, size_t len, uint32_t *count,
                          struct orch_error *err)
{
    *in = reader_over(data, len);
    const uint8_t *header = reader_take(in, LEAF_HEADER_BYTES);
    if (header == NULL || header[0] != 'L' || header[1] != 1 || get_le32(header + 4) == 0) {
        return malformed(err);
    }
    *count = get_le32(header + 4);
    return ORCH_OK;
}

static int32_t next_leaf(struct reflist_cursor *cursor, struct orch_error *err)
{
    struct tree_child leaf;
    bool more = false;
    int32_t rc = tree_cursor_next(cursor->tree, &leaf, &more, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (!more) {
        return malformed(err); /* fewer references than were told */
    }
    rc = cursor->fetch(cursor->ctx, leaf.id, &cursor->leaf, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    return reflist_leaf_open(&cursor->in, cursor->leaf.data, cursor->leaf.len, &cursor->leaf_left,
                             err);
}

int32_t reflist_cursor_next(struct reflist_cursor *cursor, struct ref *ref, bool *more,
                            struct orch_error *err)
{
    *more = cursor->left > 0;
    if (cursor->left == 0) {
        return reader_left(&cursor->in) == 0 ? ORCH_OK : malformed(err);
    }
    if (cursor->tree != NULL && cursor->leaf_left == 0) {
        if (reader_left(&cursor->in) != 0) {
            return malformed(err);
        }
        int32_t rc = next_leaf(cursor, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (!ref_decode(&cursor->in, ref)) {
        return malformed(err);
    }
    cursor->left--;
    cursor->leaf_left -= cursor->tree != NULL ? 1 : 0;
    return ORCH_OK;
}
