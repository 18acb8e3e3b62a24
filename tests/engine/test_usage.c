/* test_usage.c: what sets need, against what a store holds that never had anything else. */
#include <stdlib.h>
#include <string.h>

#include "engine/packreader.h"
#include "engine/usage.h"
#include "prunetest.h"

static struct et_repo r;
static struct orch_error err;

static void setup(void)
{
    memset(&err, 0, sizeof(err));
    et_repo_make(&r, true);
}

static void teardown(void)
{
    et_repo_remove(&r);
}

/* ---- ids of all chunks in a store, from the packs' footers ------------------------------------
 */

struct ids {
    const struct et_repo *r;
    struct packreader *reader;
    uint8_t (*list)[CHUNK_ID_BYTES];
    size_t count;
};

static int32_t add_pack(void *ctx, const char *name, const struct storage_stat *stat,
                        struct orch_error *why)
{
    struct ids *ids = ctx;
    struct pack_table table;
    uint8_t id[PACK_ID_BYTES];
    ck_assert_int_eq(pack_name_id(name, id), ORCH_OK);
    int32_t rc = packreader_table(ids->reader, id, stat->size_bytes, &table, why);
    et_ok(rc, *why);
    ids->list = reallocarray(ids->list, ids->count + table.chunk_count, CHUNK_ID_BYTES);
    ck_assert_ptr_nonnull(ids->list);
    for (size_t i = 0; i < table.chunk_count; i++) {
        memcpy(ids->list[ids->count++], table.chunks[i].id, CHUNK_ID_BYTES);
    }
    pack_table_clear(&table);
    return ORCH_OK;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, CHUNK_ID_BYTES);
}

static void ids_of(const struct et_repo *from, struct ids *ids)
{
    memset(ids, 0, sizeof(*ids));
    ids->r = from;
    et_ok(packreader_new(from->repo, &ids->reader, &err), err);
    et_ok(storage_list(from->storage, "packs", add_pack, ids, &err), err);
    packreader_free(ids->reader);
    qsort(ids->list, ids->count, CHUNK_ID_BYTES, by_id);
    size_t distinct = 0;
    for (size_t i = 0; i < ids->count; i++) {
        if (i == 0 || memcmp(ids->list[i], ids->list[i - 1], CHUNK_ID_BYTES) != 0) {
            memmove(ids->list[distinct++], ids->list[i], CHUNK_ID_BYTES);
        }
    }
    ids->count = distinct;
}

/* The usage needs exactly these ids. */
static void needs_exactly(const struct usage *usage, struct index *index, const struct ids *ids)
{
    uint64_t bytes = 0, in_packs = 0, chunks = 0, bits = 0;
    for (size_t i = 0; i < ids->count; i++) {
        struct chunk_location place;
        ck_assert_int_eq(index_find(index, ids->list[i], &place), ORCH_OK);
        ck_assert(usage_needs(usage, place.number));
        bytes += place.len;
    }
    ck_assert_uint_eq(usage_chunks(usage), ids->count);
    for (size_t i = 0; i < index_pack_count(index); i++) {
        in_packs += usage_of_pack(usage, i).bytes;
        chunks += usage_of_pack(usage, i).chunks;
    }
    for (uint64_t i = 0; i < index_places(index); i++) {
        bits += usage_needs(usage, i);
    }
    ck_assert_uint_eq(in_packs, bytes);
    ck_assert_uint_eq(chunks, ids->count);
    ck_assert_uint_eq(bits, ids->count);
}

static void count_progress(void *ctx, uint64_t chunks)
{
    uint64_t *last = ctx;
    ck_assert_uint_ge(chunks, *last);
    *last = chunks;
}

#define SETS 6

/* Some of several sets in one store need what a store needs that never had the others. */
START_TEST(test_random_sets)
{
    struct et_random random = {(uint64_t)_i + 1};
    struct et_repo twin;
    struct set_list sets;
    struct index *index = NULL;
    struct usage *usage = NULL;
    struct ids ids;
    uint64_t last = 0;
    pt_twin(&r, &twin);
    char id[SETS][ID_TEXT];
    bool chosen[SETS];
    for (size_t i = 0; i < SETS; i++) {
        struct pt_source source;
        char ignored[ID_TEXT];
        pt_random(&source, et_random_next(&random), 1 + et_random_next(&random) % 20, 30);
        source.records = et_random_next(&random) % 3 * 700;
        source.huge_record = et_random_next(&random) % 2 == 0;
        chosen[i] = et_random_next(&random) % 2 == 0;
        pt_set(r.repo, &source, "", 300000, id[i]);
        if (chosen[i]) {
            pt_set(twin.repo, &source, "", 0, ignored);
        }
    }
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(usage_new(r.repo, index, &usage, &err), err);
    et_ok(set_list_load(r.repo, NULL, NULL, &sets, &err), err);
    for (size_t round = 0; round < 2; round++) { /* a second time changes nothing */
        for (size_t i = 0; i < SETS; i++) {
            if (chosen[i]) {
                et_ok(usage_add_set(usage, pt_find(&sets, id[i]), count_progress, &last, &err),
                      err);
            }
        }
        ids_of(&twin, &ids);
        needs_exactly(usage, index, &ids);
        free(ids.list);
    }
    set_list_free(&sets);
    usage_free(usage);
    usage_free(NULL);
    index_close(index);
    et_repo_remove(&twin);
}
END_TEST

/* Everything in a store with one set is needed, long lists of references too. */
START_TEST(test_long_lists)
{
    struct pt_source source;
    struct set_list sets;
    struct index *index = NULL;
    struct usage *usage = NULL;
    struct ids ids;
    char id[ID_TEXT];
    pt_random(&source, 5, 3, 100);
    source.row_object = 5000;
    source.huge_record = true;
    pt_set(r.repo, &source, "", 0, id);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(usage_new(r.repo, index, &usage, &err), err);
    et_ok(set_list_load(r.repo, NULL, NULL, &sets, &err), err);
    et_ok(usage_add_set(usage, sets.sets[0], NULL, NULL, &err), err);
    ids_of(&r, &ids);
    ck_assert_uint_gt(ids.count, 5000);
    needs_exactly(usage, index, &ids);
    free(ids.list);
    set_list_free(&sets);
    usage_free(usage);
    index_close(index);
}
END_TEST

static int32_t remove_one(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *why)
{
    (void)stat;
    return storage_remove(ctx, name, why);
}

/* What cannot be walked is an error that names the set. */
static const struct {
    const char *folder; /* emptied */
    int32_t code;
} losses[] = {{"parts", ORCH_E_CORRUPT}, {"packs", ORCH_E_CORRUPT}, {"index", ORCH_E_NOT_FOUND}};

START_TEST(test_what_cannot_be_read)
{
    struct pt_source source;
    struct set_list sets;
    struct index *index = NULL;
    struct usage *usage = NULL;
    char id[ID_TEXT];
    pt_random(&source, 9, 4, 100);
    pt_set(r.repo, &source, "", 0, id);
    et_ok(set_list_load(r.repo, NULL, NULL, &sets, &err), err);
    et_ok(storage_list(r.storage, losses[_i].folder, remove_one, r.storage, &err), err);
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    et_ok(usage_new(r.repo, index, &usage, &err), err);
    ck_assert_int_eq(usage_add_set(usage, sets.sets[0], NULL, NULL, &err), losses[_i].code);
    ck_assert_ptr_nonnull(strstr(err.message, sets.sets[0]->name));
    set_list_free(&sets);
    usage_free(usage);
    index_close(index);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("usage");
    TCase *tests = tcase_create("usage");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_random_sets, 0, 12);
    tcase_add_test(tests, test_long_lists);
    tcase_add_loop_test(tests, test_what_cannot_be_read, 0, 3);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
