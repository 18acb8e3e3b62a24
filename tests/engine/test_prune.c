/*
 * test_prune.c: a prune keeps everything that sets need and removes the rest: alone, beside
 * backups, after others, stopped at every point, and on a store that fails.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "engine/leasefile.h"
#include "engine/mark.h"
#include "engine/pack.h"
#include "engine/proof.h"
#include "engine/prune.h"
#include "engine/runlog.h"
#include "powerloss_model.h"
#include "prunetest.h"

#define SETS 7
#define PACK_BYTES 600000u /* about a frame */
#define OBJECT_BYTES 1060000u

static struct et_repo base; /* never changed */
static char sets[SETS][ID_TEXT];
static struct et_repo r;
static struct orch_error err;

/* Seven sets that overlap; one more object of rows, so that there are long lists. */
static void make_base(void)
{
    struct et_random random = {42};
    memset(&err, 0, sizeof(err));
    et_repo_make(&base, true);
    for (size_t i = 0; i < SETS; i++) {
        struct pt_source source;
        pt_random(&source, et_random_next(&random), 6, 24);
        source.object_bytes = OBJECT_BYTES;
        source.records = i % 3 * 500;
        source.huge_record = i % 2 == 0;
        pt_set(base.repo, &source, "", PACK_BYTES, sets[i]);
    }
}

static void remove_base(void)
{
    et_repo_remove(&base);
}

static void setup(void)
{
    memset(&err, 0, sizeof(err));
    pt_clone(base.dir, &r);
}

static void teardown(void)
{
    et_repo_remove(&r);
}

/* ---- a prune --------------------------------------------------------------------------------- */

struct choice {
    char ids[SETS + 1][ID_TEXT];
    size_t count;
};

static int32_t choose(void *ctx, const struct set_list *list, bool *remove, struct orch_error *why)
{
    const struct choice *choice = ctx;
    (void)why;
    for (size_t i = 0; i < list->count; i++) {
        for (size_t j = 0; j < choice->count; j++) {
            remove[i] = remove[i] || strcmp(list->sets[i]->id, choice->ids[j]) == 0;
        }
    }
    return ORCH_OK;
}

static struct prune_options options_for(struct choice *choice)
{
    return (struct prune_options){
        .choose = choose,
        .ctx = choice,
        .repack_above = 10,
        .wait_ms = 30000,
        .writer = {.codec = CODEC_ZSTD, .jobs = 1, .pack_bytes = PACK_BYTES}};
}

static struct choice remove_some(size_t from, size_t to)
{
    struct choice choice = {.count = 0};
    for (size_t i = from; i < to; i++) {
        strcpy(choice.ids[choice.count++], sets[i]);
    }
    return choice;
}

static void prune_now(const struct prune_options *options, struct prune_result *result)
{
    et_ok(prune_run(r.repo, options, result, &err), err);
}

static void prune_all(size_t from, size_t to, struct prune_result *result)
{
    struct choice choice = remove_some(from, to);
    struct prune_options options = options_for(&choice);
    prune_now(&options, result);
    ck_assert_int_eq(result->state, PRUNE_DONE);
}

/* How much of what the packs hold is needed, in percent; and no pack without any need. */
static uint64_t needed_share(struct repo *repo)
{
    struct index *index = NULL;
    struct usage *usage = NULL;
    struct set_list list;
    struct index_pack pack;
    uint64_t plain = 0, needed = 0;
    et_ok(index_open(repo, NULL, &index, &err), err);
    et_ok(usage_new(repo, index, &usage, &err), err);
    et_ok(set_list_load(repo, NULL, NULL, &list, &err), err);
    for (size_t i = 0; i < list.count; i++) {
        et_ok(usage_add_set(usage, list.sets[i], NULL, NULL, &err), err);
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

static size_t count_sets(struct repo *repo)
{
    struct set_list list;
    et_ok(set_list_load(repo, NULL, NULL, &list, &err), err);
    size_t count = list.count;
    set_list_free(&list);
    return count;
}

/* ---- alone ----------------------------------------------------------------------------------- */

START_TEST(test_keeps_what_is_needed)
{
    struct et_random random = {(uint64_t)_i};
    struct choice choice = {.count = 0};
    struct prune_result result;
    for (size_t i = 0; i < SETS; i++) {
        if (et_random_next(&random) % 2 == 0) {
            strcpy(choice.ids[choice.count++], sets[i]);
        }
    }
    struct prune_options options = options_for(&choice);
    size_t packs = pt_count(&r, "packs");
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_eq(result.sets_removed, choice.count);
    ck_assert_uint_eq(result.sets_kept, SETS - choice.count);
    ck_assert_uint_eq(count_sets(r.repo), SETS - choice.count);
    ck_assert_uint_eq(pt_count(&r, "parts"), SETS - choice.count);
    ck_assert_uint_eq(result.packs, packs);
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    ck_assert_uint_eq(pt_count(&r, "leases"), 0);
    pt_whole(r.repo, "after a prune");
    ck_assert_uint_ge(needed_share(r.repo), 90);
    /* A second one has nothing left to do. */
    char *before = pt_listing(&r);
    prune_now(&options, &result);
    char *after = pt_listing(&r);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(result.packs_removed + result.parts_removed + result.sets_removed, 0);
    free(before);
    free(after);
}
END_TEST

START_TEST(test_everything_goes)
{
    struct prune_result result;
    prune_all(0, SETS, &result);
    ck_assert_uint_eq(pt_count(&r, "packs") + pt_count(&r, "parts") + pt_count(&r, "index"), 0);
    ck_assert_uint_eq(result.bytes_removed, result.bytes);
    pt_whole(r.repo, "when nothing is left");
    struct pt_source source; /* and it can be used again */
    char id[ID_TEXT];
    pt_random(&source, 1, 3, 10);
    pt_set(r.repo, &source, "", 0, id);
    pt_whole(r.repo, "after another backup");
}
END_TEST

START_TEST(test_dry_run)
{
    struct choice choice = remove_some(0, 4);
    struct prune_options options = options_for(&choice);
    struct prune_result dry, real;
    struct pt_source source; /* ten objects in one frame, of which one is needed later */
    char kept[ID_TEXT];
    pt_random(&source, 5, 10, 1000000);
    source.object_bytes = 90000;
    pt_set(r.repo, &source, "", PACK_BYTES, choice.ids[choice.count++]);
    source.objects = 1;
    pt_set(r.repo, &source, "", PACK_BYTES, kept);
    options.dry_run = true;
    char *before = pt_listing(&r);
    prune_now(&options, &dry);
    char *after = pt_listing(&r);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(pt_count(&r, "leases"), 0);
    options.dry_run = false;
    prune_now(&options, &real);
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
    struct choice choice = remove_some(0, 4);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    options.repack_above = 100;
    prune_now(&options, &result);
    ck_assert_uint_eq(result.packs_rewritten, 0);
    ck_assert_uint_gt(result.packs_removed, 0);
    pt_whole(r.repo, "without rewriting");
}
END_TEST

/* Many small packs and segments become few. */
START_TEST(test_merges)
{
    struct prune_result result;
    struct choice none = {.count = 0};
    struct prune_options options = options_for(&none);
    for (uint64_t i = 0; i < 70; i++) {
        struct pt_source source;
        char id[ID_TEXT];
        pt_random(&source, 1000 + i, 1, 100000);
        source.object_bytes = 3000;
        pt_set(r.repo, &source, "", 0, id);
    }
    ck_assert_uint_gt(pt_count(&r, "packs"), 140);
    ck_assert_uint_gt(pt_count(&r, "index"), 70);
    options.writer.pack_bytes = 0;
    options.repack_above = 30;
    prune_now(&options, &result);
    ck_assert_uint_lt(pt_count(&r, "packs"), 10);
    ck_assert_uint_lt(pt_count(&r, "index"), 10);
    ck_assert_uint_eq(count_sets(r.repo), SETS + 70);
    pt_whole(r.repo, "after merging");
}
END_TEST

START_TEST(test_remove_set)
{
    struct set_list list;
    et_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    et_ok(prune_remove_set(r.repo, list.sets[0], &err), err);
    ck_assert_int_eq(prune_remove_set(r.repo, list.sets[0], &err), ORCH_E_NOT_FOUND);
    set_list_free(&list);
    ck_assert_uint_eq(count_sets(r.repo), SETS - 1);
    pt_whole(r.repo, "after a set was removed");
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
        strcpy(proof.set, sets[i]);
        et_ok(id_new(proof.run_id, &err), err);
        et_ok(proof_store(r.repo, &proof, &err), err);
    }
    et_ok(lapsed_put(r.repo, lease, &err), err);
    pt_random(&source, 77, 3, 1000);
    pt_set(r.repo, &source, lease, 0, late);
    char *const runs[] = {old_run, new_run};
    for (size_t i = 0; i < 2; i++) {
        struct runlog *log = NULL;
        et_ok(id_new(runs[i], &err), err);
        et_ok(runlog_start(r.repo, runs[i], "backup", &log, &err), err);
        et_ok(runlog_finish(log, RUN_FAILED, NULL, &err), err);
    }
    (void)snprintf(path, sizeof(path), "touch -d '91 days ago' %s/runs/%s/*", r.dir, old_run);
    ck_assert_int_eq(system(path), 0);
    prune_all(0, 2, &result);
    ck_assert_uint_eq(pt_count(&r, "proofs"), 1);
    ck_assert_uint_eq(pt_count(&r, "runs"), 2);
    ck_assert_uint_eq(pt_count(&r, "sets"), SETS - 2);
    ck_assert_uint_eq(pt_count(&r, "parts"), SETS - 2);
    ck_assert_uint_eq(pt_count(&r, "lapsed"), 1);
    pt_whole(r.repo, "after all of that");
}
END_TEST

/* ---- beside others --------------------------------------------------------------------------- */

/* A backup that goes on while a prune waits for it. */
struct beside {
    struct choice choice;
    struct pt_backup *backup;
    struct pt_source source;
    int waited;
};

static int32_t choose_beside(void *ctx, const struct set_list *list, bool *remove,
                             struct orch_error *why)
{
    return choose(&((struct beside *)ctx)->choice, list, remove, why);
}

static void finish_backup(void *ctx, const struct lease_seen *lease)
{
    struct beside *beside = ctx;
    ck_assert_str_eq(lease->id, lease_id(beside->backup->lease));
    ck_assert_str_eq(lease->work, "backup");
    ck_assert_int_eq(beside->waited++, 0);
    pt_backup_store(beside->backup, &beside->source, PACK_BYTES);
    pt_backup_seal(beside->backup);
    pt_backup_end(beside->backup);
}

/* The content of set `number` of the base. */
static void source_of(size_t number, struct pt_source *source)
{
    struct et_random random = {42};
    for (size_t i = 0; i <= number; i++) {
        pt_random(source, et_random_next(&random), 6, 24);
    }
    source->object_bytes = OBJECT_BYTES;
    source->records = number % 3 * 500;
    source->huge_record = number % 2 == 0;
}

START_TEST(test_pardons)
{
    struct pt_backup backup;
    struct beside beside = {.choice = remove_some(0, 4), .backup = &backup};
    struct prune_options options = options_for(&beside.choice);
    struct prune_result result;
    options.choose = choose_beside;
    options.waiting = finish_backup;
    options.ctx = &beside;
    source_of(1, &beside.source); /* of a set that goes: all its chunks are known */
    pt_backup_begin(r.repo, &backup);
    prune_now(&options, &result);
    ck_assert_int_eq(beside.waited, 1);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_gt(result.packs_pardoned, 0);
    ck_assert_uint_eq(result.sets_kept, SETS - 4 + 1);
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    pt_whole(r.repo, "after a pardon");
    options = options_for(&(struct choice){.count = 0});
    prune_now(&options, &result);
    pt_whole(r.repo, "after the next prune");
    ck_assert_uint_ge(needed_share(r.repo), 90);
}
END_TEST

/* What a backup has stored and not yet named in a manifest when the prune looks. */
START_TEST(test_half_done_backup)
{
    struct pt_backup backup;
    struct choice choice = remove_some(0, 4);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    struct pt_source source;
    pt_random(&source, 99, 6, 100000);
    pt_backup_begin(r.repo, &backup);
    pt_backup_store(&backup, &source, PACK_BYTES);
    options.wait_ms = _i == 0 ? -1 : 200;
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_MARKED);
    ck_assert_str_eq(result.blocked.id, lease_id(backup.lease));
    ck_assert_str_eq(result.blocked.work, "backup");
    ck_assert_uint_eq(result.packs_removed + result.parts_removed, 0);
    ck_assert_uint_eq(pt_count(&r, "marks"), 1);
    pt_backup_seal(&backup);
    pt_backup_end(&backup);
    pt_whole(r.repo, "beside a mark");
    prune_all(0, 0, &result); /* finishes what was begun */
    ck_assert_uint_gt(result.packs_removed, 0);
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    ck_assert_uint_eq(count_sets(r.repo), SETS - 4 + 1);
    pt_whole(r.repo, "after the mark is gone");
    ck_assert_uint_ge(needed_share(r.repo), 90);
}
END_TEST

/* A backup that begins under a mark obeys it: it stores again what lies in condemned packs. Nobody
 * waits for it, also where somebody is always at work. */
START_TEST(test_backup_under_a_mark)
{
    struct pt_backup first, second;
    struct choice choice = remove_some(0, 4);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    struct pt_source source;
    options.wait_ms = -1;
    pt_backup_begin(r.repo, &first);
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_MARKED);
    pt_backup_begin(r.repo, &second);
    lease_end(first.lease);
    first.lease = NULL;
    prune_now(&options,
              &result); /* the second still is at work, and has not seen this one's mark */
    ck_assert_int_eq(result.state, PRUNE_MARKED);
    ck_assert_uint_gt(result.packs_removed, 0);
    source_of(1, &source);
    pt_backup_store(&second, &source, PACK_BYTES);
    pt_backup_seal(&second);
    pt_backup_end(&second);
    pt_backup_end(&first);
    pt_whole(r.repo, "after a backup under a mark");
    prune_all(0, 0, &result);
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    pt_whole(r.repo, "after the last mark");
    ck_assert_uint_ge(needed_share(r.repo), 90);
}
END_TEST

/* A set whose writer is still at work may be withdrawn: retention neither counts nor removes it. */
START_TEST(test_unsettled_sets)
{
    struct pt_backup backup;
    struct pt_source source;
    struct choice choice = remove_some(0, 1);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    pt_random(&source, 99, 3, 100000);
    pt_backup_begin(r.repo, &backup);
    pt_backup_store(&backup, &source, PACK_BYTES);
    pt_backup_seal(&backup);
    strcpy(choice.ids[0], backup.set);
    options.dry_run = true;
    prune_now(&options, &result);
    ck_assert_uint_eq(result.sets_removed, 0);
    ck_assert_uint_eq(result.sets_kept, SETS + 1);
    pt_backup_end(&backup);
    prune_now(&options, &result);
    ck_assert_uint_eq(result.sets_removed, 1);
}
END_TEST

/* The lease of a host that died without a word. */
START_TEST(test_waits_until_a_lease_lapses)
{
    struct lease_file file = {.id = "00112233445566778899aabbccddeeff",
                              .run_id = "00112233445566778899aabbccddeeff",
                              .work = "backup",
                              .host = "elsewhere",
                              .ttl_ms = 150};
    struct prune_result result;
    process_self(&file.process);
    strcpy(file.process.boot_id, "another-boot");
    json_t *json = lease_file_to_json(&file);
    et_ok(repo_put_document(r.repo, "leases/00112233445566778899aabbccddeeff", KEY_CONTROL, json, 0,
                            &err),
          err);
    json_decref(json);
    prune_all(0, 3, &result);
    ck_assert_int_ge(result.wait_ms, 100);
    ck_assert_uint_eq(pt_count(&r, "leases"), 0);
    ck_assert_uint_eq(pt_count(&r, "lapsed"), 1);
    pt_whole(r.repo, "after a lease lapsed");
}
END_TEST

START_TEST(test_busy)
{
    struct choice choice = remove_some(0, 4);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    struct lease *other = NULL;
    options.wait_ms = -1;
    et_ok(lease_take(r.repo, "00112233445566778899aabbccddeeff", "prune", &other, &err), err);
    char *before = pt_listing(&r);
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_BUSY);
    ck_assert_str_eq(result.blocked.id, lease_id(other));
    char *after = pt_listing(&r);
    ck_assert_str_eq(before, after);
    ck_assert_uint_eq(pt_count(&r, "leases"), 1);
    free(before);
    free(after);
    lease_end(other);
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
}
END_TEST

static bool stop_now(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(test_stopped)
{
    struct choice choice = remove_some(0, 4);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    options.stop = stop_now;
    ck_assert_int_eq(prune_run(r.repo, &options, &result, &err), ORCH_E_CANCELLED);
    ck_assert_uint_eq(pt_count(&r, "leases"), 0);
    pt_whole(r.repo, "after a stop");
    prune_all(0, 4, &result);
    pt_whole(r.repo, "after the next one");
}
END_TEST

/* Two prunes at the same time, and a third after them. */
START_TEST(test_two_at_once)
{
    pid_t pids[2];
    struct prune_result result;
    for (size_t i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct et_repo mine;
            struct choice choice = remove_some(i, 4);
            struct prune_options options = options_for(&choice);
            struct orch_error why = ORCH_ERROR_INIT;
            pt_open(r.dir, &mine);
            int32_t rc = prune_run(mine.repo, &options, &result, &why);
            if (rc != ORCH_OK) {
                fprintf(stderr, "prune %zu: %s\n", i, why.message);
            }
            pt_close(&mine);
            _exit(rc == ORCH_OK && result.state == PRUNE_DONE ? 0 : 1);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    ck_assert_uint_eq(count_sets(r.repo), SETS - 4);
    pt_whole(r.repo, "after two at once");
    ck_assert_uint_ge(needed_share(r.repo), 90);
    prune_all(0, 0, &result);
    ck_assert_uint_eq(result.packs_removed, 0);
}
END_TEST

/* Keeps the three newest. */
static int32_t keep_three(void *ctx, const struct set_list *list, bool *remove,
                          struct orch_error *why)
{
    (void)ctx;
    (void)why;
    for (size_t i = 3; i < list->count; i++) {
        remove[i] = true;
    }
    return ORCH_OK;
}

#define CROWD 6
#define ROUNDS 30

/* Backups of contents that come again and again, or prunes; in a process of its own. */
static int one_of_the_crowd(size_t number)
{
    struct et_random random = {number + 100};
    struct et_repo mine;
    struct orch_error why = ORCH_ERROR_INIT;
    int32_t rc = ORCH_OK;
    pt_open(r.dir, &mine);
    for (size_t i = 0; rc == ORCH_OK && i < ROUNDS; i++) {
        if (number < 2) {
            struct prune_result result;
            struct prune_options options = options_for(NULL);
            options.choose = keep_three;
            options.repack_above = 1 + (uint32_t)(et_random_next(&random) % 50);
            options.wait_ms = (int64_t)(et_random_next(&random) % 3) * 300 - 1;
            rc = prune_run(mine.repo, &options, &result, &why);
        } else {
            struct pt_backup backup;
            struct pt_source source;
            pt_random(&source, et_random_next(&random), 4, 12);
            source.object_bytes = 200000;
            pt_backup_begin(mine.repo, &backup);
            pt_backup_store(&backup, &source, PACK_BYTES);
            pt_backup_seal(&backup);
            pt_backup_end(&backup);
        }
    }
    pt_close(&mine);
    if (rc != ORCH_OK) {
        fprintf(stderr, "%zu: %s\n", number, why.message);
    }
    return rc == ORCH_OK ? 0 : 1;
}

START_TEST(test_a_crowd)
{
    pid_t pids[CROWD];
    struct prune_result result;
    struct choice none = {.count = 0};
    struct prune_options options = options_for(&none);
    for (size_t i = 0; i < CROWD; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(one_of_the_crowd(i));
        }
    }
    for (size_t i = 0; i < CROWD; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%zu: %d", i, status);
    }
    pt_whole(r.repo, "after the crowd");
    options.choose = keep_three;
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_eq(count_sets(r.repo), 3);
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    pt_whole(r.repo, "after the last prune");
    ck_assert_uint_ge(needed_share(r.repo), 90);
}
END_TEST

/* ---- who sleeps -------------------------------------------------------------------------------
 */

#ifdef ORCHESTRATE_TEST_HOOKS

/* Waits until a child has stopped itself. */
static void wait_until_stopped(pid_t pid)
{
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert_msg(WIFSTOPPED(status), "the child did not stop: %d", status);
}

static int wake(pid_t pid)
{
    int status = 0;
    ck_assert_int_eq(kill(pid, SIGCONT), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void sleep_when_deleting(void *ctx, const char *text)
{
    (void)ctx;
    if (strcmp(text, "deleting") == 0) {
        (void)raise(SIGSTOP);
    }
}

/* A prune that is put to sleep between its mark and its sweep, for longer than its lease. Another
 * one finishes meanwhile, and a backup uses what was condemned; the sleeper deletes nothing. */
START_TEST(test_a_sleeping_prune)
{
    struct prune_result result;
    struct pt_source source;
    char id[ID_TEXT];
    (void)setenv("ORCHESTRATE_LEASE_TTL_MS", "1500", 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct et_repo mine;
        struct choice choice = remove_some(0, 4);
        struct prune_options options = options_for(&choice);
        struct orch_error why = ORCH_ERROR_INIT;
        options.phase = sleep_when_deleting;
        pt_open(r.dir, &mine);
        int32_t rc = prune_run(mine.repo, &options, &result, &why);
        _exit(rc == ORCH_E_TIMEOUT ? 0 : 1);
    }
    wait_until_stopped(pid);
    ck_assert_uint_eq(pt_count(&r, "marks"), 1);
    (void)unsetenv("ORCHESTRATE_LEASE_TTL_MS");
    prune_all(0, 4, &result); /* waits until the sleeper's lease lapses */
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    source_of(1, &source);
    pt_set(r.repo, &source, "", PACK_BYTES, id);
    char *before = pt_listing(&r);
    ck_assert_int_eq(wake(pid), 0);
    char *after = pt_listing(&r);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    pt_whole(r.repo, "after a prune woke late");
}
END_TEST

/* A backup that is put to sleep before its manifest, for longer than its lease: what it has stored
 * goes, and its set does not come to be, or does not count. */
START_TEST(test_a_sleeping_backup)
{
    struct prune_result result;
    (void)setenv("ORCHESTRATE_LEASE_TTL_MS", "1500", 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct et_repo mine;
        struct pt_backup backup;
        struct pt_source source;
        struct orch_error why = ORCH_ERROR_INIT;
        pt_open(r.dir, &mine);
        source_of(1, &source); /* nothing of it is new */
        pt_backup_begin(mine.repo, &backup);
        pt_backup_store(&backup, &source, PACK_BYTES);
        if (_i == 0) {
            (void)raise(SIGSTOP);
            int32_t lost = lease_check(backup.lease, &why);
            lease_end(backup.lease);
            _exit(lost == ORCH_E_TIMEOUT ? 0 : 1);
        }
        if (lease_check(backup.lease, &why) != ORCH_OK) {
            _exit(2);
        }
        (void)raise(SIGSTOP); /* between its last look and the put */
        struct set set = {.state = SET_PARTIAL, .started_ns = clock_wall_ns()};
        (void)snprintf(set.lease, sizeof(set.lease), "%s", lease_id(backup.lease));
        if (set_store(mine.repo, &set, &why) != ORCH_OK) {
            _exit(3);
        }
        int32_t lost = lease_check(backup.lease, &why);
        lease_end(backup.lease);
        _exit(lost == ORCH_E_TIMEOUT ? 0 : 4); /* and dies before it takes its set back */
    }
    wait_until_stopped(pid);
    (void)unsetenv("ORCHESTRATE_LEASE_TTL_MS");
    prune_all(0, 4, &result);
    ck_assert_uint_eq(pt_count(&r, "lapsed"), 1);
    ck_assert_uint_gt(result.packs_removed, 0);
    ck_assert_int_eq(wake(pid), 0);
    ck_assert_uint_eq(count_sets(r.repo), SETS - 4);
    ck_assert_uint_eq(pt_count(&r, "sets"), SETS - 4 + (size_t)_i);
    pt_whole(r.repo, "after a backup woke late");
    prune_all(0, 0, &result);
    ck_assert_uint_eq(pt_count(&r, "sets"), SETS - 4);
}
END_TEST

#endif

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
    struct choice choice = {.count = 0};
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    char name[STORAGE_NAME_MAX + 1] = "";
    struct set_list list;
    et_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    et_ok(prune_remove_set(r.repo, list.sets[0], &err), err); /* there is something to delete */
    if (_i == 0) {
        set_file_name(list.sets[1], name);
        et_flip(&r, name, 70, 2);
    } else if (_i == 1) {
        (void)snprintf(name, sizeof(name), "parts/%s", list.sets[1]->components[0].part);
        et_flip(&r, name, 70, 2);
    } else {
        char command[400];
        (void)snprintf(command, sizeof(command), "find %s/packs -type f -delete", r.dir);
        ck_assert_int_eq(system(command), 0);
    }
    set_list_free(&list);
    char *before = pt_listing(&r);
    ck_assert_int_ne(prune_run(r.repo, &options, &result, &err), ORCH_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "nothing was deleted"));
    char *after = pt_listing(&r);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

/* A pack is lost, but its metadata packs are there: refused too, and the pack is named. */
START_TEST(test_refuses_when_a_data_pack_is_lost)
{
    struct choice choice = remove_some(0, 2);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    struct index *index = NULL;
    struct index_pack pack;
    char name[PACK_NAME_BYTES];
    et_ok(index_open(r.repo, NULL, &index, &err), err);
    for (size_t i = 0; index_pack_at(index, i, &pack); i++) {
        if (!pack.gone && pack.kind == PACK_DATA) {
            break;
        }
    }
    index_close(index);
    pack_name(pack.id, name);
    choice.count = 0; /* all sets stay: it is needed */
    et_ok(storage_remove(r.storage, name, &err), err);
    char *before = pt_listing(&r);
    ck_assert_int_eq(prune_run(r.repo, &options, &result, &err), ORCH_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.message, name));
    char *after = pt_listing(&r);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

static void ignore_warning(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* An index segment that is damaged or gone: the packs tell what it said. */
START_TEST(test_makes_the_index_whole)
{
    struct choice choice = remove_some(0, 3);
    struct prune_options options = options_for(&choice);
    struct prune_result result;
    char name[STORAGE_NAME_MAX + 1] = "";
    options.warning = ignore_warning;
    et_ok(storage_list(r.storage, "index", first_name, name, &err), err);
    if (_i == 0) {
        et_flip(&r, name, 200, 1);
    } else if (_i == 1) {
        et_ok(storage_remove(r.storage, name, &err), err);
    } else {
        char command[400];
        (void)snprintf(command, sizeof(command), "find %s/index -type f -delete", r.dir);
        ck_assert_int_eq(system(command), 0);
    }
    prune_now(&options, &result);
    ck_assert_int_eq(result.state, PRUNE_DONE);
    ck_assert_uint_eq(count_sets(r.repo), SETS - 3);
    pt_whole(r.repo, "after the index was made whole");
    ck_assert_uint_ge(needed_share(r.repo), 90);
}
END_TEST

/* Segments that a prune which woke late may put: they name packs that are gone. */
START_TEST(test_segments_that_name_lost_packs)
{
    struct prune_result result;
    struct et_repo old;
    char command[400];
    pt_clone(base.dir, &old);
    prune_all(0, 4, &result);
    (void)snprintf(command, sizeof(command), "cp -n %s/index/* %s/index/", old.dir, r.dir);
    ck_assert_int_eq(system(command), 0);
    et_repo_remove(&old);
    prune_all(0, 0, &result);
    ck_assert_uint_gt(result.segments_removed, 0);
    pt_whole(r.repo, "after a late segment");
    ck_assert_uint_ge(needed_share(r.repo), 90);
}
END_TEST

/* ---- stopped at every point ------------------------------------------------------------------ */

#ifdef ORCHESTRATE_TEST_HOOKS

/* Runs a prune of the first four sets in a program of its own, which counts its crash points from
 * the beginning; its wait status. */
static int prune_in_child(const char *dir, const char *variable, const char *value,
                          const char *trace_variable, const char *trace)
{
    pid_t pid = fork();
    if (pid == 0) {
        char *const arguments[] = {
            "prune", (char *)(uintptr_t)dir, sets[0], sets[1], sets[2], sets[3], NULL};
        (void)setenv(variable, value, 1);
        if (trace != NULL) {
            (void)setenv(trace_variable, trace, 1);
        }
        (void)execv("/proc/self/exe", arguments);
        _exit(99);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* That program: 0, or 1 when it failed and said why. */
static int prune_main(int argc, char **argv)
{
    struct prune_result result;
    struct choice choice = {.count = 0};
    struct prune_options options = options_for(&choice);
    struct orch_error why = ORCH_ERROR_INIT;
    struct storage *storage = NULL;
    struct repo *repo = NULL;
    struct repo_unlock unlock = et_unlock(true);
    options.warning = ignore_warning;
    for (int i = 2; i < argc; i++) {
        (void)snprintf(choice.ids[choice.count++], ID_TEXT, "%s", argv[i]);
    }
    int32_t rc = storage_open(argv[1], false, &storage, &why); /* which may fail already */
    if (rc == ORCH_OK) {
        rc = repo_open(storage, &unlock, NULL, &repo, &why);
    }
    if (rc == ORCH_OK) {
        rc = prune_run(repo, &options, &result, &why);
    }
    repo_close(repo);
    storage_close(storage);
    return rc == ORCH_OK ? 0 : why.message[0] != '\0' ? 1 : 2;
}

/* Opens the store anew: every set that is left is whole, no set went that was to stay, and the next
 * prune finishes. */
static void recover(const char *what)
{
    struct prune_result result;
    char id[ID_TEXT];
    struct set_list list;
    pt_close(&r);
    pt_open(r.dir, &r);
    pt_whole(r.repo, what);
    et_ok(set_list_load(r.repo, NULL, NULL, &list, &err), err);
    for (size_t i = 4; i < SETS; i++) {
        ck_assert_str_eq(pt_find(&list, sets[i])->id, sets[i]);
    }
    set_list_free(&list);
    struct pt_source source;
    pt_random(&source, 5, 2, 1000);
    pt_set(r.repo, &source, "", 0, id); /* a backup needs no unlocking */
    prune_all(0, 4, &result);
    pt_whole(r.repo, what);
    ck_assert_uint_eq(count_sets(r.repo), SETS - 4 + 1);
    ck_assert_uint_eq(pt_count(&r, "marks"), 0);
    ck_assert_uint_eq(pt_count(&r, "leases"), 0);
    ck_assert_uint_ge(needed_share(r.repo), 90);
}

/* Counts how often each crash point comes. */
static void count_points(size_t counts[CRASH_COUNT])
{
    struct et_repo clone;
    char trace[96], line[128];
    pt_clone(base.dir, &clone);
    (void)snprintf(trace, sizeof(trace), "%s/trace", clone.dir);
    int status = prune_in_child(clone.dir, "ORCHESTRATE_CRASH_TRACE", trace, NULL, NULL);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    memset(counts, 0, CRASH_COUNT * sizeof(*counts));
    FILE *file = fopen(trace, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < CRASH_COUNT; i++) {
            counts[i] += strcmp(crash_name((enum crash_id)i), line) == 0;
        }
    }
    ck_assert_int_eq(fclose(file), 0);
    et_repo_remove(&clone);
}

static size_t crash_counts[CRASH_COUNT];

static void setup_counts(void)
{
    setup();
    count_points(crash_counts);
}

static const enum crash_id all_points[] = {
    CRASH_PUT_CREATED,        CRASH_PUT_WRITTEN,          CRASH_PUT_SYNCED,
    CRASH_PUT_RENAMED,        CRASH_PRUNE_LEASED,         CRASH_PRUNE_SET_REMOVED,
    CRASH_PRUNE_WALKED,       CRASH_PRUNE_REPACKED,       CRASH_PRUNE_MARKED,
    CRASH_PRUNE_WAITED,       CRASH_PRUNE_SEGMENT_STORED, CRASH_PRUNE_SEGMENT_REMOVED,
    CRASH_PRUNE_PACK_REMOVED, CRASH_PRUNE_PART_REMOVED,   CRASH_PRUNE_MARK_REMOVED,
    CRASH_PRUNE_FINISHED};

/* Killed at each point, at its first, some and its last time; then the power goes: what was not
 * synced is lost, all of it or some. */
START_TEST(test_killed_at_every_point)
{
    enum crash_id point = all_points[_i];
    size_t count = crash_counts[point];
    ck_assert_msg(count > 0, "%s is never reached", crash_name(point));
    size_t step = count > 4 ? count / 4 : 1;
    for (size_t at = 1; at <= count; at += at + step > count && at < count ? count - at : step) {
        for (uint64_t seed = 0; seed < 3; seed++) { /* 0: nothing that was not synced survives */
            char value[64], log[96], what[128];
            struct powerloss_result lost;
            (void)snprintf(value, sizeof(value), "%s:%zu", crash_name(point), at);
            (void)snprintf(what, sizeof(what), "%s, power loss %llu", value,
                           (unsigned long long)seed);
            (void)snprintf(log, sizeof(log), "%s.log", r.dir);
            int status = prune_in_child(r.dir, "ORCHESTRATE_CRASH_AT", value,
                                        "ORCHESTRATE_POWERLOSS_LOG", log);
            ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s", what);
            ck_assert_int_eq(powerloss_model_apply(log, seed * 1000 + at * (seed > 0), &lost), 0);
            (void)unlink(log);
            (void)snprintf(log + strlen(log), sizeof(log) - strlen(log), ".saved");
            (void)rmdir(log); /* emptied by the model */
            recover(what);
            et_repo_remove(&r);
            pt_clone(base.dir, &r);
        }
    }
}
END_TEST

/* ---- a store that fails ---------------------------------------------------------------------- */

static const char *const faults[] = {
    "eio:op=create",        "eio:op=write",  "eio:op=sync",  "eio:op=rename",
    "eio:op=syncdir",       "eio:op=open",   "eio:op=read",  "eio:op=stat",
    "eio:op=list",          "eio:op=remove", "eio:op=mkdir", "enospc:op=write",
    "enospc:op=create",     "short:op=read", "cut:op=read",  "eio:op=rename,done=1",
    "eio:op=remove,done=1",
};

static bool was_hit(const char *trace)
{
    char line[512];
    bool hit = false;
    FILE *file = fopen(trace, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        hit = hit || strstr(line, " eio\n") != NULL || strstr(line, " enospc\n") != NULL ||
              strstr(line, " short\n") != NULL || strstr(line, " cut\n") != NULL;
    }
    if (file != NULL) {
        ck_assert_int_eq(fclose(file), 0);
    }
    return hit;
}

/* The first, second, third, fifth, eighth … call of each kind fails. */
START_TEST(test_faults)
{
    size_t at = 1, before = 1;
    for (bool hit = true; hit;) {
        char value[96], trace[96], what[128];
        (void)snprintf(value, sizeof(value), "%s,at=%zu", faults[_i], at);
        (void)snprintf(what, sizeof(what), "with the fault %s", value);
        (void)snprintf(trace, sizeof(trace), "%s.trace", r.dir);
        (void)unlink(trace);
        int status = prune_in_child(r.dir, "ORCHESTRATE_STORAGE_FAULT", value,
                                    "ORCHESTRATE_STORAGE_TRACE", trace);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "%s: %d", what, status);
        hit = was_hit(trace);
        (void)unlink(trace);
        recover(what);
        et_repo_remove(&r);
        pt_clone(base.dir, &r);
        size_t next = at + before;
        before = at;
        at = next;
    }
}
END_TEST

#endif

int main(int argc, char **argv)
{
#ifdef ORCHESTRATE_TEST_HOOKS
    if (argc > 1) {
        return prune_main(argc, argv);
    }
#endif
    (void)argc;
    (void)argv;
    Suite *suite = suite_create("prune");
    TCase *tests = tcase_create("prune");
    (void)setenv("TMPDIR", pt_folder(), 1); /* caches of the index */
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, make_base, remove_base);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_keeps_what_is_needed, 0, 10);
    tcase_add_test(tests, test_everything_goes);
    tcase_add_test(tests, test_dry_run);
    tcase_add_test(tests, test_never_rewrites_when_told);
    tcase_add_test(tests, test_merges);
    tcase_add_test(tests, test_remove_set);
    tcase_add_test(tests, test_other_files);
    tcase_add_test(tests, test_pardons);
    tcase_add_loop_test(tests, test_half_done_backup, 0, 2);
    tcase_add_test(tests, test_backup_under_a_mark);
    tcase_add_test(tests, test_unsettled_sets);
    tcase_add_test(tests, test_waits_until_a_lease_lapses);
    tcase_add_test(tests, test_busy);
    tcase_add_test(tests, test_stopped);
    tcase_add_loop_test(tests, test_two_at_once, 0, 3);
    tcase_add_loop_test(tests, test_a_crowd, 0, 3);
    tcase_add_loop_test(tests, test_refuses_what_it_cannot_read, 0, 3);
    tcase_add_test(tests, test_refuses_when_a_data_pack_is_lost);
    tcase_add_loop_test(tests, test_makes_the_index_whole, 0, 3);
    tcase_add_test(tests, test_segments_that_name_lost_packs);
    suite_add_tcase(suite, tests);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_test(tests, test_a_sleeping_prune);
    tcase_add_loop_test(tests, test_a_sleeping_backup, 0, 2);
    TCase *stops = tcase_create("stops");
    tcase_set_timeout(stops, 300);
    tcase_add_unchecked_fixture(stops, make_base, remove_base);
    tcase_add_checked_fixture(stops, setup_counts, teardown);
    tcase_add_loop_test(stops, test_killed_at_every_point, 0,
                        (int)(sizeof(all_points) / sizeof(all_points[0])));
    suite_add_tcase(suite, stops);
    TCase *failing = tcase_create("faults");
    tcase_set_timeout(failing, 300);
    tcase_add_unchecked_fixture(failing, make_base, remove_base);
    tcase_add_checked_fixture(failing, setup, teardown);
    tcase_add_loop_test(failing, test_faults, 0, (int)(sizeof(faults) / sizeof(faults[0])));
    suite_add_tcase(suite, failing);
#endif
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
