/* cataloguewriter.c: builds the blocks of a catalogue; see catalogue.h. */
#include <stdlib.h>
#include <string.h>

#include "engine/catalogue.h"

#define BLOCK_HEADER_BYTES 8
#define BLOCK_MIN (64u << 10)
#define BLOCK_MAX (128u << 10)
#define BLOCK_CUT_MASK (UINT64_C(0xff) << 56)

struct catalogue_writer {
    tree_store store;
    void *ctx;
    struct tree_writer *tree;
    struct buffer block;
    struct buffer fields; /* of one entry, without its name */
    struct buffer first_name, last_name;
    uint32_t count;
    uint64_t bytes;
};

uint64_t catalogue_hash(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for the catalogue");
}

int32_t catalogue_writer_new(tree_store store, void *ctx, struct catalogue_writer **out,
                             struct orch_error *err)
{
    struct catalogue_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return no_memory(err);
    }
    writer->store = store;
    writer->ctx = ctx;
    int32_t rc = tree_writer_new(true, store, ctx, &writer->tree, err);
    if (rc != ORCH_OK) {
        free(writer);
        return rc;
    }
    *out = writer;
    return ORCH_OK;
}

void catalogue_writer_free(struct catalogue_writer *writer)
{
    if (writer != NULL) {
        tree_writer_free(writer->tree);
        buffer_free(&writer->block);
        buffer_free(&writer->fields);
        buffer_free(&writer->first_name);
        buffer_free(&writer->last_name);
        free(writer);
    }
}

static int32_t close_block(struct catalogue_writer *writer, struct orch_error *err)
{
    if (writer->count == 0) {
        return ORCH_OK;
    }
    if (writer->block.failed || writer->first_name.failed || writer->last_name.failed) {
        return no_memory(err);
    }
    put_le32(writer->block.data + 4, writer->count);
    struct tree_child child = {.len = (uint32_t)writer->block.len,
                               .items = writer->count,
                               .bytes = writer->bytes,
                               .key = writer->first_name.data,
                               .key_len = writer->first_name.len};
    int32_t rc = writer->store(writer->ctx, writer->block.data, writer->block.len, child.id, err);
    writer->count = 0;
    writer->bytes = 0;
    return rc == ORCH_OK ? tree_writer_add(writer->tree, &child, err) : rc;
}

/* Signed times as varints: small absolute values stay short. */
static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static void encode_fields(struct buffer *out, const struct catalogue_entry *entry)
{
    const struct orch_object *object = &entry->object;
    buffer_clear(out);
    buffer_varint(out, object->kind);
    buffer_varint(out, object->flags);
    buffer_varint(out, object->size_bytes);
    buffer_varint(out, zigzag(object->mtime_ns));
    buffer_bytes(out, object->meta, object->meta_len);
    buffer_varint(out, object->profile);
    if (object->profile != ORCH_PROFILE_CONTENT) {
        buffer_varint(out, object->row_bytes);
        buffer_varint(out, object->row_offset);
    }
    if ((object->flags & ORCH_OBJECT_HAS_TOKEN) != 0) {
        buffer_varint(out, object->token.size_bytes);
        buffer_varint(out, zigzag(object->token.mtime_ns));
        buffer_varint(out, zigzag(object->token.ctime_ns));
        buffer_varint(out, object->token.inode);
    }
    reflist_encode(out, &entry->refs);
}

static void begin_block(struct catalogue_writer *writer, const struct orch_object *object)
{
    static const uint8_t header[BLOCK_HEADER_BYTES] = {'C', 1};
    buffer_clear(&writer->block);
    buffer_append(&writer->block, header, sizeof(header));
    buffer_clear(&writer->first_name);
    buffer_append(&writer->first_name, object->name, object->name_len);
    buffer_clear(&writer->last_name);
}

int32_t catalogue_writer_add(struct catalogue_writer *writer, const struct catalogue_entry *entry,
                             struct orch_error *err)
{
    const struct orch_object *object = &entry->object;
    encode_fields(&writer->fields, entry);
    size_t most = writer->fields.len + object->name_len + 10;
    if (writer->count > 0 && writer->block.len + most > BLOCK_MAX) {
        int32_t rc = close_block(writer, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (writer->count == 0) {
        begin_block(writer, object);
    }
    size_t shared = 0;
    while (shared < writer->last_name.len && shared < object->name_len &&
           writer->last_name.data[shared] == object->name[shared]) {
        shared++;
    }
    buffer_varint(&writer->block, shared);
    buffer_bytes(&writer->block, object->name + shared, object->name_len - shared);
    buffer_append(&writer->block, writer->fields.data, writer->fields.len);
    writer->last_name.len = shared;
    buffer_append(&writer->last_name, object->name + shared, object->name_len - shared);
    writer->count++;
    writer->bytes += object->size_bytes;
    if (writer->fields.failed) {
        return no_memory(err);
    }
    uint64_t hash = catalogue_hash(CATALOGUE_HASH_START, object->name, object->name_len);
    if (writer->block.len >= BLOCK_MIN && (hash & BLOCK_CUT_MASK) == 0) {
        return close_block(writer, err);
    }
    return ORCH_OK;
}

int32_t catalogue_writer_finish(struct catalogue_writer *writer, uint8_t root[CHUNK_ID_BYTES],
                                struct orch_error *err)
{
    int32_t rc = close_block(writer, err);
    return rc == ORCH_OK ? tree_writer_finish(writer->tree, root, err) : rc;
}
