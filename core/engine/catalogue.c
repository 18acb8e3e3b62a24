/* catalogue.c: reads catalogues; see catalogue.h. */
#include "engine/catalogue.h"

#include <stdlib.h>
#include <string.h>

struct catalogue_cursor {
    struct tree_cursor *tree;
    tree_fetch fetch;
    void *ctx;
    struct buffer bytes;
    bool open; /* `block` is over `bytes` */
    struct catalogue_block block;
    struct buffer last_name; /* of the block before */
};

static int32_t malformed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "a block of the catalogue is malformed");
}

int32_t catalogue_block_open(struct catalogue_block *block, const void *data, size_t len,
                             struct orch_error *err)
{
    block->in = reader_over(data, len);
    uint8_t kind = reader_u8(&block->in);
    uint8_t version = reader_u8(&block->in);
    uint16_t zero = reader_u16(&block->in);
    block->left = reader_u32(&block->in);
    block->name_len = 0;
    if (block->in.failed || kind != 'C') {
        return malformed(err);
    }
    if (version != 1 || zero != 0) {
        return orch_fail(err, ORCH_E_VERSION,
                         "a block of the catalogue has format %u, not known here", version);
    }
    return ORCH_OK;
}

static bool decode_name(struct catalogue_block *block)
{
    uint64_t shared = reader_varint(&block->in);
    size_t suffix_len = 0;
    const uint8_t *suffix = reader_bytes(&block->in, TREE_KEY_MAX, &suffix_len);
    if (block->in.failed || shared > block->name_len || shared + suffix_len > TREE_KEY_MAX ||
        suffix_len == 0) {
        return false;
    }
    /* Ascending: where the name before goes on behind the shared bytes, this one is greater. */
    if (shared < block->name_len && suffix[0] <= block->name[shared]) {
        return false;
    }
    memcpy(block->name + shared, suffix, suffix_len);
    block->name_len = (uint32_t)(shared + suffix_len);
    return true;
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

static bool decode_object(struct reader *in, struct orch_object *object)
{
    uint64_t kind = reader_varint(in);
    uint64_t flags = reader_varint(in);
    object->size_bytes = reader_varint(in);
    object->mtime_ns = unzigzag(reader_varint(in));
    size_t meta_len = 0;
    object->meta = reader_bytes(in, CATALOGUE_META_MAX, &meta_len);
    object->meta_len = (uint32_t)meta_len;
    uint64_t profile = reader_varint(in);
    uint64_t row_bytes = 0;
    if (profile != ORCH_PROFILE_CONTENT) {
        row_bytes = reader_varint(in);
        object->row_offset = reader_varint(in);
    }
    if (in->failed || kind > UINT32_MAX || flags > UINT32_MAX || profile > ORCH_PROFILE_PAGES ||
        row_bytes > UINT32_MAX) {
        return false;
    }
    object->kind = (uint32_t)kind;
    object->flags = (uint32_t)flags;
    object->profile = (uint32_t)profile;
    object->row_bytes = (uint32_t)row_bytes;
    if ((object->flags & ORCH_OBJECT_HAS_TOKEN) != 0) {
        object->token.size_bytes = reader_varint(in);
        object->token.mtime_ns = unzigzag(reader_varint(in));
        object->token.ctime_ns = unzigzag(reader_varint(in));
        object->token.inode = reader_varint(in);
    }
    return !in->failed;
}

int32_t catalogue_block_next(struct catalogue_block *block, struct catalogue_entry *entry,
                             bool *more, struct orch_error *err)
{
    *more = block->left > 0;
    if (block->left == 0) {
        return reader_left(&block->in) == 0 && !block->in.failed ? ORCH_OK : malformed(err);
    }
    memset(entry, 0, sizeof(*entry));
    if (!decode_name(block) || !decode_object(&block->in, &entry->object) ||
        !reflist_decode(&block->in, &entry->refs)) {
        return malformed(err);
    }
    entry->object.struct_size = (uint32_t)sizeof(entry->object);
    entry->object.name = block->name;
    entry->object.name_len = block->name_len;
    block->left--;
    return ORCH_OK;
}

int32_t catalogue_cursor_new(const uint8_t root[CHUNK_ID_BYTES], tree_fetch fetch, void *ctx,
                             struct catalogue_cursor **out, struct orch_error *err)
{
    struct catalogue_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading the catalogue");
    }
    cursor->fetch = fetch;
    cursor->ctx = ctx;
    int32_t rc = tree_cursor_new(root, fetch, ctx, &cursor->tree, err);
    if (rc != ORCH_OK) {
        free(cursor);
        return rc;
    }
    *out = cursor;
    return ORCH_OK;
}

void catalogue_cursor_free(struct catalogue_cursor *cursor)
{
    if (cursor != NULL) {
        tree_cursor_free(cursor->tree);
        buffer_free(&cursor->bytes);
        buffer_free(&cursor->last_name);
        free(cursor);
    }
}

int32_t catalogue_cursor_seek(struct catalogue_cursor *cursor, const void *name, size_t name_len,
                              struct orch_error *err)
{
    return tree_cursor_seek(cursor->tree, name, name_len, err);
}

static int32_t next_block(struct catalogue_cursor *cursor, bool *more, struct orch_error *err)
{
    struct tree_child child;
    int32_t rc = tree_cursor_next(cursor->tree, &child, more, err);
    if (rc != ORCH_OK || !*more) {
        return rc;
    }
    buffer_clear(&cursor->last_name);
    buffer_append(&cursor->last_name, cursor->block.name, cursor->block.name_len);
    if (cursor->last_name.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for reading the catalogue");
    }
    rc = cursor->fetch(cursor->ctx, child.id, &cursor->bytes, err);
    if (rc == ORCH_OK) {
        rc = catalogue_block_open(&cursor->block, cursor->bytes.data, cursor->bytes.len, err);
    }
    cursor->open = rc == ORCH_OK;
    return rc;
}

int32_t catalogue_cursor_next(struct catalogue_cursor *cursor, struct catalogue_entry *entry,
                              bool *more, struct orch_error *err)
{
    for (;;) {
        if (cursor->open) {
            bool first = cursor->block.name_len == 0;
            int32_t rc = catalogue_block_next(&cursor->block, entry, more, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            if (*more) {
                return !first || tree_key_compare(cursor->last_name.data, cursor->last_name.len,
                                                  cursor->block.name, cursor->block.name_len) < 0
                           ? ORCH_OK
                           : malformed(err);
            }
            cursor->open = false;
        }
        int32_t rc = next_block(cursor, more, err);
        if (rc != ORCH_OK || !*more) {
            return rc;
        }
    }
}
