/* services_bulk.c: the services that move data: a backup's items out, a restore's events in. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plugin/coarse.h"
#include "plugin/message.h"
#include "plugin/server.h"

/* ---- what the host streams: earlier entries, or the content of a restore ---- */

static int32_t release_block(struct server *server, struct orch_error *err)
{
    if (!server->holding) {
        return ORCH_OK;
    }
    server->holding = false;
    buffer_free(&server->held.payload);
    struct wire_frame frame = {
        .type = WIRE_CREDIT, .stream = server->inbound_stream, .id = server->call_id, .credit = 1};
    atomic_store(&server->sent_ms, coarse_ms());
    return wire_send(server->wire, frame, NULL, 0, -1, err);
}

static int32_t take_block(struct server *server, struct orch_error *err)
{
    int32_t rc = release_block(server, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    (void)pthread_mutex_lock(&server->lock);
    while (server->inbound_count == 0 && !server->closed && !server->have_done &&
           atomic_load(&server->cancelled) == 0) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    bool stop = server->closed || atomic_load(&server->cancelled) != 0;
    bool have = !stop && server->inbound_count > 0;
    if (have) {
        server->held = server->inbound[server->inbound_head];
        server->inbound[server->inbound_head].payload = (struct buffer)BUFFER_INIT;
        server->inbound_head = (server->inbound_head + 1) % SERVER_INBOUND_MAX;
        server->inbound_count--;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (stop) {
        return services_fail_cancelled(err);
    }
    if (!have) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the host ended a stream in its middle");
    }
    server->holding = true;
    bool in_ring = server->ring.base != NULL;
    const uint8_t *data =
        in_ring ? ring_block(&server->ring, server->held.slot) : server->held.payload.data;
    items_feed(server->decoder, data, in_ring ? server->held.size : server->held.payload.len);
    return ORCH_OK;
}

static int32_t inbound_next(struct server *server, struct orch_event *event, struct orch_error *err)
{
    for (;;) {
        int32_t rc = items_next(server->decoder, event, err);
        if (rc != 0) {
            return rc == 1 ? ORCH_OK : rc;
        }
        rc = take_block(server, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

/* ---- backup ---- */

/* Before a service that sends: the right callback, and no failure before. */
static int32_t may_send(struct server *server, const char *service, struct orch_error *err)
{
    if (server->bulk_error.code != ORCH_OK) {
        if (err != NULL) {
            *err = server->bulk_error;
        }
        return server->bulk_error.code;
    }
    if (server->encoder == NULL) {
        return services_only_in(server, service, "backup", err);
    }
    return ORCH_OK;
}

/* Whatever a bulk service ends with; a failure sticks, so that it cannot be overlooked. */
static int32_t sent(struct server *server, int32_t rc, struct orch_error *err)
{
    if (rc != ORCH_OK && server->bulk_error.code == ORCH_OK) {
        if (err != NULL) {
            server->bulk_error = *err;
        }
        server->bulk_error.code = rc;
    }
    return rc;
}

static int compare_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int32_t check_order(struct server *server, const struct orch_object *object,
                           struct orch_error *err)
{
    struct buffer *last = &server->last_name;
    if (object->name == NULL || object->name_len == 0) {
        return orch_fail(err, ORCH_E_INVALID, "an object without name");
    }
    if (last->len > 0 &&
        compare_bytes(object->name, object->name_len, last->data, last->len) <= 0) {
        return orch_fail(err, ORCH_E_INVALID,
                         "objects must come in ascending byte order of their names, each once: "
                         "\"%.*s\" came after \"%.*s\"",
                         (int)(object->name_len < 200 ? object->name_len : 200),
                         (const char *)object->name, (int)(last->len < 200 ? last->len : 200),
                         (const char *)last->data);
    }
    buffer_clear(last);
    buffer_append(last, object->name, object->name_len);
    return last->failed ? orch_fail(err, ORCH_E_NOMEM, "no memory for an object name") : ORCH_OK;
}

/* Moves the walk through the earlier entries on to the first that is not before `object`. */
static int32_t seek_earlier(struct server *server, const struct orch_object *object, bool *found,
                            struct orch_error *err)
{
    *found = false;
    while (!server->earlier_ended) {
        if (server->have_earlier) {
            int order = compare_bytes(server->earlier.object.name, server->earlier.object.name_len,
                                      object->name, object->name_len);
            if (order >= 0) {
                *found = order == 0;
                return ORCH_OK;
            }
        }
        server->have_earlier = false;
        int32_t rc = inbound_next(server, &server->earlier, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        server->have_earlier = server->earlier.type == EVENT_UNCHANGED;
        server->earlier_ended = server->earlier.type == ORCH_EVENT_END;
    }
    return ORCH_OK;
}

static bool same_token(const struct orch_object *a, const struct orch_object *b)
{
    return (a->flags & b->flags & ORCH_OBJECT_HAS_TOKEN) != 0 &&
           a->token.size_bytes == b->token.size_bytes && a->token.mtime_ns == b->token.mtime_ns &&
           a->token.ctime_ns == b->token.ctime_ns && a->token.inode == b->token.inode;
}

/* Would this object be told unchanged? */
static int32_t is_unchanged(struct server *server, const struct orch_object *object,
                            bool *unchanged, struct orch_error *err)
{
    bool found = false;
    *unchanged = false;
    if (server->decoder == NULL || (object->flags & ORCH_OBJECT_HAS_TOKEN) == 0) {
        return ORCH_OK;
    }
    int32_t rc = seek_earlier(server, object, &found, err);
    *unchanged = rc == ORCH_OK && found && same_token(object, &server->earlier.object);
    return rc;
}

static int32_t begin_object(struct server *server, const struct orch_object *given,
                            uint32_t *unchanged, struct orch_error *err)
{
    struct orch_object object;
    int32_t rc = services_take_struct(&object, sizeof(object), given, "struct orch_object", err);
    if (rc == ORCH_OK) {
        rc = check_order(server, &object, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (unchanged != NULL) {
        bool same = false;
        rc = is_unchanged(server, &object, &same, err);
        *unchanged = same;
        if (rc != ORCH_OK || same) {
            return rc == ORCH_OK ? items_put_unchanged(server->encoder, &object, err) : rc;
        }
    }
    return items_put_object(server->encoder, &object, err);
}

static int32_t service_object(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                              struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "object", err);
    return rc == ORCH_OK ? sent(server, begin_object(server, object, unchanged, err), err) : rc;
}

static int32_t find_earlier(struct server *server, const struct orch_object *given,
                            const uint8_t **meta, uint32_t *meta_len, struct orch_error *err)
{
    struct orch_object object;
    bool same = false;
    int32_t rc = services_take_struct(&object, sizeof(object), given, "struct orch_object", err);
    if (rc == ORCH_OK && (object.name == NULL || object.name_len == 0)) {
        rc = orch_fail(err, ORCH_E_INVALID, "an object without name");
    }
    if (rc == ORCH_OK) {
        rc = is_unchanged(server, &object, &same, err);
    }
    *meta = same ? server->earlier.object.meta : NULL;
    *meta_len = same ? server->earlier.object.meta_len : 0;
    return rc;
}

static int32_t service_earlier(void *ctx, const struct orch_object *object, const uint8_t **meta,
                               uint32_t *meta_len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "earlier", err);
    return rc == ORCH_OK ? sent(server, find_earlier(server, object, meta, meta_len, err), err)
                         : rc;
}

static int32_t service_record(void *ctx, const struct orch_record *given, struct orch_error *err)
{
    struct server *server = ctx;
    struct orch_record record;
    int32_t rc = may_send(server, "record", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = services_take_struct(&record, sizeof(record), given, "struct orch_record", err);
    if (rc == ORCH_OK) {
        rc = items_put_record(server->encoder, &record, err);
    }
    return sent(server, rc, err);
}

static int32_t service_reserve(void *ctx, uint64_t want, void **space, uint64_t *len,
                               struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "reserve", err);
    return rc == ORCH_OK ? sent(server, items_reserve(server->encoder, want, space, len, err), err)
                         : rc;
}

static int32_t service_commit(void *ctx, uint64_t len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "commit", err);
    return rc == ORCH_OK ? sent(server, items_commit(server->encoder, len, err), err) : rc;
}

static int32_t service_write(void *ctx, const void *data, uint64_t len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "write", err);
    return rc == ORCH_OK ? sent(server, items_write(server->encoder, data, len, err), err) : rc;
}

static int32_t service_hole(void *ctx, uint64_t len, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "hole", err);
    return rc == ORCH_OK ? sent(server, items_put_hole(server->encoder, len, err), err) : rc;
}

static int32_t service_end_item(void *ctx, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = may_send(server, "end_item", err);
    return rc == ORCH_OK ? sent(server, items_end_item(server->encoder, err), err) : rc;
}

/* ---- restore ---- */

json_t *services_totals_new(const struct items_totals *totals)
{
    json_t *json = json_object();
    message_set_u64(json, "items", totals->items);
    message_set_u64(json, "unchanged", totals->unchanged);
    message_set_u64(json, "bytes", totals->bytes);
    char digest[20];
    (void)snprintf(digest, sizeof(digest), "%016" PRIx64, totals->digest);
    message_set_text(json, "digest", digest);
    return json;
}

bool services_totals_parse(const json_t *json, struct items_totals *totals)
{
    const char *digest = message_string(json, "digest");
    char *end = NULL;
    if (digest == NULL || strlen(digest) != 16) {
        return false;
    }
    totals->items = message_u64(json, "items");
    totals->unchanged = message_u64(json, "unchanged");
    totals->bytes = message_u64(json, "bytes");
    totals->digest = strtoull(digest, &end, 16);
    return *end == 0;
}

/* END counts only when the host says the same as what came out of the blocks. */
static int32_t confirm_end(struct server *server, struct orch_error *err)
{
    int32_t rc = release_block(server, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_BUFFER struct buffer payload = BUFFER_INIT;
    (void)pthread_mutex_lock(&server->lock);
    while (!server->have_done && !server->closed && atomic_load(&server->cancelled) == 0) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    bool have = server->have_done;
    if (have) {
        payload = server->done;
        server->done = (struct buffer)BUFFER_INIT;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (!have) {
        return services_fail_cancelled(err);
    }
    CLEANUP_JSON json_t *json = NULL;
    rc = message_parse(payload.data, payload.len, "host", &json, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct items_totals said = {0};
    struct items_totals got = {0};
    items_decoder_totals(server->decoder, &got);
    if (!services_totals_parse(json, &said) || said.items != got.items || said.bytes != got.bytes ||
        said.digest != got.digest) {
        return orch_fail(err, ORCH_E_CORRUPT,
                         "what arrived is not what the host sent: the shared memory was changed "
                         "on the way");
    }
    return ORCH_OK;
}

static int32_t next_event(struct server *server, struct orch_event *event, struct orch_error *err)
{
    if (server->stream_ended) {
        return orch_fail(err, ORCH_E_INVALID, "next() was called after ORCH_EVENT_END");
    }
    if (atomic_load(&server->cancelled) != 0) {
        return services_fail_cancelled(err);
    }
    struct orch_event ours = {0};
    int32_t rc = inbound_next(server, &ours, err);
    if (rc == ORCH_OK && ours.type == ORCH_EVENT_END) {
        rc = confirm_end(server, err);
        server->stream_ended = rc == ORCH_OK;
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    uint32_t theirs = event->struct_size;
    size_t size = theirs == 0 || theirs > sizeof(ours) ? sizeof(ours) : theirs;
    ours.struct_size = (uint32_t)size;
    memcpy(event, &ours, size);
    return ORCH_OK;
}

static int32_t service_next(void *ctx, struct orch_event *event, struct orch_error *err)
{
    struct server *server = ctx;
    int32_t rc = services_only_in(server, "next", "restore", err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (server->bulk_error.code != ORCH_OK) {
        if (err != NULL) {
            *err = server->bulk_error;
        }
        return server->bulk_error.code;
    }
    return sent(server, next_event(server, event, err), err);
}

void services_bulk_init(struct server *server)
{
    server->host.object = service_object;
    server->host.record = service_record;
    server->host.reserve = service_reserve;
    server->host.commit = service_commit;
    server->host.write = service_write;
    server->host.hole = service_hole;
    server->host.end_item = service_end_item;
    server->host.next = service_next;
    server->host.earlier = service_earlier;
}
