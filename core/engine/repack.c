/*
 * repack.c: copies what is needed out of some packs into new ones; see repack.h.
 *
 * Frames are filled by hand and handed to a pipeline of our own: to a writer, every one of these
 * chunks would be known already. Chunks stay in their order, and each kind of pack stays apart.
 */
#include "engine/repack.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/chunkid.h"
#include "engine/packreader.h"
#include "engine/pipeline.h"

struct repack {
    struct repo *repo;
    struct index *index;
    const struct usage *usage;
    struct packreader *reader;
    struct pipeline *pipeline;
    struct pipeline_owner owner;
    struct pipeline_frame *frames[2]; /* open: data, meta; NULL: none */
    struct chunkid hash;
    uint8_t *sealed, *plain;
    bool (*stop)(void *ctx);
    void *ctx;
    struct repack_result *result;
};

static int32_t submit(struct repack *repack, size_t slot, struct orch_error *err)
{
    struct pipeline_frame *frame = repack->frames[slot];
    repack->frames[slot] = NULL;
    return frame == NULL ? ORCH_OK : pipeline_submit(repack->pipeline, frame, err);
}

static int32_t put_chunk(struct repack *repack, uint32_t kind, const struct pack_chunk *chunk,
                         const uint8_t *data, struct orch_error *err)
{
    size_t slot = kind == PACK_META ? 1 : 0;
    struct pipeline_frame *frame = repack->frames[slot];
    int32_t rc = ORCH_OK;
    if (frame != NULL &&
        (frame->len + chunk->len > FRAME_PLAIN_MAX || frame->count == FRAME_CHUNKS_MAX)) {
        rc = submit(repack, slot, err);
    }
    if (rc == ORCH_OK && repack->frames[slot] == NULL) {
        rc = pipeline_take(repack->pipeline, kind, &repack->owner, &repack->frames[slot], err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    frame = repack->frames[slot];
    memcpy(frame->plain + frame->len, data, chunk->len);
    frame->chunks[frame->count++] = *chunk;
    frame->len += chunk->len;
    repack->result->chunks++;
    size_t target = kind == PACK_META ? FRAME_TARGET_META : FRAME_TARGET_DATA;
    return frame->len >= target ? submit(repack, slot, err) : ORCH_OK;
}

/* Reads a frame and checks those of its chunks that are needed; `first_place` is its first chunk's.
 */
static int32_t read_frame(struct repack *repack, const struct pack_table *table, size_t number,
                          uint64_t first_place, struct orch_error *err)
{
    const struct pack_frame *frame = &table->frames[number];
    struct chunk_location place = {.frame_offset = frame->offset,
                                   .frame_len = frame->sealed_len,
                                   .plain_len = frame->plain_len,
                                   .frame_number = (uint32_t)number,
                                   .len = frame->plain_len,
                                   .codec = frame->codec};
    char name[PACK_NAME_BYTES];
    memcpy(place.pack, table->id, PACK_ID_BYTES);
    pack_name(table->id, name);
    int32_t rc = packreader_check_place(&place, err);
    if (rc == ORCH_OK) {
        rc = storage_get(repo_storage(repack->repo), name, frame->offset, repack->sealed,
                         frame->sealed_len, err);
    }
    if (rc == ORCH_OK) {
        repack->result->bytes_read += frame->sealed_len;
        rc = packreader_open(repack->reader, &place, repack->sealed, repack->plain, err);
    }
    uint32_t offset = 0;
    for (uint32_t i = 0; rc == ORCH_OK && i < frame->chunk_count; i++) {
        const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + i];
        uint8_t id[CHUNK_ID_BYTES];
        if (usage_needs(repack->usage, first_place + i)) {
            chunkid_of(&repack->hash, repack->plain + offset, chunk->len, id);
            if (memcmp(id, chunk->id, CHUNK_ID_BYTES) != 0) {
                rc = orch_fail(err, ORCH_E_CORRUPT, "%s, frame %zu: a chunk has other content",
                               name, number);
            }
        }
        offset += chunk->len;
    }
    return rc;
}

static bool frame_is_needed(const struct repack *repack, const struct pack_frame *frame,
                            uint64_t first_place)
{
    bool needed = false;
    for (uint32_t i = 0; !needed && i < frame->chunk_count; i++) {
        needed = usage_needs(repack->usage, first_place + i);
    }
    return needed;
}

/* *readable: false when the pack is to be passed over, and `err` says why; other failures end the
 * whole. */
static int32_t copy_frame(struct repack *repack, const struct pack_table *table, size_t number,
                          uint64_t first_place, bool *readable, struct orch_error *err)
{
    const struct pack_frame *frame = &table->frames[number];
    if (!frame_is_needed(repack, frame, first_place)) {
        return ORCH_OK;
    }
    int32_t rc = read_frame(repack, table, number, first_place, err);
    if (rc != ORCH_OK) {
        *readable = false;
        return rc == ORCH_E_NOMEM ? rc : ORCH_OK;
    }
    uint32_t offset = 0;
    for (uint32_t i = 0; rc == ORCH_OK && i < frame->chunk_count; i++) {
        const struct pack_chunk *chunk = &table->chunks[frame->first_chunk + i];
        if (usage_needs(repack->usage, first_place + i)) {
            rc = put_chunk(repack, table->kind, chunk, repack->plain + offset, err);
        }
        offset += chunk->len;
    }
    return rc;
}

/* The table of a pack, as the index knows it too. */
static int32_t load_table(struct packreader *reader, const struct index_pack *pack,
                          struct pack_table *table, struct orch_error *err)
{
    int32_t rc = packreader_table(reader, pack->id, pack->size_bytes, table, err);
    if (rc == ORCH_OK &&
        (table->chunk_count != pack->chunk_count || table->frame_count != pack->frame_count)) {
        char name[PACK_NAME_BYTES];
        pack_name(pack->id, name);
        rc = orch_fail(err, ORCH_E_CORRUPT, "%s: its footer and the index do not tell the same",
                       name);
    }
    return rc;
}

static int32_t copy_pack(struct repack *repack, size_t number, bool *copied, struct orch_error *err)
{
    struct index_pack pack;
    struct pack_table table = {.frame_count = 0};
    struct orch_error why = ORCH_ERROR_INIT;
    uint64_t chunks_before = repack->result->chunks;
    *copied = false;
    if (!index_pack_at(repack->index, number, &pack) || pack.gone) {
        return ORCH_OK;
    }
    int32_t rc = load_table(repack->reader, &pack, &table, &why);
    bool readable = rc == ORCH_OK;
    if (rc != ORCH_E_NOMEM) {
        rc = ORCH_OK;
    }
    for (size_t i = 0; rc == ORCH_OK && readable && i < table.frame_count; i++) {
        if (repack->stop != NULL && repack->stop(repack->ctx)) {
            rc = orch_fail(&why, ORCH_E_CANCELLED, "it was stopped while packs were rewritten");
        } else {
            rc = copy_frame(repack, &table, i, pack.first_place + table.frames[i].first_chunk,
                            &readable, &why);
        }
    }
    pack_table_clear(&table);
    if (rc == ORCH_OK && !readable) {
        log_warning("repack", "a pack stays as it is: %s", why.message);
    }
    if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    *copied = rc == ORCH_OK && readable &&
              repack->result->chunks - chunks_before == usage_of_pack(repack->usage, number).chunks;
    repack->result->packs += *copied;
    return rc;
}

static int32_t copy_all(struct repack *repack, const size_t *numbers, size_t count, bool *copied,
                        struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        bool ignored = false;
        rc = copy_pack(repack, numbers[i], copied == NULL ? &ignored : &copied[i], err);
    }
    for (size_t slot = 0; slot < 2; slot++) { /* also after a failure: frames go back */
        int32_t handed = submit(repack, slot, rc == ORCH_OK ? err : NULL);
        rc = rc == ORCH_OK ? handed : rc;
    }
    return rc == ORCH_OK ? pipeline_finish(repack->pipeline, err) : rc;
}

int32_t repack_run(struct repo *repo, struct index *index, const struct usage *usage,
                   const size_t *numbers, size_t count, const struct writer_options *options,
                   bool (*stop)(void *ctx), void *ctx, bool *copied, struct repack_result *result,
                   struct orch_error *err)
{
    struct repack repack = {
        .repo = repo, .index = index, .usage = usage, .stop = stop, .ctx = ctx, .result = result};
    memset(result, 0, sizeof(*result));
    if (copied != NULL) {
        memset(copied, 0, count * sizeof(*copied));
    }
    if (count == 0) {
        return ORCH_OK;
    }
    chunkid_init(&repack.hash, repo_keys(repo));
    CLEANUP_FREE uint8_t *sealed = malloc(FRAME_SEALED_MAX);
    CLEANUP_FREE uint8_t *plain = malloc(FRAME_PLAIN_MAX);
    repack.sealed = sealed;
    repack.plain = plain;
    int32_t rc = sealed == NULL || plain == NULL
                     ? orch_fail(err, ORCH_E_NOMEM, "no memory for rewriting packs")
                     : packreader_new(repo, &repack.reader, err);
    if (rc == ORCH_OK) {
        rc = pipeline_new(repo, index, options, &repack.pipeline, err);
    }
    if (rc == ORCH_OK) {
        rc = copy_all(&repack, numbers, count, copied, err);
        result->bytes_stored = pipeline_stored_bytes(repack.pipeline);
    }
    if (rc != ORCH_OK && copied != NULL) {
        memset(copied, 0, count * sizeof(*copied)); /* what is not stored for sure is not copied */
    }
    pipeline_free(repack.pipeline);
    packreader_free(repack.reader);
    return rc;
}

static int32_t verify_pack(struct packreader *reader, struct index *index,
                           const struct usage *usage, size_t number, bool *good,
                           struct orch_error *err)
{
    struct index_pack pack;
    struct pack_table table = {.frame_count = 0};
    struct orch_error why = ORCH_ERROR_INIT;
    *good = index_pack_at(index, number, &pack) && !pack.gone;
    int32_t rc = *good ? load_table(reader, &pack, &table, &why) : ORCH_OK;
    if (rc != ORCH_OK && rc != ORCH_E_NOMEM) { /* another prune may have deleted it */
        log_warning("repack", "a pack that was copied cannot be read any more: %s", why.message);
        *good = false;
        rc = ORCH_OK;
    } else if (rc != ORCH_OK && err != NULL) {
        *err = why;
    }
    for (size_t i = 0; rc == ORCH_OK && *good && i < table.chunk_count; i++) {
        struct chunk_location place;
        *good = !usage_needs(usage, pack.first_place + i) ||
                (index_find(index, table.chunks[i].id, &place) == ORCH_OK &&
                 !index_shunned(index, place.pack_number));
    }
    pack_table_clear(&table);
    return rc;
}

int32_t repack_verify(struct repo *repo, struct index *index, const struct usage *usage,
                      const size_t *numbers, size_t count, bool *good, struct orch_error *err)
{
    struct packreader *reader = NULL;
    int32_t rc = packreader_new(repo, &reader, err);
    for (size_t i = 0; rc == ORCH_OK && i < count; i++) {
        rc = verify_pack(reader, index, usage, numbers[i], &good[i], err);
    }
    packreader_free(reader);
    return rc;
}
