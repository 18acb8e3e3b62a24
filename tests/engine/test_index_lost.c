/* test_index_lost.c: packs that the index names and that are lost, or cut short. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cachebase.h"
#include "testing.h"
#include "engine/check.h"

#define OBJECT_BYTES 300000u

static void feed(struct part_writer *part, uint64_t seed)
{
    struct orch_error err = ORCH_ERROR_INIT;
    uint8_t *data = malloc(OBJECT_BYTES);
    for (uint64_t i = 0; i < 10; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "object%02d", (int)i);
        struct orch_object object = et_object(name);
        et_random_fill(seed + i, data, OBJECT_BYTES);
        et_ok(et_put_object(part, &object, data, OBJECT_BYTES, 0, &err), err);
    }
    free(data);
}

/* A backup and a set; how many bytes were new. */
static uint64_t backup(struct cb_world *w, bool check_packs, struct part *out)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct writer_options options = {.codec = CODEC_ZSTD, .pack_bytes = 1 << 20};
    struct index_options how = {.cache_dir = w->cache, .check_packs = check_packs};
    struct index *index = NULL;
    struct writer *writer = NULL;
    struct part_writer *part = NULL;
    char id[ID_TEXT];
    memset(out, 0, sizeof(*out));
    et_ok(index_open(w->r.repo, &how, &index, &err), err);
    et_ok(writer_open(w->r.repo, index, &options, &writer, &err), err);
    et_ok(part_writer_open(writer, NULL, &part, &err), err);
    feed(part, 1);
    struct orch_event end = et_event(ORCH_EVENT_END);
    et_ok(part_writer_put(part, &end, &err), err);
    et_ok(part_writer_finish(part, &out->content, &out->stats, &err), err);
    part_writer_close(part);
    et_ok(writer_finish(writer, &err), err);
    writer_close(writer);
    index_close(index);
    et_store_set(w->r.repo, out, "test", id);
    return out->stats.bytes_new;
}

static int32_t read_all(struct cb_world *w, const struct part *part)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct index_options how = {.cache_dir = w->cache, .check_packs = true};
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct orch_event event = {0};
    uint64_t bytes = 0;
    et_ok(index_open(w->r.repo, &how, &index, &err), err);
    int32_t rc = content_open(w->r.repo, index, part, 0, &reader, &err);
    for (bool more = rc == ORCH_OK; more;) {
        rc = content_next(reader, &event, &err);
        more = rc == ORCH_OK && event.type != ORCH_EVENT_END;
        bytes += more && event.type == ORCH_EVENT_DATA ? event.data_len : 0;
    }
    content_close(reader);
    index_close(index);
    ck_assert(rc != ORCH_OK || bytes == 10 * OBJECT_BYTES);
    return rc;
}

struct found {
    size_t objects, files;
};

static void note(void *ctx, const struct check_finding *finding)
{
    struct found *found = ctx;
    found->objects += finding->object != NULL;
    found->files += finding->file != NULL;
}

static struct found verify(struct cb_world *w)
{
    struct found found = {0};
    struct orch_error err = ORCH_ERROR_INIT;
    struct check_result result;
    struct check_options options = {
        .level = CHECK_DATA, .cache_dir = w->cache, .finding = note, .ctx = &found};
    et_ok(check_repository(w->r.repo, &options, &result, &err), err);
    return found;
}

static int32_t first_pack(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *err)
{
    (void)err;
    if (stat->size_bytes > 500000) {
        (void)snprintf(ctx, 64, "%s", name);
    }
    return ORCH_OK;
}

/* What lay in a pack that is missing or cut short is stored again, and found in its new place. */
START_TEST(lost_packs_are_stored_again)
{
    struct cb_world w;
    struct orch_error err = ORCH_ERROR_INIT;
    struct part parts[4];
    char name[64] = "";
    cb_make(&w);
    ck_assert_uint_ge(backup(&w, true, &parts[0]), 10 * OBJECT_BYTES);
    ck_assert_uint_eq(backup(&w, true, &parts[1]), 0);
    et_ok(storage_list(w.r.storage, "packs", first_pack, name, &err), err);
    if (_i == 0) {
        et_ok(storage_remove(w.r.storage, name, &err), err);
    } else {
        char path[256];
        (void)snprintf(path, sizeof(path), "%s/%s", w.r.dir, name);
        ck_assert_int_eq(truncate(path, 300000), 0);
    }
    ck_assert_int_ne(read_all(&w, &parts[0]), ORCH_OK);
    ck_assert_uint_gt(verify(&w).objects, 0);
    ck_assert_uint_eq(backup(&w, false, &parts[2]), 0); /* did not look */
    ck_assert_uint_gt(backup(&w, true, &parts[3]), 0);
    ck_assert_int_eq(read_all(&w, &parts[0]), ORCH_OK);
    ck_assert_int_eq(read_all(&w, &parts[3]), ORCH_OK);
    struct found found = verify(&w);
    ck_assert_uint_eq(found.objects, 0);
    ck_assert_uint_gt(found.files, 0); /* the pack is told of until a prune drops it */
    struct part last;
    ck_assert_uint_eq(backup(&w, true, &last), 0);
    free(last.facts_json);
    for (size_t i = 0; i < 4; i++) {
        free(parts[i].facts_json);
        free(parts[i].content.layers);
    }
    free(last.content.layers);
    et_repo_remove(&w.r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_lost");
    TCase *tests = tcase_create("index_lost");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, lost_packs_are_stored_again, 0, 2);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
