/*
 * partstore.c: chunks of a part into frames; see writerimpl.h. Those of objects come in frames
 * already (partlog.c); nodes of trees, and keys and values of records, come one by one and are
 * hashed here.
 */
#include <string.h>

#include "engine/writerimpl.h"

static size_t slot_of(uint32_t kind)
{
    return kind == PACK_META ? 1 : 0;
}

static int32_t submit(struct part_writer *part, size_t slot, struct orch_error *err)
{
    struct pipeline_frame *frame = part->frames[slot];
    if (frame == NULL) {
        return ORCH_OK;
    }
    part->frames[slot] = NULL;
    return pipeline_submit(part->writer->pipeline, frame, err);
}

int32_t partstore_flush(struct part_writer *part, struct orch_error *err)
{
    int32_t rc = submit(part, 0, err);
    int32_t meta = submit(part, 1, rc == ORCH_OK ? err : NULL);
    return rc != ORCH_OK ? rc : meta;
}

/* Whether the chunks of `frame` go into `open`: where one of them is small, and of one profile. */
static bool belong_together(const struct pipeline_frame *open, const struct pipeline_frame *frame)
{
    bool small = open->len < PARTSTORE_PROFILE_MIN ||
                 (frame->len < PARTSTORE_PROFILE_MIN && open->profile == frame->profile);
    return small && open->len + frame->len <= FRAME_PLAIN_MAX &&
           open->count + frame->count <= FRAME_CHUNKS_MAX;
}

int32_t partstore_adopt(struct part_writer *part, struct pipeline_frame *frame,
                        struct orch_error *err)
{
    struct pipeline_frame *open = part->frames[0];
    int32_t rc = ORCH_OK;
    if (frame->count > 0 && open != NULL && !belong_together(open, frame)) {
        rc = submit(part, 0, err);
        open = NULL;
    }
    if (frame->count > 0 && open == NULL) {
        part->frames[0] = open = frame;
    } else if (frame->count > 0) {
        memcpy(open->plain + open->len, frame->plain, frame->len);
        memcpy(open->chunks + open->count, frame->chunks, frame->count * sizeof(*frame->chunks));
        open->len += frame->len;
        open->count += frame->count;
        open->profile = frame->profile;
    }
    if (open != frame) {
        pipeline_return(part->writer->pipeline, frame);
    }
    return rc == ORCH_OK && open != NULL && open->len >= FRAME_TARGET_DATA ? submit(part, 0, err)
                                                                           : rc;
}

/*
 * The bytes go into the frame first and are hashed there, where nobody else can change them; when
 * the chunk is known already, they are forgotten again.
 */
static int32_t store(struct part_writer *part, uint32_t kind, const void *data, size_t len,
                     uint8_t id[CHUNK_ID_BYTES], bool *is_new, struct orch_error *err)
{
    struct writer *writer = part->writer;
    size_t slot = slot_of(kind);
    struct pipeline_frame *frame = part->frames[slot];
    int32_t rc = ORCH_OK;
    if (len == 0 || len > FRAME_CHUNK_MAX) {
        return orch_fail(err, ORCH_E_INVALID, "a chunk of %zu bytes cannot be stored", len);
    }
    if (frame != NULL && (frame->len + len > FRAME_PLAIN_MAX || frame->count == FRAME_CHUNKS_MAX)) {
        rc = submit(part, slot, err);
    }
    if (rc == ORCH_OK && part->frames[slot] == NULL) {
        rc = pipeline_take(writer->pipeline, kind, &part->owner, &part->frames[slot], err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    frame = part->frames[slot];
    uint8_t *place = frame->plain + frame->len;
    memcpy(place, data, len);
    chunkid_of(&writer->hash, place, len, id);
    rc = index_claim(writer->index, id, is_new, err);
    if (rc != ORCH_OK || !*is_new) {
        return rc;
    }
    struct pack_chunk *chunk = &frame->chunks[frame->count++];
    memcpy(chunk->id, id, CHUNK_ID_BYTES);
    chunk->len = (uint32_t)len;
    frame->len += len;
    size_t target = kind == PACK_META ? FRAME_TARGET_META : FRAME_TARGET_DATA;
    return frame->len >= target ? submit(part, slot, err) : ORCH_OK;
}

int32_t partstore_data(struct part_writer *part, const void *data, size_t len,
                       uint8_t id[CHUNK_ID_BYTES], struct orch_error *err)
{
    bool is_new = false;
    int32_t rc = store(part, PACK_DATA, data, len, id, &is_new, err);
    if (is_new) {
        part->stats.bytes_new += len;
    } else {
        part->stats.bytes_reused += len;
    }
    return rc;
}

int32_t partstore_block(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                        struct orch_error *err)
{
    return partstore_data(ctx, data, len, id, err);
}

int32_t partstore_node(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                       struct orch_error *err)
{
    bool is_new = false;
    return store(ctx, PACK_META, data, len, id, &is_new, err);
}

int32_t partstore_cut(void *ctx, const uint8_t *data, size_t len, struct orch_error *err)
{
    struct part_writer *part = ctx;
    struct ref ref = {.len = len};
    int32_t rc = partstore_data(part, data, len, ref.id, err);
    return rc == ORCH_OK ? reflist_writer_add(part->target, &ref, err) : rc;
}
