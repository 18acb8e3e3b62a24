/* records.c: see records.h. */
#include "engine/records.h"

#include <stdlib.h>
#include <string.h>

#include "engine/catalogue.h"

#define BLOCK_HEADER_BYTES 8
#define BLOCK_MIN (256u << 10)
#define BLOCK_MAX (512u << 10)
#define BLOCK_CUT_MASK (UINT64_C(0x3f) << 58)

#define BIT_KEY_REFS 1u
#define BIT_VALUE_REFS 2u
#define BIT_EXPIRES 4u
#define BIT_EXTRA 8u

struct records_writer {
    tree_store store;
    void *ctx;
    struct tree_writer *tree;
    struct buffer block;
    uint32_t count;
    uint64_t bytes;
    uint64_t all_records, all_bytes;
};

static int32_t no_memory(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_NOMEM, "no memory for a layer of records");
}

int32_t records_writer_new(tree_store store_block, tree_store store_node, void *ctx,
                           struct records_writer **out, struct orch_error *err)
{
    struct records_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return no_memory(err);
    }
    writer->store = store_block;
    writer->ctx = ctx;
    int32_t rc = tree_writer_new(false, store_node, ctx, &writer->tree, err);
    if (rc != ORCH_OK) {
        free(writer);
        return rc;
    }
    *out = writer;
    return ORCH_OK;
}

void records_writer_free(struct records_writer *writer)
{
    if (writer != NULL) {
        tree_writer_free(writer->tree);
        buffer_free(&writer->block);
        free(writer);
    }
}

static int32_t close_block(struct records_writer *writer, struct orch_error *err)
{
    if (writer->count == 0) {
        return ORCH_OK;
    }
    put_le32(writer->block.data + 4, writer->count);
    struct tree_child child = {
        .len = (uint32_t)writer->block.len, .items = writer->count, .bytes = writer->bytes};
    int32_t rc = writer->store(writer->ctx, writer->block.data, writer->block.len, child.id, err);
    writer->count = 0;
    writer->bytes = 0;
    return rc == ORCH_OK ? tree_writer_add(writer->tree, &child, err) : rc;
}

static void encode(struct buffer *out, const struct record_entry *entry)
{
    const struct orch_record *record = &entry->record;
    unsigned bits = (entry->key_by_refs ? BIT_KEY_REFS : 0) |
                    (entry->value_by_refs ? BIT_VALUE_REFS : 0) |
                    (record->expires_ms != ORCH_NO_EXPIRY ? BIT_EXPIRES : 0) |
                    (record->extra_len > 0 ? BIT_EXTRA : 0);
    buffer_varint(out, record->type);
    buffer_varint(out, record->space);
    buffer_u8(out, (uint8_t)bits);
    buffer_varint(out, record->key_len);
    if (entry->key_by_refs) {
        reflist_encode(out, &entry->key_refs);
    } else {
        buffer_append(out, record->key, record->key_len);
    }
    if ((bits & BIT_EXPIRES) != 0) {
        buffer_u64(out, (uint64_t)record->expires_ms);
    }
    if ((bits & BIT_EXTRA) != 0) {
        buffer_bytes(out, record->extra, record->extra_len);
    }
    buffer_varint(out, record->value_len);
    if (entry->value_by_refs) {
        reflist_encode(out, &entry->value_refs);
    } else {
        buffer_append(out, entry->value, (size_t)record->value_len);
    }
}

int32_t records_writer_add(struct records_writer *writer, const struct record_entry *entry,
                           struct orch_error *err)
{
    const struct orch_record *record = &entry->record;
    if (writer->count == 0) {
        static const uint8_t header[BLOCK_HEADER_BYTES] = {'R', 1};
        buffer_clear(&writer->block);
        buffer_append(&writer->block, header, sizeof(header));
    }
    encode(&writer->block, entry);
    if (writer->block.failed) {
        return no_memory(err);
    }
    writer->count++;
    writer->bytes += record->key_len + record->value_len;
    writer->all_records++;
    writer->all_bytes += record->key_len + record->value_len;
    bool cut = writer->block.len >= BLOCK_MAX;
    if (!cut && writer->block.len >= BLOCK_MIN) {
        uint8_t space[4];
        put_le32(space, record->space);
        uint64_t hash = catalogue_hash(CATALOGUE_HASH_START, space, sizeof(space));
        hash = catalogue_hash(hash, record->key, entry->key_by_refs ? 0 : record->key_len);
        cut = (hash & BLOCK_CUT_MASK) == 0;
    }
    return cut ? close_block(writer, err) : ORCH_OK;
}

int32_t records_writer_finish(struct records_writer *writer, struct part_layer *layer,
                              struct orch_error *err)
{
    int32_t rc = close_block(writer, err);
    layer->records = writer->all_records;
    layer->bytes = writer->all_bytes;
    return rc == ORCH_OK ? tree_writer_finish(writer->tree, layer->root, err) : rc;
}

static int32_t malformed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "a block of records is malformed");
}

int32_t records_block_open(struct records_block *block, const void *data, size_t len,
                           struct orch_error *err)
{
    block->in = reader_over(data, len);
    uint8_t kind = reader_u8(&block->in);
    uint8_t version = reader_u8(&block->in);
    uint16_t order = reader_u16(&block->in);
    block->left = reader_u32(&block->in);
    if (block->in.failed || kind != 'R') {
        return malformed(err);
    }
    if (version != 1 || order != 0) {
        return orch_fail(err, ORCH_E_VERSION,
                         "a block of records has format %u and order %u, not known here", version,
                         order);
    }
    return ORCH_OK;
}

static bool decode_key(struct reader *in, struct record_entry *entry, uint64_t key_len)
{
    if (key_len > RECORDS_KEY_MAX) {
        return false;
    }
    entry->record.key_len = (uint32_t)key_len;
    if (entry->key_by_refs) {
        return reflist_decode(in, &entry->key_refs);
    }
    entry->record.key = reader_take(in, (size_t)key_len);
    return entry->record.key != NULL;
}

int32_t records_block_next(struct records_block *block, struct record_entry *entry, bool *more,
                           struct orch_error *err)
{
    struct reader *in = &block->in;
    *more = block->left > 0;
    if (block->left == 0) {
        return reader_left(in) == 0 && !in->failed ? ORCH_OK : malformed(err);
    }
    memset(entry, 0, sizeof(*entry));
    struct orch_record *record = &entry->record;
    uint64_t type = reader_varint(in);
    uint64_t space = reader_varint(in);
    uint8_t bits = reader_u8(in);
    uint64_t key_len = reader_varint(in);
    if (in->failed || type > UINT32_MAX || space > UINT32_MAX || bits > 15) {
        return malformed(err);
    }
    record->struct_size = (uint32_t)sizeof(*record);
    record->type = (uint32_t)type;
    record->space = (uint32_t)space;
    entry->key_by_refs = (bits & BIT_KEY_REFS) != 0;
    entry->value_by_refs = (bits & BIT_VALUE_REFS) != 0;
    if (!decode_key(in, entry, key_len)) {
        return malformed(err);
    }
    record->expires_ms = (bits & BIT_EXPIRES) != 0 ? (int64_t)reader_u64(in) : ORCH_NO_EXPIRY;
    if ((bits & BIT_EXTRA) != 0) {
        size_t extra_len = 0;
        record->extra = reader_bytes(in, RECORDS_EXTRA_MAX, &extra_len);
        record->extra_len = (uint32_t)extra_len;
    }
    record->value_len = reader_varint(in);
    bool good = !in->failed;
    if (good && entry->value_by_refs) {
        good = reflist_decode(in, &entry->value_refs);
    } else if (good) {
        entry->value =
            record->value_len <= SIZE_MAX ? reader_take(in, (size_t)record->value_len) : NULL;
        good = entry->value != NULL;
    }
    block->left--;
    return good ? ORCH_OK : malformed(err);
}
