/* recorder.c: see recorder.h. */
#include "recorder.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *copy(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    uint8_t *out = malloc(a_len + b_len + 1);
    if (out != NULL && a_len > 0) {
        memcpy(out, a, a_len);
    }
    if (out != NULL && b_len > 0) {
        memcpy(out + a_len, b, b_len);
    }
    return out;
}

static void keep(struct recorder *r, const struct orch_event *event)
{
    struct recorded *e = &r->events[r->count++];
    *e = (struct recorded){.type = event->type};
    switch (event->type) {
    case ORCH_EVENT_OBJECT:
    case EVENT_UNCHANGED:
        e->object = event->object;
        e->bytes = copy(e->object.name, e->object.name_len, e->object.meta, e->object.meta_len);
        e->object.name = e->bytes;
        e->object.meta = e->object.meta_len > 0 ? e->bytes + e->object.name_len : NULL;
        r->objects += event->type == ORCH_EVENT_OBJECT ? 1 : 0;
        r->unchanged += event->type == EVENT_UNCHANGED ? 1 : 0;
        break;
    case ORCH_EVENT_RECORD:
        e->record = event->record;
        e->bytes = copy(e->record.key, e->record.key_len, e->record.extra, e->record.extra_len);
        e->record.key = e->bytes;
        e->record.extra = e->bytes + e->record.key_len;
        r->records++;
        break;
    case ORCH_EVENT_DATA:
        e->len = event->data_len;
        e->bytes = copy(event->data, event->data_len, NULL, 0);
        r->bytes += e->len;
        for (uint64_t i = 0; r->expect != 0 && i < e->len; i++) {
            r->wrong += e->bytes[i] != r->expect ? 1 : 0;
        }
        break;
    case ORCH_EVENT_HOLE:
        e->len = event->data_len;
        r->bytes += e->len;
        break;
    case ORCH_EVENT_END:
        r->ended = true;
        break;
    default:
        break;
    }
}

static int32_t put(void *ctx, const struct orch_event *event, struct orch_error *err)
{
    struct recorder *r = ctx;
    if (r->ended) {
        return orch_fail(err, ORCH_E_FAILED, "an event after END");
    }
    if (r->fail_after > 0 && r->count >= r->fail_after) {
        return orch_fail(err, ORCH_E_NO_SPACE, "the repository is full");
    }
    if (r->count == 0 && r->block_ms > 0) {
        (void)poll(NULL, 0, r->block_ms); /* how a host that is slow looks to the worker */
    }
    if (r->count == r->capacity) {
        r->capacity = r->capacity == 0 ? 256 : 2 * r->capacity;
        struct recorded *grown = realloc(r->events, r->capacity * sizeof(*grown));
        if (grown == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory");
        }
        r->events = grown;
    }
    keep(r, event);
    return ORCH_OK;
}

struct event_sink recorder_sink(struct recorder *recorder)
{
    return (struct event_sink){.ctx = recorder, .put = put};
}

static int32_t next(void *ctx, struct orch_event *event, struct orch_error *err)
{
    struct recorder *r = ctx;
    if (r->fail_after > 0 && r->at >= r->fail_after) {
        return orch_fail(err, ORCH_E_CORRUPT, "a chunk is damaged");
    }
    *event = (struct orch_event){.struct_size = sizeof(*event), .type = ORCH_EVENT_END};
    if (r->at < r->count) {
        const struct recorded *e = &r->events[r->at++];
        event->type = e->type == EVENT_UNCHANGED ? ORCH_EVENT_OBJECT : e->type;
        event->object = e->object;
        event->record = e->record;
        event->data = e->bytes;
        event->data_len = e->len;
    }
    return ORCH_OK;
}

struct event_source recorder_source(struct recorder *recorder)
{
    recorder->at = 0;
    return (struct event_source){.ctx = recorder, .next = next};
}

void recorder_free(struct recorder *recorder)
{
    for (size_t i = 0; i < recorder->count; i++) {
        free(recorder->events[i].bytes);
    }
    free(recorder->events);
    *recorder = (struct recorder){0};
}

/* Everything in one run of bytes in which the cuts of data do not show. */
static void flatten(const struct recorder *r, struct buffer *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct recorded *e = &r->events[i];
        if (e->type != ORCH_EVENT_DATA) {
            buffer_u32(out, e->type);
        }
        switch (e->type) {
        case ORCH_EVENT_OBJECT:
        case EVENT_UNCHANGED:
            buffer_append(out, e->bytes, e->object.name_len + e->object.meta_len);
            buffer_u32(out, e->object.flags ^ e->object.profile << 8 ^ e->object.kind << 16);
            buffer_u64(out, e->object.size_bytes);
            buffer_u64(out, (uint64_t)e->object.mtime_ns);
            buffer_u64(out, e->object.row_offset + e->object.row_bytes);
            buffer_append(out, &e->object.token, sizeof(e->object.token));
            break;
        case ORCH_EVENT_RECORD:
            buffer_append(out, e->bytes, (size_t)e->record.key_len + e->record.extra_len);
            buffer_u32(out, e->record.type);
            buffer_u32(out, e->record.space);
            buffer_u64(out, e->record.value_len);
            buffer_u64(out, (uint64_t)e->record.expires_ms);
            break;
        case ORCH_EVENT_DATA:
            buffer_append(out, e->bytes, e->len);
            break;
        default:
            buffer_u64(out, e->len);
            break;
        }
    }
}

bool recorder_same(const struct recorder *a, const struct recorder *b)
{
    CLEANUP_BUFFER struct buffer x = BUFFER_INIT;
    CLEANUP_BUFFER struct buffer y = BUFFER_INIT;
    flatten(a, &x);
    flatten(b, &y);
    return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}
