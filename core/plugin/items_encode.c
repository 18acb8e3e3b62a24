/* items_encode.c: see items.h. */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/buffer.h"
#include "plugin/coarse.h"
#include "plugin/items.h"
#include "plugin/items_format.h"

/* A block that is not full goes out after this time, so that a slow source shows life. */
#define FLUSH_AFTER_MS 500
/* Below this a block is turned rather than giving a reader small scraps of it. */
#define RESERVE_MIN 4096u
/* Unchanged items go out in smaller blocks, some hundred to each: both sides go through them at the
 * pace of their walks, and neither shall wait until the other has thousands together. */
#define UNCHANGED_BYTES (64u * 1024u)

struct items_encoder {
    struct items_blocks blocks;
    uint8_t *block;
    size_t pos, size;
    size_t digested; /* bytes of this block that the digest has seen */
    XXH3_state_t *digest;
    int64_t flushed_ms;
    bool in_item, in_record, ended;
    uint64_t value_left;
    size_t reserved; /* 0: nothing is reserved */
    struct items_totals totals;
};

int32_t items_encoder_new(const struct items_blocks *blocks, struct items_encoder **out,
                          struct orch_error *err)
{
    struct items_encoder *encoder = calloc(1, sizeof(*encoder));
    XXH3_state_t *digest = XXH3_createState();
    if (encoder == NULL || digest == NULL) {
        free(encoder);
        (void)XXH3_freeState(digest);
        return orch_fail(err, ORCH_E_NOMEM, "no memory to send items");
    }
    (void)XXH3_64bits_reset(digest);
    encoder->blocks = *blocks;
    encoder->digest = digest;
    encoder->flushed_ms = coarse_ms();
    *out = encoder;
    return ORCH_OK;
}

void items_encoder_free(struct items_encoder *encoder)
{
    if (encoder != NULL) {
        (void)XXH3_freeState(encoder->digest);
        free(encoder);
    }
}

/* What is digested is what was handed over, whatever becomes of the memory afterwards. */
static void digest_pending(struct items_encoder *e)
{
    if (e->pos > e->digested) {
        (void)XXH3_64bits_update(e->digest, e->block + e->digested, e->pos - e->digested);
        e->digested = e->pos;
    }
}

static size_t close_block(struct items_encoder *e)
{
    digest_pending(e);
    size_t used = e->pos;
    e->pos = e->digested = e->size = 0;
    e->reserved = 0;
    e->flushed_ms = coarse_ms();
    return used;
}

static int32_t turn(struct items_encoder *e, struct orch_error *err)
{
    size_t used = close_block(e);
    return e->blocks.turn(e->blocks.ctx, used, &e->block, &e->size, err);
}

int32_t items_flush(struct items_encoder *e, struct orch_error *err)
{
    if (e->pos == 0) {
        return ORCH_OK;
    }
    size_t used = close_block(e);
    return e->blocks.turn(e->blocks.ctx, used, NULL, NULL, err);
}

static int32_t append(struct items_encoder *e, const void *data, size_t len, struct orch_error *err)
{
    const uint8_t *p = data;
    while (len > 0) {
        if (e->pos == e->size) {
            int32_t rc = turn(e, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
        size_t room = e->size - e->pos;
        size_t n = len < room ? len : room;
        memcpy(e->block + e->pos, p, n);
        e->pos += n;
        p += n;
        len -= n;
    }
    return ORCH_OK;
}

static int32_t may_begin(const struct items_encoder *e, const char *what, struct orch_error *err)
{
    if (e->ended) {
        return orch_fail(err, ORCH_E_INVALID, "%s after the end of the stream", what);
    }
    if (e->in_item) {
        return orch_fail(err, ORCH_E_INVALID,
                         "%s while the item before it is still open: call end_item() first", what);
    }
    return ORCH_OK;
}

static int32_t put_object(struct items_encoder *e, uint8_t tag, const struct orch_object *o,
                          struct orch_error *err)
{
    int32_t rc = may_begin(e, "an object was begun", err);
    if (rc == ORCH_OK) {
        rc = items_check_object(o, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    uint8_t head[1 + ITEMS_OBJECT_FIXED];
    head[0] = tag;
    items_pack_object(o, head + 1);
    rc = append(e, head, sizeof(head), err);
    if (rc == ORCH_OK) {
        rc = append(e, o->name, o->name_len, err);
    }
    if (rc == ORCH_OK) {
        rc = append(e, o->meta, o->meta_len, err);
    }
    e->totals.items++;
    return rc;
}

int32_t items_put_object(struct items_encoder *e, const struct orch_object *object,
                         struct orch_error *err)
{
    int32_t rc = put_object(e, ITEMS_TAG_OBJECT, object, err);
    e->in_item = rc == ORCH_OK;
    e->in_record = false;
    return rc;
}

int32_t items_put_unchanged(struct items_encoder *e, const struct orch_object *object,
                            struct orch_error *err)
{
    int32_t rc = put_object(e, ITEMS_TAG_UNCHANGED, object, err);
    if (rc == ORCH_OK) {
        e->totals.unchanged++;
    }
    return rc == ORCH_OK && e->pos >= UNCHANGED_BYTES ? items_flush(e, err) : rc;
}

int32_t items_put_record(struct items_encoder *e, const struct orch_record *r,
                         struct orch_error *err)
{
    int32_t rc = may_begin(e, "a record was begun", err);
    if (rc == ORCH_OK) {
        rc = items_check_record(r, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    uint8_t head[1 + ITEMS_RECORD_FIXED];
    head[0] = ITEMS_TAG_RECORD;
    items_pack_record(r, head + 1);
    rc = append(e, head, sizeof(head), err);
    if (rc == ORCH_OK) {
        rc = append(e, r->key, r->key_len, err);
    }
    if (rc == ORCH_OK) {
        rc = append(e, r->extra, r->extra_len, err);
    }
    e->totals.items++;
    e->in_item = rc == ORCH_OK;
    e->in_record = true;
    e->value_left = r->value_len;
    return rc;
}

static int32_t may_send(const struct items_encoder *e, uint64_t len, struct orch_error *err)
{
    if (!e->in_item) {
        return orch_fail(err, ORCH_E_INVALID,
                         "data outside an item: call object() or record() first");
    }
    if (e->in_record && len > e->value_left) {
        return orch_fail(err, ORCH_E_INVALID,
                         "a record got more data than its value_len said: %llu bytes too many",
                         (unsigned long long)(len - e->value_left));
    }
    return ORCH_OK;
}

static int32_t make_room(struct items_encoder *e, uint64_t want, struct orch_error *err)
{
    size_t room = e->size - e->pos;
    uint64_t least = want == 0 || want > RESERVE_MIN ? RESERVE_MIN : want;
    if (room < ITEMS_DATA_HEADER + least) {
        return turn(e, err);
    }
    return ORCH_OK;
}

int32_t items_reserve(struct items_encoder *e, uint64_t want, void **space, uint64_t *len,
                      struct orch_error *err)
{
    int32_t rc = may_send(e, 0, err);
    if (rc == ORCH_OK && e->in_record && e->value_left == 0) {
        rc = orch_fail(err, ORCH_E_INVALID, "the record has all the data that value_len said");
    }
    if (rc == ORCH_OK) {
        rc = make_room(e, want, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    /* From here on the plugin holds a pointer into the block: pin what lies before it. */
    digest_pending(e);
    uint64_t room = e->size - e->pos - ITEMS_DATA_HEADER;
    if (want != 0 && want < room) {
        room = want;
    }
    if (e->in_record && e->value_left < room) {
        room = e->value_left;
    }
    e->reserved = (size_t)room;
    *space = e->block + e->pos + ITEMS_DATA_HEADER;
    *len = room;
    return ORCH_OK;
}

static int32_t flush_when_old(struct items_encoder *e, struct orch_error *err)
{
    if (e->pos > 0 && coarse_ms() - e->flushed_ms >= FLUSH_AFTER_MS) {
        return items_flush(e, err);
    }
    return ORCH_OK;
}

int32_t items_commit(struct items_encoder *e, uint64_t len, struct orch_error *err)
{
    int32_t rc = may_send(e, len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (len > e->reserved) {
        return orch_fail(err, ORCH_E_INVALID,
                         "commit() of %llu bytes, but %zu are reserved: call reserve() before each",
                         (unsigned long long)len, e->reserved);
    }
    e->reserved = 0;
    if (len == 0) {
        return ORCH_OK;
    }
    e->block[e->pos] = ITEMS_TAG_DATA;
    put_le32(e->block + e->pos + 1, (uint32_t)len);
    e->pos += ITEMS_DATA_HEADER + (size_t)len;
    digest_pending(e);
    e->totals.bytes += len;
    e->value_left -= e->in_record ? len : 0;
    return flush_when_old(e, err);
}

int32_t items_write(struct items_encoder *e, const void *data, uint64_t len, struct orch_error *err)
{
    int32_t rc = may_send(e, len, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    const uint8_t *p = data;
    uint64_t left = len;
    while (left > 0) {
        if (e->size - e->pos <= ITEMS_DATA_HEADER) {
            rc = turn(e, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
        size_t room = e->size - e->pos - ITEMS_DATA_HEADER;
        size_t n = left < room ? (size_t)left : room;
        e->block[e->pos] = ITEMS_TAG_DATA;
        put_le32(e->block + e->pos + 1, (uint32_t)n);
        memcpy(e->block + e->pos + ITEMS_DATA_HEADER, p, n);
        e->pos += ITEMS_DATA_HEADER + n;
        p += n;
        left -= n;
    }
    e->reserved = 0;
    e->totals.bytes += len;
    e->value_left -= e->in_record ? len : 0;
    return ORCH_OK;
}

int32_t items_put_hole(struct items_encoder *e, uint64_t len, struct orch_error *err)
{
    int32_t rc = may_send(e, 0, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (e->in_record) {
        return orch_fail(err, ORCH_E_INVALID, "a hole in a record: only objects have holes");
    }
    if (len == 0) {
        return ORCH_OK;
    }
    if (len > ITEMS_CONTENT_MAX - e->totals.bytes) {
        return orch_fail(err, ORCH_E_INVALID, "a hole of %llu bytes is past what can be counted",
                         (unsigned long long)len);
    }
    uint8_t item[9];
    item[0] = ITEMS_TAG_HOLE;
    put_le64(item + 1, len);
    e->totals.bytes += len;
    return append(e, item, sizeof(item), err);
}

int32_t items_end_item(struct items_encoder *e, struct orch_error *err)
{
    int32_t rc = may_send(e, 0, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (e->in_record && e->value_left > 0) {
        return orch_fail(err, ORCH_E_INVALID,
                         "a record was ended with %llu bytes less than its value_len said",
                         (unsigned long long)e->value_left);
    }
    uint8_t tag = ITEMS_TAG_ITEM_END;
    e->in_item = false;
    rc = append(e, &tag, 1, err);
    return rc == ORCH_OK ? flush_when_old(e, err) : rc;
}

int32_t items_end(struct items_encoder *e, struct orch_error *err)
{
    int32_t rc = may_begin(e, "the stream was ended", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    uint8_t item[25];
    item[0] = ITEMS_TAG_END;
    put_le64(item + 1, e->totals.items);
    put_le64(item + 9, e->totals.unchanged);
    put_le64(item + 17, e->totals.bytes);
    rc = append(e, item, sizeof(item), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    e->ended = true;
    return items_flush(e, err);
}

bool items_open(const struct items_encoder *e)
{
    return e->in_item;
}

void items_totals(const struct items_encoder *e, struct items_totals *totals)
{
    *totals = e->totals;
    totals->digest = XXH3_64bits_digest(e->digest);
}
