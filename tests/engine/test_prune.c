/*
 * test_prune.c: a prune keeps everything that sets need and removes the rest, and refuses to remove
 * anything when it cannot read what is needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mark.h"
#include "engine/pack.h"
#include "engine/proof.h"
#include "engine/runlog.h"
#include "prunebase.h"
#include "testing.h"

/* ---- alone ----------------------------------------------------------------------------------- */

START_TEST(test_keeps_what_is_needed)
{
    struct et_random random = {(uint64_t)_i};
    struct pb_choice choice = {.count = 0};
    struct prune_result result;
    for (size_t i = 0; i < PB_SETS; i++) {
        if (et_random_next(&random) % 2 == 0) {
            strcpy(choice.ids[choice.count++], pb_sets[i]);
        }
    }
    struct prune_options options = pb_options_for(&choice);
    size_t packs = pt_count(&pb_repo, "packs");
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_eq(result.sets_removed, choice.count);
    ck_assert_uint_eq(result.sets_kept, PB_SETS - choice.count);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - choice.count);
    ck_assert_uint_eq(pt_count(&pb_repo, "parts"), PB_SETS - choice.count);
    ck_assert_uint_eq(result.packs, packs);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    ck_assert_uint_eq(pt_count(&pb_repo, "leases"), 0);
    pt_whole(pb_repo.repo, "after a prune");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
    /* A second one has nothing left to do. */
    char *before = pt_listing(&pb_repo);
    pb_now(&options, &result);
    char *after = pt_listing(&pb_repo);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(result.packs_removed + result.parts_removed + result.sets_removed, 0);
    free(before);
    free(after);
}
END_TEST

START_TEST(test_everything_goes)
{
    struct prune_result result;
    pb_all(0, PB_SETS, &result);
    ck_assert_uint_eq(
        pt_count(&pb_repo, "packs") + pt_count(&pb_repo, "parts") + pt_count(&pb_repo, "index"), 0);
    ck_assert_uint_eq(result.bytes_removed, result.bytes);
    pt_whole(pb_repo.repo, "when nothing is left");
    struct pt_source source; /* and it can be used again */
    char id[ID_TEXT];
    pt_random(&source, 1, 3, 10);
    pt_set(pb_repo.repo, &source, "", 0, id);
    pt_whole(pb_repo.repo, "after another backup");
}
END_TEST

START_TEST(test_dry_run)
{
    struct pb_choice choice = pb_remove_some(0, 4);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result dry, real;
    struct pt_source source; /* ten objects in one frame, of which one is needed later */
    char kept[ID_TEXT];
    pt_random(&source, 5, 10, 1000000);
    source.object_bytes = 90000;
    pt_set(pb_repo.repo, &source, "", PB_PACK_BYTES, choice.ids[choice.count++]);
    source.objects = 1;
    pt_set(pb_repo.repo, &source, "", PB_PACK_BYTES, kept);
    options.dry_run = true;
    char *before = pt_listing(&pb_repo);
    pb_now(&options, &dry);
    char *after = pt_listing(&pb_repo);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(pt_count(&pb_repo, "leases"), 0);
    options.dry_run = false;
    pb_now(&options, &real);
    ck_assert_uint_eq(dry.sets_removed, real.sets_removed);
    ck_assert_uint_eq(dry.packs_removed, real.packs_removed);
    ck_assert_uint_eq(dry.packs_rewritten, real.packs_rewritten);
    ck_assert_uint_eq(dry.parts_removed, real.parts_removed);
    ck_assert_uint_eq(dry.bytes_removed, real.bytes_removed);
    ck_assert_uint_gt(real.packs_rewritten, 0);
    ck_assert_uint_eq(dry.chunks_needed, real.chunks_needed);
    free(before);
    free(after);
}
END_TEST

START_TEST(test_never_rewrites_when_told)
{
    struct pb_choice choice = pb_remove_some(0, 4);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    options.repack_above = 100;
    pb_now(&options, &result);
    ck_assert_uint_eq(result.packs_rewritten, 0);
    ck_assert_uint_gt(result.packs_removed, 0);
    pt_whole(pb_repo.repo, "without rewriting");
}
END_TEST

/* Many small packs and segments become few. */
START_TEST(test_merges)
{
    struct prune_result result;
    struct pb_choice none = {.count = 0};
    struct prune_options options = pb_options_for(&none);
    for (uint64_t i = 0; i < 70; i++) {
        struct pt_source source;
        char id[ID_TEXT];
        pt_random(&source, 1000 + i, 1, 100000);
        source.object_bytes = 3000;
        pt_set(pb_repo.repo, &source, "", 0, id);
    }
    ck_assert_uint_gt(pt_count(&pb_repo, "packs"), 140);
    ck_assert_uint_gt(pt_count(&pb_repo, "index"), 70);
    options.writer.pack_bytes = 0;
    options.repack_above = 30;
    pb_now(&options, &result);
    ck_assert_uint_lt(pt_count(&pb_repo, "packs"), 10);
    ck_assert_uint_lt(pt_count(&pb_repo, "index"), 10);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS + 70);
    pt_whole(pb_repo.repo, "after merging");
}
END_TEST

START_TEST(test_remove_set)
{
    struct set_list list;
    et_ok(set_list_load(pb_repo.repo, NULL, NULL, &list, &pb_err), pb_err);
    et_ok(prune_remove_set(pb_repo.repo, list.sets[0], &pb_err), pb_err);
    ck_assert_int_eq(prune_remove_set(pb_repo.repo, list.sets[0], &pb_err), ORCH_E_NOT_FOUND);
    set_list_free(&list);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - 1);
    pt_whole(pb_repo.repo, "after a set was removed");
}
END_TEST

/* What a prune removes beside data: proofs of sets that are gone, manifests that do not count, and
 * the logs of old runs. */
START_TEST(test_other_files)
{
    struct prune_result result;
    struct proof proof = {.good = true, .level = CHECK_DATA};
    struct pt_source source;
    char late[ID_TEXT], old_run[ID_TEXT], new_run[ID_TEXT], path[256];
    static const char lease[] = "00112233445566778899aabbccddeeff";
    for (size_t i = 0; i < 3; i++) {
        strcpy(proof.set, pb_sets[i]);
        et_ok(id_new(proof.run_id, &pb_err), pb_err);
        et_ok(proof_store(pb_repo.repo, &proof, &pb_err), pb_err);
    }
    et_ok(lapsed_put(pb_repo.repo, lease, &pb_err), pb_err);
    pt_random(&source, 77, 3, 1000);
    pt_set(pb_repo.repo, &source, lease, 0, late);
    char *const runs[] = {old_run, new_run};
    for (size_t i = 0; i < 2; i++) {
        struct runlog *log = NULL;
        et_ok(id_new(runs[i], &pb_err), pb_err);
        et_ok(runlog_start(pb_repo.repo, runs[i], "backup", &log, &pb_err), pb_err);
        et_ok(runlog_finish(log, RUN_FAILED, NULL, &pb_err), pb_err);
    }
    (void)snprintf(path, sizeof(path), "touch -d '91 days ago' %s/runs/%s/*", pb_repo.dir, old_run);
    ck_assert_int_eq(system(path), 0);
    pb_all(0, 2, &result);
    ck_assert_uint_eq(pt_count(&pb_repo, "proofs"), 1);
    ck_assert_uint_eq(pt_count(&pb_repo, "runs"), 2);
    ck_assert_uint_eq(pt_count(&pb_repo, "sets"), PB_SETS - 2);
    ck_assert_uint_eq(pt_count(&pb_repo, "parts"), PB_SETS - 2);
    ck_assert_uint_eq(pt_count(&pb_repo, "lapsed"), 1);
    pt_whole(pb_repo.repo, "after all of that");
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */

static int32_t first_name(void *ctx, const char *name, const struct storage_stat *stat,
                          struct orch_error *why)
{
    char *first = ctx;
    (void)stat;
    (void)why;
    if (first[0] == '\0' || strcmp(name, first) < 0) {
        (void)snprintf(first, STORAGE_NAME_MAX + 1, "%s", name);
    }
    return ORCH_OK;
}

/* A manifest, a part, or all packs that cannot be read: nothing is deleted, and it is said. */
START_TEST(test_refuses_what_it_cannot_read)
{
    struct pb_choice choice = {.count = 0};
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    char name[STORAGE_NAME_MAX + 1] = "";
    struct set_list list;
    et_ok(set_list_load(pb_repo.repo, NULL, NULL, &list, &pb_err), pb_err);
    et_ok(prune_remove_set(pb_repo.repo, list.sets[0], &pb_err),
          pb_err); /* there is something to delete */
    if (_i == 0) {
        set_file_name(list.sets[1], name);
        et_flip(&pb_repo, name, 70, 2);
    } else if (_i == 1) {
        (void)snprintf(name, sizeof(name), "parts/%s", list.sets[1]->components[0].part);
        et_flip(&pb_repo, name, 70, 2);
    } else {
        char command[400];
        (void)snprintf(command, sizeof(command), "find %s/packs -type f -delete", pb_repo.dir);
        ck_assert_int_eq(system(command), 0);
    }
    set_list_free(&list);
    char *before = pt_listing(&pb_repo);
    ck_assert_int_ne(prune_run(pb_repo.repo, &options, &result, &pb_err), ORCH_OK);
    ck_assert_ptr_nonnull(strstr(pb_err.message, "nothing was deleted"));
    char *after = pt_listing(&pb_repo);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* A pack is lost, but its metadata packs are there: refused too, and the pack is named. */
START_TEST(test_refuses_when_a_data_pack_is_lost)
{
    struct pb_choice choice = pb_remove_some(0, 2);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    struct index *index = NULL;
    struct index_pack pack;
    char name[PACK_NAME_BYTES];
    et_ok(index_open(pb_repo.repo, NULL, &index, &pb_err), pb_err);
    for (size_t i = 0; index_pack_at(index, i, &pack); i++) {
        if (!pack.gone && pack.kind == PACK_DATA) {
            break;
        }
    }
    index_close(index);
    pack_name(pack.id, name);
    choice.count = 0; /* all sets stay: it is needed */
    et_ok(storage_remove(pb_repo.storage, name, &pb_err), pb_err);
    char *before = pt_listing(&pb_repo);
    ck_assert_int_eq(prune_run(pb_repo.repo, &options, &result, &pb_err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(pb_err.message, name));
    char *after = pt_listing(&pb_repo);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* An index segment that is damaged or gone: the packs tell what it said. */
START_TEST(test_makes_the_index_whole)
{
    struct pb_choice choice = pb_remove_some(0, 3);
    struct prune_options options = pb_options_for(&choice);
    struct prune_result result;
    char name[STORAGE_NAME_MAX + 1] = "";
    options.warning = pb_ignore_warning;
    et_ok(storage_list(pb_repo.storage, "index", first_name, name, &pb_err), pb_err);
    if (_i == 0) {
        et_flip(&pb_repo, name, 200, 1);
    } else if (_i == 1) {
        et_ok(storage_remove(pb_repo.storage, name, &pb_err), pb_err);
    } else {
        char command[400];
        (void)snprintf(command, sizeof(command), "find %s/index -type f -delete", pb_repo.dir);
        ck_assert_int_eq(system(command), 0);
    }
    pb_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - 3);
    pt_whole(pb_repo.repo, "after the index was made whole");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}
END_TEST

/* Segments that a prune which woke late may put: they name packs that are gone. */
START_TEST(test_segments_that_name_lost_packs)
{
    struct prune_result result;
    struct et_repo old;
    char command[400];
    pt_clone(pb_base.dir, &old);
    pb_all(0, 4, &result);
    (void)snprintf(command, sizeof(command), "cp -n %s/index/* %s/index/", old.dir, pb_repo.dir);
    ck_assert_int_eq(system(command), 0);
    et_repo_remove(&old);
    pb_all(0, 0, &result);
    ck_assert_uint_gt(result.segments_removed, 0);
    pt_whole(pb_repo.repo, "after a late segment");
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prune");
    TCase *tests = pb_case("prune", pb_make_base, 120);
    tcase_add_loop_test(tests, test_keeps_what_is_needed, 0, 10);
    tcase_add_test(tests, test_everything_goes);
    tcase_add_test(tests, test_dry_run);
    tcase_add_test(tests, test_never_rewrites_when_told);
    tcase_add_test(tests, test_merges);
    tcase_add_test(tests, test_remove_set);
    tcase_add_test(tests, test_other_files);
    tcase_add_loop_test(tests, test_refuses_what_it_cannot_read, 0, 3);
    tcase_add_test(tests, test_refuses_when_a_data_pack_is_lost);
    tcase_add_loop_test(tests, test_makes_the_index_whole, 0, 3);
    tcase_add_test(tests, test_segments_that_name_lost_packs);
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
