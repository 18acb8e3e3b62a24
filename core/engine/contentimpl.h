/*
 * contentimpl.h: what the files of the content reader share.
 *
 * content.c        delivers events
 * contentahead.c   walks ahead and asks for chunks
 * contentobject.c  reads one object
 * contentgaps.c    which objects are not whole
 */
#ifndef CORE_ENGINE_CONTENTIMPL_H
#define CORE_ENGINE_CONTENTIMPL_H

#include <pthread.h>

#include "engine/catalogue.h"
#include "engine/digest.h"
#include "engine/fetch.h"
#include "engine/prefetch.h"
#include "engine/records.h"

/* A walk over the chunks of objects, then over the blocks of records, in the order of delivery. */
struct contentahead {
    const struct part *part;
    struct fetch *meta;
    struct catalogue_cursor *objects; /* NULL: through with them */
    struct catalogue_entry entry;
    bool in_object;
    struct reflist_cursor refs;
    struct tree_cursor *blocks;
    size_t layer;
    bool ended;
    struct orch_error error; /* why it ended, when that was damage */
};

int32_t contentahead_init(struct contentahead *ahead, const struct part *part, struct fetch *meta,
                          struct orch_error *err) ORCH_CHECKED;
void contentahead_clear(struct contentahead *ahead);
/* Asks for chunks while there is room. ORCH_OK: one at least is under way. */
int32_t contentahead_fill(struct contentahead *ahead, struct prefetch *data,
                          struct orch_error *err) ORCH_CHECKED;

/* More objects that are not whole are not remembered: then nothing is known of what comes later. */
#define CONTENTGAPS_MAX ((size_t)1 << 20)

struct contentgaps {
    pthread_mutex_t lock;
    uint64_t judged;   /* objects */
    uint64_t *numbers; /* of those that are not whole, ascending */
    size_t count, capacity;
    size_t passed; /* that were asked about */
};

void contentgaps_init(struct contentgaps *gaps);
void contentgaps_clear(struct contentgaps *gaps);
/* Object `number`, from 0 and in order, is whole or not. */
void contentgaps_judge(struct contentgaps *gaps, uint64_t number, bool whole);

enum content_state {
    CONTENT_OBJECTS, /* between objects */
    CONTENT_OBJECT,
    CONTENT_BLOCKS, /* between records */
    CONTENT_RECORD,
    CONTENT_END,
    CONTENT_OVER
};

struct content_reader {
    struct repo *repo;
    struct index *index;
    const struct part *part;
    uint32_t flags;
    enum content_state state;
    struct fetch *meta;      /* catalogue and lists, for both walks */
    struct prefetch *data;   /* NULL: entries only */
    struct prefetch *values; /* of values in chunks of their own; made when first needed */
    struct contentahead ahead;
    struct catalogue_cursor *objects;
    struct catalogue_entry entry;
    struct reflist_cursor refs; /* of the present object or value */
    struct reflist_cursor value_ahead;
    uint64_t left; /* bytes of the present item */
    size_t layer;
    struct tree_cursor *blocks;
    bool block_open;
    struct records_block block;
    struct record_entry record;
    struct buffer key;
    struct digest *digest;
    uint64_t object_count, record_count;
    struct contentgaps gaps; /* CONTENT_FOR_EARLIER */
};

#endif
