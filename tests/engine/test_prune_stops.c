/*
 * test_prune_stops.c: a prune that is killed at any of its crash points, after which the power
 * goes, and a prune on a store that fails, hurt no set, and the next prune finishes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crash.h"
#include "powerloss_model.h"
#include "prunebase.h"
#include "sampling.h"
#include "testing.h"

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
            "prune", (char *)(uintptr_t)dir, pb_sets[0], pb_sets[1], pb_sets[2], pb_sets[3], NULL};
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
    struct pb_choice choice = {.count = 0};
    struct prune_options options = pb_options_for(&choice);
    struct orch_error why = ORCH_ERROR_INIT;
    struct storage *storage = NULL;
    struct repo *repo = NULL;
    struct repo_unlock unlock = et_unlock(true);
    options.warning = pb_ignore_warning;
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
    pt_close(&pb_repo);
    pt_open(pb_repo.dir, &pb_repo);
    pt_whole(pb_repo.repo, what);
    et_ok(set_list_load(pb_repo.repo, NULL, NULL, &list, &pb_err), pb_err);
    for (size_t i = 4; i < PB_SETS; i++) {
        ck_assert_str_eq(pt_find(&list, pb_sets[i])->id, pb_sets[i]);
    }
    set_list_free(&list);
    struct pt_source source;
    pt_random(&source, 5, 2, 1000);
    pt_set(pb_repo.repo, &source, "", 0, id); /* a backup needs no unlocking */
    pb_all(0, 4, &result);
    pt_whole(pb_repo.repo, what);
    ck_assert_uint_eq(pb_count_sets(pb_repo.repo), PB_SETS - 4 + 1);
    ck_assert_uint_eq(pt_count(&pb_repo, "marks"), 0);
    ck_assert_uint_eq(pt_count(&pb_repo, "leases"), 0);
    ck_assert_uint_ge(pb_needed_share(pb_repo.repo), 90);
}

/* Counts how often each crash point comes. */
static void count_points(size_t counts[CRASH_COUNT])
{
    struct et_repo clone;
    char trace[96], line[128];
    pt_clone(pb_base.dir, &clone);
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

static void make_counted_base(void)
{
    pb_make_small_base();
    count_points(crash_counts);
}

static const enum crash_id all_points[] = {
    CRASH_PUT_CREATED,        CRASH_PUT_WRITTEN,          CRASH_PUT_SYNCED,
    CRASH_PUT_RENAMED,        CRASH_PRUNE_LEASED,         CRASH_PRUNE_SET_REMOVED,
    CRASH_PRUNE_WALKED,       CRASH_PRUNE_REPACKED,       CRASH_PRUNE_MARKED,
    CRASH_PRUNE_WAITED,       CRASH_PRUNE_SEGMENT_STORED, CRASH_PRUNE_SEGMENT_REMOVED,
    CRASH_PRUNE_PACK_REMOVED, CRASH_PRUNE_PART_REMOVED,   CRASH_PRUNE_MARK_REMOVED,
    CRASH_PRUNE_FINISHED};

/* Killed when `point` comes for the at-th time; then the power goes, and of what was not synced
 * nothing (seed 0) or some of it survives. */
static void killed_at(enum crash_id point, size_t at, uint64_t seed)
{
    char value[64], log[96], what[128];
    struct powerloss_result lost;
    (void)snprintf(value, sizeof(value), "%s:%zu", crash_name(point), at);
    (void)snprintf(what, sizeof(what), "%s, power loss %llu", value, (unsigned long long)seed);
    (void)snprintf(log, sizeof(log), "%s.log", pb_repo.dir);
    int status = prune_in_child(pb_repo.dir, "ORCHESTRATE_CRASH_AT", value,
                                "ORCHESTRATE_POWERLOSS_LOG", log);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s", what);
    ck_assert_int_eq(powerloss_model_apply(log, seed * 1000 + at * (seed > 0), &lost), 0);
    (void)unlink(log);
    (void)snprintf(log + strlen(log), sizeof(log) - strlen(log), ".saved");
    (void)rmdir(log); /* emptied by the model */
    recover(what);
    et_repo_remove(&pb_repo);
    pt_clone(pb_base.dir, &pb_repo);
}

/* At each point, at its first, some and its last time; all or some of what was not synced is lost.
 */
START_TEST(test_killed_at_every_point)
{
    enum crash_id point = all_points[_i];
    size_t count = crash_counts[point];
    size_t tried = 0;
    ck_assert_msg(count > 0, "%s is never reached", crash_name(point));
    size_t step = count > 4 ? count / 4 : 1;
    for (size_t at = 1; at <= count; at += at + step > count && at < count ? count - at : step) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            if (!sampling_skips(tried++)) {
                killed_at(point, at, seed);
            }
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

/* With a fault at the at-th such call, if there are so many: whether it came to that. */
static bool fails_at(const char *fault, size_t at)
{
    char value[96], trace[96], what[128];
    (void)snprintf(value, sizeof(value), "%s,at=%zu", fault, at);
    (void)snprintf(what, sizeof(what), "with the fault %s", value);
    (void)snprintf(trace, sizeof(trace), "%s.trace", pb_repo.dir);
    (void)unlink(trace);
    int status = prune_in_child(pb_repo.dir, "ORCHESTRATE_STORAGE_FAULT", value,
                                "ORCHESTRATE_STORAGE_TRACE", trace);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "%s: %d", what, status);
    bool hit = was_hit(trace);
    (void)unlink(trace);
    recover(what);
    et_repo_remove(&pb_repo);
    pt_clone(pb_base.dir, &pb_repo);
    return hit;
}

/* The first, second, third, fifth, eighth … call of each kind fails. */
START_TEST(test_faults)
{
    size_t at = 1, before = 1, tried = 0;
    ck_assert_msg(fails_at(faults[_i], at), "%s was never hit", faults[_i]);
    for (bool hit = true; hit;) {
        size_t next = at + before;
        before = at;
        at = next;
        hit = sampling_skips(++tried) || fails_at(faults[_i], at);
    }
}
END_TEST

#endif

int main(int argc, char **argv)
{
    Suite *suite = NULL;
#ifdef ORCHESTRATE_TEST_HOOKS
    if (argc > 1) {
        (void)setenv("TMPDIR", pt_folder(), 1); /* caches of the index */
        return prune_main(argc, argv);
    }
    suite = suite_create("prune_stops");
    TCase *stops = pb_case("stops", make_counted_base, 300);
    tcase_add_loop_test(stops, test_killed_at_every_point, 0, (int)COUNT_OF(all_points));
    suite_add_tcase(suite, stops);
    TCase *failing = pb_case("faults", pb_make_small_base, 300);
    tcase_add_loop_test(failing, test_faults, 0, (int)COUNT_OF(faults));
    suite_add_tcase(suite, failing);
#else
    (void)argc;
    (void)argv;
    suite = suite_create("prune_stops");
#endif
    return testing_run(suite);
}
