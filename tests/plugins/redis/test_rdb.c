/* test_rdb.c: the RDB parser and what it stands on, over bytes made here. */
#include "bytes.h"
#include "lzf.h"
#include "rdb.h"
#include "rdb_atom.h"
#include "rdb_value.h"

#include <check.h>
#include <orchestrate/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct crc64 crc;

static void put(struct bytes *out, const void *data, size_t len)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(bytes_append(out, data, len, &err), ORCH_OK);
}

static void put_string(struct bytes *out, const char *text)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(rdb_atom_put_string(out, text, strlen(text), &err), ORCH_OK);
}

static void put_key(struct bytes *out, uint8_t type, const char *key, const void *value, size_t len)
{
    put(out, &type, 1);
    put_string(out, key);
    put(out, value, len);
}

static void put_end(struct bytes *out, int with_checksum)
{
    put(out, "\xff", 1);
    uint64_t sum = with_checksum ? crc64_update(&crc, 0, out->data, out->len) : 0;
    put(out, &sum, 8); /* the tests run on little-endian machines */
}

/* Values of every type; type 19 and others with their nested counts. */
struct value {
    uint8_t type;
    const char *bytes;
    size_t len;
};
#define V(type, text)                                                                              \
    {                                                                                              \
        type, text, sizeof(text) - 1                                                               \
    }
#define ID "0123456789abcdef"
static const struct value VALUES[] = {
    V(0, "\x03"
         "abc"),
    V(0, "\xc0\x7f"),
    V(0, "\xc1\xff\x7f"),
    V(0, "\xc2\x01\x02\x03\x04"),
    V(0, "\xc3\x05\x0a\x01"
         "ab\xc0\x01"), /* "ab" then a copy of 8 bytes: LZF */
    V(0, "\x00"),
    V(1, "\x02\x01"
         "a\xc0\x05"),
    V(2, "\x01\x01"
         "m"),
    V(2, "\x00"),
    V(3, "\x03\x01"
         "a\x04"
         "1.25\x01"
         "b\xfe\x01"
         "c\xff"),
    V(4, "\x01\x01"
         "f\x01"
         "v"),
    V(5, "\x01\x01"
         "a12345678"),
    V(9, "\x01z"),
    V(10, "\x01z"),
    V(11, "\x01z"),
    V(12, "\x01z"),
    V(13, "\x01z"),
    V(14, "\x02\x01z\x01z"),
    V(15, "\x01\x10" ID "\x02lp\x01\x02\x03\x00"),
    V(15, "\x00\x01\x02\x03\x01\x01g\x05\x06\x01" ID "12345678\x01\x01\x01"
          "c12345678\x01" ID),
    V(16, "\x01z"),
    V(17, "\x01z"),
    V(18, "\x02\x01\x01z\x02\x01z"),
    V(19, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x01\x01g\x05\x06\x07\x01" ID "12345678\x01\x01\x01"
          "c12345678\x01" ID),
    V(20, "\x01z"),
    V(21, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x01\x01g\x05\x06\x07\x01" ID "12345678\x01\x01\x01"
          "c1234567812345678\x01" ID),
    V(24, "12345678\x01\x05\x01"
          "f\x01"
          "v"),
    V(25, "12345678\x01z"),
};
#define VALUE_COUNT (sizeof(VALUES) / sizeof(VALUES[0]))

/* A whole stream: aux, functions, all values in two databases, all opcodes. */
static void make_stream(struct bytes *out)
{
    char key[32];
    put(out, "REDIS0010", 9);
    put(out, "\xfa", 1);
    put_string(out, "repl-id");
    put_string(out, "0123456789");
    put(out, "\xfa", 1);
    put_string(out, "redis-bits");
    put(out, "\xc0\x40", 2);
    put(out, "\xf5", 1);
    put_string(out, "#!lua name=lib\n");
    put(out, "\xfe\x00\xfb\x40\x80\x02", 6);
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        (void)snprintf(key, sizeof(key), "key-%zu", i);
        put_key(out, VALUES[i].type, key, VALUES[i].bytes, VALUES[i].len);
    }
    put(out, "\xf4\x01\x02\x03\xfe\x09\xfc\x10\x27\x00\x00\x00\x00\x00\x00\xf8\x7f", 17);
    /* the idle time above lacks its second byte on purpose: 0x7f begins a length of two bytes */
    put(out, "\x01", 1);
    put_key(out, 0, "expires", "\x01v", 2);
    put(out, "\xfd\x0a\x00\x00\x00\xf9\x63", 7);
    put_key(out, 0, "seconds", "\x01v", 2);
    put(out, "\x00\xc0\x2a\x01v", 5); /* the key is the integer 42 */
}

struct seen {
    uint64_t keys, functions, aux;
    int32_t result; /* RDB_END or an error */
    char last_key[64];
    struct rdb_event last;
    uint64_t digest;
    struct orch_error err;
};

/* Feeds `len` bytes, `step` at a time. */
static struct seen feed(const uint8_t *data, size_t len, size_t step)
{
    struct seen seen = {0};
    struct rdb *rdb = NULL;
    ck_assert_int_eq(rdb_new(&crc, 1u << 20, &rdb, &seen.err), ORCH_OK);
    size_t start = 0, end = step < len ? step : len;
    for (;;) {
        /* a block of its own size, so that a sanitizer sees every byte read too far */
        uint8_t *window = malloc(end - start + 1);
        ck_assert_ptr_nonnull(window);
        memcpy(window + 1, data + start, end - start);
        struct rdb_event event;
        size_t used = 0;
        int32_t kind = rdb_next(rdb, window + 1, end - start, &used, &event, &seen.err);
        ck_assert_uint_le(used, end - start);
        if (kind == RDB_KEY) {
            seen.keys++;
            (void)snprintf(seen.last_key, sizeof(seen.last_key), "%.*s", (int)event.key_len,
                           (const char *)event.key);
            seen.digest += rdb_value_digest(&crc, event.type, event.value, event.value_len);
            seen.digest ^= crc64_update(&crc, event.db, event.key, event.key_len);
            seen.last = event;
        }
        seen.functions += kind == RDB_FUNCTION;
        seen.aux += kind == RDB_AUX;
        free(window);
        start += used;
        if (kind < 0 || kind == RDB_END) {
            seen.result = kind;
            break;
        }
        if (kind == RDB_MORE) {
            if (end == len) {
                seen.result = RDB_MORE;
                break;
            }
            end = len - end < step ? len : end + step;
        }
    }
    rdb_free(rdb);
    return seen;
}

START_TEST(crc_is_that_of_redis)
{
    uint64_t whole = crc64_update(&crc, 0, "123456789", 9);
    ck_assert_uint_eq(whole, UINT64_C(0xe9c6d914c4b8d9ca));
    uint64_t parts = crc64_update(&crc, crc64_update(&crc, 0, "12345", 5), "6789", 4);
    ck_assert_uint_eq(parts, whole);
}
END_TEST

START_TEST(lzf_decodes_and_refuses)
{
    uint8_t out[16];
    static const uint8_t GOOD[] = {0x01, 'a', 'b', 0xc0, 0x01};
    ck_assert_int_eq(lzf_decode(GOOD, 5, out, 10), 0);
    ck_assert_mem_eq(out, "ababababab", 10);
    static const struct {
        uint8_t bytes[4];
        size_t len, out;
    } BAD[] = {
        {{0x05, 'a', 'b'}, 3, 6},        /* literal past the input */
        {{0x20, 0x00}, 2, 3},            /* reference before the output */
        {{0x01, 'a', 'b', 0xe0}, 4, 12}, /* length byte missing */
        {{0x01, 'a', 'b', 0x20}, 4, 5},  /* distance byte missing */
        {{0x01, 'a', 'b'}, 3, 3},        /* too little */
        {{0x01, 'a', 'b'}, 3, 1},        /* too much */
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        ck_assert_int_eq(lzf_decode(BAD[i].bytes, BAD[i].len, out, BAD[i].out), -1);
    }
}
END_TEST

START_TEST(lengths_round_trip)
{
    static const uint64_t LENGTHS[] = {
        0, 1, 63, 64, 16383, 16384, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(LENGTHS[0]); i++) {
        CLEANUP_BYTES struct bytes out = BYTES_INIT;
        struct orch_error err = ORCH_ERROR_INIT;
        uint64_t value = 1;
        int special = 0;
        ck_assert_int_eq(rdb_atom_put_length(&out, LENGTHS[i], &err), ORCH_OK);
        ck_assert_int_eq(rdb_atom_length(out.data, out.len, &value, &special), (int)out.len);
        ck_assert_uint_eq(value, LENGTHS[i]);
        for (size_t len = 0; len < out.len; len++) {
            ck_assert_int_eq(rdb_atom_length(out.data, len, &value, &special), RDB_ATOM_MORE);
        }
    }
}
END_TEST

START_TEST(every_value_ends_where_it_ends)
{
    const struct value *value = &VALUES[_i];
    ck_assert(rdb_value_known(value->type));
    for (size_t step = 1; step <= value->len; step++) {
        struct rdb_cursor cursor;
        rdb_value_start(&cursor, value->type, 1u << 20);
        size_t len = 0;
        int rc = 0;
        while (rc == 0 && len < value->len) {
            len = value->len - len < step ? value->len : len + step;
            rc = rdb_value_walk(&cursor, (const uint8_t *)value->bytes, len);
            ck_assert(rc == (len == value->len)); /* neither too early nor too late */
        }
        ck_assert_int_eq(rc, 1);
        ck_assert_uint_eq(cursor.offset, value->len);
    }
}
END_TEST

START_TEST(a_stream_is_the_same_in_any_pieces)
{
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    make_stream(&out);
    put_end(&out, 1);
    struct seen whole = feed(out.data, out.len, out.len);
    ck_assert_msg(whole.result == RDB_END, "%s", whole.err.message);
    ck_assert_uint_eq(whole.keys, VALUE_COUNT + 3);
    ck_assert_uint_eq(whole.functions, 1);
    ck_assert_uint_eq(whole.aux, 2);
    ck_assert_str_eq(whole.last_key, "42");
    for (size_t step = 1; step < 60; step++) {
        struct seen pieces = feed(out.data, out.len, step);
        ck_assert_int_eq(pieces.result, RDB_END);
        ck_assert_uint_eq(pieces.keys, whole.keys);
        ck_assert_uint_eq(pieces.digest, whole.digest);
    }
}
END_TEST

START_TEST(expiry_and_usage_belong_to_one_key)
{
    static const struct {
        const char *before;
        size_t len;
        int64_t expires_ms;
        uint32_t flags;
    } CASES[] = {
        {"", 0, ORCH_NO_EXPIRY, 0},
        {"\xfc\x10\x27\x00\x00\x00\x00\x00\x00", 9, 10000, 0},
        {"\xfd\x0a\x00\x00\x00", 5, 10000, 0},
        {"\xf8\x05", 2, ORCH_NO_EXPIRY, RDB_HAS_IDLE},
        {"\xf9\x05", 2, ORCH_NO_EXPIRY, RDB_HAS_FREQUENCY},
        {"\xfc\x10\x27\x00\x00\x00\x00\x00\x00\xf9\x05", 11, 10000, RDB_HAS_FREQUENCY},
    };
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    put(&out, "REDIS0010\xfe\x03", 11);
    put(&out, CASES[_i].before, CASES[_i].len);
    put_key(&out, 0, "a", "\x01v", 2);
    size_t first = out.len;
    put_key(&out, 0, "b", "\x01v", 2);
    put_end(&out, 1);
    struct seen seen = feed(out.data, first, first);
    ck_assert_int_eq(seen.last.expires_ms, CASES[_i].expires_ms);
    ck_assert_uint_eq(seen.last.flags, CASES[_i].flags);
    ck_assert_uint_eq(seen.last.db, 3);
    seen = feed(out.data, out.len, out.len);
    ck_assert_int_eq(seen.result, RDB_END);
    ck_assert_int_eq(seen.last.expires_ms, ORCH_NO_EXPIRY);
    ck_assert_uint_eq(seen.last.flags, 0);
}
END_TEST

START_TEST(truncation_is_never_an_end)
{
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    make_stream(&out);
    put_end(&out, 1);
    for (size_t len = 0; len < out.len; len++) {
        struct seen seen = feed(out.data, len, len == 0 ? 1 : len);
        ck_assert_int_eq(seen.result, RDB_MORE);
    }
}
END_TEST

START_TEST(every_flipped_byte_is_found)
{
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    make_stream(&out);
    put_end(&out, 1);
    for (size_t at = 0; at < out.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            out.data[at] ^= (uint8_t)(1u << bit);
            struct seen seen = feed(out.data, out.len, out.len);
            ck_assert_msg(seen.result != RDB_END, "byte %zu bit %u", at, bit);
            out.data[at] ^= (uint8_t)(1u << bit);
        }
    }
}
END_TEST

START_TEST(no_checksum_is_allowed)
{
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    make_stream(&out);
    put_end(&out, 0);
    ck_assert_int_eq(feed(out.data, out.len, out.len).result, RDB_END);
}
END_TEST

/* Streams that are refused, with the code and a word of the message. */
START_TEST(bad_streams_are_refused)
{
    static const struct {
        const char *bytes;
        size_t len;
        int32_t code;
        const char *word;
    } CASES[] = {
#define BAD(text, code, word) {text, sizeof(text) - 1, code, word}
        BAD("RODIS0010", ORCH_E_CORRUPT, "REDIS"),
        BAD("REDIS00x0", ORCH_E_CORRUPT, "version"),
        BAD("REDIS0000", ORCH_E_CORRUPT, "version"),
        BAD("REDIS0099", ORCH_E_VERSION, "99"),
        BAD("VALKEY080", ORCH_E_VERSION, "Valkey"),
        BAD("REDIS0010\x08", ORCH_E_VERSION, "type 8"),
        BAD("REDIS0010\x16", ORCH_E_VERSION, "type 22"),
        BAD("REDIS0010\x80", ORCH_E_VERSION, "type 128"),
        BAD("REDIS0010\xf6", ORCH_E_VERSION, "pre-release"),
        /* an id of the module type "ReJSON-RL" */
        BAD("REDIS0010\x07\x01k\x81\x45\xe2\x48\x38\xdf\x91\x0b\x03", ORCH_E_UNSUPPORTED, "module"),
        BAD("REDIS0010\xf7\x81\x45\xe2\x48\x38\xdf\x91\x0b\x03", ORCH_E_UNSUPPORTED, "module"),
        BAD("REDIS0010\x00\x81\x00\x00\x00\xff\xff\xff\xff\xffkey", ORCH_E_CORRUPT, "key"),
        BAD("REDIS0010\x00\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff", ORCH_E_CORRUPT, "value"),
        BAD("REDIS0010\x00\x01k\x80\x7f\xff\xff\xff", ORCH_E_CORRUPT, "value"),
        BAD("REDIS0010\x00\x01k\x82", ORCH_E_CORRUPT, "value"),
        BAD("REDIS0010\x00\x01k\xc4", ORCH_E_CORRUPT, "value"),
        /* LZF that claims to unpack to more than it can */
        BAD("REDIS0010\x00\x01k\xc3\x03\x80\x00\x0f\xff\xff", ORCH_E_CORRUPT, "value"),
        BAD("REDIS0010\x00\xc3\x02\x04\x20\x00\x01v", ORCH_E_CORRUPT, "compressed"),
        BAD("REDIS0010\xfa\xc4", ORCH_E_CORRUPT, "auxiliary"),
        BAD("REDIS0010\xf5\x80\xff\xff\xff\xff", ORCH_E_CORRUPT, "function"),
        BAD("REDIS0010\xfe\x80\xff\xff\xff\xff", ORCH_E_CORRUPT, "number"),
        BAD("REDIS0010\xf8\xc0", ORCH_E_CORRUPT, "number"),
        BAD("REDIS0010\xff\x01\x02\x03\x04\x05\x06\x07\x08", ORCH_E_CORRUPT, "checksum"),
#undef BAD
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        for (size_t step = 1; step <= CASES[i].len; step += CASES[i].len - 1) {
            struct seen seen = feed((const uint8_t *)CASES[i].bytes, CASES[i].len, step);
            ck_assert_msg(seen.result == CASES[i].code, "case %zu gives %d: %s", i, seen.result,
                          seen.err.message);
            ck_assert_msg(strstr(seen.err.message, CASES[i].word) != NULL, "case %zu: %s", i,
                          seen.err.message);
        }
    }
}
END_TEST

/* A count of billions with nothing behind it must neither take memory nor time. */
START_TEST(huge_counts_wait_for_their_bytes)
{
    static const char STREAM[] = "REDIS0010\x04\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                 "a\x01"
                                 "b";
    struct seen seen = feed((const uint8_t *)STREAM, sizeof(STREAM) - 1, sizeof(STREAM) - 1);
    ck_assert_int_eq(seen.result, RDB_MORE);
    ck_assert_uint_eq(seen.keys, 0);
}
END_TEST

START_TEST(values_over_the_cap_are_refused)
{
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    struct orch_error err = ORCH_ERROR_INIT;
    char *member = calloc(1, 1000);
    put(&out, "REDIS0010\x02\x01k", 12);
    ck_assert_int_eq(rdb_atom_put_length(&out, 2000, &err), ORCH_OK);
    for (int i = 0; i < 2000; i++) { /* 2 MB, over the 1 MiB that feed() allows */
        ck_assert_int_eq(rdb_atom_put_string(&out, member, 1000, &err), ORCH_OK);
    }
    free(member);
    put_end(&out, 1);
    ck_assert_int_eq(feed(out.data, out.len, out.len).result, ORCH_E_CORRUPT);
    ck_assert_int_eq(feed(out.data, out.len, 65536).result, ORCH_E_CORRUPT);
}
END_TEST

START_TEST(payloads_are_composed_and_checked)
{
    uint8_t payload[32] = {0};
    struct rdb_event event;
    struct orch_error err = ORCH_ERROR_INIT;
    payload[0] = 0;
    memcpy(payload + 1,
           "\x03"
           "abc",
           4);
    rdb_footer(&crc, 10, 0, payload + 1, 4, payload + 5);
    /* what Redis 7.0 answers to DUMP of "abc" */
    ck_assert_int_eq(rdb_payload(&crc, payload, 15, &event, &err), ORCH_OK);
    ck_assert_uint_eq(event.version, 10);
    ck_assert_uint_eq(event.value_len, 4);
    for (size_t i = 0; i < 13; i++) { /* a checksum of zero is "none", so the last bytes stay */
        payload[i] ^= 0x40;
        ck_assert_int_eq(rdb_payload(&crc, payload, 15, &event, &err), ORCH_E_CORRUPT);
        payload[i] ^= 0x40;
    }
    ck_assert_int_eq(rdb_payload(&crc, payload, 10, &event, &err), ORCH_E_CORRUPT);
}
END_TEST

START_TEST(digests_ignore_the_order_of_tables_alone)
{
    static const char AB[] = "\x02\x01"
                             "a\x01"
                             "b",
                      BA[] = "\x02\x01"
                             "b\x01"
                             "a",
                      AA[] = "\x02\x01"
                             "a\x01"
                             "a";
    const uint8_t *ab = (const uint8_t *)AB, *ba = (const uint8_t *)BA, *aa = (const uint8_t *)AA;
    ck_assert_uint_eq(rdb_value_digest(&crc, 2, ab, 5), rdb_value_digest(&crc, 2, ba, 5));
    ck_assert_uint_ne(rdb_value_digest(&crc, 2, ab, 5), rdb_value_digest(&crc, 2, aa, 5));
    ck_assert_uint_ne(rdb_value_digest(&crc, 1, ab, 5), rdb_value_digest(&crc, 1, ba, 5));
    ck_assert_uint_ne(rdb_value_digest(&crc, 2, ab, 5), rdb_value_digest(&crc, 1, ab, 5));
}
END_TEST

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A million keys, 200 MB: parsed, checked and sliced with footers. */
START_TEST(a_million_keys_are_fast)
{
    CLEANUP_BYTES struct bytes out = BYTES_INIT;
    char key[32], value[192];
    memset(value, 'v', sizeof(value));
    put(&out, "REDIS0010", 9);
    for (int i = 0; i < 1000000; i++) {
        struct orch_error err = ORCH_ERROR_INIT;
        (void)snprintf(key, sizeof(key), "key:%012d", i);
        put(&out, "\0", 1);
        put_string(&out, key);
        ck_assert_int_eq(rdb_atom_put_string(&out, value, sizeof(value), &err), ORCH_OK);
    }
    put_end(&out, 1);
    struct orch_error err = ORCH_ERROR_INIT;
    struct rdb *rdb = NULL;
    ck_assert_int_eq(rdb_new(&crc, RDB_ITEM_MAX, &rdb, &err), ORCH_OK);
    double begin = seconds();
    uint64_t keys = 0, sum = 0;
    size_t at = 0;
    int32_t kind = RDB_MORE;
    while (kind != RDB_END) {
        struct rdb_event event;
        uint8_t footer[RDB_FOOTER_LEN];
        size_t used = 0;
        kind = rdb_next(rdb, out.data + at, out.len - at, &used, &event, &err);
        if (kind <= RDB_MORE) { /* an assertion for each key would be measured too */
            break;
        }
        at += used;
        if (kind == RDB_KEY) {
            rdb_footer(&crc, 10, event.type, event.value, event.value_len, footer);
            sum += footer[5];
            keys++;
        }
    }
    double took = seconds() - begin;
    rdb_free(rdb);
    ck_assert_uint_eq(keys, 1000000);
    printf("parsed %zu MB, 1000000 keys in %.2f cpu-s (%llu)\n", out.len / 1000000, took,
           (unsigned long long)(sum & 1));
    ck_assert_msg(took < SPEED_LIMIT, "%.2f cpu-s", took);
}
END_TEST

int main(void)
{
    crc64_init(&crc);
    Suite *suite = suite_create("redis-rdb");
    TCase *cases = tcase_create("rdb");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, crc_is_that_of_redis);
    tcase_add_test(cases, lzf_decodes_and_refuses);
    tcase_add_test(cases, lengths_round_trip);
    tcase_add_loop_test(cases, every_value_ends_where_it_ends, 0, (int)VALUE_COUNT);
    tcase_add_test(cases, a_stream_is_the_same_in_any_pieces);
    tcase_add_loop_test(cases, expiry_and_usage_belong_to_one_key, 0, 6);
    tcase_add_test(cases, truncation_is_never_an_end);
    tcase_add_test(cases, every_flipped_byte_is_found);
    tcase_add_test(cases, no_checksum_is_allowed);
    tcase_add_test(cases, bad_streams_are_refused);
    tcase_add_test(cases, huge_counts_wait_for_their_bytes);
    tcase_add_test(cases, values_over_the_cap_are_refused);
    tcase_add_test(cases, payloads_are_composed_and_checked);
    tcase_add_test(cases, digests_ignore_the_order_of_tables_alone);
    tcase_add_test(cases, a_million_keys_are_fast);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
