/* prunebase.c: see prunebase.h. */
#include "prunebase.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT_BYTES 1060000u

struct et_repo pb_base;
char pb_sets[PB_SETS][ID_TEXT];
struct et_repo pb_repo;
struct orch_error pb_err;
static size_t objects;   /* of a set */
static uint64_t variety; /* contents there are */

/* Sets with even numbers hold a huge record besides; some hold small ones. */
void pb_source_of(size_t number, struct pt_source *source)
{
    struct et_random random = {42};
    for (size_t i = 0; i <= number; i++) {
        pt_random(source, et_random_next(&random), objects, variety);
    }
    source->object_bytes = OBJECT_BYTES;
    source->records = number % 3 * 500;
    source->huge_record = number % 2 == 0;
}

static void make(size_t set_objects, uint64_t set_variety)
{
    objects = set_objects;
    variety = set_variety;
    memset(&pb_err, 0, sizeof(pb_err));
    et_repo_make(&pb_base, true);
    for (size_t i = 0; i < PB_SETS; i++) {
        struct pt_source source;
        pb_source_of(i, &source);
        pt_set(pb_base.repo, &source, "", PB_PACK_BYTES, pb_sets[i]);
    }
}

void pb_make_base(void)
{
    make(6, 24);
}

void pb_make_small_base(void)
{
    make(2, 8);
}

static void remove_base(void)
{
    et_repo_remove(&pb_base);
}

static void setup(void)
{
    memset(&pb_err, 0, sizeof(pb_err));
    pt_clone(pb_base.dir, &pb_repo);
}

static void teardown(void)
{
    et_repo_remove(&pb_repo);
}

TCase *pb_case(const char *name, void (*make_it)(void), double timeout)
{
    TCase *tests = tcase_create(name);
    (void)setenv("TMPDIR", pt_folder(), 1); /* caches of the index */
    tcase_set_timeout(tests, timeout);
    tcase_add_unchecked_fixture(tests, make_it, remove_base);
    tcase_add_checked_fixture(tests, setup, teardown);
    return tests;
}

void pb_ignore_warning(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* ---- a prune --------------------------------------------------------------------------------- */

int32_t pb_choose(void *ctx, const struct set_list *list, bool *remove, struct orch_error *why)
{
    const struct pb_choice *choice = ctx;
    (void)why;
    for (size_t i = 0; i < list->count; i++) {
        for (size_t j = 0; j < choice->count; j++) {
            remove[i] = remove[i] || strcmp(list->sets[i]->id, choice->ids[j]) == 0;
        }
    }
    return ORCH_OK;
}

struct prune_options pb_options_for(struct pb_choice *choice)
{
    return (struct prune_options){
        .choose = pb_choose,
        .ctx = choice,
        .repack_above = 10,
        .wait_ms = 30000,
        .writer = {.codec = CODEC_ZSTD, .jobs = 1, .pack_bytes = PB_PACK_BYTES}};
}

struct pb_choice pb_remove_some(size_t from, size_t to)
{
    struct pb_choice choice = {.count = 0};
    for (size_t i = from; i < to; i++) {
        strcpy(choice.ids[choice.count++], pb_sets[i]);
    }
    return choice;
}

void pb_now(const struct prune_options *options, struct prune_result *result)
{
    et_ok(prune_run(pb_repo.repo, options, result, &pb_err), pb_err);
}

void pb_all(size_t from, size_t to, struct prune_result *result)
{
    struct pb_choice choice = pb_remove_some(from, to);
    struct prune_options options = pb_options_for(&choice);
    pb_now(&options, result);
    ck_assert_int_eq(result->state, PRUNE_DONE);
}

uint64_t pb_needed_share(struct repo *repo)
{
    struct index *index = NULL;
    struct usage *usage = NULL;
    struct set_list list;
    struct index_pack pack;
    uint64_t plain = 0, needed = 0;
    et_ok(index_open(repo, NULL, &index, &pb_err), pb_err);
    et_ok(usage_new(repo, index, &usage, &pb_err), pb_err);
    et_ok(set_list_load(repo, NULL, NULL, &list, &pb_err), pb_err);
    for (size_t i = 0; i < list.count; i++) {
        et_ok(usage_add_set(usage, list.sets[i], NULL, NULL, &pb_err), pb_err);
    }
    for (size_t i = 0; index_pack_at(index, i, &pack); i++) {
        if (!pack.gone) {
            ck_assert_uint_gt(usage_of_pack(usage, i).chunks, 0);
            plain += pack.plain_bytes;
            needed += usage_of_pack(usage, i).bytes;
        }
    }
    set_list_free(&list);
    usage_free(usage);
    index_close(index);
    return plain == 0 ? 100 : needed * 100 / plain;
}

size_t pb_count_sets(struct repo *repo)
{
    struct set_list list;
    et_ok(set_list_load(repo, NULL, NULL, &list, &pb_err), pb_err);
    size_t count = list.count;
    set_list_free(&list);
    return count;
}
