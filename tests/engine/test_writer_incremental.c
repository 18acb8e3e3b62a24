/* test_writer_incremental.c: unchanged objects are taken over from an earlier part, and what is
 * offered of one. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pack.h"
#include "itemsbase.h"
#include "testing.h"

/* What is not taken over from an earlier part makes the same part. */
static void assert_same_when_read_whole(struct repo *repo, const struct part *part,
                                        struct wi_items *items)
{
    struct part whole;
    items->unchanged_if = NULL;
    et_backup(repo, NULL, NULL, wi_feed, items, &whole);
    ck_assert_mem_eq(part->content.digest, whole.content.digest, 32);
    ck_assert_mem_eq(part->content.catalogue_root, whole.content.catalogue_root, 32);
    wi_part_done(&whole);
}

START_TEST(unchanged_objects_are_taken_over)
{
    struct et_repo r;
    struct part first, second;
    struct wi_items before = wi_make(3000, 4);
    struct wi_items after = wi_make(3000, 4);
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, wi_feed, &before, &first);
    for (size_t i = 0; i < after.count; i += 37) {
        after.items[i].data = realloc(after.items[i].data, after.items[i].len + 4);
        memcpy(after.items[i].data + after.items[i].len, "more", 4);
        after.items[i].len += 4;
    }
    after.unchanged_if = &before;
    et_backup(r.repo, NULL, &first, wi_feed, &after, &second);
    ck_assert_uint_gt(after.unchanged, 2900);
    ck_assert_uint_eq(second.stats.items_unchanged, after.unchanged);
    ck_assert_uint_eq(second.stats.items_read, 3000 - after.unchanged);
    wi_compare(r.repo, &second, &after);
    assert_same_when_read_whole(r.repo, &second, &after);
    wi_part_done(&first);
    wi_part_done(&second);
    wi_free(&before);
    wi_free(&after);
    et_repo_remove(&r);
}
END_TEST

/* What comes between two chunks is kept until the ids are there; here it is more than is kept. */
START_TEST(one_change_before_many_unchanged)
{
    struct et_repo r;
    struct part first, second;
    struct wi_items before = wi_make(9000, 8);
    struct wi_items after = wi_make(9000, 8);
    et_repo_make(&r, true);
    for (size_t i = 0; i < before.count; i++) {
        before.items[i].len = after.items[i].len = before.items[i].len % 50;
        before.items[i].hole_len = after.items[i].hole_len = 0;
    }
    et_backup(r.repo, NULL, NULL, wi_feed, &before, &first);
    for (size_t i = 0; i < 2; i++) {
        et_text_fill(99 + i, after.items[4400 * i].data, after.items[4400 * i].len = 12);
    }
    after.unchanged_if = &before;
    et_backup(r.repo, NULL, &first, wi_feed, &after, &second);
    ck_assert_uint_eq(second.stats.items_unchanged, 8998);
    ck_assert_uint_eq(second.stats.bytes_new, 24);
    wi_compare(r.repo, &second, &after);
    assert_same_when_read_whole(r.repo, &second, &after);
    wi_part_done(&first);
    wi_part_done(&second);
    wi_free(&before);
    wi_free(&after);
    et_repo_remove(&r);
}
END_TEST

/* New chunks between known ones, in more frames than are under way at once. */
START_TEST(new_chunks_among_known_ones)
{
    struct et_repo r;
    struct part first, second;
    struct wi_items items = {.items = calloc(2, sizeof(struct wi_item)), .count = 2};
    et_repo_make(&r, true);
    for (size_t i = 0; i < 2; i++) {
        struct wi_item *item = &items.items[i];
        (void)snprintf(item->name, WI_NAME_BYTES, "large%zu", i);
        item->len = 24u << 20;
        item->data = malloc(item->len);
        et_random_fill(50 + i, item->data, item->len);
    }
    items.piece = 1 << 20;
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &first);
    for (size_t i = 0; i < 10; i++) {
        et_random_fill(60 + i, items.items[0].data + i * (2u << 20) + 5, 700000);
    }
    memcpy(items.items[1].data, items.items[0].data, 8u << 20);
    et_backup(r.repo, NULL, &first, wi_feed, &items, &second);
    ck_assert_uint_ge(second.stats.bytes_new, 7000000);
    ck_assert_uint_le(second.stats.bytes_new, 20u << 20);
    ck_assert_uint_eq(second.stats.bytes_new + second.stats.bytes_reused, 48u << 20);
    wi_compare(r.repo, &second, &items);
    wi_part_done(&first);
    wi_part_done(&second);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

/* ---- what may be offered to an incremental --------------------------------------------------- */

START_TEST(earlier_entries)
{
    struct et_repo r;
    struct part part;
    struct wi_items items = wi_make(500, 14);
    items.items[7].len = items.items[300].len = 0;
    struct index *index = NULL;
    struct index *empty = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &part);
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
    wi_part_done(&part);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

/* A part that tells of other items than there are is never delivered as whole. */
START_TEST(a_wrong_digest_is_told)
{
    struct et_repo r;
    struct part part;
    struct wi_items items = wi_make(10, 15);
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &part);
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
    wi_part_done(&part);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("writer_incremental");
    TCase *tests = tcase_create("writer_incremental");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, unchanged_objects_are_taken_over);
    tcase_add_test(tests, one_change_before_many_unchanged);
    tcase_add_test(tests, new_chunks_among_known_ones);
    tcase_add_test(tests, earlier_entries);
    tcase_add_test(tests, a_wrong_digest_is_told);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
