/* fixture.c: the plugin in the harness. */
#include "fixture.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void configure(struct harness *harness, const char *url, const char *work_dir,
                      const char *const *options)
{
    fixture_ok(harness_option(harness, "url", url, &err));
    for (; options != NULL && *options != NULL; options++) {
        char name[32];
        const char *space = strchr(*options, ' ');
        (void)snprintf(name, sizeof(name), "%.*s", (int)(space - *options), *options);
        fixture_ok(harness_option(harness, name, space + 1, &err));
    }
    harness_work_dir(harness, work_dir);
    fixture_ok(harness_open(harness, &err));
}

struct harness *fixture_open(const char *url, const char *work_dir, const char *const *options)
{
    struct harness *harness = NULL;
    fixture_ok(harness_load(PLUGIN_PATH, &harness, &err));
    configure(harness, url, work_dir, options);
    return harness;
}

void fixture_move(struct harness *harness, const char *url, const char *work_dir,
                  const char *const *options)
{
    char *facts = strdup(harness_facts(harness));
    ck_assert_ptr_nonnull(facts);
    harness_close(harness);
    configure(harness, url, work_dir, options);
    harness_set_facts(harness, facts);
    free(facts);
}

void fixture_backup(struct harness *harness, struct orch_probe *probe, struct orch_freeze *freeze)
{
    struct orch_probe probed;
    struct orch_freeze frozen;
    fixture_ok(harness_backup(harness, 0, probe != NULL ? probe : &probed,
                              freeze != NULL ? freeze : &frozen, &err));
}

static void expect_no_refusal(struct harness *harness, const char *step)
{
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_msg(verdicts[i].severity == ORCH_VERDICT_GO, "%s: %s: %s", step, verdicts[i].code,
                      verdicts[i].message);
    }
}

void fixture_restore_only(struct harness *harness, const char *run_id, uint32_t attempt)
{
    fixture_ok(harness_restore(harness, run_id, attempt, &err));
    fixture_ok(harness_verify(harness, run_id, &err));
    expect_no_refusal(harness, "verify");
}

void fixture_restore(struct harness *harness, const char *run_id)
{
    fixture_ok(harness_check(harness, run_id, &err));
    expect_no_refusal(harness, "check");
    fixture_restore_only(harness, run_id, 1);
    fixture_ok(harness_settle(harness, run_id, ORCH_SETTLE_VERIFIED, &err));
}

const struct harness_verdict *fixture_verdict(struct harness *harness, const char *code)
{
    uint64_t count = 0;
    const struct harness_verdict *verdicts = harness_verdicts(harness, &count);
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(verdicts[i].code, code) == 0) {
            return &verdicts[i];
        }
    }
    return NULL;
}

int fixture_files(const char *folder)
{
    int files = 0;
    DIR *dir = opendir(folder);
    const struct dirent *entry = dir == NULL ? NULL : readdir(dir);
    for (; entry != NULL; entry = readdir(dir)) {
        files += entry->d_name[0] != '.';
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return files;
}
