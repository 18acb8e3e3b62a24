/* test_parts.c: addresses, key counts with expiries, and the set of hashes. */
#include "hash.h"
#include "tally.h"
#include "url.h"

#include <check.h>
#include <orchestrate/plugin.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text, *host, *path;
    int port;
    int64_t db;
} GOOD[] = {
    {"redis://localhost", "localhost", "", 6379, URL_ALL_DATABASES},
    {"redis://localhost/", "localhost", "", 6379, URL_ALL_DATABASES},
    {"redis://10.0.0.1:7000", "10.0.0.1", "", 7000, URL_ALL_DATABASES},
    {"redis://10.0.0.1:7000/0", "10.0.0.1", "", 7000, 0},
    {"redis://host/15", "host", "", 6379, 15},
    {"redis://[::1]:6380/2", "::1", "", 6380, 2},
    {"redis://[fe80::1]", "fe80::1", "", 6379, URL_ALL_DATABASES},
    {"unix:///run/redis.sock", "", "/run/redis.sock", 6379, URL_ALL_DATABASES},
    {"unix:///run/redis.sock?db=4", "", "/run/redis.sock", 6379, 4},
};

START_TEST(addresses_are_read)
{
    struct url url;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_msg(url_parse(GOOD[_i].text, &url, &err) == ORCH_OK, "%s", err.message);
    ck_assert_str_eq(url.host, GOOD[_i].host);
    ck_assert_str_eq(url.path, GOOD[_i].path);
    ck_assert_int_eq(url.port, GOOD[_i].port);
    ck_assert_int_eq(url.db, GOOD[_i].db);
}
END_TEST

static const struct {
    const char *text;
    int32_t code;
    const char *word;
} BAD[] = {
    {"", ORCH_E_CONFIG, "redis://"},
    {"localhost:6379", ORCH_E_CONFIG, "redis://"},
    {"http://host", ORCH_E_CONFIG, "redis://"},
    {"rediss://host", ORCH_E_UNSUPPORTED, "TLS"},
    {"redis://", ORCH_E_CONFIG, "host"},
    {"redis://:6379", ORCH_E_CONFIG, "host"},
    {"redis://host:", ORCH_E_CONFIG, "port"},
    {"redis://host:0", ORCH_E_CONFIG, "port"},
    {"redis://host:65536", ORCH_E_CONFIG, "port"},
    {"redis://host:99999999999999999999", ORCH_E_CONFIG, "port"},
    {"redis://host/x", ORCH_E_CONFIG, "database"},
    {"redis://host/-1", ORCH_E_CONFIG, "database"},
    {"redis://host/1/2", ORCH_E_CONFIG, "database"},
    {"redis://host?db=1", ORCH_E_CONFIG, "query"},
    {"redis://[::1", ORCH_E_CONFIG, "IPv6"},
    {"redis://[::1]x", ORCH_E_CONFIG, "port"},
    {"redis://:hidden@host", ORCH_E_CONFIG, "password_file"},
    {"redis://user:hidden@host/0", ORCH_E_CONFIG, "password_file"},
    {"unix://run/redis.sock", ORCH_E_CONFIG, "absolute"},
    {"unix:///", ORCH_E_CONFIG, "absolute"},
    {"unix:///run/redis.sock?x=1", ORCH_E_CONFIG, "?db=N"},
    {"unix:///run/redis.sock?db=", ORCH_E_CONFIG, "database"},
};

START_TEST(other_texts_are_refused)
{
    struct url url;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(url_parse(BAD[_i].text, &url, &err), BAD[_i].code);
    ck_assert_msg(strstr(err.message, BAD[_i].word) != NULL, "%s", err.message);
    ck_assert_ptr_null(strstr(err.message, "hidden"));
}
END_TEST

START_TEST(long_names_do_not_overflow)
{
    char text[1024];
    struct url url;
    struct orch_error err = ORCH_ERROR_INIT;
    for (size_t len = 90; len < 400; len += 7) {
        memset(text, 'x', sizeof(text));
        memcpy(text, "redis://", 8);
        text[8 + len] = '\0';
        ck_assert_int_eq(url_parse(text, &url, &err), len < 256 ? ORCH_OK : ORCH_E_CONFIG);
        memcpy(text, "unix:///", 8);
        ck_assert_int_eq(url_parse(text, &url, &err), len + 1 < 108 ? ORCH_OK : ORCH_E_CONFIG);
    }
}
END_TEST

#define BASE 1000000

static void add(struct tally *tally, int64_t expires_ms)
{
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(tally_add(tally, 3, expires_ms, &err), ORCH_OK);
}

START_TEST(expiries_bound_what_must_be_alive)
{
    static const struct {
        int64_t now_ms;
        uint64_t alive;
    } CASES[] = {
        {BASE - 5001, 6},    /* before the earliest */
        {BASE, 4},           /* the one past, and those of this second */
        {BASE + 10500, 3},   /* the second of 10,000 has begun to count */
        {BASE + 3599999, 3}, /* later ones are alive for the hour */
        {BASE + 3600000, 1}, /* and no longer sure after it */
        {INT64_MAX / 2, 1},
    };
    struct tally tally = {.base_ms = BASE};
    add(&tally, ORCH_NO_EXPIRY);
    add(&tally, BASE - 5000);
    add(&tally, BASE + 500);
    add(&tally, BASE + 10000);
    add(&tally, BASE + 4000000);
    add(&tally, BASE + 5000000);
    const struct tally_db *db = tally_find(&tally, 3);
    ck_assert_ptr_nonnull(db);
    ck_assert_uint_eq(db->keys, 6);
    ck_assert_uint_eq(db->expiring, 5);
    ck_assert_uint_eq(tally_alive(&tally, NULL, 0), 0);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        ck_assert_uint_eq(tally_alive(&tally, db, CASES[i].now_ms), CASES[i].alive);
    }
    json_t *json = tally_to_json(&tally);
    struct tally read;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(tally_from_json(json, &read, &err), ORCH_OK);
    db = tally_find(&read, 3);
    ck_assert_ptr_nonnull(db);
    ck_assert_uint_eq(tally_alive(&read, db, BASE - 5001), 6);
    ck_assert_uint_eq(tally_alive(&read, db, BASE), 1);
    json_decref(json);
    tally_free(&read);
    tally_free(&tally);
}
END_TEST

START_TEST(hashes_are_found_again)
{
    struct hash_set set = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50000; i++) {
            char key[32];
            int added = 0;
            int len = snprintf(key, sizeof(key), "key %d", i);
            ck_assert_int_eq(hash_set_add(&set, hash_bytes(7, key, (size_t)len), &added, &err),
                             ORCH_OK);
            if (added != (round == 0)) {
                ck_abort_msg("key %d in round %d", i, round);
            }
        }
    }
    int added = 0;
    ck_assert_int_eq(hash_set_add(&set, (struct hash128){0, 0}, &added, &err), ORCH_OK);
    ck_assert_int_eq(added, 1);
    ck_assert_int_eq(hash_set_add(&set, (struct hash128){0, 0}, &added, &err), ORCH_OK);
    ck_assert_int_eq(added, 0);
    hash_set_free(&set);
}
END_TEST

/* The published values of MurmurHash3 x64/128 with seed 0. */
START_TEST(the_hash_is_the_published_one)
{
    struct hash128 hash = hash_bytes(0, "", 0);
    ck_assert_uint_eq(hash.low | hash.high, 0);
    hash = hash_bytes(0, "The quick brown fox jumps over the lazy dog", 43);
    ck_assert_uint_eq(hash.low, UINT64_C(0xe34bbc7bbc071b6c));
    ck_assert_uint_eq(hash.high, UINT64_C(0x7a433ca9c49a9347));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis-parts");
    TCase *cases = tcase_create("parts");
    tcase_add_loop_test(cases, addresses_are_read, 0, (int)(sizeof(GOOD) / sizeof(GOOD[0])));
    tcase_add_loop_test(cases, other_texts_are_refused, 0, (int)(sizeof(BAD) / sizeof(BAD[0])));
    tcase_add_test(cases, long_names_do_not_overflow);
    tcase_add_test(cases, expiries_bound_what_must_be_alive);
    tcase_add_test(cases, hashes_are_found_again);
    tcase_add_test(cases, the_hash_is_the_published_one);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
