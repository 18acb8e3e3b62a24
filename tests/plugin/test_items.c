/* test_items.c: items through blocks and back, cut at every place, and bytes that break the rules.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/items.h"
#include "recorder.h"

/* ---- a stream in memory ---- */

/* Blocks of `size` bytes, appended to one buffer as they come. */
struct memory {
    uint8_t *block;
    size_t size;
    struct buffer all;
};

static int32_t turn(void *ctx, size_t used, uint8_t **block, size_t *size, struct orch_error *err)
{
    struct memory *m = ctx;
    (void)err;
    buffer_append(&m->all, m->block, used);
    if (block != NULL) {
        *block = m->block;
        *size = m->size;
    }
    return ORCH_OK;
}

static struct items_encoder *encoder_over(struct memory *m, size_t size)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct items_encoder *encoder = NULL;
    m->block = malloc(size);
    m->size = size;
    m->all = (struct buffer)BUFFER_INIT;
    struct items_blocks blocks = {.ctx = m, .turn = turn};
    ck_assert_int_eq(items_encoder_new(&blocks, &encoder, &err), 0);
    return encoder;
}

static void memory_free(struct memory *m)
{
    free(m->block);
    buffer_free(&m->all);
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct orch_error ok = ORCH_ERROR_INIT;                                                    \
        int32_t ok_rc = (call);                                                                    \
        ck_assert_msg(ok_rc == 0, "%s: %s", #call, ok.message);                                    \
    } while (0)

static struct orch_object object_named(const char *name)
{
    return (struct orch_object){.struct_size = sizeof(struct orch_object),
                                .name = (const uint8_t *)name,
                                .name_len = (uint32_t)strlen(name),
                                .kind = 'f',
                                .meta = (const uint8_t *)"meta",
                                .meta_len = 4,
                                .size_bytes = 77,
                                .mtime_ns = -3,
                                .flags = ORCH_OBJECT_HAS_TOKEN,
                                .token = {1, -2, 3, 4}};
}

static struct orch_record record_of(const char *key, uint64_t len)
{
    return (struct orch_record){.struct_size = sizeof(struct orch_record),
                                .type = 7,
                                .space = 9,
                                .key = (const uint8_t *)key,
                                .key_len = (uint32_t)strlen(key),
                                .value_len = len,
                                .expires_ms = ORCH_NO_EXPIRY,
                                .extra = (const uint8_t *)"xx",
                                .extra_len = 2};
}

/* One of everything. */
static void encode_sample(struct items_encoder *e)
{
    struct orch_object a = object_named("a");
    struct orch_object b = object_named("bb");
    struct orch_record r = record_of("key", 5);
    struct orch_record empty = record_of("", 0);
    void *space = NULL;
    uint64_t len = 0;
    OK(items_put_object(e, &a, &ok));
    OK(items_write(e, "hello world, this is more than one tiny block can hold, is it not?", 66,
                   &ok));
    OK(items_put_hole(e, 4096, &ok));
    OK(items_write(e, "after", 5, &ok));
    OK(items_end_item(e, &ok));
    OK(items_put_unchanged(e, &b, &ok));
    OK(items_put_record(e, &r, &ok));
    OK(items_reserve(e, 3, &space, &len, &ok));
    ck_assert_uint_ge(len, 1);
    memset(space, 'v', 1);
    OK(items_commit(e, 1, &ok));
    OK(items_commit(e, 0, &ok));
    OK(items_write(e, "alue", 4, &ok));
    OK(items_end_item(e, &ok));
    empty.extra_len = 0;
    OK(items_put_record(e, &empty, &ok));
    OK(items_end_item(e, &ok));
    OK(items_end(e, &ok));
}

/* Feeds pieces that end at `cuts`; returns the first failure. */
static int32_t decode(const uint8_t *data, size_t len, size_t first, size_t step,
                      struct recorder *out, struct items_totals *totals, struct orch_error *err)
{
    struct items_decoder *d = NULL;
    struct event_sink sink = recorder_sink(out);
    struct orch_event event = {0};
    int32_t rc = items_decoder_new(&d, err);
    size_t pos = 0;
    while (rc == 0 && pos < len) {
        size_t n = pos == 0 ? first : step;
        n = n > len - pos ? len - pos : n;
        /* A copy of its own size, so that a read past it is found by the sanitizer. */
        uint8_t *piece = malloc(n);
        memcpy(piece, data + pos, n);
        items_feed(d, piece, n);
        while (rc == 0 && (rc = items_next(d, &event, err)) == 1) {
            rc = sink.put(sink.ctx, &event, err);
        }
        free(piece);
        pos += n;
    }
    if (totals != NULL) {
        items_decoder_totals(d, totals);
    }
    if (rc == 0 && !items_decoder_ended(d)) {
        rc = 99; /* wants more */
    }
    items_decoder_free(d);
    return rc;
}

START_TEST(test_every_split)
{
    struct memory m;
    struct items_encoder *e = encoder_over(&m, 64);
    struct orch_error err = ORCH_ERROR_INIT;
    encode_sample(e);
    struct items_totals sent;
    items_totals(e, &sent);
    ck_assert_uint_eq(sent.items, 4);
    ck_assert_uint_eq(sent.unchanged, 1);
    ck_assert_uint_eq(sent.bytes, 66 + 4096 + 5 + 5);

    struct recorder whole = {0};
    struct items_totals got;
    ck_assert_int_eq(decode(m.all.data, m.all.len, m.all.len, 1, &whole, &got, &err), 0);
    ck_assert_mem_eq(&sent, &got, sizeof(sent));
    ck_assert_uint_eq(whole.objects, 1);
    ck_assert_uint_eq(whole.unchanged, 1);
    ck_assert_uint_eq(whole.records, 2);
    ck_assert(whole.ended);
    for (size_t cut = 1; cut < m.all.len; cut++) {
        struct recorder two = {0};
        ck_assert_int_eq(decode(m.all.data, m.all.len, cut, m.all.len, &two, NULL, &err), 0);
        ck_assert(recorder_same(&whole, &two));
        recorder_free(&two);
    }
    for (size_t step = 1; step < 8; step++) {
        struct recorder many = {0};
        ck_assert_int_eq(decode(m.all.data, m.all.len, step, step, &many, &got, &err), 0);
        ck_assert(recorder_same(&whole, &many));
        ck_assert_uint_eq(got.digest, sent.digest);
        recorder_free(&many);
    }
    recorder_free(&whole);
    items_encoder_free(e);
    memory_free(&m);
}
END_TEST

/* A stream that ends anywhere else than at its end is never taken for whole. */
START_TEST(test_every_prefix_is_short)
{
    struct memory m;
    struct items_encoder *e = encoder_over(&m, 100);
    encode_sample(e);
    for (size_t len = 1; len < m.all.len; len++) {
        struct recorder r = {0};
        struct orch_error err = ORCH_ERROR_INIT;
        ck_assert_int_eq(decode(m.all.data, len, len, 1, &r, NULL, &err), 99);
        ck_assert(!r.ended);
        recorder_free(&r);
    }
    items_encoder_free(e);
    memory_free(&m);
}
END_TEST

/* Any byte may be wrong: an error or another content, but no crash, and never the same digest. */
START_TEST(test_every_byte_flipped)
{
    struct memory m;
    struct items_encoder *e = encoder_over(&m, 100);
    encode_sample(e);
    struct items_totals sent;
    items_totals(e, &sent);
    for (size_t i = 0; i < m.all.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct recorder r = {0};
            struct orch_error err = ORCH_ERROR_INIT;
            struct items_totals got = {0};
            m.all.data[i] ^= (uint8_t)(1 << bit);
            int32_t rc = decode(m.all.data, m.all.len, 40, 33, &r, &got, &err);
            ck_assert(rc == 0 || rc == 99 || rc == ORCH_E_PROTOCOL);
            ck_assert(rc != 0 || got.digest != sent.digest);
            m.all.data[i] ^= (uint8_t)(1 << bit);
            recorder_free(&r);
        }
    }
    items_encoder_free(e);
    memory_free(&m);
}
END_TEST

START_TEST(test_random_bytes)
{
    uint64_t state = 88172645463325252u;
    for (int round = 0; round < 20000; round++) {
        uint8_t data[200];
        for (size_t i = 0; i < sizeof(data); i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            data[i] = (uint8_t)((state & 3) == 0 ? (uint8_t) "OURDHIE"[(state >> 8) % 7]
                                                 : (state >> 20) % 3);
        }
        struct recorder r = {0};
        struct orch_error err = ORCH_ERROR_INIT;
        int32_t rc = decode(data, sizeof(data), 1 + (size_t)(state % 150), 7, &r, NULL, &err);
        ck_assert(rc == 99 || rc == ORCH_E_PROTOCOL);
        recorder_free(&r);
    }
}
END_TEST

/* ---- what the encoder refuses ---- */

static const struct {
    const char *what;
    int which;
} refused[] = {
    {"an object name of", 0},
    {"metadata of", 1},
    {"kind", 2},
    {"profile 9", 3},
    {"row_bytes", 4},
    {"unknown flags", 5},
    {"outside an item", 6},
    {"still open", 7},
    {"too many", 8},
    {"less than", 9},
    {"a hole in a record", 10},
    {"are reserved", 11},
    {"all the data", 12},
    {"a record key of", 13},
    {"extra", 14},
    {"after the end", 15},
    {"past what can be counted", 16},
    {"outside an item", 17},
    {"outside an item", 18},
    {"still open", 19},
};

static int32_t break_rule(struct items_encoder *e, int which, struct orch_error *err)
{
    struct orch_object o = object_named("x");
    struct orch_record r = record_of("k", 3);
    void *space = NULL;
    uint64_t len = 0;
    if (which == 6) {
        return items_write(e, "x", 1, err);
    }
    if (which == 17) {
        return items_put_hole(e, 1, err);
    }
    if (which == 18) {
        return items_end_item(e, err);
    }
    if (which == 15) {
        OK(items_end(e, &ok));
        return items_put_object(e, &o, err);
    }
    if ((which >= 8 && which <= 10) || which == 12) {
        r.value_len = which == 12 ? 0 : 3;
        OK(items_put_record(e, &r, &ok));
        return which == 8    ? items_write(e, "four", 4, err)
               : which == 9  ? items_end_item(e, err)
               : which == 10 ? items_put_hole(e, 1, err)
                             : items_reserve(e, 0, &space, &len, err);
    }
    r.key_len = which == 13 ? ITEMS_KEY_MAX + 1 : r.key_len;
    r.extra_len = which == 14 ? ITEMS_EXTRA_MAX + 1 : r.extra_len;
    if (which == 13 || which == 14) {
        return items_put_record(e, &r, err);
    }
    o.name_len = which == 0 ? ITEMS_NAME_MAX + 1 : o.name_len;
    o.meta_len = which == 1 ? ITEMS_META_MAX + 1 : o.meta_len;
    o.kind = which == 2 ? 200 : o.kind;
    o.profile = which == 3 ? 9 : which == 4 ? ORCH_PROFILE_ROWS : o.profile;
    o.flags = which == 5 ? 1u << 30 : o.flags;
    int32_t rc = items_put_object(e, &o, err);
    if (rc != ORCH_OK || which < 6) {
        return rc;
    }
    if (which == 11) {
        OK(items_reserve(e, 5, &space, &len, &ok));
        return items_commit(e, len + 1, err);
    }
    if (which == 16) {
        OK(items_put_hole(e, INT64_MAX - 10, &ok));
        return items_put_hole(e, 11, err);
    }
    return which == 19 ? items_end(e, err) : items_put_object(e, &o, err);
}

START_TEST(test_encoder_refuses)
{
    struct memory m;
    struct orch_error err = ORCH_ERROR_INIT;
    struct items_encoder *e = encoder_over(&m, 1000);
    ck_assert_int_eq(break_rule(e, refused[_i].which, &err), ORCH_E_INVALID);
    ck_assert_msg(strstr(err.message, refused[_i].what) != NULL, "%s", err.message);
    items_encoder_free(e);
    memory_free(&m);
}
END_TEST

/* ---- content that changes after it was handed over ---- */

START_TEST(test_digest_is_of_what_was_committed)
{
    struct memory m;
    struct items_encoder *e = encoder_over(&m, 8192);
    struct orch_object o = object_named("x");
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t *space = NULL;
    uint64_t len = 0;
    OK(items_put_object(e, &o, &ok));
    OK(items_write(e, "before", 6, &ok));
    OK(items_reserve(e, 100, (void **)&space, &len, &ok));
    memset(space, 'x', len);
    OK(items_commit(e, len, &ok));
    *(_i == 0 ? space + 3 : space - 8) = 'y'; /* what was committed, or what lies before it */
    OK(items_end_item(e, &ok));
    OK(items_end(e, &ok));
    struct items_totals sent;
    struct items_totals got = {0};
    struct recorder r = {0};
    items_totals(e, &sent);
    ck_assert_int_eq(decode(m.all.data, m.all.len, m.all.len, 1, &r, &got, &err), 0);
    ck_assert_uint_ne(sent.digest, got.digest);
    recorder_free(&r);
    items_encoder_free(e);
    memory_free(&m);
}
END_TEST

/* A key of some size spans blocks; the decoder's memory follows what came, not what was announced.
 */
START_TEST(test_large_key_and_many_records)
{
    struct memory m;
    struct items_encoder *e = encoder_over(&m, 1u << 20);
    struct orch_error err = ORCH_ERROR_INIT;
    char *key = malloc(3000001);
    memset(key, 'k', 3000000);
    key[3000000] = 0;
    struct orch_record large = record_of(key, 0);
    OK(items_put_record(e, &large, &ok));
    OK(items_end_item(e, &ok));
    int32_t failed = 0; /* checked once: each check of libcheck is a write to a pipe */
    int64_t began = clock_monotonic_ns();
    for (int i = 0; i < 300000; i++) {
        struct orch_record r = record_of("some-key-of-20-bytes", 30);
        failed |= items_put_record(e, &r, &err);
        failed |= items_write(e, "a value of thirty bytes length", 30, &err);
        failed |= items_end_item(e, &err);
    }
    ck_assert_int_eq(failed, 0);
    OK(items_end(e, &ok));
    double encode_s = (double)(clock_monotonic_ns() - began) / 1e9;
    struct items_decoder *d = NULL;
    struct orch_event event = {0};
    uint64_t records = 0;
    OK(items_decoder_new(&d, &ok));
    began = clock_monotonic_ns();
    for (size_t pos = 0; pos < m.all.len; pos += 1u << 20) {
        size_t n = m.all.len - pos < 1u << 20 ? m.all.len - pos : 1u << 20;
        items_feed(d, m.all.data + pos, n);
        while (items_next(d, &event, &err) == 1) {
            records += event.type == ORCH_EVENT_RECORD ? 1 : 0;
        }
    }
    double decode_s = (double)(clock_monotonic_ns() - began) / 1e9;
    printf("items: %.1f M/s encoded, %.1f M/s decoded\n", 0.3 / encode_s, 0.3 / decode_s);
    ck_assert_uint_eq(records, 300001);
    ck_assert(items_decoder_ended(d));
    items_decoder_free(d);
    items_encoder_free(e);
    memory_free(&m);
    free(key);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("items");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_every_split);
    tcase_add_test(tcase, test_every_prefix_is_short);
    tcase_add_test(tcase, test_every_byte_flipped);
    tcase_add_test(tcase, test_random_bytes);
    tcase_add_loop_test(tcase, test_encoder_refuses, 0,
                        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_loop_test(tcase, test_digest_is_of_what_was_committed, 0, 2);
    tcase_add_test(tcase, test_large_key_and_many_records);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
