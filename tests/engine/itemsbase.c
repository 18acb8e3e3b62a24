/* itemsbase.c: see itemsbase.h. */
#include "itemsbase.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wi_items wi_make(size_t count, uint64_t seed)
{
    static const size_t lens[] = {0, 1, 100, 5000, 70000, 300000, 1 << 20, 3500000};
    struct wi_items items = {.items = calloc(count, sizeof(struct wi_item)), .count = count};
    struct et_random random = {seed};
    for (size_t i = 0; i < count; i++) {
        struct wi_item *item = &items.items[i];
        (void)snprintf(item->name, WI_NAME_BYTES, "dir%03zu/file%05zu", i / 100, i);
        item->len = count > 100 ? et_random_next(&random) % 3000 : lens[i % 8];
        item->data = malloc(item->len + 1);
        if (i % 3 == 0) {
            et_random_fill(seed * 1000003 + i, item->data, item->len);
        } else {
            et_text_fill(seed * 1000003 + i, item->data, item->len);
        }
        item->profile = i % 5 == 4 ? ORCH_PROFILE_ROWS : ORCH_PROFILE_CONTENT;
        if (i % 4 == 1 && item->len > 10) {
            item->hole_at = item->len / 2;
            item->hole_len = UINT64_C(1) << (i % 40);
        }
    }
    return items;
}

void wi_free(struct wi_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->items[i].data);
    }
    free(items->items);
}

struct orch_object wi_object(const struct wi_item *item)
{
    struct orch_object object = et_object(item->name);
    object.meta = (const uint8_t *)item->name;
    object.meta_len = object.name_len;
    object.profile = item->profile;
    object.row_bytes = item->profile == ORCH_PROFILE_ROWS ? 300 : 0;
    object.row_offset = item->profile == ORCH_PROFILE_ROWS ? 20 : 0;
    object.mtime_ns = -5;
    object.flags = ORCH_OBJECT_HAS_TOKEN;
    object.token = (struct orch_token){item->len, 1000, -1, 77};
    return object;
}

void wi_put(struct part_writer *part, const struct wi_item *item, size_t piece)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_event event = et_event(ORCH_EVENT_OBJECT);
    event.object = wi_object(item);
    et_ok(part_writer_put(part, &event, &err), err);
    for (size_t at = 0; at < item->len;) {
        if (item->hole_len > 0 && at == item->hole_at) {
            event = et_event(ORCH_EVENT_HOLE);
            event.data_len = item->hole_len;
            et_ok(part_writer_put(part, &event, &err), err);
        }
        size_t end = item->hole_len > 0 && at < item->hole_at ? item->hole_at : item->len;
        event = et_event(ORCH_EVENT_DATA);
        event.data = item->data + at;
        event.data_len = piece != 0 && end - at > piece ? piece : end - at;
        et_ok(part_writer_put(part, &event, &err), err);
        at += event.data_len;
    }
    event = et_event(ORCH_EVENT_ITEM_END);
    et_ok(part_writer_put(part, &event, &err), err);
}

static bool same(const struct wi_item *a, const struct wi_item *b)
{
    return a->len == b->len && a->hole_len == b->hole_len && memcmp(a->data, b->data, a->len) == 0;
}

void wi_feed(struct part_writer *part, void *ctx)
{
    struct wi_items *items = ctx;
    items->unchanged = 0;
    for (size_t i = 0; i < items->count; i++) {
        const struct wi_item *item = &items->items[i];
        const struct wi_items *before = items->unchanged_if;
        if (before != NULL && i < before->count && same(item, &before->items[i])) {
            struct orch_error err = ORCH_ERROR_INIT;
            struct orch_event event = et_event(EVENT_UNCHANGED);
            event.object = wi_object(item);
            et_ok(part_writer_put(part, &event, &err), err);
            items->unchanged++;
        } else {
            wi_put(part, item, items->piece);
        }
    }
}

static void compare_object(struct content_reader *reader, const struct wi_item *item)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_event event;
    size_t at = 0;
    uint64_t holes = 0;
    for (;;) {
        et_ok(content_next(reader, &event, &err), err);
        if (event.type == ORCH_EVENT_DATA) {
            ck_assert_uint_ge(event.data_len, 1);
            ck_assert_uint_le(event.data_len, item->len - at);
            ck_assert_mem_eq(event.data, item->data + at, event.data_len);
            at += event.data_len;
        } else if (event.type == ORCH_EVENT_HOLE) {
            ck_assert_uint_eq(at, item->hole_at);
            holes += event.data_len;
        } else {
            break;
        }
    }
    ck_assert_uint_eq(event.type, ORCH_EVENT_ITEM_END);
    ck_assert_uint_eq(at, item->len);
    ck_assert_uint_eq(holes, item->hole_len);
}

void wi_compare(struct repo *repo, const struct part *part, const struct wi_items *items)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    et_ok(index_open(repo, NULL, &index, &err), err);
    et_ok(content_open(repo, index, part, 0, &reader, &err), err);
    for (size_t i = 0; i < items->count; i++) {
        const struct wi_item *item = &items->items[i];
        et_ok(content_next(reader, &event, &err), err);
        ck_assert_uint_eq(event.type, ORCH_EVENT_OBJECT);
        struct orch_object expected = wi_object(item);
        ck_assert_uint_eq(event.object.name_len, expected.name_len);
        ck_assert_mem_eq(event.object.name, expected.name, expected.name_len);
        ck_assert_uint_eq(event.object.meta_len, expected.meta_len);
        ck_assert_mem_eq(event.object.meta, expected.meta, expected.meta_len);
        ck_assert_uint_eq(event.object.size_bytes, item->len + item->hole_len);
        ck_assert_int_eq(event.object.mtime_ns, -5);
        ck_assert_uint_eq(event.object.profile, expected.profile);
        ck_assert_uint_eq(event.object.row_bytes, expected.row_bytes);
        ck_assert_uint_eq(event.object.row_offset, expected.row_offset);
        ck_assert_uint_eq(event.object.flags, expected.flags);
        ck_assert_mem_eq(&event.object.token, &expected.token, sizeof(expected.token));
        compare_object(reader, item);
    }
    et_ok(content_next(reader, &event, &err), err);
    ck_assert_uint_eq(event.type, ORCH_EVENT_END);
    ck_assert_int_eq(content_next(reader, &event, &err), ORCH_E_INVALID);
    content_close(reader);
    for (size_t i = 0; i < items->count; i += items->count / 20 + 1) {
        const struct wi_item *item = &items->items[i];
        CLEANUP_BUFFER struct buffer whole = BUFFER_INIT;
        if (item->hole_len > 1000000) {
            continue;
        }
        et_ok(content_read_object(repo, index, part, item->name, strlen(item->name), 64 << 20,
                                  &whole, &err),
              err);
        ck_assert_uint_eq(whole.len, item->len + item->hole_len);
        if (item->hole_len == 0) {
            ck_assert(item->len == 0 || memcmp(whole.data, item->data, item->len) == 0);
        }
    }
    index_close(index);
}

void wi_part_done(struct part *part)
{
    free(part->content.layers);
    free(part->facts_json);
    memset(part, 0, sizeof(*part));
}
