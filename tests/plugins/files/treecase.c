/* treecase.c: see treecase.h. */
#include "treecase.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "tree.h"

struct treecase t;

void treecase_set_up(const char *name)
{
    t = (struct treecase){.scratch = tree_scratch()};
    t.data = tree_join(t.scratch, name);
    t.work = tree_join(t.scratch, "work");
}

void treecase_tear_down(void)
{
    harness_free(t.host);
    tree_become_root_again();
    tree_remove(t.scratch);
    free(t.scratch);
    free(t.data);
    free(t.work);
}

void treecase_must(int32_t rc)
{
    ck_assert_msg(rc == 0, "%d: %s", rc, t.err.message);
}

void treecase_load(const char *plugin, const char *paths)
{
    treecase_must(harness_load(plugin, &t.host, &t.err));
    harness_work_dir(t.host, t.work);
    treecase_must(harness_option(t.host, "paths", paths, &t.err));
}

void treecase_open_through(const struct orch_host *host, void **instance)
{
    const char *paths[] = {t.data};
    struct orch_value value = {
        .name = "paths", .type = ORCH_OPTION_PATH_LIST, .strings = paths, .count = 1};
    struct orch_options options = {.struct_size = sizeof(options),
                                   .value_size = sizeof(value),
                                   .count = 1,
                                   .values = &value,
                                   .component = "c",
                                   .work_dir = t.work};
    treecase_must(harness_plugin(t.host)->open(host, &options, instance, &t.err));
}

const char *treecase_at(const char *name)
{
    static char paths[8][PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, PATH_MAX, "%s/%s", t.data, name);
    return path;
}

void treecase_set_time(const char *path, long s, long ns)
{
    struct timespec times[2] = {{.tv_sec = s, .tv_nsec = ns}, {.tv_sec = s, .tv_nsec = ns}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

int treecase_fact_count(const char *fact)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "\"%s\":{\"count\":", fact);
    const char *facts = harness_facts(t.host);
    const char *hit = strstr(facts, key);
    return hit == NULL ? 0 : atoi(hit + strlen(key));
}

void treecase_backup(int incremental)
{
    struct orch_probe probe = {.struct_size = sizeof(probe)};
    struct orch_freeze freeze = {.struct_size = sizeof(freeze)};
    treecase_must(harness_backup(t.host, incremental, &probe, &freeze, &t.err));
}

void treecase_verify_good(const char *run)
{
    treecase_must(harness_verify(t.host, run, &t.err));
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(t.host, &count);
    ck_assert_msg(harness_worst(t.host) != ORCH_VERDICT_REFUSE, "verify: %s",
                  count > 0 ? verdicts[0].message : "");
}

void treecase_restore_whole(const char *run)
{
    treecase_must(harness_check(t.host, run, &t.err));
    ck_assert_msg(harness_worst(t.host) != ORCH_VERDICT_REFUSE, "check refused");
    treecase_must(harness_restore(t.host, run, 1, &t.err));
    treecase_verify_good(run);
    treecase_must(harness_settle(t.host, run, ORCH_SETTLE_VERIFIED, &t.err));
}

void treecase_is_as(const char *before)
{
    char *now = tree_describe(t.data);
    ck_assert_str_eq(before, now);
    free(now);
}

void treecase_killed_at(const char *point, uint32_t attempt)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)setenv("ORCHESTRATE_CRASH_AT", point, 1);
        (void)harness_restore(t.host, TREECASE_RUN, attempt, &t.err);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was not reached", point);
}

void treecase_reopen(void)
{
    char *facts = strdup(harness_facts(t.host));
    harness_close(t.host);
    treecase_must(harness_open(t.host, &t.err));
    harness_set_facts(t.host, facts);
    free(facts);
}

void treecase_wipe(void)
{
    tree_remove(t.data);
    ck_assert_int_eq(access(t.data, F_OK), -1);
}

int treecase_verdict(const char *code, const char *part)
{
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(t.host, &count);
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(verdicts[i].code, code) == 0 && strstr(verdicts[i].message, part) != NULL) {
            return 1;
        }
    }
    return 0;
}
