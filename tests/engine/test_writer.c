/* test_writer.c: content goes in and comes out the same; deduplication, several components at once,
 * and what a plugin could get wrong. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/chunk.h"
#include "engine/pack.h"
#include "engine/records.h"
#include "itemsbase.h"
#include "testing.h"

static const struct writer_options shapes[] = {
    {.codec = CODEC_ZSTD},
    {.codec = CODEC_GZIP, .jobs = 1, .memory_bytes = 1},
    {.codec = CODEC_NONE, .jobs = 4, .pack_bytes = 2 << 20},
};

START_TEST(objects_come_back)
{
    struct et_repo r;
    struct part part;
    struct wi_items items = wi_make(60, 1);
    static const size_t pieces[] = {0, 65536, 999};
    et_repo_make(&r, _i != 2);
    items.piece = pieces[_i];
    et_backup(r.repo, &shapes[_i], NULL, wi_feed, &items, &part);
    ck_assert_uint_eq(part.content.objects, 60);
    ck_assert_uint_eq(part.stats.bytes_read, part.stats.bytes_new + part.stats.bytes_reused);
    ck_assert_uint_gt(part.stats.bytes_stored, 0);
    wi_compare(r.repo, &part, &items);
    wi_part_done(&part);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

START_TEST(many_small_objects_come_back)
{
    struct et_repo r;
    struct part part;
    struct wi_items items = wi_make(20000, 2);
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &part);
    wi_compare(r.repo, &part, &items);
    wi_part_done(&part);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

START_TEST(an_empty_part_is_a_part)
{
    struct et_repo r;
    struct part part;
    struct wi_items items = {0};
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &part);
    ck_assert_uint_eq(part.content.objects + part.content.records, 0);
    wi_compare(r.repo, &part, &items);
    wi_part_done(&part);
    et_repo_remove(&r);
}
END_TEST

START_TEST(the_same_again_stores_nothing)
{
    struct et_repo r;
    struct part first, second;
    struct wi_items items = wi_make(60, 3);
    et_repo_make(&r, true);
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &first);
    items.piece = 12345;
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &second);
    ck_assert_uint_eq(second.stats.bytes_new, 0);
    ck_assert_uint_eq(second.stats.bytes_stored, 0);
    ck_assert_uint_eq(second.stats.bytes_reused, second.stats.bytes_read);
    ck_assert_mem_eq(first.content.digest, second.content.digest, 32);
    ck_assert_mem_eq(first.content.catalogue_root, second.content.catalogue_root, 32);
    wi_compare(r.repo, &second, &items);
    items.items[7].data[0] ^= 1;
    wi_part_done(&second);
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &second);
    ck_assert_mem_ne(first.content.digest, second.content.digest, 32);
    ck_assert_uint_gt(second.stats.bytes_new, 0);
    ck_assert_uint_le(second.stats.bytes_new, CHUNK_MAX);
    wi_part_done(&first);
    wi_part_done(&second);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

/* An object of more references than stand inline: its list is a tree. */
START_TEST(a_long_list_of_chunks)
{
    struct et_repo r;
    struct part first, second;
    struct wi_items items = {.items = calloc(1, sizeof(struct wi_item)), .count = 1};
    struct wi_item *item = &items.items[0];
    et_repo_make(&r, true);
    strcpy(item->name, "rows");
    item->profile = ORCH_PROFILE_ROWS;
    item->len = 40u << 20;
    item->data = malloc(item->len);
    et_random_fill(5, item->data, item->len);
    item->hole_at = 1 << 20;
    item->hole_len = 500000;
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &first);
    wi_compare(r.repo, &first, &items);
    items.unchanged_if = &items;
    et_backup(r.repo, NULL, &first, wi_feed, &items, &second);
    ck_assert_uint_eq(second.stats.items_unchanged, 1);
    ck_assert_uint_eq(second.stats.bytes_stored, 0);
    ck_assert_uint_eq(second.stats.bytes_reused, item->len);
    ck_assert_mem_eq(first.content.digest, second.content.digest, 32);
    wi_part_done(&second);
    /* One percent of the rows change: little more than these rows is stored. */
    struct et_random random = {6};
    for (int i = 0; i < 1398; i++) {
        item->data[(et_random_next(&random) % (item->len / 300)) * 300 + 25] ^= 0xff;
    }
    items.unchanged_if = NULL;
    et_backup(r.repo, NULL, NULL, wi_feed, &items, &second);
    ck_assert_uint_le(second.stats.bytes_new, 1398 * 8192);
    wi_compare(r.repo, &second, &items);
    wi_part_done(&first);
    wi_part_done(&second);
    wi_free(&items);
    et_repo_remove(&r);
}
END_TEST

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
    struct wi_items *items;
    struct part part;
};

static void *feed_side(void *arg)
{
    struct side *side = arg;
    struct orch_error err = ORCH_ERROR_INIT;
    struct part_writer *part = NULL;
    et_ok(part_writer_open(side->writer, NULL, &part, &err), err);
    wi_feed(part, side->items);
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
    struct wi_items shared = wi_make(40, 9);
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
        wi_compare(r.repo, &sides[i].part, &shared);
        ck_assert_mem_eq(sides[i].part.content.digest, sides[0].part.content.digest, 32);
        free(sides[i].items);
    }
    wi_free(&shared);
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
    struct wi_items items = wi_make(8, 11);
    struct side side = {.items = &items};
    et_repo_make(&r, true);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &first, &err), err);
    wi_put(first, &items.items[3], 0); /* small: stays in an open frame */
    side.writer = writer;
    feed_side(&side);
    part_writer_close(first);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    wi_compare(r.repo, &side.part, &items);
    index_close(index);

    struct wi_items more = wi_make(32, 12);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &first, &err), err);
    wi_feed(first, &more);
    part_writer_close(first);
    writer_close(writer); /* no finish */
    struct part again;
    et_backup(r.repo, &options, NULL, wi_feed, &more, &again);
    ck_assert_uint_gt(again.stats.bytes_reused, again.stats.bytes_read / 2);
    wi_compare(r.repo, &again, &more);
    /* In the same process, with the same index, what was given up is stored again. */
    struct wi_items third = wi_make(32, 13);
    index_close(index);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &first, &err), err);
    wi_feed(first, &third);
    part_writer_close(first);
    writer_close(writer);
    et_ok(writer_open(r.repo, index, &options, &writer, &err), err);
    side.writer = writer;
    side.items = &third;
    feed_side(&side);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    index_close(index);
    wi_compare(r.repo, &side.part, &third);
    wi_free(&items);
    wi_free(&more);
    wi_free(&third);
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
    tcase_add_test(tests, a_long_list_of_chunks);
    tcase_add_test(tests, a_bad_stream_is_refused);
    tcase_add_test(tests, components_side_by_side_share_chunks);
    tcase_add_test(tests, giving_up_hurts_nobody);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
