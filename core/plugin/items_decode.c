/* items_decode.c: see items.h. */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/buffer.h"
#include "plugin/items.h"
#include "plugin/items_format.h"

enum state {
    STATE_TAG,
    STATE_FIXED,    /* the fixed part of the item `tag` */
    STATE_VARIABLE, /* name and metadata, or key and extra */
    STATE_DATA,
    STATE_ENDED,
};

struct items_decoder {
    enum state state;
    uint8_t tag;
    const uint8_t *data; /* the piece, from where we are */
    size_t len;
    uint8_t fixed[ITEMS_FIXED_MAX];
    size_t fixed_have, fixed_want;
    size_t variable_want;
    struct buffer variable; /* assembles what lies in several pieces */
    struct orch_object object;
    struct orch_record record;
    uint32_t data_left;
    bool in_item, in_record;
    uint64_t value_left;
    XXH3_state_t *digest;
    struct items_totals totals;
};

int32_t items_decoder_new(struct items_decoder **out, struct orch_error *err)
{
    struct items_decoder *decoder = calloc(1, sizeof(*decoder));
    XXH3_state_t *digest = XXH3_createState();
    if (decoder == NULL || digest == NULL) {
        free(decoder);
        (void)XXH3_freeState(digest);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to receive items");
    }
    (void)XXH3_64bits_reset(digest);
    decoder->digest = digest;
    *out = decoder;
    return ORCH_OK;
}

void items_decoder_free(struct items_decoder *decoder)
{
    if (decoder != NULL) {
        buffer_free(&decoder->variable);
        (void)XXH3_freeState(decoder->digest);
        free(decoder);
    }
}

void items_feed(struct items_decoder *d, const uint8_t *data, size_t len)
{
    (void)XXH3_64bits_update(d->digest, data, len);
    d->data = data;
    d->len = len;
}

static const uint8_t *advance(struct items_decoder *d, size_t n)
{
    const uint8_t *p = d->data;
    d->data += n;
    d->len -= n;
    return p;
}

/* ---- one step per state: 1 event, 0 more bytes, 2 go on, or a failure ---- */

#define GO_ON 2

static int32_t broken(struct orch_error *err, const char *what)
{
    return orch_fail(err, ORCH_E_PROTOCOL, "the stream of items breaks its rules: %s", what);
}

static int32_t end_item(struct items_decoder *d, struct orch_event *event, struct orch_error *err)
{
    if (!d->in_item) {
        return broken(err, "an item was ended that was not begun");
    }
    if (d->in_record && d->value_left > 0) {
        return broken(err, "a record has less data than it announced");
    }
    d->in_item = false;
    event->type = ORCH_EVENT_ITEM_END;
    return 1;
}

static int32_t step_tag(struct items_decoder *d, struct orch_event *event, struct orch_error *err)
{
    d->tag = *advance(d, 1);
    d->fixed_have = 0;
    d->state = STATE_FIXED;
    switch (d->tag) {
    case ITEMS_TAG_ITEM_END:
        d->state = STATE_TAG;
        return end_item(d, event, err);
    case ITEMS_TAG_DATA:
    case ITEMS_TAG_HOLE:
        if (!d->in_item) {
            return broken(err, "data outside an item");
        }
        d->fixed_want = d->tag == ITEMS_TAG_DATA ? 4 : 8;
        return GO_ON;
    case ITEMS_TAG_OBJECT:
    case ITEMS_TAG_UNCHANGED:
    case ITEMS_TAG_RECORD:
    case ITEMS_TAG_END:
        if (d->in_item) {
            return broken(err, "a new item or the end inside an item");
        }
        d->fixed_want = d->tag == ITEMS_TAG_RECORD ? ITEMS_RECORD_FIXED
                        : d->tag == ITEMS_TAG_END  ? ITEMS_END_FIXED
                                                   : ITEMS_OBJECT_FIXED;
        return GO_ON;
    default:
        return broken(err, "an unknown tag");
    }
}

static int32_t take_data(struct items_decoder *d, uint64_t len, struct orch_error *err)
{
    if (len == 0) {
        return broken(err, "a run of data of no bytes");
    }
    if (d->in_record && len > d->value_left) {
        return broken(err, "a record has more data than it announced");
    }
    if (len > ITEMS_CONTENT_MAX - d->totals.bytes) {
        return broken(err, "more content than can be counted");
    }
    d->value_left -= d->in_record ? len : 0;
    d->totals.bytes += len;
    return GO_ON;
}

static int32_t fixed_end(struct items_decoder *d, const uint8_t *p, struct orch_event *event,
                         struct orch_error *err)
{
    if (get_le64(p) != d->totals.items || get_le64(p + 8) != d->totals.unchanged ||
        get_le64(p + 16) != d->totals.bytes) {
        return broken(err, "its end names other counts than what came");
    }
    if (d->len > 0) {
        return broken(err, "bytes after its end");
    }
    d->state = STATE_ENDED;
    event->type = ORCH_EVENT_END;
    return 1;
}

static int32_t fixed_done(struct items_decoder *d, const uint8_t *p, struct orch_event *event,
                          struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    switch (d->tag) {
    case ITEMS_TAG_DATA:
        d->data_left = get_le32(p);
        d->state = STATE_DATA;
        return take_data(d, d->data_left, err);
    case ITEMS_TAG_HOLE:
        if (d->in_record) {
            return broken(err, "a hole in a record");
        }
        d->state = STATE_TAG;
        event->type = ORCH_EVENT_HOLE;
        event->data = NULL;
        event->data_len = get_le64(p);
        rc = take_data(d, event->data_len, err);
        return rc == GO_ON ? 1 : rc;
    case ITEMS_TAG_END:
        return fixed_end(d, p, event, err);
    case ITEMS_TAG_RECORD:
        items_unpack_record(p, &d->record);
        rc = items_check_record(&d->record, err);
        d->variable_want = (size_t)d->record.key_len + d->record.extra_len;
        break;
    default:
        items_unpack_object(p, &d->object);
        rc = items_check_object(&d->object, err);
        d->variable_want = (size_t)d->object.name_len + d->object.meta_len;
        break;
    }
    if (rc != ORCH_OK) {
        (void)orch_wrap(err, "the stream of items breaks its rules");
        if (err != NULL) {
            err->code = ORCH_E_PROTOCOL;
        }
        return ORCH_E_PROTOCOL;
    }
    if (d->variable.capacity > ITEMS_META_MAX) {
        buffer_free(&d->variable); /* one huge key does not hold its memory for the whole job */
    }
    buffer_clear(&d->variable);
    d->state = STATE_VARIABLE;
    return GO_ON;
}

static int32_t step_fixed(struct items_decoder *d, struct orch_event *event, struct orch_error *err)
{
    if (d->fixed_have == 0 && d->len >= d->fixed_want) {
        return fixed_done(d, advance(d, d->fixed_want), event, err);
    }
    size_t missing = d->fixed_want - d->fixed_have;
    size_t n = d->len < missing ? d->len : missing;
    memcpy(d->fixed + d->fixed_have, advance(d, n), n);
    d->fixed_have += n;
    if (d->fixed_have < d->fixed_want) {
        return 0;
    }
    return fixed_done(d, d->fixed, event, err);
}

static int32_t variable_done(struct items_decoder *d, const uint8_t *p, struct orch_event *event)
{
    d->state = STATE_TAG;
    d->totals.items++;
    d->in_item = d->tag != ITEMS_TAG_UNCHANGED;
    d->in_record = d->tag == ITEMS_TAG_RECORD;
    if (d->in_record) {
        d->value_left = d->record.value_len;
        event->type = ORCH_EVENT_RECORD;
        event->record = d->record;
        event->record.key = p;
        event->record.extra = d->record.extra_len > 0 ? p + d->record.key_len : NULL;
        return 1;
    }
    d->totals.unchanged += d->tag == ITEMS_TAG_UNCHANGED ? 1 : 0;
    event->type = d->tag == ITEMS_TAG_UNCHANGED ? EVENT_UNCHANGED : ORCH_EVENT_OBJECT;
    event->object = d->object;
    event->object.name = p;
    event->object.meta = d->object.meta_len > 0 ? p + d->object.name_len : NULL;
    return 1;
}

static int32_t step_variable(struct items_decoder *d, struct orch_event *event,
                             struct orch_error *err)
{
    static const uint8_t nothing[1] = {0};
    if (d->variable_want == 0) {
        return variable_done(d, nothing, event);
    }
    if (d->variable.len == 0 && d->len >= d->variable_want) {
        return variable_done(d, advance(d, d->variable_want), event);
    }
    /* Grows with what has come, not with what was announced. */
    size_t missing = d->variable_want - d->variable.len;
    size_t n = d->len < missing ? d->len : missing;
    buffer_append(&d->variable, advance(d, n), n);
    if (d->variable.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a name or key of %zu bytes",
                         d->variable_want);
    }
    if (d->variable.len < d->variable_want) {
        return 0;
    }
    return variable_done(d, d->variable.data, event);
}

static int32_t step_data(struct items_decoder *d, struct orch_event *event)
{
    size_t n = d->len < d->data_left ? d->len : d->data_left;
    event->type = ORCH_EVENT_DATA;
    event->data = advance(d, n);
    event->data_len = n;
    d->data_left -= (uint32_t)n;
    if (d->data_left == 0) {
        d->state = STATE_TAG;
    }
    return 1;
}

int32_t items_next(struct items_decoder *d, struct orch_event *event, struct orch_error *err)
{
    event->struct_size = (uint32_t)sizeof(*event);
    for (;;) {
        int32_t rc = GO_ON;
        if (d->len == 0 && !(d->state == STATE_VARIABLE && d->variable_want == 0)) {
            return 0;
        }
        switch (d->state) {
        case STATE_TAG:
            rc = step_tag(d, event, err);
            break;
        case STATE_FIXED:
            rc = step_fixed(d, event, err);
            break;
        case STATE_VARIABLE:
            rc = step_variable(d, event, err);
            break;
        case STATE_DATA:
            rc = step_data(d, event);
            break;
        case STATE_ENDED:
            rc = broken(err, "bytes after its end");
            break;
        }
        if (rc != GO_ON) {
            return rc;
        }
    }
}

bool items_decoder_ended(const struct items_decoder *d)
{
    return d->state == STATE_ENDED;
}

void items_decoder_totals(const struct items_decoder *d, struct items_totals *totals)
{
    *totals = d->totals;
    totals->digest = XXH3_64bits_digest(d->digest);
}
