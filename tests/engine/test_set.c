/* test_set.c: manifests: names, lists, finding, and refusing what contradicts itself. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controltest.h"
#include "engine/set.h"

#define START_NS INT64_C(1769860800000000000) /* 2026-01-31 12:00:00 UTC */

static struct ct_repo r;
static struct orch_error err;
static char *depends[] = {"settings", "uploads", NULL};

static void setup(void)
{
    memset(&err, 0, sizeof err);
    ct_make(&r, CT_KEYFILE_SLOT);
}

static void teardown(void)
{
    ct_remove(&r);
}

static struct set_component good_component(const char *name)
{
    struct set_component component = {.plugin = "volumes",
                                      .good = true,
                                      .part = "00112233445566778899aabbccddeeff",
                                      .consistency = 2,
                                      .items = 5,
                                      .size_bytes = 6};
    (void)snprintf(component.name, sizeof component.name, "%s", name);
    return component;
}

static struct set_component bad_component(const char *name)
{
    struct set_component component = {.plugin = "redis", .good = false, .error = "it \"fell\""};
    (void)snprintf(component.name, sizeof component.name, "%s", name);
    return component;
}

/* Stores a set of these components, `seconds` after START_NS. */
static struct set store(int seconds, struct set_component *components, size_t count)
{
    struct set set = {.type = "full",
                      .label = "nightly",
                      .run_id = "ffeeddccbbaa99887766554433221100",
                      .host = "machine",
                      .program_version = "0.1.0",
                      .started_ns = START_NS + (int64_t)seconds * 1000000000,
                      .finished_ns = START_NS + 5,
                      .first_freeze_ns = START_NS + 1,
                      .skew_ns = 2,
                      .components = components,
                      .component_count = count};
    for (size_t i = 0; i < count; i++) {
        if (!components[i].good) {
            set.state = SET_PARTIAL;
        }
    }
    ct_ok(set_store(r.repo, &set, &err), err);
    return set;
}

START_TEST(test_round_trip)
{
    struct set_component components[] = {good_component("app-db"), bad_component("sessions")};
    components[0].depends_on = depends;
    struct set in = store(0, components, 2);
    struct set_list list;
    ck_assert_str_eq(in.name, "20260131_120000");
    ct_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    ck_assert_uint_eq(list.count, 1);
    const struct set *out = list.sets[0];
    ck_assert_str_eq(out->id, in.id);
    ck_assert_str_eq(out->name, in.name);
    ck_assert_str_eq(out->type, in.type);
    ck_assert_str_eq(out->label, in.label);
    ck_assert_int_eq(out->state, SET_PARTIAL);
    ck_assert_str_eq(out->run_id, in.run_id);
    ck_assert_str_eq(out->base, "");
    ck_assert_str_eq(out->host, in.host);
    ck_assert_str_eq(out->program_version, in.program_version);
    ck_assert_int_eq(out->started_ns, in.started_ns);
    ck_assert_int_eq(out->finished_ns, in.finished_ns);
    ck_assert_int_eq(out->first_freeze_ns, in.first_freeze_ns);
    ck_assert_int_eq(out->skew_ns, in.skew_ns);
    ck_assert_uint_eq(out->component_count, 2);
    const struct set_component *db = set_component_find(out, "app-db");
    const struct set_component *sessions = set_component_find(out, "sessions");
    ck_assert_ptr_null(set_component_find(out, "app"));
    ck_assert(db->good && !sessions->good);
    ck_assert_str_eq(db->part, components[0].part);
    ck_assert_uint_eq(db->consistency, 2);
    ck_assert_uint_eq(db->items, 5);
    ck_assert_uint_eq(db->size_bytes, 6);
    ck_assert_str_eq(db->depends_on[0], "settings");
    ck_assert_str_eq(db->depends_on[1], "uploads");
    ck_assert_ptr_null(db->depends_on[2]);
    ck_assert_str_eq(sessions->error, "it \"fell\"");
    ck_assert_str_eq(sessions->part, "");
    ck_assert_ptr_null(sessions->depends_on[0]);
    set_list_free(&list);
}
END_TEST

START_TEST(test_names_in_one_second)
{
    struct set_component components[] = {good_component("a")};
    struct set_list list;
    static const char *const names[] = {"20260131_120001", "20260131_120000-11",
                                        "20260131_120000-10", "20260131_120000-9"};
    for (int i = 0; i < 11; i++) {
        (void)store(0, components, 1);
    }
    (void)store(1, components, 1);
    ct_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    ck_assert_uint_eq(list.count, 12);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(list.sets[i]->name, names[i]);
    }
    ck_assert_str_eq(list.sets[10]->name, "20260131_120000-2");
    ck_assert_str_eq(list.sets[11]->name, "20260131_120000");
    set_list_free(&list);
}
END_TEST

static void *store_ten(void *argument)
{
    struct set_component components[] = {good_component("a")};
    for (int i = 0; i < 10; i++) {
        struct orch_error mine = ORCH_ERROR_INIT;
        struct set set = {
            .type = "full", .started_ns = START_NS, .components = components, .component_count = 1};
        if (set_store(r.repo, &set, &mine) != ORCH_OK) {
            *(int *)argument = 1;
        }
    }
    return NULL;
}

START_TEST(test_racing_manifests)
{
    pthread_t threads[4];
    int failed[4] = {0};
    struct set_list list;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, store_ten, &failed[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        ck_assert_int_eq(failed[i], 0);
    }
    ct_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    ck_assert_uint_eq(list.count, 40);
    set_list_free(&list);
}
END_TEST

START_TEST(test_store_refuses)
{
    struct set_component lies[] = {good_component("a"), bad_component("b"), good_component("c")};
    struct set set = {.type = "full", .started_ns = START_NS, .components = lies};
    lies[0].part[0] = '\0'; /* good, without a part */
    set.component_count = 1;
    ck_assert_int_eq(set_store(r.repo, &set, &err), ORCH_E_INVALID);
    lies[0] = good_component("a"); /* completed with a failure */
    set.component_count = 2;
    ck_assert_int_eq(set_store(r.repo, &set, &err), ORCH_E_INVALID);
    lies[2] = good_component("a"); /* twice */
    set.component_count = 3;
    set.state = SET_PARTIAL;
    ck_assert_int_eq(set_store(r.repo, &set, &err), ORCH_E_INVALID);
    ck_assert_int_eq(ct_count(&r, "sets"), 0);
}
END_TEST

START_TEST(test_find)
{
    struct set_component ab[] = {good_component("a"), good_component("b")};
    struct set_component a_only[] = {good_component("a"), bad_component("b")};
    struct set_component c_only[] = {good_component("c")};
    struct set_list list;
    const struct set *found = NULL;
    const char *const a[] = {"a"};
    const char *const b[] = {"b"};
    const char *const d[] = {"d"};
    ct_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    ck_assert_int_eq(set_find(&list, "latest", NULL, 0, &found, &err), ORCH_E_NOT_FOUND);
    set_list_free(&list);
    struct set first = store(0, ab, 2);
    struct set second = store(1, a_only, 2);
    struct set third = store(2, c_only, 1);
    ct_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    const struct {
        const char *text;
        const char *const *components;
        size_t count;
        const char *id;
    } cases[] = {
        {"latest", NULL, 0, third.id},
        {"latest", a, 1, first.id},
        {"latest", b, 1, first.id},
        {second.id, NULL, 0, second.id},
        {"20260131_120001", NULL, 0, second.id},
        {"20260131_120000", b, 1, first.id},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ct_ok(set_find(&list, cases[i].text, cases[i].components, cases[i].count, &found, &err),
              err);
        ck_assert_str_eq(found->id, cases[i].id);
    }
    ck_assert_int_eq(set_find(&list, "latest", d, 1, &found, &err), ORCH_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "good part of d"));
    ck_assert_int_eq(set_find(&list, "20260131_120003", NULL, 0, &found, &err), ORCH_E_NOT_FOUND);
    ck_assert_int_eq(set_find(&list, "", NULL, 0, &found, &err), ORCH_E_NOT_FOUND);
    set_list_free(&list);
}
END_TEST

START_TEST(test_find_by_prefix)
{
    struct set a = {.id = "aaaa0000000000000000000000000000", .name = "20260131_120003"};
    struct set b = {.id = "aaab0000000000000000000000000000", .name = "20260131_120002"};
    struct set c = {.id = "bbbb0000000000000000000000000000", .name = "20260131_120001"};
    struct set *sets[] = {&a, &b, &c};
    struct set_list list = {sets, 3};
    const struct set *found = NULL;
    ct_ok(set_find(&list, "b", NULL, 0, &found, &err), err);
    ck_assert_ptr_eq(found, &c);
    ct_ok(set_find(&list, "aaab", NULL, 0, &found, &err), err);
    ck_assert_ptr_eq(found, &b);
    ck_assert_int_eq(set_find(&list, "aaa", NULL, 0, &found, &err), ORCH_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, a.id));
    ck_assert_ptr_nonnull(strstr(err.message, b.name));
    ck_assert_ptr_null(strstr(err.message, c.id));
    ck_assert_int_eq(set_find(&list, "aaac", NULL, 0, &found, &err), ORCH_E_NOT_FOUND);
}
END_TEST

START_TEST(test_equal_names)
{
    /* Two hosts that stored a set at the same moment. */
    struct set a = {.id = "aaaa0000000000000000000000000000", .name = "20260131_120003"};
    struct set b = {.id = "bbbb0000000000000000000000000000", .name = "20260131_120003"};
    struct set *sets[] = {&a, &b};
    struct set_list list = {sets, 2};
    const struct set *found = NULL;
    char file[SET_FILE_NAME];
    char name[32];
    ck_assert_int_eq(set_find(&list, a.name, NULL, 0, &found, &err), ORCH_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, a.id));
    ck_assert_ptr_nonnull(strstr(err.message, b.id));
    ct_ok(set_find(&list, "bb", NULL, 0, &found, &err), err);
    ck_assert_ptr_eq(found, &b);
    set_file_name(&a, file);
    ck_assert_str_eq(file, "sets/20260131_120003.aaaa0000000000000000000000000000");
    set_name_of_file(file, name);
    ck_assert_str_eq(name, a.name);
    set_name_of_file("sets/rubbish-that-is-longer-than-any-name-of-a-set-could-be", name);
    ck_assert_uint_eq(strlen(name), 31);
}
END_TEST

static void note_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    char *noted = ctx;
    (void)snprintf(noted + strlen(noted), 256 - strlen(noted), "%s=%s;", name,
                   orch_error_name(why->code));
}

START_TEST(test_damaged_manifests)
{
    struct set_component components[] = {good_component("a")};
    CLEANUP_BUFFER struct buffer bytes = BUFFER_INIT;
    char noted[256] = "";
    struct set_list list;
    (void)store(0, components, 1);
    struct set hurt = store(1, components, 1);
    char file[SET_FILE_NAME];
    set_file_name(&hurt, file);
    ct_read(&r, file, &bytes);
    ct_write(&r, "sets/20260131_130000", bytes.data, bytes.len); /* under a wrong name */
    bytes.data[bytes.len / 2] ^= 1;
    ct_write(&r, file, bytes.data, bytes.len);
    ct_ok(set_list_load(r.repo, note_damaged, noted, &list, &err), err);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_str_eq(list.sets[0]->name, "20260131_120000");
    (void)snprintf(file + strlen(file), sizeof file - strlen(file), "=corrupt;");
    ck_assert_ptr_nonnull(strstr(noted, file));
    ck_assert_ptr_nonnull(strstr(noted, "sets/20260131_130000=corrupt;"));
    set_list_free(&list);
    ck_assert_int_eq(set_list_load(r.repo, NULL, NULL, &list, &err), ORCH_E_CORRUPT);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

/* Documents that are sealed well and say something that no manifest says. */
static const struct {
    bool of_component;
    const char *key;
    const char *value; /* JSON; NULL: the field is gone */
    int32_t code;
} wrong[] = {
    {false, "document", "2", ORCH_E_VERSION},
    {false, "id", "\"x\"", ORCH_E_CORRUPT},
    {false, "id", "\"00112233445566778899aabbccddeeff\"", ORCH_E_CORRUPT},
    {false, "name", "\"20260131_120001\"", ORCH_E_CORRUPT},
    {false, "state", "\"splendid\"", ORCH_E_CORRUPT},
    {false, "run_id", "\"x\"", ORCH_E_CORRUPT},
    {false, "label", "null", ORCH_E_CORRUPT},
    {false, "started_ns", "1.0", ORCH_E_CORRUPT},
    {false, "components", "{}", ORCH_E_CORRUPT},
    {false, "components", "[[]]", ORCH_E_CORRUPT},
    {true, "name", NULL, ORCH_E_CORRUPT},
    {true, "good", "1", ORCH_E_CORRUPT},
    {true, "good", "false", ORCH_E_CORRUPT},
    {true, "part", "\"\"", ORCH_E_CORRUPT},
    {true, "consistency", "9", ORCH_E_CORRUPT},
    {true, "items", "-5", ORCH_E_CORRUPT},
    {true, "depends_on", "[1]", ORCH_E_CORRUPT},
    {true, "depends_on", "\"a\"", ORCH_E_CORRUPT},
};

START_TEST(test_wrong_manifests)
{
    struct set_component components[] = {good_component("a")};
    struct set_list list;
    json_t *json = NULL;
    struct set set = store(0, components, 1);
    char file[SET_FILE_NAME];
    set_file_name(&set, file);
    ct_ok(repo_get_document(r.repo, file, KEY_MANIFEST, &json, &err), err);
    json_t *object =
        wrong[_i].of_component ? json_array_get(json_object_get(json, "components"), 0) : json;
    if (wrong[_i].value == NULL) {
        ck_assert_int_eq(json_object_del(object, wrong[_i].key), 0);
    } else {
        ck_assert_int_eq(json_object_set_new(object, wrong[_i].key,
                                             json_loads(wrong[_i].value, JSON_DECODE_ANY, NULL)),
                         0);
    }
    ct_ok(repo_put_document(r.repo, file, KEY_MANIFEST, json, 0, &err), err);
    json_decref(json);
    int32_t rc = set_list_load(r.repo, NULL, NULL, &list, &err);
    ck_assert_msg(rc == wrong[_i].code, "%d %s", (int)rc, err.message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("set");
    TCase *tests = tcase_create("set");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_round_trip);
    tcase_add_test(tests, test_names_in_one_second);
    tcase_add_test(tests, test_racing_manifests);
    tcase_add_test(tests, test_store_refuses);
    tcase_add_test(tests, test_find);
    tcase_add_test(tests, test_find_by_prefix);
    tcase_add_test(tests, test_equal_names);
    tcase_add_test(tests, test_damaged_manifests);
    tcase_add_loop_test(tests, test_wrong_manifests, 0, (int)(sizeof wrong / sizeof wrong[0]));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
