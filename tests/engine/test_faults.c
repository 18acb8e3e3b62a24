/* test_faults.c: the disk fills up or fails while a backup writes or a restore reads: an error,
 * never a hang, never a part that only looks whole; the repository stays as it was. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "enginetest.h"

#ifdef ORCHESTRATE_TEST_HOOKS

static const uint8_t key[KEY_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8}; /* as in enginetest.c */

/* Opens the store again, now with a fault; NULL for none. */
static void reopen(struct et_repo *r, const char *fault)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct repo_unlock unlock = {.key = key};
    repo_close(r->repo);
    storage_close(r->storage);
    r->repo = NULL;
    r->storage = NULL;
    if (fault == NULL) {
        (void)unsetenv("ORCHESTRATE_STORAGE_FAULT");
    } else {
        (void)setenv("ORCHESTRATE_STORAGE_FAULT", fault, 1);
    }
    et_ok(storage_open(r->dir, false, &r->storage, &err), err);
    et_ok(repo_open(r->storage, &unlock, NULL, &r->repo, &err), err);
    (void)unsetenv("ORCHESTRATE_STORAGE_FAULT");
}

/* Feeds objects and records until an error or the end. */
static int32_t feed(struct part_writer *part, uint64_t seed, struct orch_error *err)
{
    uint8_t *data = malloc(400000);
    int32_t rc = ORCH_OK;
    for (uint64_t i = 0; rc == ORCH_OK && i < 10; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "object%02d", (int)i);
        struct orch_object object = et_object(name);
        et_random_fill(seed * 100 + i, data, 400000);
        rc = et_put_object(part, &object, data, 400000, 100000, err);
    }
    for (uint32_t i = 0; rc == ORCH_OK && i < 100; i++) {
        rc = et_put_record(part, i, "key", 3, data, i * 10, ORCH_NO_EXPIRY, err);
    }
    struct orch_event end = et_event(ORCH_EVENT_END);
    if (rc == ORCH_OK) {
        rc = part_writer_put(part, &end, err);
    }
    free(data);
    return rc;
}

/* A backup that may fail at any step; it must come back, with the first error. */
static int32_t backup(struct repo *repo, uint64_t seed, struct part *out, struct orch_error *err)
{
    struct writer_options options = {.codec = CODEC_ZSTD, .pack_bytes = 500000, .memory_bytes = 1};
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct part_writer *part = NULL;
    memset(out, 0, sizeof(*out));
    int32_t rc = index_open(repo, NULL, &index, err);
    if (rc == ORCH_OK) {
        rc = writer_open(repo, index, &options, &writer, err);
    }
    if (rc == ORCH_OK) {
        rc = part_writer_open(writer, NULL, &part, err);
    }
    if (rc == ORCH_OK) {
        rc = feed(part, seed, err);
    }
    if (rc == ORCH_OK) {
        rc = part_writer_finish(part, &out->content, &out->stats, err);
    }
    part_writer_close(part);
    if (rc == ORCH_OK) {
        rc = writer_finish(writer, err);
    }
    writer_close(writer);
    index_close(index);
    return rc;
}

static uint64_t check_all(struct repo *repo)
{
    struct check_options options = {.level = CHECK_DATA};
    struct check_result result;
    struct orch_error err = ORCH_ERROR_INIT;
    et_ok(check_repository(repo, &options, &result, &err), err);
    return result.findings;
}

/* What may happen to the calls that write; the number of the call is put behind it. */
static const struct {
    const char *fault;
    int32_t code; /* ORCH_OK: nothing fails */
    int failures; /* at least so many */
} writes[] = {
    {"enospc:op=put,at=", ORCH_E_NO_SPACE, 40},
    {"enospc:op=write,at=", ORCH_E_NO_SPACE, 9},
    {"eio:op=put,at=", ORCH_E_IO, 40},
    {"eio:op=create+write+sync+rename+syncdir,done=1,at=", ORCH_E_IO, 30},
    {"short:for=all,at=", ORCH_OK, 0},
    {"enospc:bytes=100000", ORCH_E_NO_SPACE, 1},
};

/* A backup whose `n`th call fails; true if it did not. */
static bool fail_once(struct et_repo *r, int kind, int n)
{
    struct part part;
    char fault[96];
    struct orch_error err = ORCH_ERROR_INIT;
    (void)snprintf(fault, sizeof(fault), "%s%d", writes[kind].fault, n);
    reopen(r, fault);
    int32_t rc = backup(r->repo, 1000 + (uint64_t)n, &part, &err);
    free(part.content.layers);
    if (rc == ORCH_OK) {
        return true;
    }
    ck_assert_int_eq(rc, writes[kind].code);
    ck_assert_int_eq(err.code, rc);
    ck_assert_ptr_nonnull(strstr(err.message, r->dir));
    ck_assert_ptr_nonnull(strstr(err.message, strerror(err.os_errno)));
    return false;
}

/* Every call that a backup makes to write fails once. */
START_TEST(failing_writes)
{
    struct et_repo r;
    struct part part;
    char set[ID_TEXT];
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    et_ok(backup(r.repo, 1, &part, &err), err);
    et_store_set(r.repo, &part, "one", set);
    free(part.content.layers);
    free(part.facts_json);
    int failed = 0;
    int through = 0; /* in a row: threads may make a call less than in the run before */
    bool once = strstr(writes[_i].fault, "bytes=") != NULL;
    for (int n = 1; through < 3 && n < (once ? 2 : 400); n++) {
        through = fail_once(&r, _i, n) ? through + 1 : 0;
        failed += through == 0;
        reopen(&r, NULL);
        if (n % 7 == 1 || through > 0) {
            ck_assert_uint_eq(check_all(r.repo), 0);
        }
    }
    ck_assert_int_ge(failed, writes[_i].failures);
    ck_assert(through == 3 || once);
    et_repo_remove(&r);
}
END_TEST

static const struct {
    const char *fault;
    int32_t code;
    int failures;
} reads[] = {
    {"eio:op=open+read+stat,at=", ORCH_E_IO, 4},
    {"cut:at=", ORCH_E_CORRUPT, 3},
    {"short:op=read,for=all,at=", ORCH_OK, 0},
};

/* Every call of a restore that reads fails once: it ends with that error or delivers everything. */
START_TEST(failing_reads)
{
    struct et_repo r;
    struct part part;
    struct orch_error err = ORCH_ERROR_INIT;
    et_repo_make(&r, true);
    et_ok(backup(r.repo, 1, &part, &err), err);
    int failed = 0;
    bool through = false;
    for (int n = 1; !through && n < 200; n++) {
        struct index *index = NULL;
        struct content_reader *reader = NULL;
        struct orch_event event;
        char fault[96];
        uint64_t bytes = 0;
        reopen(&r, NULL);
        et_ok(index_open(r.repo, NULL, &index, &err), err);
        (void)snprintf(fault, sizeof(fault), "%s%d", reads[_i].fault, n + 3 /* reading config */);
        reopen(&r, fault);
        int32_t rc = content_open(r.repo, index, &part, 0, &reader, &err);
        for (bool more = rc == ORCH_OK; more;) {
            rc = content_next(reader, &event, &err);
            more = rc == ORCH_OK && event.type != ORCH_EVENT_END;
            bytes += more && event.type == ORCH_EVENT_DATA ? event.data_len : 0;
        }
        if (rc != ORCH_OK) {
            ck_assert_int_eq(rc, reads[_i].code);
            ck_assert_ptr_nonnull(strstr(err.message, "packs/"));
            failed++;
        } else {
            ck_assert_uint_eq(bytes, 10 * 400000 + 99 * 100 / 2 * 10);
        }
        through = rc == ORCH_OK && failed >= reads[_i].failures;
        content_close(reader);
        index_close(index);
    }
    ck_assert(through);
    free(part.content.layers);
    et_repo_remove(&r);
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tests = tcase_create("faults");
    tcase_set_timeout(tests, 240);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_loop_test(tests, failing_writes, 0, (int)(sizeof(writes) / sizeof(writes[0])));
    tcase_add_loop_test(tests, failing_reads, 0, (int)(sizeof(reads) / sizeof(reads[0])));
#endif
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
