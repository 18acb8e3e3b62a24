/* test_writer_records.c: records go in and come out the same, whatever their size. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/records.h"
#include "itemsbase.h"
#include "testing.h"

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
    wi_part_done(&first);
    wi_part_done(&second);
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
    wi_part_done(&part);
    free(piece);
    et_repo_remove(&r);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("writer_records");
    TCase *tests = tcase_create("writer_records");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, records_come_back, 0, 5);
    suite_add_tcase(suite, tests);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 240);
    tcase_add_test(memory, a_huge_value_in_flat_memory);
    suite_add_tcase(suite, memory);
#endif
    return testing_run(suite);
}
