/* packtable.c: the table of a pack's frames and chunks; see pack.h. */
#include "engine/pack.h"

#include <stdlib.h>
#include <string.h>

#include "engine/frame.h"

void pack_table_clear(struct pack_table *table)
{
    free(table->frames);
    free(table->chunks);
    memset(table, 0, sizeof(*table));
}

/* Room for `more` elements of `size` bytes behind `count`. */
static int32_t grow(void **array, size_t *capacity, size_t count, size_t more, size_t size,
                    struct orch_error *err)
{
    if (*capacity - count >= more) {
        return ORCH_OK;
    }
    size_t wanted = *capacity < 64 ? 64 : *capacity;
    while (wanted - count < more) {
        wanted *= 2;
    }
    void *grown = reallocarray(*array, wanted, size);
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the table of a pack");
    }
    *array = grown;
    *capacity = wanted;
    return ORCH_OK;
}

static int32_t grow_frames(struct pack_table *table, struct orch_error *err)
{
    void *frames = table->frames;
    int32_t rc =
        grow(&frames, &table->frame_capacity, table->frame_count, 1, sizeof(*table->frames), err);
    table->frames = frames;
    return rc;
}

static int32_t grow_chunks(struct pack_table *table, size_t more, struct orch_error *err)
{
    void *chunks = table->chunks;
    int32_t rc = grow(&chunks, &table->chunk_capacity, table->chunk_count, more,
                      sizeof(*table->chunks), err);
    table->chunks = chunks;
    return rc;
}

uint64_t pack_table_end(const struct pack_table *table)
{
    if (table->frame_count == 0) {
        return PACK_HEADER_BYTES;
    }
    const struct pack_frame *last = &table->frames[table->frame_count - 1];
    return last->offset + last->sealed_len;
}

int32_t pack_table_add(struct pack_table *table, uint32_t sealed_len, uint32_t plain_len,
                       uint32_t codec, const struct pack_chunk *chunks, size_t count,
                       struct orch_error *err)
{
    int32_t rc = grow_frames(table, err);
    if (rc != ORCH_OK || (rc = grow_chunks(table, count, err)) != ORCH_OK) {
        return rc;
    }
    memcpy(table->chunks + table->chunk_count, chunks, count * sizeof(*chunks));
    table->frames[table->frame_count] = (struct pack_frame){
        .offset = pack_table_end(table),
        .sealed_len = sealed_len,
        .plain_len = plain_len,
        .codec = codec,
        .chunk_count = (uint32_t)count,
        .first_chunk = table->chunk_count,
    };
    table->frame_count++;
    table->chunk_count += count;
    return ORCH_OK;
}

void pack_table_encode(const struct pack_table *table, struct buffer *out)
{
    buffer_varint(out, table->frame_count);
    for (size_t i = 0; i < table->frame_count; i++) {
        const struct pack_frame *frame = &table->frames[i];
        buffer_varint(out, frame->sealed_len);
        buffer_varint(out, frame->plain_len);
        buffer_u8(out, (uint8_t)frame->codec);
        buffer_varint(out, frame->chunk_count);
        for (uint32_t j = 0; j < frame->chunk_count; j++) {
            const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + j];
            buffer_append(out, chunk->id, sizeof(chunk->id));
            buffer_varint(out, chunk->len);
        }
    }
}

static int32_t malformed(struct orch_error *err)
{
    return orch_fail(err, ORCH_E_CORRUPT, "the table of a pack's frames is malformed");
}

static int32_t decode_frame(struct pack_table *table, struct reader *in, struct orch_error *err)
{
    int32_t rc = grow_frames(table, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    uint64_t sealed_len = reader_varint(in);
    uint64_t plain_len = reader_varint(in);
    uint8_t codec = reader_u8(in);
    uint64_t count = reader_varint(in);
    if (in->failed || sealed_len <= SEAL_TAG_BYTES || sealed_len > FRAME_SEALED_MAX ||
        plain_len == 0 || plain_len > FRAME_PLAIN_MAX || count == 0 || count > FRAME_CHUNKS_MAX ||
        count > reader_left(in) / (CHUNK_ID_BYTES + 1)) {
        return malformed(err);
    }
    if ((rc = grow_chunks(table, (size_t)count, err)) != ORCH_OK) {
        return rc;
    }
    struct pack_frame frame = {.offset = pack_table_end(table),
                               .sealed_len = (uint32_t)sealed_len,
                               .plain_len = (uint32_t)plain_len,
                               .codec = codec,
                               .chunk_count = (uint32_t)count,
                               .first_chunk = table->chunk_count};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *id = reader_take(in, CHUNK_ID_BYTES);
        uint64_t len = reader_varint(in);
        if (in->failed || len == 0 || len > FRAME_CHUNK_MAX) {
            return malformed(err);
        }
        struct pack_chunk *chunk = &table->chunks[table->chunk_count++];
        memcpy(chunk->id, id, CHUNK_ID_BYTES);
        chunk->len = (uint32_t)len;
        sum += len;
    }
    if (sum != plain_len) {
        return malformed(err);
    }
    table->frames[table->frame_count++] = frame;
    return ORCH_OK;
}

int32_t pack_table_decode(struct pack_table *table, struct reader *in, struct orch_error *err)
{
    uint64_t frames = reader_varint(in);
    if (in->failed || frames > reader_left(in)) {
        return malformed(err);
    }
    for (uint64_t i = 0; i < frames; i++) {
        int32_t rc = decode_frame(table, in, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}
