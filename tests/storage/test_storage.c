/* test_storage.c: the face of a store: names, urls, drivers, whole-file reads, injected faults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "storagetest.h"

static char dir[64];
static struct storage *inner;
static struct orch_error err;

static void setup(void)
{
    st_make_dir(dir);
    memset(&err, 0, sizeof err);
    st_ok(storage_open(dir, false, &inner, &err), err);
}

static void teardown(void)
{
    storage_close(inner);
    inner = NULL;
    st_remove_dir(dir);
}

static const struct {
    const char *name;
    bool good;
} names[] = {
    {"config", true},
    {"packs/ab/abcd0123.x-y_z", true},
    {"a/b/c/d/e/f/g", true},
    {"...", true},
    {".hidden", true},
    {"", false},
    {"/", false},
    {"/etc/passwd", false},
    {"a/", false},
    {"a//b", false},
    {".", false},
    {"..", false},
    {"a/..", false},
    {"../a", false},
    {"a/./b", false},
    {"a/../b", false},
    {"Upper", false},
    {"a b", false},
    {"a\nb", false},
    {"a\\b", false},
    {"caf\xc3\xa9", false},
};

START_TEST(test_names)
{
    struct storage_stat stat;
    uint8_t byte;
    const char *name = names[_i].name;
    ck_assert_int_eq(storage_name_ok(name), names[_i].good);
    int32_t expected = names[_i].good ? ORCH_E_NOT_FOUND : ORCH_E_INVALID;
    ck_assert_int_eq(storage_stat(inner, name, &stat, &err), expected);
    ck_assert_int_eq(storage_get(inner, name, 0, &byte, 1, &err), expected);
    ck_assert_int_eq(storage_remove(inner, name, &err), expected);
    if (!names[_i].good) {
        ck_assert_int_eq(st_put(inner, name, "x", 0, &err), ORCH_E_INVALID);
    }
}
END_TEST

START_TEST(test_long_names)
{
    char name[600];
    memset(name, 'a', sizeof name);
    name[128] = '\0';
    ck_assert(storage_name_ok(name));
    name[128] = 'a';
    name[129] = '\0';
    ck_assert(!storage_name_ok(name));
    name[129] = 'a';
    for (size_t i = 1; i < sizeof name; i += 2) {
        name[i] = '/';
    }
    name[255] = '\0';
    ck_assert(storage_name_ok(name));
    name[255] = '/';
    name[257] = '\0';
    ck_assert(!storage_name_ok(name));
}
END_TEST

static const struct {
    const char *url;
    int32_t code;
} urls[] = {
    {"relative/path", ORCH_E_UNSUPPORTED},   {"s3://bucket/prefix", ORCH_E_UNSUPPORTED},
    {"file://relative", ORCH_E_UNSUPPORTED}, {"", ORCH_E_UNSUPPORTED},
    {"/nonexistent/orch", ORCH_E_NOT_FOUND}, {"file:///nonexistent/orch", ORCH_E_NOT_FOUND},
};

START_TEST(test_urls)
{
    struct storage *storage = NULL;
    ck_assert_int_eq(storage_open(urls[_i].url, false, &storage, &err), urls[_i].code);
    ck_assert_ptr_null(storage);
    ck_assert_ptr_nonnull(strstr(err.message, urls[_i].url + (_i == 5 ? 7 : 0)));
}
END_TEST

START_TEST(test_url_kept)
{
    char url[128];
    char text[256];
    struct storage *storage = NULL;
    (void)snprintf(url, sizeof url, "file://%s/deep/er//", dir);
    st_ok(storage_open(url, true, &storage, &err), err);
    ck_assert_str_eq(storage_url(storage), url);
    st_ok(st_put(storage, "a", "content", STORAGE_DURABLE, &err), err);
    ck_assert_str_eq(st_text(dir, "deep/er/a", text), "content");
    storage_close(storage);
}
END_TEST

START_TEST(test_driver_that_lacks_an_operation)
{
    static const struct storage_driver lacking = {.name = "lacking"};
    struct storage *storage = NULL;
    ck_assert_int_eq(storage_new(&lacking, NULL, &storage, &err), ORCH_E_INVALID);
    ck_assert_ptr_nonnull(strstr(err.message, "lacking"));
}
END_TEST

START_TEST(test_read_bounds)
{
    struct faults faults = {.inner = inner};
    struct storage *by_parts = NULL;
    st_ok(faults_open(&faults, &by_parts, &err), err);
    struct storage *const both[] = {inner, by_parts};
    st_ok(st_put(inner, "a", "0123456789", 0, &err), err);
    for (int i = 0; i < 2; i++) {
        CLEANUP_BUFFER struct buffer out = BUFFER_INIT;
        buffer_append(&out, "x", 1);
        ck_assert_int_eq(storage_read(both[i], "a", 9, &out, &err), ORCH_E_CORRUPT);
        ck_assert_uint_eq(out.len, 1);
        st_ok(storage_read(both[i], "a", 10, &out, &err), err);
        ck_assert_uint_eq(out.len, 11);
        ck_assert_int_eq(memcmp(out.data, "x0123456789", 11), 0);
        ck_assert_int_eq(storage_read(both[i], "b", 9, &out, &err), ORCH_E_NOT_FOUND);
    }
    storage_close(by_parts);
}
END_TEST

START_TEST(test_if_absent_needs_the_capability)
{
    struct faults faults = {.inner = inner, .capabilities = 0};
    struct storage *storage = NULL;
    st_ok(faults_open(&faults, &storage, &err), err);
    ck_assert_int_eq(st_put(storage, "a", "x", STORAGE_IF_ABSENT, &err), ORCH_E_UNSUPPORTED);
    ck_assert(!st_exists(dir, "a"));
    st_ok(st_put(storage, "a", "x", 0, &err), err);
    storage_close(storage);
}
END_TEST

START_TEST(test_faults_come_through)
{
    static const int32_t codes[] = {ORCH_E_IO, ORCH_E_NO_SPACE, ORCH_E_CORRUPT};
    struct faults faults = {.inner = inner, .at = 1, .code = codes[_i]};
    struct storage *storage = NULL;
    st_ok(faults_open(&faults, &storage, &err), err);
    for (enum faults_op op = FAULTS_PUT_BEGIN; op <= FAULTS_PUT_COMMIT; op++) {
        faults.op = op;
        memset(faults.calls, 0, sizeof faults.calls);
        ck_assert_int_eq(st_put(storage, "a", "x", 0, &err), codes[_i]);
        ck_assert(!st_exists(dir, "a"));
        ck_assert_int_eq(st_count(dir, "tmp"), 0);
        st_ok(st_put(storage, "b", "x", 0, &err), err);
    }
    faults.op = FAULTS_BARRIER;
    memset(faults.calls, 0, sizeof faults.calls);
    ck_assert_int_eq(storage_barrier(storage, &err), codes[_i]);
    storage_close(storage);
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS
/* The faults that test builds take from the environment. */
START_TEST(test_faults_of_the_environment)
{
    char byte;
    ck_assert_int_eq(setenv("ORCHESTRATE_STORAGE_FAULT",
                            "eio:op=read,at=2 enospc:op=write,at=3 eio:op=write", 1),
                     0);
    struct storage *storage = NULL;
    int32_t rc = storage_open(dir, false, &storage, &err);
    (void)unsetenv("ORCHESTRATE_STORAGE_FAULT");
    st_ok(rc, err);
    ck_assert_int_eq(st_put(storage, "a", "x", 0, &err), ORCH_E_IO);
    st_ok(st_put(storage, "a", "x", 0, &err), err);
    ck_assert_int_eq(st_put(storage, "b", "x", 0, &err), ORCH_E_NO_SPACE);
    ck_assert_int_eq(st_put(storage, "b", "x", 0, &err), ORCH_E_NO_SPACE);
    st_ok(storage_get(storage, "a", 0, &byte, 1, &err), err);
    ck_assert_int_eq(storage_get(storage, "a", 0, &byte, 1, &err), ORCH_E_IO);
    st_ok(storage_get(storage, "a", 0, &byte, 1, &err), err);
    ck_assert_int_eq(st_count(dir, "tmp"), 0);
    storage_close(storage);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("storage");
    TCase *tests = tcase_create("storage");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_names, 0, (int)(sizeof names / sizeof names[0]));
    tcase_add_test(tests, test_long_names);
    tcase_add_loop_test(tests, test_urls, 0, (int)(sizeof urls / sizeof urls[0]));
    tcase_add_test(tests, test_url_kept);
    tcase_add_test(tests, test_driver_that_lacks_an_operation);
    tcase_add_test(tests, test_read_bounds);
    tcase_add_test(tests, test_if_absent_needs_the_capability);
    tcase_add_loop_test(tests, test_faults_come_through, 0, 3);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_test(tests, test_faults_of_the_environment);
#endif
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
