/* harness_host.c: the services that the harness offers to a plugin, checking the rules. */
#include "harness_internal.h"

#include <stdlib.h>
#include <string.h>

static void host_log(void *ctx, uint32_t level, const char *message)
{
    (void)ctx;
    if (getenv("HARNESS_VERBOSE") != NULL) {
        (void)fprintf(stderr, "plugin log %u: %s\n", level, message);
    }
}

static int32_t host_cancelled(void *ctx)
{
    return ((struct harness *)ctx)->cancelled;
}

void harness_reset_facts(struct harness *h)
{
    for (uint64_t i = 0; i < 2 * h->fact_count; i++) {
        free(h->facts[i]);
    }
    free(h->facts);
    h->facts = NULL;
    h->fact_count = 0;
}

static int32_t host_fact(void *ctx, const char *name, const char *json, struct orch_error *err)
{
    struct harness *h = ctx;
    for (uint64_t i = 0; i < h->fact_count; i++) {
        if (strcmp(h->facts[2 * i], name) == 0) {
            free(h->facts[2 * i + 1]);
            h->facts[2 * i + 1] = strdup(json);
            return ORCH_OK;
        }
    }
    char **grown = realloc(h->facts, 2 * (h->fact_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for fact %s", name);
    }
    h->facts = grown;
    grown[2 * h->fact_count] = strdup(name);
    grown[2 * h->fact_count + 1] = strdup(json);
    h->fact_count++;
    return ORCH_OK;
}

const char *harness_facts(struct harness *h)
{
    free(h->facts_json);
    h->facts_json = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&h->facts_json, &size);
    if (out == NULL) {
        return "{}";
    }
    (void)fputc('{', out);
    for (uint64_t i = 0; i < h->fact_count; i++) {
        (void)fprintf(out, "%s\"%s\":%s", i == 0 ? "" : ",", h->facts[2 * i], h->facts[2 * i + 1]);
    }
    (void)fputc('}', out);
    (void)fclose(out);
    return h->facts_json;
}

void harness_set_facts(struct harness *h, const char *json)
{
    free(h->saved_facts);
    h->saved_facts = json == NULL ? NULL : strdup(json);
}

static int32_t host_verdict(void *ctx, const struct orch_verdict *verdict, struct orch_error *err)
{
    struct harness *h = ctx;
    if (h->verdict_count == HARNESS_VERDICTS) {
        return orch_fail(err, ORCH_E_INVALID, "too many verdicts");
    }
    struct harness_verdict *v = &h->verdicts[h->verdict_count++];
    v->severity = verdict->severity;
    v->flags = verdict->flags;
    (void)snprintf(v->code, sizeof(v->code), "%s", verdict->code);
    (void)snprintf(v->subject, sizeof(v->subject), "%s",
                   verdict->subject == NULL ? "" : verdict->subject);
    (void)snprintf(v->message, sizeof(v->message), "%s", verdict->message);
    return ORCH_OK;
}

static struct harness_item *new_item(struct harness *h)
{
    struct harness_items *items = &h->items;
    if (items->count == items->capacity) {
        uint64_t capacity = items->capacity == 0 ? 64 : 2 * items->capacity;
        struct harness_item *grown = realloc(items->list, capacity * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        items->list = grown;
        items->capacity = capacity;
    }
    struct harness_item *item = &items->list[items->count++];
    *item = (struct harness_item){0};
    return item;
}

static const uint8_t *copy(const uint8_t *data, uint64_t len)
{
    uint8_t *p = malloc(len + 1);
    if (p != NULL && len > 0) {
        memcpy(p, data, len);
    }
    if (p != NULL) {
        p[len] = 0;
    }
    return p;
}

static int order(const struct orch_object *a, const struct orch_object *b)
{
    uint32_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int cmp = memcmp(a->name, b->name, len);
    if (cmp != 0) {
        return cmp;
    }
    return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

static int32_t begin(struct harness *h, struct orch_error *err)
{
    if (!h->writing) {
        return orch_fail(err, ORCH_E_PROTOCOL, "an item outside of backup");
    }
    if (h->in_item) {
        return orch_fail(err, ORCH_E_PROTOCOL, "an item begins before the last one has ended");
    }
    return ORCH_OK;
}

static const struct harness_item *last_object(const struct harness *h)
{
    for (uint64_t i = h->items.count; i > 0; i--) {
        if (!h->items.list[i - 1].is_record) {
            return &h->items.list[i - 1];
        }
    }
    return NULL;
}

/* The earlier item with the same name and token, or NULL. */
static const struct harness_item *earlier_match(struct harness *h, const struct orch_object *object)
{
    if (!h->incremental || (object->flags & ORCH_OBJECT_HAS_TOKEN) == 0) {
        return NULL;
    }
    for (; h->earlier_at < h->earlier.count; h->earlier_at++) {
        const struct harness_item *item = &h->earlier.list[h->earlier_at];
        if (item->is_record) {
            continue;
        }
        int cmp = order(&item->object, object);
        if (cmp > 0) {
            return NULL;
        }
        if (cmp == 0) {
            return memcmp(&item->object.token, &object->token, sizeof(object->token)) == 0 ? item
                                                                                           : NULL;
        }
    }
    return NULL;
}

static int32_t host_object(void *ctx, const struct orch_object *object, uint32_t *unchanged,
                           struct orch_error *err)
{
    struct harness *h = ctx;
    int32_t rc = begin(h, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (object->name_len == 0 || object->name_len > 65535 || object->meta_len > 1048576) {
        return orch_fail(err, ORCH_E_PROTOCOL, "an object's name or metadata is too long or empty");
    }
    const struct harness_item *last = last_object(h);
    if (last != NULL && order(&last->object, object) >= 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "object \"%.*s\" does not come after \"%s\"",
                         (int)object->name_len, (const char *)object->name,
                         (const char *)last->object.name);
    }
    const struct harness_item *match = unchanged == NULL ? NULL : earlier_match(h, object);
    struct harness_item *item = new_item(h);
    if (item == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an item");
    }
    item->object = *object;
    item->object.name = copy(object->name, object->name_len);
    item->object.meta = copy(object->meta, object->meta_len);
    if (unchanged != NULL) {
        *unchanged = match != NULL;
    }
    if (match != NULL) {
        item->unchanged = 1;
        item->data = (uint8_t *)(uintptr_t)copy(match->data, match->data_len);
        item->data_len = match->data_len;
        return ORCH_OK;
    }
    h->in_item = 1;
    return ORCH_OK;
}

static int32_t host_earlier(void *ctx, const struct orch_object *object, const uint8_t **meta,
                            uint32_t *meta_len, struct orch_error *err)
{
    struct harness *h = ctx;
    *meta = NULL;
    *meta_len = 0;
    if (!h->writing || object->name_len == 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "earlier() outside of backup, or without a name");
    }
    const struct harness_item *match = earlier_match(h, object);
    if (match != NULL) {
        *meta = match->object.meta;
        *meta_len = match->object.meta_len;
    }
    return ORCH_OK;
}

static int32_t host_record(void *ctx, const struct orch_record *record, struct orch_error *err)
{
    struct harness *h = ctx;
    int32_t rc = begin(h, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct harness_item *item = new_item(h);
    if (item == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for an item");
    }
    item->is_record = 1;
    item->rec = *record;
    item->rec.key = copy(record->key, record->key_len);
    item->rec.extra = copy(record->extra, record->extra_len);
    h->in_item = 1;
    return ORCH_OK;
}

static int32_t host_reserve(void *ctx, uint64_t want, void **space, uint64_t *len,
                            struct orch_error *err)
{
    struct harness *h = ctx;
    if (!h->in_item) {
        return orch_fail(err, ORCH_E_PROTOCOL, "data outside of an item");
    }
    if (h->block == NULL) {
        h->block = malloc(HARNESS_BLOCK);
    }
    if (h->block == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a block");
    }
    h->reserved = want == 0 || want > HARNESS_BLOCK ? HARNESS_BLOCK : want;
    *space = h->block;
    *len = h->reserved;
    return ORCH_OK;
}

static int32_t append(struct harness *h, const void *data, uint64_t len, struct orch_error *err)
{
    if (!h->in_item) {
        return orch_fail(err, ORCH_E_PROTOCOL, "data outside of an item");
    }
    struct harness_item *item = &h->items.list[h->items.count - 1];
    if (item->is_record && len > item->rec.value_len - item->data_len) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a record's value is longer than it said");
    }
    if (len == 0) {
        return ORCH_OK;
    }
    uint8_t *grown = realloc(item->data, item->data_len + len);
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for data");
    }
    item->data = grown;
    if (data != NULL) {
        memcpy(grown + item->data_len, data, len);
    } else {
        memset(grown + item->data_len, 0, len);
        item->hole_bytes += len;
    }
    item->data_len += len;
    return ORCH_OK;
}

static int32_t host_commit(void *ctx, uint64_t len, struct orch_error *err)
{
    struct harness *h = ctx;
    if (len > h->reserved) {
        return orch_fail(err, ORCH_E_PROTOCOL, "commit of more than was reserved");
    }
    h->reserved = 0;
    return append(h, h->block, len, err);
}

static int32_t host_write(void *ctx, const void *data, uint64_t len, struct orch_error *err)
{
    return append(ctx, data, len, err);
}

static int32_t host_hole(void *ctx, uint64_t len, struct orch_error *err)
{
    return append(ctx, NULL, len, err);
}

static int32_t host_end_item(void *ctx, struct orch_error *err)
{
    struct harness *h = ctx;
    if (!h->in_item) {
        return orch_fail(err, ORCH_E_PROTOCOL, "end_item without an item");
    }
    const struct harness_item *item = &h->items.list[h->items.count - 1];
    if (item->is_record && item->data_len != item->rec.value_len) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a record's value is shorter than it said");
    }
    h->in_item = 0;
    return ORCH_OK;
}

void harness_rewind(struct harness *h)
{
    h->read_item = 0;
    h->read_offset = 0;
    h->read_in_item = 0;
    h->read_end = 0;
    h->events = 0;
}

static int32_t host_next(void *ctx, struct orch_event *event, struct orch_error *err)
{
    struct harness *h = ctx;
    if (h->read_end) {
        return orch_fail(err, ORCH_E_PROTOCOL, "next was called after END");
    }
    if (h->events++ >= h->fail_after) {
        return orch_fail(err, ORCH_E_CORRUPT, "injected failure of the stream");
    }
    *event = (struct orch_event){.struct_size = (uint32_t)sizeof(*event)};
    if (h->read_item == h->items.count) {
        h->read_end = 1;
        event->type = ORCH_EVENT_END;
        return ORCH_OK;
    }
    const struct harness_item *item = &h->items.list[h->read_item];
    if (!h->read_in_item) {
        h->read_in_item = 1;
        h->read_offset = 0;
        event->type = item->is_record ? ORCH_EVENT_RECORD : ORCH_EVENT_OBJECT;
        event->object = item->object;
        event->object.size_bytes = item->data_len;
        event->record = item->rec;
        return ORCH_OK;
    }
    uint64_t left = item->data_len - h->read_offset;
    if (left == 0) {
        h->read_in_item = 0;
        h->read_item++;
        event->type = ORCH_EVENT_ITEM_END;
        return ORCH_OK;
    }
    event->type = ORCH_EVENT_DATA;
    event->data = item->data + h->read_offset;
    event->data_len = left > 100000 ? 100000 : left; /* odd pieces on purpose */
    h->read_offset += event->data_len;
    return ORCH_OK;
}

void harness_fail_next_after(struct harness *h, uint64_t events)
{
    h->fail_after = events;
}

void harness_cancel(struct harness *h)
{
    h->cancelled = 1;
}

static int32_t journal_line(struct harness *h, const char *verb, const char *action,
                            const char *target, const char *aside)
{
    const char *old = h->journal == NULL ? "" : h->journal;
    char *text = NULL;
    if (asprintf(&text, "%s%s %s %s%s%s\n", old, verb, action, target, aside == NULL ? "" : " -> ",
                 aside == NULL ? "" : aside) < 0) {
        return ORCH_E_NOMEM;
    }
    free(h->journal);
    h->journal = text;
    return ORCH_OK;
}

static int32_t host_intent(void *ctx, const char *action, const char *target, const char *aside,
                           struct orch_error *err)
{
    (void)err;
    return journal_line(ctx, "intent", action, target, aside);
}

static int32_t host_done(void *ctx, const char *action, const char *target, struct orch_error *err)
{
    (void)err;
    return journal_line(ctx, "done", action, target, NULL);
}

const char *harness_journal(struct harness *h)
{
    return h->journal == NULL ? "" : h->journal;
}

void harness_future_file(struct harness *h, const char *path, const char *data)
{
    for (uint64_t i = 0; i < h->future_count; i++) {
        if (strcmp(h->future[2 * i], path) == 0) {
            free(h->future[2 * i + 1]);
            h->future[2 * i + 1] = data == NULL ? NULL : strdup(data);
            return;
        }
    }
    char **grown = realloc(h->future, 2 * (h->future_count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return;
    }
    h->future = grown;
    grown[2 * h->future_count] = strdup(path);
    grown[2 * h->future_count + 1] = data == NULL ? NULL : strdup(data);
    h->future_count++;
}

static int32_t host_future_file(void *ctx, const char *path, void *buffer, uint64_t capacity,
                                uint64_t *len, struct orch_error *err)
{
    struct harness *h = ctx;
    for (uint64_t i = 0; i < h->future_count; i++) {
        const char *data = h->future[2 * i + 1];
        if (data != NULL && strcmp(h->future[2 * i], path) == 0) {
            *len = strlen(data);
            memcpy(buffer, data, *len < capacity ? *len : capacity);
            return ORCH_OK;
        }
    }
    return orch_fail(err, ORCH_E_NOT_FOUND, "this run does not bring %s", path);
}

void harness_host_init(struct harness *h)
{
    h->host = (struct orch_host){
        .struct_size = (uint32_t)sizeof(struct orch_host),
        .abi_minor = ORCH_ABI_MINOR,
        .ctx = h,
        .log = host_log,
        .cancelled = host_cancelled,
        .fact = host_fact,
        .verdict = host_verdict,
        .object = host_object,
        .record = host_record,
        .reserve = host_reserve,
        .commit = host_commit,
        .write = host_write,
        .hole = host_hole,
        .end_item = host_end_item,
        .next = host_next,
        .intent = host_intent,
        .done = host_done,
        .future_file = host_future_file,
        .earlier = host_earlier,
    };
}

void harness_host_free(struct harness *h)
{
    harness_reset_facts(h);
    for (uint64_t i = 0; i < 2 * h->future_count; i++) {
        free(h->future[i]);
    }
    free(h->future);
    free(h->block);
    free(h->facts_json);
    free(h->saved_facts);
    free(h->journal);
}
