/*
 * writerimpl.h: what writer.c and the files of a part_writer share.
 *
 * writer.c       the writer of a run
 * partwriter.c   takes events: order, state, records
 * partlog.c      objects, while the ids of their chunks are being computed
 * partobject.c   objects whose content is known, into the catalogue
 * partearlier.c  objects that did not change
 * partstore.c    chunks into frames
 */
#ifndef CORE_ENGINE_WRITERIMPL_H
#define CORE_ENGINE_WRITERIMPL_H

#include "engine/catalogue.h"
#include "engine/chunk.h"
#include "engine/chunkid.h"
#include "engine/content.h"
#include "engine/digest.h"
#include "engine/fetch.h"
#include "engine/hasher.h"
#include "engine/pipeline.h"
#include "engine/records.h"

struct writer {
    struct repo *repo;
    struct index *index;
    struct pipeline *pipeline;
    struct hasher *hasher;
    struct chunkid hash;
    struct chunk_gear gear;
    bool finished;
};

enum part_state { PART_IDLE, PART_OBJECT, PART_RECORD, PART_ENDED, PART_BROKEN };

/* The objects of the earlier part, in step with ours. Made when first needed. */
struct part_earlier {
    const struct part *part; /* NULL: there is none */
    struct fetch *fetch;
    struct catalogue_cursor *cursor;
    struct catalogue_entry entry;  /* the one at hand, when `have` */
    uint64_t number;               /* of the entry that comes next */
    struct content_reader *reader; /* NULL: every chunk is looked up */
    bool have, ended;
};

/* The object that is being put into the catalogue; its pointers go into the buffers. */
struct part_object {
    struct orch_object object;
    struct buffer name, meta;
};

/* Frames of one part that are with the hasher or wait to be played. */
#define PART_HASHING_MAX 12u

/* Objects that came and are not in the catalogue yet; see partlog.c. */
struct part_log {
    struct buffer ops;
    size_t at; /* what comes next in `ops` */
    uint32_t profile;
    struct pipeline_frame *filling; /* chunks that are cut; NULL: none */
    size_t unfinished;              /* bytes behind filling->len: of a chunk that goes on */
    struct pipeline_frame *hashing[PART_HASHING_MAX]; /* a ring */
    size_t first, hashing_count;
    bool hashed; /* the oldest has its ids */
    /* Of the oldest: chunks and bytes that are played, and new ones among them, which have moved to
     * the front. */
    size_t played, played_len, kept, kept_len;
};

struct part_writer {
    struct writer *writer;
    enum part_state state;
    struct pipeline_owner owner;
    struct pipeline_frame *frames[2]; /* open: data, meta; NULL: none */
    struct part_log log;
    struct part_object now;

    struct chunk_cutter *cutter;
    struct reflist_writer *content; /* of the present object, or of a huge value */
    struct reflist_writer *key;     /* of a huge key */
    struct reflist_writer *target;  /* where the cutter's chunks of keys and values go */
    struct catalogue_writer *catalogue;
    struct records_writer *records; /* NULL before the first record */

    struct buffer name;   /* of the object that came last */
    uint64_t object_size; /* and what of it has come */
    struct record_entry record;
    struct buffer record_key, record_extra, value;
    uint64_t value_left;

    struct part_earlier earlier;
    struct digest *digest;
    struct part_stats stats;
    uint64_t objects, object_bytes;
};

/* Stores a chunk of objects or values, or finds that it is there; counts it. */
int32_t partstore_data(struct part_writer *part, const void *data, size_t len,
                       uint8_t id[CHUNK_ID_BYTES], struct orch_error *err) ORCH_CHECKED;
/* The same as functions for trees and blocks; `ctx` is the part_writer. */
int32_t partstore_block(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                        struct orch_error *err) ORCH_CHECKED;
int32_t partstore_node(void *ctx, const void *data, size_t len, uint8_t id[CHUNK_ID_BYTES],
                       struct orch_error *err) ORCH_CHECKED;
/* Takes chunks from the cutter into part->target. */
int32_t partstore_cut(void *ctx, const uint8_t *data, size_t len,
                      struct orch_error *err) ORCH_CHECKED;
/* Frames hold chunks of one profile, unless they are smaller than this. */
#define PARTSTORE_PROFILE_MIN (256u << 10)
/* Takes over a frame of new chunks, or of none. */
int32_t partstore_adopt(struct part_writer *part, struct pipeline_frame *frame,
                        struct orch_error *err) ORCH_CHECKED;
/* Hands over the frames that are open. */
int32_t partstore_flush(struct part_writer *part, struct orch_error *err) ORCH_CHECKED;

/* Objects as they come: begin, { data | hole }, end; or unchanged. */
int32_t partlog_begin(struct part_writer *part, const struct orch_object *object,
                      struct orch_error *err) ORCH_CHECKED;
int32_t partlog_data(struct part_writer *part, const uint8_t *data, size_t len,
                     struct orch_error *err) ORCH_CHECKED;
int32_t partlog_hole(struct part_writer *part, uint64_t len, struct orch_error *err) ORCH_CHECKED;
int32_t partlog_end(struct part_writer *part, struct orch_error *err) ORCH_CHECKED;
int32_t partlog_unchanged(struct part_writer *part, const struct orch_object *object,
                          struct orch_error *err) ORCH_CHECKED;
/* Between objects: everything that came is in the catalogue. */
int32_t partlog_drain(struct part_writer *part, struct orch_error *err) ORCH_CHECKED;
/* Gives up what is not played; the frames are out of the hasher's hands. */
void partlog_clear(struct part_writer *part);

/* Objects whose content is known: begin, add, end; or unchanged. */
int32_t partobject_begin(struct part_writer *part, const struct orch_object *object,
                         struct orch_error *err) ORCH_CHECKED;
int32_t partobject_add(struct part_writer *part, const struct ref *ref,
                       struct orch_error *err) ORCH_CHECKED;
int32_t partobject_end(struct part_writer *part, struct orch_error *err) ORCH_CHECKED;
int32_t partobject_unchanged(struct part_writer *part, const struct orch_object *object,
                             struct orch_error *err) ORCH_CHECKED;

/* Finds the object in the earlier part and gives its size and references, all of which the index
 * has. They are valid until the next call. */
int32_t partearlier_find(struct part_writer *part, const struct orch_object *object,
                         uint64_t *size_bytes, struct reflist *refs,
                         struct orch_error *err) ORCH_CHECKED;
void partearlier_clear(struct part_earlier *earlier);

#endif
