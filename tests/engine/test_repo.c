/* test_repo.c: creating, opening, refusing; every byte of config and of sealed documents counts. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controltest.h"
#include "engine/repo_config.h"

static struct ct_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_PASSPHRASE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

START_TEST(test_kinds)
{
    struct ct_repo k;
    struct repo *again = NULL;
    CLEANUP_BUFFER struct buffer config = BUFFER_INIT;
    ct_make(&k, (enum ct_kind)_i);
    ck_assert_int_eq(repo_encrypted(k.repo), _i != CT_PLAIN);
    ck_assert_uint_eq(repo_algorithm(k.repo), _i == CT_PLAIN ? SEAL_NONE : SEAL_AES_256_GCM);
    ck_assert_uint_eq(strlen(repo_id(k.repo)), ID_TEXT - 1);
    ct_ok(repo_verify_config(k.repo, &err), err);
    ct_ok(ct_open(&k, &again, &err), err);
    ck_assert_str_eq(repo_id(again), repo_id(k.repo));
    for (int p = 0; p < KEY_PURPOSES; p++) {
        ck_assert_mem_eq(keys_get(repo_keys(again), (enum key_purpose)p),
                         keys_get(repo_keys(k.repo), (enum key_purpose)p), KEY_BYTES);
    }
    ct_read(&k, "config", &config);
    ck_assert_int_eq(strstr(buffer_string(&config), "NOT ENCRYPTED") != NULL, _i == CT_PLAIN);
    repo_close(again);
    repo_close(NULL);
    ct_remove(&k);
}
END_TEST

START_TEST(test_create_refuses)
{
    struct ct_repo empty = {.dir = "/tmp/orch-control-XXXXXX"};
    struct repo_create_options good = {.encrypted = true, .unlock = ct_unlock(CT_KEYFILE_SLOT)};
    ck_assert_int_eq(repo_create(r.storage, &good, &err), ORCH_E_EXISTS);
    ck_assert_ptr_nonnull(mkdtemp(empty.dir));
    ct_ok(storage_open(empty.dir, false, &empty.storage, &err), err);
    const struct repo_create_options bad[] = {
        {.encrypted = true},
        {.encrypted = false, .unlock = ct_unlock(CT_KEYFILE_SLOT)},
        {.encrypted = true, .unlock = {.passphrase = ""}},
        {.encrypted = true, .unlock = ct_unlock(CT_PASSPHRASE_SLOT), .scrypt_log_n = 21},
        {.encrypted = true, .unlock = {.passphrase = "x", .key = ct_unlock(CT_KEYFILE_SLOT).key}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(repo_create(empty.storage, &bad[i], &err), ORCH_E_INVALID);
    }
    ck_assert_int_eq(ct_count(&empty, ""), 0);
    struct repo_unlock unlock = ct_unlock(CT_KEYFILE_SLOT);
    ck_assert_int_eq(repo_open(empty.storage, &unlock, NULL, &empty.repo, &err), ORCH_E_NOT_FOUND);
    ct_ok(storage_put(empty.storage, "packs/a", "x", 1, 0, &err), err);
    ck_assert_int_eq(repo_create(empty.storage, &good, &err), ORCH_E_EXISTS);
    ck_assert_ptr_nonnull(strstr(err.message, "packs/a"));
    ct_remove(&empty);
}
END_TEST

START_TEST(test_wrong_secrets)
{
    static const uint8_t other_key[KEY_BYTES] = {1};
    struct repo *repo = NULL;
    struct repo_unlock wrong[] = {{.passphrase = CT_PASSPHRASE " "},
                                  {.passphrase = ""},
                                  {.key = other_key},
                                  {.passphrase = NULL}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(repo_open(r.storage, &wrong[i], NULL, &repo, &err), ORCH_E_ACCESS);
        ck_assert_ptr_null(strstr(err.message, "horse"));
    }
    ck_assert_ptr_nonnull(strstr(err.message, "passphrase_file"));
    struct ct_repo k;
    ct_make(&k, CT_KEYFILE_SLOT);
    ck_assert_int_eq(repo_open(k.storage, &wrong[2], NULL, &repo, &err), ORCH_E_ACCESS);
    ct_remove(&k);
    ck_assert_ptr_null(repo);
}
END_TEST

START_TEST(test_known)
{
    struct repo *repo = NULL;
    struct repo_known known = {.encrypted = true};
    struct repo_unlock unlock = ct_unlock(CT_PASSPHRASE_SLOT);
    memcpy(known.id, repo_id(r.repo), ID_TEXT);
    ct_ok(repo_open(r.storage, &unlock, &known, &repo, &err), err);
    repo_close(repo);
    repo = NULL;
    known.id[0] = known.id[0] == '0' ? '1' : '0';
    ck_assert_int_eq(repo_open(r.storage, &unlock, &known, &repo, &err), ORCH_E_REFUSED);

    struct ct_repo plain;
    ct_make(&plain, CT_PLAIN);
    /* A secret for a repository that has no encryption: somebody exchanged it. */
    ck_assert_int_eq(repo_open(plain.storage, &unlock, NULL, &repo, &err), ORCH_E_REFUSED);
    struct repo_unlock none = {.passphrase = NULL};
    memcpy(known.id, repo_id(plain.repo), ID_TEXT);
    ck_assert_int_eq(repo_open(plain.storage, &none, &known, &repo, &err), ORCH_E_REFUSED);
    known.encrypted = false;
    ct_ok(repo_open(plain.storage, &none, &known, &repo, &err), err);
    repo_close(repo);
    ct_remove(&plain);
}
END_TEST

/* Whatever byte changes, config does not open, and it is called damage, not a wrong passphrase. */
START_TEST(test_every_byte_of_config)
{
    struct ct_repo k;
    CLEANUP_BUFFER struct buffer config = BUFFER_INIT;
    struct repo *repo = NULL;
    ct_make(&k, (enum ct_kind)_i);
    ct_read(&k, "config", &config);
    for (size_t at = 0; at < config.len; at++) {
        static const uint8_t flips[] = {0x01, 0x20};
        for (int f = 0; f < 2; f++) {
            config.data[at] ^= flips[f];
            ct_write(&k, "config", config.data, config.len);
            int32_t rc = ct_open(&k, &repo, &err);
            ck_assert_msg(rc == ORCH_E_CORRUPT, "byte %zu: %d %s", at, (int)rc, err.message);
            ck_assert_int_eq(repo_verify_config(k.repo, &err), ORCH_E_CORRUPT);
            config.data[at] ^= flips[f];
        }
    }
    for (size_t len = 0; len < config.len; len += 1 + len / 16) {
        ct_write(&k, "config", config.data, len);
        ck_assert_int_eq(ct_open(&k, &repo, &err), ORCH_E_CORRUPT);
    }
    buffer_append(&config, "\n", 1);
    ct_write(&k, "config", config.data, config.len);
    ck_assert_int_eq(ct_open(&k, &repo, &err), ORCH_E_CORRUPT);
    ct_remove(&k);
}
END_TEST

/* Replaces a text in config and makes the public checksum right again, as an attacker would. */
static void forge(const char *from, const char *to)
{
    CLEANUP_BUFFER struct buffer config = BUFFER_INIT;
    CLEANUP_BUFFER struct buffer forged = BUFFER_INIT;
    const size_t tail = 64 + strlen("\"\n}\n");
    uint8_t digest[32];
    char hex[65];
    ct_read(&r, "config", &config);
    const char *text = buffer_string(&config);
    const char *at = strstr(text, from);
    ck_assert_ptr_nonnull(at);
    buffer_append(&forged, text, (size_t)(at - text));
    buffer_append(&forged, to, strlen(to));
    buffer_append(&forged, at + strlen(from), strlen(at + strlen(from)) - tail);
    ck_assert_int_eq(EVP_Digest(forged.data, forged.len, digest, NULL, EVP_sha256(), NULL), 1);
    hex_encode(digest, sizeof digest, hex);
    buffer_printf(&forged, "%s\"\n}\n", hex);
    ct_write(&r, "config", forged.data, forged.len);
}

static const struct {
    const char *from, *to;
    int32_t code;
    const char *said;
} forgeries[] = {
    {"\"format\": 1", "\"format\":  1", ORCH_E_CORRUPT, "sealed copy"},
    {"\"format\": 1", "\"format\": 1, \"new\": 5", ORCH_E_CORRUPT, "sealed copy"},
    {"\"format\": 1", "\"format\": 2", ORCH_E_VERSION, "format 2"},
    {"\"required_features\": 0", "\"required_features\": 32", ORCH_E_VERSION, "bit 5"},
    {"\"required_features\": 0", "\"required_features\": -1", ORCH_E_CORRUPT, "required_features"},
    {"\"encryption\": \"aes-256-gcm\"", "\"encryption\": \"rot13\"", ORCH_E_CORRUPT, "encryption"},
    {"\"encryption\": \"aes-256-gcm\"", "\"encryption\": \"none\"", ORCH_E_CORRUPT,
     "fit the encryption"},
    {"\"id\": \"", "\"id\": \"0", ORCH_E_CORRUPT, "id"},
    {"\"key_slots\": [", "\"key_slots\": [7, ", ORCH_E_CORRUPT, "key slot"},
    {"\"key_slots\": [", "\"key_slots\": [{\"type\": \"fido\"}, ", ORCH_E_CORRUPT, "sealed copy"},
    {"\"type\": \"scrypt\"", "\"type\": \"fido\"", ORCH_E_ACCESS, "key slots"},
    {"\"log_n\": 4", "\"log_n\": 5", ORCH_E_ACCESS, "wrong passphrase"},
    {"\"log_n\": 4", "\"log_n\": 40", ORCH_E_CORRUPT, "log_n"},
    {"\"log_n\": 4", "\"log_n\": 0", ORCH_E_CORRUPT, "log_n"},
    {"\"type\": \"scrypt\"", "\"type\": \"\"", ORCH_E_CORRUPT, "type"},
    {"\"log_n\": 4", "\"log_n\": 18446744073709551620", ORCH_E_CORRUPT, "config"},
    {"\"r\": 8", "\"r\": 33", ORCH_E_CORRUPT, "\"r\""},
    {"\"p\": 1", "\"p\": 17", ORCH_E_CORRUPT, "\"p\""},
};

START_TEST(test_forged_config)
{
    struct repo *repo = NULL;
    forge(forgeries[_i].from, forgeries[_i].to);
    int32_t rc = ct_open(&r, &repo, &err);
    ck_assert_msg(rc == forgeries[_i].code, "%d %s", (int)rc, err.message);
    ck_assert_msg(strstr(err.message, forgeries[_i].said) != NULL, "%s", err.message);
    ck_assert_ptr_null(repo);
}
END_TEST

/* 128 * N * r of more than 1 GiB, though each parameter is within its own bound. */
START_TEST(test_scrypt_memory_is_bounded)
{
    struct repo *repo = NULL;
    forge("\"log_n\": 4,\n      \"r\": 8", "\"log_n\": 20,\n      \"r\": 9");
    ck_assert_int_eq(ct_open(&r, &repo, &err), ORCH_E_CORRUPT);
}
END_TEST

START_TEST(test_several_slots)
{
    /* The slot of another repository before ours: it does not open, and ours does not say why. */
    struct repo *repo = NULL;
    forge("\"key_slots\": [",
          "\"key_slots\": [{\"type\": \"keyfile\", \"salt\": "
          "\"0000000000000000000000000000000000000000000000000000000000000000\", \"nonce\": "
          "\"000000000000000000000000\", \"wrapped\": "
          "\"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000\"}, ");
    ck_assert_int_eq(ct_open(&r, &repo, &err), ORCH_E_CORRUPT); /* opened by ours, then found out */
    ck_assert_ptr_nonnull(strstr(err.message, "sealed copy"));
}
END_TEST

static json_t *sample(void)
{
    return json_pack("{s:s, s:i, s:[i,i,i], s:{s:n}}", "name", "caf\xc3\xa9", "n", 42, "list", 1, 2,
                     3, "nested", "null");
}

START_TEST(test_documents)
{
    struct ct_repo k;
    json_t *in = sample(), *out = NULL;
    ct_make(&k, (enum ct_kind)_i);
    ct_ok(repo_put_document(k.repo, "sets/a", KEY_MANIFEST, in, STORAGE_DURABLE, &err), err);
    ct_ok(repo_get_document(k.repo, "sets/a", KEY_MANIFEST, &out, &err), err);
    ck_assert(json_equal(in, out));
    json_decref(out);
    out = NULL;
    ck_assert_int_eq(repo_put_document(k.repo, "sets/a", KEY_MANIFEST, in, STORAGE_IF_ABSENT, &err),
                     ORCH_E_EXISTS);
    ck_assert_int_eq(repo_put_document(k.repo, "sets/b", KEY_DATA, in, 0, &err), ORCH_E_INVALID);
    ck_assert_int_eq(repo_get_document(k.repo, "sets/b", KEY_MANIFEST, &out, &err),
                     ORCH_E_NOT_FOUND);
    ck_assert_ptr_null(out);
    json_decref(in);
    ct_remove(&k);
}
END_TEST

START_TEST(test_every_bit_of_a_document)
{
    struct ct_repo k;
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    json_t *in = sample(), *out = NULL;
    ct_make(&k, (enum ct_kind)_i);
    ct_ok(repo_put_document(k.repo, "sets/a", KEY_MANIFEST, in, 0, &err), err);
    json_decref(in);
    ct_read(&k, "sets/a", &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ct_write(&k, "sets/a", bytes.data, bytes.len);
        int32_t rc = repo_get_document(k.repo, "sets/a", KEY_MANIFEST, &out, &err);
        ck_assert_msg(rc == ORCH_E_CORRUPT, "bit %zu: %d", bit, (int)rc);
        ck_assert_ptr_nonnull(strstr(err.message, "sets/a"));
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        ct_write(&k, "sets/a", bytes.data, len);
        ck_assert_int_eq(repo_get_document(k.repo, "sets/a", KEY_MANIFEST, &out, &err),
                         ORCH_E_CORRUPT);
    }
    ck_assert_ptr_null(out);
    ct_remove(&k);
}
END_TEST

START_TEST(test_documents_cannot_stand_in)
{
    struct ct_repo other;
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    json_t *in = sample(), *out = NULL;
    ct_make(&other, CT_PASSPHRASE_SLOT);
    ct_ok(repo_put_document(r.repo, "sets/a", KEY_MANIFEST, in, 0, &err), err);
    json_decref(in);
    ct_read(&r, "sets/a", &bytes);
    ct_write(&r, "sets/b", bytes.data, bytes.len);
    ck_assert_int_eq(repo_get_document(r.repo, "sets/b", KEY_MANIFEST, &out, &err), ORCH_E_CORRUPT);
    ck_assert_int_eq(repo_get_document(r.repo, "sets/a", KEY_CONTROL, &out, &err), ORCH_E_CORRUPT);
    ct_ok(storage_put(other.storage, "sets/a", bytes.data, bytes.len, 0, &err), err);
    ck_assert_int_eq(repo_get_document(other.repo, "sets/a", KEY_MANIFEST, &out, &err),
                     ORCH_E_CORRUPT);
    ct_remove(&other);
}
END_TEST

START_TEST(test_nothing_in_the_clear)
{
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    json_t *in = json_pack("{s:s}", "secret", "findmefindmefindme");
    ct_ok(repo_put_document(r.repo, "sets/a", KEY_MANIFEST, in, 0, &err), err);
    json_decref(in);
    ct_read(&r, "sets/a", &bytes);
    ck_assert_ptr_null(memmem(bytes.data, bytes.len, "findme", 6));
    ck_assert_ptr_null(memmem(bytes.data, bytes.len, "secret", 6));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("repo");
    TCase *tests = tcase_create("repo");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_kinds, 0, CT_KINDS);
    tcase_add_test(tests, test_create_refuses);
    tcase_add_test(tests, test_wrong_secrets);
    tcase_add_test(tests, test_known);
    tcase_add_loop_test(tests, test_every_byte_of_config, 0, CT_KINDS);
    tcase_add_loop_test(tests, test_forged_config, 0,
                        (int)(sizeof forgeries / sizeof forgeries[0]));
    tcase_add_test(tests, test_scrypt_memory_is_bounded);
    tcase_add_test(tests, test_several_slots);
    tcase_add_loop_test(tests, test_documents, 0, CT_KINDS);
    tcase_add_loop_test(tests, test_every_bit_of_a_document, 0, CT_KINDS);
    tcase_add_test(tests, test_documents_cannot_stand_in);
    tcase_add_test(tests, test_nothing_in_the_clear);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
