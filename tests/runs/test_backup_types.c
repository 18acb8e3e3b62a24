/* test_backup_types.c: what each type compares with and how it streams; the rate of reading; and
 * leases that are lost while a backup is at work. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "engine/mark.h"
#include "faults.h"
#include "runtest.h"

#define MIB (1 << 20)

static struct runtest t;
static struct orch_error err;
static struct backup_result result;

static const char *const one[] = {"a", NULL};
static const char *const chain[] = {"base", "top: base", NULL};

static int32_t backup(const char *type, const char *base, int64_t rate_limit)
{
    struct backup_options options = {.type = type, .base = base, .rate_limit = rate_limit};
    backup_result_clear(&result);
    err = (struct orch_error)ORCH_ERROR_INIT;
    return backup_run(&t.ctx, &options, &result, &err);
}

static void finish(void)
{
    backup_result_clear(&result);
    runtest_remove(&t);
}

/* The part of "a" in the newest result, and what it was compared with. */
static void part_of_a(char id[ID_TEXT], char earlier[ID_TEXT])
{
    struct part *part = NULL;
    const char *name = set_component_find(result.set, "a")->part;
    ASSERT_OK(part_load(t.ctx.repo, name, &part, &err), err);
    ck_assert_str_eq(part->type, result.set->type);
    (void)snprintf(id, ID_TEXT, "%s", part->id);
    (void)snprintf(earlier, ID_TEXT, "%s", part->earlier);
    part_free(part);
}

/* A differential goes back to the newest full, whatever came after it; a base named holds. */
START_TEST(test_differential)
{
    char full[ID_TEXT], increment[ID_TEXT], part[ID_TEXT], earlier[ID_TEXT], set[ID_TEXT];
    runtest_make(&t, one, NULL);
    ASSERT_OK(backup("differential", NULL, 0), err);
    part_of_a(part, earlier);
    ck_assert_str_eq(earlier, "");
    ck_assert(runtest_told(&t, "note a no earlier full backup holds it"));
    ASSERT_OK(backup("full", NULL, 0), err);
    part_of_a(full, earlier);
    ck_assert_str_eq(earlier, "");
    ASSERT_OK(backup("incremental", NULL, 0), err);
    part_of_a(increment, earlier);
    ck_assert_str_eq(earlier, full);
    (void)snprintf(set, sizeof(set), "%s", result.set->id);
    ASSERT_OK(backup("snapshot", NULL, 0), err);
    part_of_a(part, earlier);
    ck_assert_str_eq(earlier, "");
    ASSERT_OK(backup("differential", NULL, 0), err);
    part_of_a(part, earlier);
    ck_assert_str_eq(earlier, full);
    ck_assert_str_eq(result.set->type, "differential");
    ck_assert_str_eq(result.set->base, "");
    ASSERT_OK(backup("differential", set, 0), err);
    part_of_a(part, earlier);
    ck_assert_str_eq(earlier, increment);
    ck_assert_str_eq(result.set->base, set);
    finish();
}
END_TEST

/* In a snapshot a component does not wait for the one that it would follow in other types: here
 * each goes on only when the other has begun. */
START_TEST(test_snapshot_side_by_side)
{
    runtest_make(&t, chain, NULL);
    runtest_script(&t, "base", "backup meet=top\n");
    runtest_script(&t, "top", "backup meet=base\n");
    ASSERT_OK(backup("snapshot", NULL, 0), err);
    CLEANUP_FREE char *log = runtest_log(&t);
    ck_assert_int_lt(runtest_place(log, "top freeze"), runtest_place(log, "base freeze"));
    ck_assert_str_eq(result.set->type, "snapshot");
    runtest_script(&t, "base", "");
    runtest_script(&t, "top", "");
    struct restore_options options = runtest_options();
    struct restore_result restored;
    runtest_data(&t, "top", "one=changed\n");
    ASSERT_OK(restore_run(&t.ctx, &options, &restored, &err), err);
    ck_assert(runtest_holds(&t, "top", "one=1\n"));
    restore_result_clear(&restored);
    finish();
}
END_TEST

/* ---- the rate ---- */

/* No stretch of the plugin's own reading is faster than the rate, but for what it may read ahead:
 * the blocks of a second, the one at work, and its own piece. */
static void assert_paced(double rate, double ahead)
{
    CLEANUP_FREE char *text = folder_read(t.dir, "a/paced");
    ck_assert_ptr_nonnull(text);
    double at[1024], bytes[1024];
    size_t n = 0;
    for (char *line = text; n < COUNT_OF(at) && sscanf(line, "%lf %lf", &at[n], &bytes[n]) == 2;) {
        n++;
        line += strcspn(line, "\n") + 1;
    }
    ck_assert_uint_gt(n, 10);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            ck_assert_double_le(bytes[k] - bytes[i], (at[k] - at[i]) / 1e9 * rate + ahead);
        }
    }
}

static const struct {
    const char *settings;
    int64_t flag;
    double rate;
} rates[] = {
    {"", 4 * MIB, 4 * MIB},
    {"rate_limit = \"4MiB/s\";", 0, 4 * MIB},
    {"rate_limit = \"4MiB/s\";", 100 * MIB, 4 * MIB},
    {"rate_limit = \"100MiB/s\";", 4 * MIB, 4 * MIB},
};

START_TEST(test_rate)
{
    const double size = 10.0 * MIB;
    runtest_make_with(&t, one, rates[_i].settings, "verify = \"none\";");
    runtest_script(&t, "a", "backup paced=10\n");
    int64_t start = clock_monotonic_ms();
    ASSERT_OK(backup("full", NULL, rates[_i].flag), err);
    double seconds = (double)(clock_monotonic_ms() - start) / 1000;
    ck_assert_double_ge(seconds, (size - MIB) / rates[_i].rate);
    assert_paced(rates[_i].rate, 6.5 * MIB);
    finish();
}
END_TEST

START_TEST(test_no_rate)
{
    runtest_make_with(&t, one, NULL, "verify = \"none\";");
    runtest_script(&t, "a", "backup paced=10\n");
    ASSERT_OK(backup("full", NULL, 0), err);
    ck_assert_uint_eq(set_component_find(result.set, "a")->size_bytes, 10 * MIB + 1);
    finish();
}
END_TEST

static void cancel_on_progress(struct runtest *where, const struct report_event *event)
{
    if (event->kind == REPORT_PROGRESS) {
        __atomic_store_n(&where->cancel, 1, __ATOMIC_RELAXED);
    }
}

/* At this rate the rest would take minutes. */
START_TEST(test_cancel_is_prompt)
{
    runtest_make_with(&t, one, NULL, "verify = \"none\";");
    runtest_script(&t, "a", "backup paced=10\n");
    t.on_event = cancel_on_progress;
    int64_t start = clock_monotonic_ms();
    ASSERT_FAILS(backup("full", NULL, 50000), ORCH_E_CANCELLED, err, "cancelled");
    ck_assert_int_lt(clock_monotonic_ms() - start, 20000);
    ck_assert_uint_eq(folder_count(t.dir, "repo/sets"), 0);
    finish();
}
END_TEST

/* ---- leases ---- */

START_TEST(test_set_names_its_lease)
{
    runtest_make(&t, one, NULL);
    ASSERT_OK(backup("full", NULL, 0), err);
    ck_assert_uint_eq(strlen(result.set->lease), ID_TEXT - 1);
    struct set_list sets = {0};
    ASSERT_OK(set_list_load(t.ctx.repo, NULL, NULL, &sets, &err), err);
    ck_assert_str_eq(sets.sets[0]->lease, result.set->lease);
    set_list_free(&sets);
    finish();
}
END_TEST

#ifdef ORCHESTRATE_TEST_HOOKS

static void remove_leases(const struct runtest *where)
{
    char command[256];
    (void)snprintf(command, sizeof(command), "rm -f '%s'/repo/leases/*", where->dir);
    ck_assert_int_eq(system(command), 0);
}

#define TTL_MS 1500

/* Takes the lease away until its holder must know: for longer than it lives. Again and again, since
 * a renewal that had just looked puts it back once. */
static void lose_lease(const struct runtest *where)
{
    int64_t from_ms = clock_monotonic_ms();
    while (clock_monotonic_ms() - from_ms < TTL_MS + TTL_MS / 2) {
        struct timespec pause = {.tv_nsec = 10000000};
        remove_leases(where);
        (void)nanosleep(&pause, NULL);
    }
}

static void lose_and_outlive(struct runtest *where, const struct report_event *event)
{
    if (event->text != NULL && strcmp(event->text, "streaming") == 0) {
        lose_lease(where);
    }
}

START_TEST(test_lost_before_the_manifest)
{
    runtest_make(&t, one, NULL);
    ck_assert_int_eq(setenv("ORCHESTRATE_LEASE_TTL_MS", "1500", 1), 0);
    t.on_event = lose_and_outlive;
    ASSERT_FAILS(backup("full", NULL, 0), ORCH_E_TIMEOUT, err, "lease on the repository was lost");
    ck_assert_ptr_null(result.set);
    ck_assert_uint_eq(folder_count(t.dir, "repo/sets"), 0);
    ck_assert_int_eq(unsetenv("ORCHESTRATE_LEASE_TTL_MS"), 0);
    finish();
}
END_TEST

static void lose_at_manifest(void *ctx, const char *name)
{
    (void)ctx;
    if (strncmp(name, "sets/", 5) == 0) {
        ck_assert_uint_eq(folder_count(t.dir, "repo/sets"), 1);
        lose_lease(&t);
    }
}

/* The same, and somebody gives up on the lease meanwhile. */
static void lose_and_keep(void *ctx, const char *name)
{
    static const char script[] = "ls '%s'/repo/leases | head -n 1";
    char command[256];
    char lease[ID_TEXT] = "";
    if (strncmp(name, "sets/", 5) == 0) {
        (void)snprintf(command, sizeof(command), script, t.dir);
        FILE *list = popen(command, "r");
        ck_assert_ptr_nonnull(list);
        ck_assert_ptr_nonnull(fgets(lease, sizeof(lease), list));
        (void)pclose(list);
        lose_at_manifest(ctx, name);
        ASSERT_OK(lapsed_put(t.ctx.repo, lease, &err), err);
    }
}

static const struct {
    void (*lose)(void *ctx, const char *name);
    bool kept;
} at_manifest[] = {{lose_at_manifest, false}, {lose_and_keep, true}};

/* The manifest was put under a lease that had gone: it is withdrawn, and nothing is reported; but
 * when others have kept it, it counts. */
START_TEST(test_lost_at_the_manifest)
{
    struct faults faults = {.capabilities = STORAGE_CAN_PUT_IF_ABSENT,
                            .committed = at_manifest[_i].lose};
    struct repo_unlock unlock = {0};
    runtest_make(&t, one, NULL);
    struct run_context ctx = t.ctx;
    faults.inner = ctx.storage;
    ASSERT_OK(faults_open(&faults, &t.ctx.storage, &err), err);
    ASSERT_OK(repo_open(t.ctx.storage, &unlock, NULL, &t.ctx.repo, &err), err);
    ck_assert_int_eq(setenv("ORCHESTRATE_LEASE_TTL_MS", "1500", 1), 0);
    if (at_manifest[_i].kept) {
        ASSERT_OK(backup("full", NULL, 0), err);
        ck_assert_ptr_nonnull(result.set);
    } else {
        ASSERT_FAILS(backup("full", NULL, 0), ORCH_E_TIMEOUT, err, "was withdrawn");
        ck_assert_ptr_null(result.set);
    }
    ck_assert_int_eq(unsetenv("ORCHESTRATE_LEASE_TTL_MS"), 0);
    ck_assert_uint_eq(folder_count(t.dir, "repo/sets"), at_manifest[_i].kept ? 1 : 0);
    ck_assert_uint_eq(folder_count(t.dir, "repo/lapsed"), 1);
    repo_close(t.ctx.repo);
    storage_close(t.ctx.storage);
    t.ctx = ctx;
    finish();
}
END_TEST

#endif

int main(int argc, char **argv)
{
    int status = runtest_main(argc, argv);
    if (status >= 0) {
        return status;
    }
    Suite *suite = suite_create("backup-types");
    TCase *tests = tcase_create("backup-types");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_differential);
    tcase_add_test(tests, test_snapshot_side_by_side);
    tcase_add_loop_test(tests, test_rate, 0, (int)COUNT_OF(rates));
    tcase_add_test(tests, test_no_rate);
    tcase_add_test(tests, test_cancel_is_prompt);
    tcase_add_test(tests, test_set_names_its_lease);
#ifdef ORCHESTRATE_TEST_HOOKS
    tcase_add_test(tests, test_lost_before_the_manifest);
    tcase_add_loop_test(tests, test_lost_at_the_manifest, 0, (int)COUNT_OF(at_manifest));
#endif
    suite_add_tcase(suite, tests);
    return testing_run(suite);
}
