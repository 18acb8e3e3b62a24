/*
 * partlog.c: objects as they come, while the ids of their chunks are still being computed.
 *
 * Chunks are cut straight into a frame, the one that is being filled. A full one goes to the
 * hasher. What came between the chunks (the beginning and the end of objects, holes, objects that
 * did not change) is noted in a log, and played, in order, once the ids are there: only then is it
 * known which chunks are new. New ones stay in their frame and move together; the others are
 * forgotten; what is left of the frame is stored (partstore_adopt).
 */
#include <string.h>

#include "engine/writerimpl.h"

/* Without chunks that fill a frame, the log would grow: then a frame goes as it is. */
#define LOG_MAX ((size_t)1 << 20)

enum op_type { OP_BEGIN, OP_CHUNK, OP_HOLE, OP_END, OP_UNCHANGED };

/* In the log: this, and behind OP_BEGIN and OP_UNCHANGED the object, its name, its metadata. */
struct op {
    uint64_t type;
    uint64_t len; /* OP_HOLE */
};

/* ---- playing ------------------------------------------------------------------------------- */

static struct pipeline_frame *oldest(const struct part_log *log)
{
    return log->hashing[log->first];
}

/* Whether the next chunk's id is there. */
static bool has_id(struct part_writer *part, bool wait)
{
    struct part_log *log = &part->log;
    if (!log->hashed && log->hashing_count > 0) {
        log->hashed = hasher_done(part->writer->hasher, oldest(log), wait);
    }
    return log->hashed;
}

/* Every chunk of the oldest frame has been played: what is new in it is stored. */
static int32_t settle(struct part_writer *part, struct orch_error *err)
{
    struct part_log *log = &part->log;
    struct pipeline_frame *frame = oldest(log);
    frame->count = log->kept;
    frame->len = log->kept_len;
    log->first = (log->first + 1) % PART_HASHING_MAX;
    log->hashing_count--;
    log->hashed = false;
    log->played = log->played_len = log->kept = log->kept_len = 0;
    return partstore_adopt(part, frame, err);
}

/* Takes the next chunk of the oldest frame on, and moves it to the front when it is new. */
static int32_t claim_chunk(struct part_writer *part, struct ref *ref, struct orch_error *err)
{
    struct part_log *log = &part->log;
    struct pipeline_frame *frame = oldest(log);
    struct pack_chunk chunk = frame->chunks[log->played++];
    bool is_new = false;
    *ref = (struct ref){.len = chunk.len};
    memcpy(ref->id, chunk.id, CHUNK_ID_BYTES);
    int32_t rc = index_claim(part->writer->index, chunk.id, &is_new, err);
    if (rc == ORCH_OK && is_new) {
        if (log->kept_len != log->played_len) {
            memmove(frame->plain + log->kept_len, frame->plain + log->played_len, chunk.len);
        }
        frame->chunks[log->kept++] = chunk;
        log->kept_len += chunk.len;
        part->stats.bytes_new += chunk.len;
    } else if (rc == ORCH_OK) {
        part->stats.bytes_reused += chunk.len;
    }
    log->played_len += chunk.len;
    return rc;
}

static int32_t play_chunk(struct part_writer *part, struct orch_error *err)
{
    struct part_log *log = &part->log;
    struct ref ref;
    int32_t rc = claim_chunk(part, &ref, err);
    if (rc == ORCH_OK) {
        rc = partobject_add(part, &ref, err);
    }
    return rc == ORCH_OK && log->played == oldest(log)->count ? settle(part, err) : rc;
}

/* Plays the op at `at`, and gives the bytes that it takes in the log. */
static int32_t play_op(struct part_writer *part, const struct op *op, const uint8_t *at,
                       size_t *bytes, struct orch_error *err)
{
    struct orch_object object;
    struct ref hole = {.hole = true, .len = op->len};
    *bytes = sizeof(*op);
    switch ((enum op_type)op->type) {
    case OP_CHUNK:
        return play_chunk(part, err);
    case OP_HOLE:
        return partobject_add(part, &hole, err);
    case OP_END:
        return partobject_end(part, err);
    default:
        break;
    }
    memcpy(&object, at + sizeof(*op), sizeof(object));
    object.name = at + sizeof(*op) + sizeof(object);
    object.meta = object.name + object.name_len;
    *bytes += sizeof(object) + object.name_len + object.meta_len;
    return op->type == OP_BEGIN ? partobject_begin(part, &object, err)
                                : partobject_unchanged(part, &object, err);
}

/* Plays on as long as ids are there; with `wait`, until the log has come to its end or the frame
 * that is being filled. */
static int32_t play(struct part_writer *part, bool wait, struct orch_error *err)
{
    struct part_log *log = &part->log;
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK && log->at < log->ops.len) {
        const uint8_t *at = log->ops.data + log->at;
        struct op op;
        size_t bytes = 0;
        memcpy(&op, at, sizeof(op));
        if (op.type == OP_CHUNK && !has_id(part, wait)) {
            break;
        }
        rc = play_op(part, &op, at, &bytes, err);
        log->at += bytes;
    }
    size_t left = log->ops.len - log->at;
    if (log->at > 0 && log->at >= left) { /* moving costs no more than what was played */
        memmove(log->ops.data, log->ops.data + log->at, left);
        log->ops.len = left;
        log->at = 0;
    }
    return rc;
}

/* ---- noting -------------------------------------------------------------------------------- */

/* Hands the frame that is being filled to the hasher. Between chunks only. */
static int32_t hand_over(struct part_writer *part, struct orch_error *err)
{
    struct part_log *log = &part->log;
    if (log->filling == NULL || log->filling->count == 0) {
        return ORCH_OK;
    }
    if (log->hashing_count == PART_HASHING_MAX) {
        (void)has_id(part, true);
        int32_t rc = play(part, false, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    size_t place = (log->first + log->hashing_count++) % PART_HASHING_MAX;
    log->hashing[place] = log->filling;
    log->filling = NULL;
    hasher_submit(part->writer->hasher, log->hashing[place]);
    return ORCH_OK;
}

int32_t partlog_drain(struct part_writer *part, struct orch_error *err)
{
    int32_t rc = hand_over(part, err);
    return rc == ORCH_OK ? play(part, true, err) : rc;
}

/* What is noted while no chunk waits for its id is played at once. */
static int32_t noted(struct part_writer *part, struct orch_error *err)
{
    struct part_log *log = &part->log;
    if (log->ops.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the content of a component");
    }
    bool chunks = log->hashing_count > 0 || (log->filling != NULL && log->filling->count > 0);
    return chunks ? ORCH_OK : play(part, false, err);
}

static void note(struct part_log *log, enum op_type type, uint64_t len)
{
    struct op op = {.type = type, .len = len};
    buffer_append(&log->ops, &op, sizeof(op));
}

static int32_t note_object(struct part_writer *part, enum op_type type,
                           const struct orch_object *object, struct orch_error *err)
{
    struct part_log *log = &part->log;
    if (log->ops.len - log->at > LOG_MAX) {
        int32_t rc = partlog_drain(part, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    note(log, type, 0);
    buffer_append(&log->ops, object, sizeof(*object));
    buffer_append(&log->ops, object->name, object->name_len);
    buffer_append(&log->ops, object->meta, object->meta_len);
    return noted(part, err);
}

int32_t partlog_unchanged(struct part_writer *part, const struct orch_object *object,
                          struct orch_error *err)
{
    return note_object(part, OP_UNCHANGED, object, err);
}

int32_t partlog_begin(struct part_writer *part, const struct orch_object *object,
                      struct orch_error *err)
{
    struct part_log *log = &part->log;
    int32_t rc = ORCH_OK;
    if (log->filling != NULL && log->filling->profile != object->profile) {
        if (log->filling->len >= PARTSTORE_PROFILE_MIN) {
            rc = hand_over(part, err);
        } else {
            log->filling->profile = object->profile;
        }
    }
    chunk_cutter_start(part->cutter, object->profile, object->row_bytes, object->row_offset);
    log->profile = object->profile;
    return rc == ORCH_OK ? note_object(part, OP_BEGIN, object, err) : rc;
}

/* The bytes behind the last chunk are one. */
static int32_t end_chunk(struct part_writer *part, struct orch_error *err)
{
    struct part_log *log = &part->log;
    struct pipeline_frame *frame = log->filling;
    if (log->unfinished == 0) {
        return ORCH_OK;
    }
    frame->chunks[frame->count++].len = (uint32_t)log->unfinished;
    frame->len += log->unfinished;
    log->unfinished = 0;
    note(log, OP_CHUNK, 0);
    if (log->ops.failed) {
        return noted(part, err);
    }
    bool full = frame->len >= FRAME_TARGET_DATA || frame->count == FRAME_CHUNKS_MAX;
    return full ? hand_over(part, err) : ORCH_OK;
}

int32_t partlog_data(struct part_writer *part, const uint8_t *data, size_t len,
                     struct orch_error *err)
{
    struct part_log *log = &part->log;
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK && len > 0) {
        if (log->filling == NULL) {
            rc = pipeline_take(part->writer->pipeline, PACK_DATA, &part->owner, &log->filling, err);
            if (rc != ORCH_OK) {
                return rc;
            }
            log->filling->profile = log->profile;
        }
        /* A frame is sent on when it has come to its target: a whole chunk more has room in it. */
        bool cut = false;
        size_t step = chunk_cutter_step(part->cutter, data, len, &cut);
        memcpy(log->filling->plain + log->filling->len + log->unfinished, data, step);
        log->unfinished += step;
        data += step;
        len -= step;
        rc = cut ? end_chunk(part, err) : ORCH_OK;
    }
    return rc;
}

int32_t partlog_hole(struct part_writer *part, uint64_t len, struct orch_error *err)
{
    int32_t rc = end_chunk(part, err);
    chunk_cutter_end(part->cutter);
    chunk_cutter_skip(part->cutter, len);
    if (rc != ORCH_OK) {
        return rc;
    }
    note(&part->log, OP_HOLE, len);
    return noted(part, err);
}

int32_t partlog_end(struct part_writer *part, struct orch_error *err)
{
    int32_t rc = end_chunk(part, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    note(&part->log, OP_END, 0);
    return noted(part, err);
}

void partlog_clear(struct part_writer *part)
{
    struct part_log *log = &part->log;
    /* What was found to be new, others may rely on: it is stored. So is the rest, for the next run.
     */
    while (log->hashing_count > 0) {
        (void)has_id(part, true);
        struct ref ref;
        int32_t rc = ORCH_OK;
        while (rc == ORCH_OK && log->played < oldest(log)->count) {
            rc = claim_chunk(part, &ref, NULL);
        }
        rc = settle(part, NULL);
        (void)rc; /* the pipeline has failed, and says so itself */
    }
    if (log->filling != NULL) {
        log->filling->count = log->filling->len = 0;
        pipeline_return(part->writer->pipeline, log->filling);
        log->filling = NULL;
    }
    buffer_free(&log->ops);
}
