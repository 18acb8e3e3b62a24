/* test_writer.c: content goes in and comes out the same; deduplication, unchanged objects, records,
 * and what a plugin could get wrong. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/chunk.h"
#include "engine/pack.h"
#include "engine/records.h"
#include "enginetest.h"

/* ---- a source of objects, and the comparison with what is read ------------------------------- */

#define NAME_BYTES 64

struct item {
    char name[NAME_BYTES];
    uint8_t *data;
    size_t len;
    uint64_t hole_at, hole_len; /* a hole in front of byte hole_at of the data; len 0: none */
    uint32_t profile;
};

struct items {
    struct item *items;
    size_t count;
    size_t piece;
    const struct items *unchanged_if; /* objects that equal these are sent as unchanged */
    size_t unchanged;
};

static struct items items_make(size_t count, uint64_t seed)
{
    static const size_t lens[] = {0, 1, 100, 5000, 70000, 300000, 1 << 20, 3500000};
    struct items items = {.items = calloc(count, sizeof(struct item)), .count = count};
    struct et_random random = {seed};
    for (size_t i = 0; i < count; i++) {
        struct item *item = &items.items[i];
        (void)snprintf(item->name, NAME_BYTES, "dir%03zu/file%05zu", i / 100, i);
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

static void items_free(struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->items[i].data);
    }
    free(items->items);
}

static struct orch_object item_object(const struct item *item)
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

static void put_item(struct part_writer *part, const struct item *item, size_t piece)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct orch_event event = et_event(ORCH_EVENT_OBJECT);
    event.object = item_object(item);
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

static bool same_item(const struct item *a, const struct item *b)
{
    return a->len == b->len && a->hole_len == b->hole_len && memcmp(a->data, b->data, a->len) == 0;
}

static void feed_items(struct part_writer *part, void *ctx)
{
    struct items *items = ctx;
    items->unchanged = 0;
    for (size_t i = 0; i < items->count; i++) {
        const struct item *item = &items->items[i];
        const struct items *before = items->unchanged_if;
        if (before != NULL && i < before->count && same_item(item, &before->items[i])) {
            struct orch_error err = ORCH_ERROR_INIT;
            struct orch_event event = et_event(EVENT_UNCHANGED);
            event.object = item_object(item);
            et_ok(part_writer_put(part, &event, &err), err);
            items->unchanged++;
        } else {
            put_item(part, item, items->piece);
        }
    }
}

static void compare_object(struct content_reader *reader, const struct item *item)
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

static void compare_items(struct repo *repo, const struct part *part, const struct items *items)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    et_ok(index_open(repo, NULL, &index, &err), err);
    et_ok(content_open(repo, index, part, 0, &reader, &err), err);
    for (size_t i = 0; i < items->count; i++) {
        const struct item *item = &items->items[i];
        et_ok(content_next(reader, &event, &err), err);
        ck_assert_uint_eq(event.type, ORCH_EVENT_OBJECT);
        struct orch_object expected = item_object(item);
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
        const struct item *item = &items->items[i];
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

static void part_done(struct part *part)
{
    free(part->content.layers);
    free(part->facts_json);
    memset(part, 0, sizeof(*part));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static const struct writer_options shapes[] = {
    {.codec = CODEC_ZSTD},
    {.codec = CODEC_GZIP, .jobs = 1, .memory_bytes = 1},
    {.codec = CODEC_NONE, .jobs = 4, .pack_bytes = 2 << 20},
};

START_TEST(objects_come_back)
{
    struct et_repo r;
    struct part part;
    struct items items = items_make(60, 1);
    static const size_t pieces[] = {0, 65536, 999};
    et_repo_make(&r, _i != 2);
    items.piece = pieces[_i];
    et_backup(r.repo, &shapes[_i], NULL, feed_items, &items, &part);
    ck_assert_uint_eq(part.content.objects, 60);
    ck_assert_uint_eq(part.stats.bytes_read, part.stats.bytes_new + part.stats.bytes_reused);
    ck_assert_uint_gt(part.stats.bytes_stored, 0);
    compare_items(r.repo, &part, &items);
    part_done(&part);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

START_TEST(many_small_objects_come_back)
{
    struct et_repo r;
    struct part part;
    struct items items = items_make(20000, 2);
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_items, &items, &part);
    compare_items(r.repo, &part, &items);
    part_done(&part);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

START_TEST(an_empty_part_is_a_part)
{
    struct et_repo r;
    struct part part;
    struct items items = {0};
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_items, &items, &part);
    ck_assert_uint_eq(part.content.objects + part.content.records, 0);
    compare_items(r.repo, &part, &items);
    part_done(&part);
    et_repo_remove(&r);
}
END_TEST

START_TEST(the_same_again_stores_nothing)
{
    struct et_repo r;
    struct part first, second;
    struct items items = items_make(60, 3);
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_items, &items, &first);
    items.piece = 12345;
    et_backup(r.repo, NULL, NULL, feed_items, &items, &second);
    ck_assert_uint_eq(second.stats.bytes_new, 0);
    ck_assert_uint_eq(second.stats.bytes_stored, 0);
    ck_assert_uint_eq(second.stats.bytes_reused, second.stats.bytes_read);
    ck_assert_mem_eq(first.content.digest, second.content.digest, 32);
    ck_assert_mem_eq(first.content.catalogue_root, second.content.catalogue_root, 32);
    compare_items(r.repo, &second, &items);
    items.items[7].data[0] ^= 1;
    part_done(&second);
    et_backup(r.repo, NULL, NULL, feed_items, &items, &second);
    ck_assert_mem_ne(first.content.digest, second.content.digest, 32);
    ck_assert_uint_gt(second.stats.bytes_new, 0);
    ck_assert_uint_le(second.stats.bytes_new, CHUNK_MAX);
    part_done(&first);
    part_done(&second);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

START_TEST(unchanged_objects_are_taken_over)
{
    struct et_repo r;
    struct part first, second, third;
    struct items before = items_make(3000, 4);
    struct items after = items_make(3000, 4);
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_items, &before, &first);
    for (size_t i = 0; i < after.count; i += 37) {
        after.items[i].data = realloc(after.items[i].data, after.items[i].len + 4);
        memcpy(after.items[i].data + after.items[i].len, "more", 4);
        after.items[i].len += 4;
    }
    after.unchanged_if = &before;
    et_backup(r.repo, NULL, &first, feed_items, &after, &second);
    ck_assert_uint_gt(after.unchanged, 2900);
    ck_assert_uint_eq(second.stats.items_unchanged, after.unchanged);
    ck_assert_uint_eq(second.stats.items_read, 3000 - after.unchanged);
    compare_items(r.repo, &second, &after);
    after.unchanged_if = NULL; /* read whole, it is the same part */
    et_backup(r.repo, NULL, NULL, feed_items, &after, &third);
    ck_assert_mem_eq(second.content.digest, third.content.digest, 32);
    ck_assert_mem_eq(second.content.catalogue_root, third.content.catalogue_root, 32);
    part_done(&first);
    part_done(&second);
    part_done(&third);
    items_free(&before);
    items_free(&after);
    et_repo_remove(&r);
}
END_TEST

/* What comes between two chunks is kept until the ids are there; here it is more than is kept. */
START_TEST(one_change_before_many_unchanged)
{
    struct et_repo r;
    struct part first, second, third;
    struct items before = items_make(9000, 8);
    struct items after = items_make(9000, 8);
    et_repo_make(&r, true);
    for (size_t i = 0; i < before.count; i++) {
        before.items[i].len = after.items[i].len = before.items[i].len % 50;
        before.items[i].hole_len = after.items[i].hole_len = 0;
    }
    et_backup(r.repo, NULL, NULL, feed_items, &before, &first);
    for (size_t i = 0; i < 2; i++) {
        et_text_fill(99 + i, after.items[4400 * i].data, after.items[4400 * i].len = 12);
    }
    after.unchanged_if = &before;
    et_backup(r.repo, NULL, &first, feed_items, &after, &second);
    ck_assert_uint_eq(second.stats.items_unchanged, 8998);
    ck_assert_uint_eq(second.stats.bytes_new, 24);
    compare_items(r.repo, &second, &after);
    after.unchanged_if = NULL;
    et_backup(r.repo, NULL, NULL, feed_items, &after, &third);
    ck_assert_mem_eq(second.content.catalogue_root, third.content.catalogue_root, 32);
    part_done(&first);
    part_done(&second);
    part_done(&third);
    items_free(&before);
    items_free(&after);
    et_repo_remove(&r);
}
END_TEST

/* New chunks between known ones, in more frames than are under way at once. */
START_TEST(new_chunks_among_known_ones)
{
    struct et_repo r;
    struct part first, second;
    struct items items = {.items = calloc(2, sizeof(struct item)), .count = 2};
    et_repo_make(&r, true);
    for (size_t i = 0; i < 2; i++) {
        struct item *item = &items.items[i];
        (void)snprintf(item->name, NAME_BYTES, "large%zu", i);
        item->len = 24u << 20;
        item->data = malloc(item->len);
        et_random_fill(50 + i, item->data, item->len);
    }
    items.piece = 1 << 20;
    et_backup(r.repo, NULL, NULL, feed_items, &items, &first);
    for (size_t i = 0; i < 10; i++) {
        et_random_fill(60 + i, items.items[0].data + i * (2u << 20) + 5, 700000);
    }
    memcpy(items.items[1].data, items.items[0].data, 8u << 20);
    et_backup(r.repo, NULL, &first, feed_items, &items, &second);
    ck_assert_uint_ge(second.stats.bytes_new, 7000000);
    ck_assert_uint_le(second.stats.bytes_new, 20u << 20);
    ck_assert_uint_eq(second.stats.bytes_new + second.stats.bytes_reused, 48u << 20);
    compare_items(r.repo, &second, &items);
    part_done(&first);
    part_done(&second);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

/* An object of more references than stand inline: its list is a tree. */
START_TEST(a_long_list_of_chunks)
{
    struct et_repo r;
    struct part first, second;
    struct items items = {.items = calloc(1, sizeof(struct item)), .count = 1};
    struct item *item = &items.items[0];
    et_repo_make(&r, true);
    strcpy(item->name, "rows");
    item->profile = ORCH_PROFILE_ROWS;
    item->len = 40u << 20;
    item->data = malloc(item->len);
    et_random_fill(5, item->data, item->len);
    item->hole_at = 1 << 20;
    item->hole_len = 500000;
    et_backup(r.repo, NULL, NULL, feed_items, &items, &first);
    compare_items(r.repo, &first, &items);
    items.unchanged_if = &items;
    et_backup(r.repo, NULL, &first, feed_items, &items, &second);
    ck_assert_uint_eq(second.stats.items_unchanged, 1);
    ck_assert_uint_eq(second.stats.bytes_stored, 0);
    ck_assert_uint_eq(second.stats.bytes_reused, item->len);
    ck_assert_mem_eq(first.content.digest, second.content.digest, 32);
    part_done(&second);
    /* One percent of the rows change: little more than these rows is stored. */
    struct et_random random = {6};
    for (int i = 0; i < 1398; i++) {
        item->data[(et_random_next(&random) % (item->len / 300)) * 300 + 25] ^= 0xff;
    }
    items.unchanged_if = NULL;
    et_backup(r.repo, NULL, NULL, feed_items, &items, &second);
    ck_assert_uint_le(second.stats.bytes_new, 1398 * 8192);
    compare_items(r.repo, &second, &items);
    part_done(&first);
    part_done(&second);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

/* ---- records -------------------------------------------------------------------------------- */

struct record_source {
    size_t count;
    size_t huge_key, huge_value; /* lengths of the first record; 0: none */
};

static size_t record_make(const struct record_source *source, size_t i, uint8_t **key,
                          size_t *key_len, uint8_t **value)
{
    *key_len = i == 0 && source->huge_key > 0 ? source->huge_key : 12;
    *key = malloc(*key_len + 1);
    et_text_fill(i, *key, *key_len);
    memcpy(*key, &i, sizeof(i));
    static const size_t lens[] = {0, 10, 200, 3000, 65536, 65537, 200000};
    size_t len =
        i == 0 && source->huge_value > 0 ? source->huge_value : lens[i % (i % 50 == 0 ? 7 : 3)];
    *value = malloc(len + 1);
    et_text_fill(i + 7, *value, len);
    return len;
}

static void feed_records(struct part_writer *part, void *ctx)
{
    const struct record_source *source = ctx;
    struct orch_error err = ORCH_ERROR_INIT;
    for (size_t i = 0; i < source->count; i++) {
        uint8_t *key = NULL;
        uint8_t *value = NULL;
        size_t key_len = 0;
        size_t len = record_make(source, i, &key, &key_len, &value);
        et_ok(et_put_record(part, (uint32_t)i % 16, key, key_len, value, len,
                            i % 2 == 0 ? ORCH_NO_EXPIRY : (int64_t)i - 5, &err),
              err);
        free(key);
        free(value);
    }
}

static void compare_records(struct repo *repo, const struct part *part,
                            const struct record_source *source)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    et_ok(index_open(repo, NULL, &index, &err), err);
    et_ok(content_open(repo, index, part, 0, &reader, &err), err);
    for (size_t i = 0; i < source->count; i++) {
        uint8_t *key = NULL;
        uint8_t *value = NULL;
        size_t key_len = 0;
        size_t len = record_make(source, i, &key, &key_len, &value);
        et_ok(content_next(reader, &event, &err), err);
        ck_assert_uint_eq(event.type, ORCH_EVENT_RECORD);
        ck_assert_uint_eq(event.record.type, 7);
        ck_assert_uint_eq(event.record.space, i % 16);
        ck_assert_uint_eq(event.record.key_len, key_len);
        ck_assert_mem_eq(event.record.key, key, key_len);
        ck_assert_uint_eq(event.record.value_len, len);
        ck_assert_int_eq(event.record.expires_ms, i % 2 == 0 ? ORCH_NO_EXPIRY : (int64_t)i - 5);
        size_t at = 0;
        for (;;) {
            et_ok(content_next(reader, &event, &err), err);
            if (event.type != ORCH_EVENT_DATA) {
                break;
            }
            ck_assert_uint_le(event.data_len, len - at);
            ck_assert_mem_eq(event.data, value + at, event.data_len);
            at += event.data_len;
        }
        ck_assert_uint_eq(event.type, ORCH_EVENT_ITEM_END);
        ck_assert_uint_eq(at, len);
        free(key);
        free(value);
    }
    et_ok(content_next(reader, &event, &err), err);
    ck_assert_uint_eq(event.type, ORCH_EVENT_END);
    content_close(reader);
    index_close(index);
}

START_TEST(records_come_back)
{
    static const struct record_source sources[] = {
        {1, 0, 0}, {50000, 0, 0}, {300, 65536, 0}, {300, 65537, 1}, {20, 3 << 20, 20 << 20}};
    struct et_repo r;
    struct part first, second;
    struct record_source source = sources[_i];
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_records, &source, &first);
    ck_assert_uint_eq(first.content.records, source.count);
    ck_assert_uint_eq(first.content.layer_count, 1);
    compare_records(r.repo, &first, &source);
    et_backup(r.repo, NULL, NULL, feed_records, &source, &second);
    ck_assert_uint_eq(second.stats.bytes_stored, 0);
    ck_assert_mem_eq(first.content.digest, second.content.digest, 32);
    part_done(&first);
    part_done(&second);
    et_repo_remove(&r);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HUGE_MIB 200u

static void feed_huge(struct part_writer *part, void *ctx)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t *piece = ctx;
    struct orch_event event = et_event(ORCH_EVENT_RECORD);
    event.record = (struct orch_record){.key = (const uint8_t *)"huge",
                                        .key_len = 4,
                                        .value_len = (uint64_t)HUGE_MIB << 20,
                                        .expires_ms = ORCH_NO_EXPIRY};
    et_ok(part_writer_put(part, &event, &err), err);
    for (uint32_t i = 0; i < HUGE_MIB; i++) {
        et_random_fill(i, piece, 1 << 20);
        event = et_event(ORCH_EVENT_DATA);
        event.data = piece;
        event.data_len = 1 << 20;
        et_ok(part_writer_put(part, &event, &err), err);
    }
    event = et_event(ORCH_EVENT_ITEM_END);
    et_ok(part_writer_put(part, &event, &err), err);
}

/* A value of any length goes in and out within the memory that the options allow. */
START_TEST(a_huge_value_in_flat_memory)
{
    struct et_repo r;
    struct part part;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    struct rusage usage;
    struct writer_options options = {.codec = CODEC_ZSTD, .memory_bytes = 16 << 20};
    uint8_t *piece = malloc(1 << 20);
    uint64_t bytes = 0;
    et_repo_make(&r, true);
    et_backup(r.repo, &options, NULL, feed_huge, piece, &part);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(content_open(r.repo, index, &part, 0, &reader, &err), err);
    do {
        et_ok(content_next(reader, &event, &err), err);
        bytes += event.type == ORCH_EVENT_DATA ? event.data_len : 0;
    } while (event.type != ORCH_EVENT_END);
    ck_assert_uint_eq(bytes, (uint64_t)HUGE_MIB << 20);
    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    ck_assert_msg(usage.ru_maxrss < 90 * 1024, "%ld KiB were used", usage.ru_maxrss);
    content_close(reader);
    index_close(index);
    part_done(&part);
    free(piece);
    et_repo_remove(&r);
}
END_TEST
#endif

/* ---- what a plugin could get wrong ----------------------------------------------------------- */

enum {
    OBJ,
    OBJ2,
    BIG,
    NAMELESS,
    META,
    ROWS,
    PROFILE,
    REC,
    EXTRA,
    DATA,
    DATA9,
    HOLE,
    END_ITEM,
    END,
    UNCHANGED,
    ODD
};

static int32_t put_kind(struct part_writer *part, int kind, struct orch_error *err)
{
    static uint8_t bytes[9];
    static const uint32_t types[] = {
        ORCH_EVENT_OBJECT,   ORCH_EVENT_OBJECT, ORCH_EVENT_OBJECT, ORCH_EVENT_OBJECT,
        ORCH_EVENT_OBJECT,   ORCH_EVENT_OBJECT, ORCH_EVENT_OBJECT, ORCH_EVENT_RECORD,
        ORCH_EVENT_RECORD,   ORCH_EVENT_DATA,   ORCH_EVENT_DATA,   ORCH_EVENT_HOLE,
        ORCH_EVENT_ITEM_END, ORCH_EVENT_END,    EVENT_UNCHANGED,   50};
    struct orch_event event = et_event(types[kind]);
    event.object = et_object(kind == OBJ2 ? "b\n" : "a\x01");
    event.object.name_len = kind == NAMELESS ? 0 : kind == BIG ? 65536 : event.object.name_len;
    event.object.meta_len = kind == META ? (1 << 20) + 1 : 0;
    event.object.meta = bytes;
    event.object.profile = kind == ROWS ? ORCH_PROFILE_ROWS : kind == PROFILE ? 3 : 0;
    event.record = (struct orch_record){.key = bytes, .key_len = 3, .value_len = 9};
    event.record.extra = bytes;
    event.record.extra_len = kind == EXTRA ? 65537 : 0;
    event.data = bytes;
    event.data_len = kind == DATA9 ? 9 : 5;
    return part_writer_put(part, &event, err);
}

START_TEST(a_bad_stream_is_refused)
{
    /* The last event is the wrong one; `says` stands in the message. */
    static const struct {
        int kinds[8];
        size_t count;
        const char *says;
    } cases[] = {
        {{OBJ, END_ITEM, OBJ}, 3, "a\\x01"},
        {{OBJ2, END_ITEM, OBJ}, 3, "b\\x0a"},
        {{OBJ, OBJ2}, 2, "a\\x01"},
        {{DATA}, 1, "outside"},
        {{HOLE}, 1, "outside"},
        {{END_ITEM}, 1, "not begun"},
        {{NAMELESS}, 1, "0 bytes"},
        {{BIG}, 1, "65536"},
        {{META}, 1, "metadata"},
        {{ROWS}, 1, "rows"},
        {{PROFILE}, 1, "profile"},
        {{REC, END_ITEM}, 2, "9 bytes before"},
        {{REC, DATA, END_ITEM}, 3, "4 bytes"},
        {{REC, DATA9, DATA}, 3, "more bytes"},
        {{REC, DATA9, HOLE}, 3, "outside"},
        {{REC, REC}, 2, "did not end"},
        {{OBJ, END}, 2, "did not end"},
        {{END, OBJ}, 2, "after the end"},
        {{END, END}, 2, "after the end"},
        {{UNCHANGED}, 1, "no earlier part"},
        {{ODD}, 1, "unknown"},
        {{EXTRA}, 1, "\\x00\\x00\\x00\" has 65537 extra"},
        {{OBJ, END_ITEM, UNCHANGED}, 3, "ascend"},
    };
    struct et_repo r;
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {.codec = CODEC_ZSTD};
    et_repo_make(&r, true);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct part_writer *part = NULL;
        struct part_content content;
        struct part_stats stats;
        et_ok(part_writer_open(writer, NULL, &part, &err), err);
        size_t last = cases[i].count - 1;
        for (size_t j = 0; j < last; j++) {
            et_ok(put_kind(part, cases[i].kinds[j], &err), err);
        }
        ck_assert_int_eq(put_kind(part, cases[i].kinds[last], &err), ORCH_E_PROTOCOL);
        ck_assert_msg(strstr(err.message, cases[i].says) != NULL, "%zu: %s", i, err.message);
        if (cases[i].kinds[0] != END) {
            ck_assert_int_eq(part_writer_finish(part, &content, &stats, &err), ORCH_E_PROTOCOL);
            ck_assert_int_eq(put_kind(part, OBJ2, &err), ORCH_E_PROTOCOL);
        }
        part_writer_close(part);
    }
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    index_close(index);
    et_repo_remove(&r);
}
END_TEST

/* ---- several components at once -------------------------------------------------------------- */

struct side {
    struct writer *writer;
    struct items *items;
    struct part part;
};

static void *feed_side(void *arg)
{
    struct side *side = arg;
    struct orch_error err = ORCH_ERROR_INIT;
    struct part_writer *part = NULL;
    et_ok(part_writer_open(side->writer, NULL, &part, &err), err);
    feed_items(part, side->items);
    struct orch_event end = et_event(ORCH_EVENT_END);
    et_ok(part_writer_put(part, &end, &err), err);
    et_ok(part_writer_finish(part, &side->part.content, &side->part.stats, &err), err);
    part_writer_close(part);
    return NULL;
}

START_TEST(components_side_by_side_share_chunks)
{
    struct et_repo r;
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {
        .codec = CODEC_ZSTD, .jobs = 3, .memory_bytes = 1, .pack_bytes = 3 << 20};
    struct side sides[6] = {0};
    pthread_t threads[6];
    struct items shared = items_make(40, 9);
    uint64_t fresh = 0;
    et_repo_make(&r, true);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    for (size_t i = 0; i < 6; i++) {
        sides[i].writer = writer;
        sides[i].items = malloc(sizeof(shared));
        *sides[i].items = shared;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, feed_side, &sides[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        (void)pthread_join(threads[i], NULL);
        fresh += sides[i].part.stats.bytes_new;
    }
    et_ok(writer_finish(writer, &err), err);
    size_t packs = 0;
    while (writer_packs(writer)[packs] != NULL) {
        struct storage_stat stat;
        et_ok(storage_stat(r.storage, writer_packs(writer)[packs], &stat, &err), err);
        ck_assert_uint_le(stat.size_bytes, (3 << 20) + (1 << 20) + 65536);
        packs++;
    }
    ck_assert_uint_ge(packs, 3);
    ck_assert_uint_gt(writer_stored_bytes(writer), 0);
    writer_close(writer);
    index_close(index);
    uint64_t one = sides[0].part.stats.bytes_read;
    ck_assert_uint_le(fresh, one); /* each chunk was stored by one of them */
    for (size_t i = 0; i < 6; i++) {
        compare_items(r.repo, &sides[i].part, &shared);
        ck_assert_mem_eq(sides[i].part.content.digest, sides[0].part.content.digest, 32);
        free(sides[i].items);
    }
    items_free(&shared);
    et_repo_remove(&r);
}
END_TEST

/* A component that is given up must not take away what others rely on; a writer that is given up
 * leaves whole packs to the next run. */
START_TEST(giving_up_hurts_nobody)
{
    struct et_repo r;
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct part_writer *first = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {.codec = CODEC_NONE, .pack_bytes = 1 << 20};
    struct items items = items_make(8, 11);
    struct side side = {.items = &items};
    et_repo_make(&r, true);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &first, &err), err);
    put_item(first, &items.items[3], 0); /* small: stays in an open frame */
    side.writer = writer;
    feed_side(&side);
    part_writer_close(first);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    compare_items(r.repo, &side.part, &items);
    index_close(index);

    struct items more = items_make(32, 12);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &first, &err), err);
    feed_items(first, &more);
    part_writer_close(first);
    writer_close(writer); /* no finish */
    struct part again;
    et_backup(r.repo, &options, NULL, feed_items, &more, &again);
    ck_assert_uint_gt(again.stats.bytes_reused, again.stats.bytes_read / 2);
    compare_items(r.repo, &again, &more);
    /* In the same process, with the same index, what was given up is stored again. */
    struct items third = items_make(32, 13);
    index_close(index);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &first, &err), err);
    feed_items(first, &third);
    part_writer_close(first);
    writer_close(writer);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    side.writer = writer;
    side.items = &third;
    feed_side(&side);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    index_close(index);
    compare_items(r.repo, &side.part, &third);
    items_free(&items);
    items_free(&more);
    items_free(&third);
    et_repo_remove(&r);
}
END_TEST

/* ---- what may be offered to an incremental --------------------------------------------------- */

START_TEST(earlier_entries)
{
    struct et_repo r;
    struct part part;
    struct items items = items_make(500, 14);
    items.items[7].len = items.items[300].len = 0;
    struct index *index = NULL;
    struct index *empty = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_items, &items, &part);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    /* The tokens say 1,000 ns: good when the freeze was more than two seconds later. */
    static const int64_t frozen[] = {2000000000, 2000001000, 2000001001};
    for (size_t i = 0; i < 3; i++) {
        size_t count = 0;
        part.frozen_ns = frozen[i];
        et_ok(content_open(r.repo, index, &part, CONTENT_ENTRIES_ONLY | CONTENT_FOR_EARLIER,
                           &reader, &err),
              err);
        for (;;) {
            et_ok(content_next(reader, &event, &err), err);
            if (event.type == ORCH_EVENT_END) {
                break;
            }
            ck_assert_uint_eq(event.type, ORCH_EVENT_OBJECT);
            ck_assert_uint_eq((event.object.flags & ORCH_OBJECT_HAS_TOKEN) != 0, i == 2);
            count++;
        }
        ck_assert_uint_eq(count, 500);
        content_close(reader);
    }
    /* Without its data packs, only an object without data is offered, and known to be whole. */
    struct index_pack pack;
    for (size_t i = 0; index_pack_at(index, i, &pack); i++) {
        if (pack.kind == PACK_DATA) {
            et_ok(index_shun(index, &pack.id, 1, &err), err);
        }
    }
    et_ok(content_open(r.repo, index, &part, CONTENT_ENTRIES_ONLY | CONTENT_FOR_EARLIER, &reader,
                       &err),
          err);
    size_t offered = 0;
    size_t without_data = 0;
    for (;; offered++) {
        et_ok(content_next(reader, &event, &err), err);
        if (event.type == ORCH_EVENT_END) {
            break;
        }
    }
    for (size_t i = 0; i < items.count; i++) {
        ck_assert(content_has_whole(reader, i) == (items.items[i].len == 0));
        without_data += items.items[i].len == 0;
    }
    ck_assert_uint_eq(offered, without_data);
    ck_assert(!content_has_whole(reader, items.count));
    content_close(reader);
    et_ok(index_new(&empty, &err), err);
    et_ok(content_open(r.repo, empty, &part, CONTENT_ENTRIES_ONLY, &reader, &err), err);
    ck_assert_int_eq(content_next(reader, &event, &err), ORCH_E_CORRUPT);
    content_close(reader);
    index_close(empty);
    index_close(index);
    struct buffer out = BUFFER_INIT;
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    ck_assert_int_eq(content_read_object(r.repo, index, &part, "nothing", 7, 10, &out, &err),
                     ORCH_E_NOT_FOUND);
    ck_assert_int_eq(content_read_object(r.repo, index, &part, "a", 1, 10, &out, &err),
                     ORCH_E_NOT_FOUND);
    ck_assert_int_eq(content_read_object(r.repo, index, &part, items.items[100].name,
                                         strlen(items.items[100].name), items.items[100].len - 1,
                                         &out, &err),
                     items.items[100].len > 0 ? ORCH_E_INVALID : ORCH_OK);
    buffer_free(&out);
    index_close(index);
    part_done(&part);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

/* A part that tells of other items than there are is never delivered as whole. */
START_TEST(a_wrong_digest_is_told)
{
    struct et_repo r;
    struct part part;
    struct items items = items_make(10, 15);
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, feed_items, &items, &part);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    part.content.digest[5] ^= 1;
    et_ok(content_open(r.repo, index, &part, 0, &reader, &err), err);
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK) {
        rc = content_next(reader, &event, &err);
        ck_assert(rc != ORCH_OK || event.type != ORCH_EVENT_END);
    }
    ck_assert_int_eq(rc, ORCH_E_CORRUPT);
    content_close(reader);
    index_close(index);
    part_done(&part);
    items_free(&items);
    et_repo_remove(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("writer");
    TCase *tests = tcase_create("writer");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, objects_come_back, 0, 3);
    tcase_add_test(tests, many_small_objects_come_back);
    tcase_add_test(tests, an_empty_part_is_a_part);
    tcase_add_test(tests, the_same_again_stores_nothing);
    tcase_add_test(tests, unchanged_objects_are_taken_over);
    tcase_add_test(tests, one_change_before_many_unchanged);
    tcase_add_test(tests, new_chunks_among_known_ones);
    tcase_add_test(tests, a_long_list_of_chunks);
    tcase_add_loop_test(tests, records_come_back, 0, 5);
    tcase_add_test(tests, a_bad_stream_is_refused);
    tcase_add_test(tests, components_side_by_side_share_chunks);
    tcase_add_test(tests, giving_up_hurts_nobody);
    tcase_add_test(tests, earlier_entries);
    tcase_add_test(tests, a_wrong_digest_is_told);
    suite_add_tcase(suite, tests);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 240);
    tcase_add_test(memory, a_huge_value_in_flat_memory);
    suite_add_tcase(suite, memory);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
