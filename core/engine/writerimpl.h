/*
 * writerimpl.h: what writer.c and the files of a part_writer share.
 *
 * writer.c       the writer of a run
 * partwriter.c   takes events: order, state, objects and records
 * partstore.c    chunks into frames; objects that did not change
 */
#ifndef CORE_ENGINE_WRITERIMPL_H
#define CORE_ENGINE_WRITERIMPL_H

#include "engine/catalogue.h"
#include "engine/chunk.h"
#include "engine/chunkid.h"
#include "engine/digest.h"
#include "engine/fetch.h"
#include "engine/pipeline.h"
#include "engine/records.h"

struct writer {
    struct repo *repo;
    struct index *index;
    struct pipeline *pipeline;
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
    struct catalogue_entry entry; /* the one at hand, when `have` */
    bool have, ended;
};

struct part_writer {
    struct writer *writer;
    enum part_state state;
    struct pipeline_owner owner;
    struct pipeline_frame *frames[2]; /* open: data, meta; NULL: none */
    uint32_t frame_profile;           /* of the open data frame */

    struct chunk_cutter *cutter;
    struct reflist_writer *content; /* of the present object, or of a huge value */
    struct reflist_writer *key;     /* of a huge key */
    struct reflist_writer *target;  /* where the cutter's chunks go */
    struct catalogue_writer *catalogue;
    struct records_writer *records; /* NULL before the first record */

    struct orch_object object; /* the present one; pointers into the buffers */
    struct buffer name, meta;
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
/* Before an object or value of this profile: frames hold one profile each, unless they are small.
 */
int32_t partstore_profile(struct part_writer *part, uint32_t profile,
                          struct orch_error *err) ORCH_CHECKED;
/* Hands over the frames that are open. */
int32_t partstore_flush(struct part_writer *part, struct orch_error *err) ORCH_CHECKED;

/* Finds the object in the earlier part and gives its size and references, all of which the index
 * has. They are valid until the next call. */
int32_t partearlier_find(struct part_writer *part, const struct orch_object *object,
                         uint64_t *size_bytes, struct reflist *refs,
                         struct orch_error *err) ORCH_CHECKED;
void partearlier_clear(struct part_earlier *earlier);

#endif
