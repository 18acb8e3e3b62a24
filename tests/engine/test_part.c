/* test_part.c: parts go out and come back; whatever is no part is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controltest.h"
#include "engine/part.h"

static struct ct_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_KEYFILE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

static struct part sample(void)
{
    struct part part = {
        .component = "app-db",
        .plugin = "postgres",
        .plugin_version = "0.1.0",
        .data_format = 3,
        .type = "incremental",
        .earlier = "00112233445566778899aabbccddeeff",
        .consistency = 1,
        .frozen_ns = -5,
        .started_ns = INT64_C(1769860800000000000),
        .finished_ns = INT64_MAX,
        .source_version = "PostgreSQL 15.4",
        .source_identity = "host \"x\" caf\xc3\xa9\n",
        .facts_json = strdup("{\"b\": [1, 2.5, null], \"a\": \"x\"}"),
        .content = {.objects = 7, .object_bytes = INT64_MAX, .records = 9, .record_bytes = 1},
        .stats = {1, 2, 3, 4, 5, 6},
    };
    part.content.layers = calloc(2, sizeof *part.content.layers);
    ck_assert_ptr_nonnull(part.content.layers);
    part.content.layer_count = 2;
    part.content.layers[1].records = 4;
    part.content.layers[1].bytes = 5;
    memset(part.content.layers[1].root, 0xab, CHUNK_ID_BYTES);
    memset(part.content.catalogue_root, 0xcd, CHUNK_ID_BYTES);
    memset(part.content.digest, 0xef, sizeof part.content.digest);
    return part;
}

START_TEST(test_round_trip)
{
    struct part in = sample();
    struct part *out = NULL;
    ct_ok(part_store(r.repo, &in, &err), err);
    ck_assert_uint_eq(strlen(in.id), ID_TEXT - 1);
    ct_ok(part_load(r.repo, in.id, &out, &err), err);
    ck_assert_str_eq(out->id, in.id);
    ck_assert_str_eq(out->component, in.component);
    ck_assert_str_eq(out->plugin, in.plugin);
    ck_assert_str_eq(out->plugin_version, in.plugin_version);
    ck_assert_uint_eq(out->data_format, in.data_format);
    ck_assert_str_eq(out->type, in.type);
    ck_assert_str_eq(out->earlier, in.earlier);
    ck_assert_uint_eq(out->consistency, in.consistency);
    ck_assert_int_eq(out->frozen_ns, in.frozen_ns);
    ck_assert_int_eq(out->started_ns, in.started_ns);
    ck_assert_int_eq(out->finished_ns, in.finished_ns);
    ck_assert_str_eq(out->source_version, in.source_version);
    ck_assert_str_eq(out->source_identity, in.source_identity);
    ck_assert_str_eq(out->facts_json, "{\"a\":\"x\",\"b\":[1,2.5,null]}");
    ck_assert_mem_eq(out->content.catalogue_root, in.content.catalogue_root, CHUNK_ID_BYTES);
    ck_assert_mem_eq(out->content.digest, in.content.digest, sizeof in.content.digest);
    ck_assert_uint_eq(out->content.objects, 7);
    ck_assert_uint_eq(out->content.object_bytes, INT64_MAX);
    ck_assert_uint_eq(out->content.records, 9);
    ck_assert_uint_eq(out->content.record_bytes, 1);
    ck_assert_uint_eq(out->content.layer_count, 2);
    ck_assert_mem_eq(out->content.layers, in.content.layers, 2 * sizeof *in.content.layers);
    ck_assert_mem_eq(&out->stats, &in.stats, sizeof in.stats);
    part_free(out);
    part_free(NULL);
    part_clear(&in);
}
END_TEST

START_TEST(test_without_facts_and_layers)
{
    struct part in = {.component = "c", .plugin = "p", .type = "full"};
    struct part *out = NULL;
    ct_ok(part_store(r.repo, &in, &err), err);
    ct_ok(part_load(r.repo, in.id, &out, &err), err);
    ck_assert_str_eq(out->facts_json, "{}");
    ck_assert_str_eq(out->earlier, "");
    ck_assert_ptr_null(out->content.layers);
    part_free(out);
}
END_TEST

START_TEST(test_store_refuses)
{
    char *const facts[] = {"", "[]", "{", "7", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        struct part part = {.component = "c", .facts_json = facts[i]};
        ck_assert_int_eq(part_store(r.repo, &part, &err), ORCH_E_INVALID);
    }
    struct part part = {.component = "c", .stats = {.bytes_read = UINT64_MAX}};
    ck_assert_int_eq(part_store(r.repo, &part, &err), ORCH_E_INVALID);
    ck_assert_int_eq(ct_count(&r, "parts"), 0);
}
END_TEST

START_TEST(test_load_refuses_names)
{
    static const char *const ids[] = {"", "../config", "00112233445566778899aabbccddee",
                                      "00112233445566778899AABBCCDDEEFF"};
    struct part *part = NULL;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        ck_assert_int_eq(part_load(r.repo, ids[i], &part, &err), ORCH_E_INVALID);
    }
    ck_assert_int_eq(part_load(r.repo, "00112233445566778899aabbccddeeff", &part, &err),
                     ORCH_E_NOT_FOUND);
    ck_assert_ptr_null(part);
}
END_TEST

/* Documents that are sealed well and say something that no part says. */
static const struct {
    const char *object; /* "": the part itself */
    const char *key;
    const char *value; /* JSON; NULL: the field is gone */
    int32_t code;
} wrong[] = {
    {"", "id", "\"00112233445566778899aabbccddeefe\"", ORCH_E_CORRUPT},
    {"", "id", "7", ORCH_E_CORRUPT},
    {"", "document", "2", ORCH_E_VERSION},
    {"", "document", NULL, ORCH_E_CORRUPT},
    {"", "component", NULL, ORCH_E_CORRUPT},
    {"", "component", "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\"",
     ORCH_E_CORRUPT},
    {"", "component", "\"a\\u0000b\"", ORCH_E_CORRUPT},
    {"", "data_format", "4294967296", ORCH_E_CORRUPT},
    {"", "data_format", "-1", ORCH_E_CORRUPT},
    {"", "data_format", "1.5", ORCH_E_CORRUPT},
    {"", "earlier", "\"xyz\"", ORCH_E_CORRUPT},
    {"", "consistency", "3", ORCH_E_CORRUPT},
    {"", "frozen_ns", "\"now\"", ORCH_E_CORRUPT},
    {"", "facts", "[]", ORCH_E_CORRUPT},
    {"", "content", "null", ORCH_E_CORRUPT},
    {"", "stats", NULL, ORCH_E_CORRUPT},
    {"content", "catalogue_root", "\"abcd\"", ORCH_E_CORRUPT},
    {"content", "digest", NULL, ORCH_E_CORRUPT},
    {"content", "objects", "-1", ORCH_E_CORRUPT},
    {"content", "layers", "{}", ORCH_E_CORRUPT},
    {"content", "layers", "[7]", ORCH_E_CORRUPT},
    {"content", "layers", "[{\"root\": \"00\", \"records\": 1, \"bytes\": 1}]", ORCH_E_CORRUPT},
    {"stats", "bytes_new", "true", ORCH_E_CORRUPT},
};

START_TEST(test_load_refuses_content)
{
    struct part in = sample();
    struct part *out = NULL;
    json_t *json = NULL;
    char name[64];
    ct_ok(part_store(r.repo, &in, &err), err);
    (void)snprintf(name, sizeof name, "parts/%s", in.id);
    ct_ok(repo_get_document(r.repo, name, KEY_MANIFEST, &json, &err), err);
    json_t *object = wrong[_i].object[0] == '\0' ? json : json_object_get(json, wrong[_i].object);
    if (wrong[_i].value == NULL) {
        ck_assert_int_eq(json_object_del(object, wrong[_i].key), 0);
    } else {
        json_t *value = json_loads(wrong[_i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        ck_assert_ptr_nonnull(value);
        ck_assert_int_eq(json_object_set_new(object, wrong[_i].key, value), 0);
    }
    ct_ok(repo_put_document(r.repo, name, KEY_MANIFEST, json, 0, &err), err);
    json_decref(json);
    ck_assert_int_eq(part_load(r.repo, in.id, &out, &err), wrong[_i].code);
    ck_assert_ptr_nonnull(strstr(err.message, name));
    ck_assert_ptr_null(out);
    part_clear(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("part");
    TCase *tests = tcase_create("part");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_round_trip);
    tcase_add_test(tests, test_without_facts_and_layers);
    tcase_add_test(tests, test_store_refuses);
    tcase_add_test(tests, test_load_refuses_names);
    tcase_add_loop_test(tests, test_load_refuses_content, 0, (int)(sizeof wrong / sizeof wrong[0]));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
