/* cmd_status.c: health: how old the newest good backup of each component is, what is at work, what
 * was left unfinished. Exit code 1 when something needs attention. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/proofs.h"
#include "cli/render.h"
#include "engine/lease.h"
#include "engine/runlog.h"
#include "run/journal.h"

struct status {
    struct cli *cli;
    struct set_list sets;
    bool *damaged; /* for each of the sets: its last verification found it hurt */
    json_t *components;
    json_t *problems;
    int64_t now_ns;
};

static void problem(struct status *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void problem(struct status *s, const char *format, ...)
{
    char text[1400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)json_array_append_new(s->problems, json_string(text));
}

static void on_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    problem(ctx, "%s cannot be read: %s", name, why->message);
}

static int32_t add_damaged(struct status *s, struct orch_error *err)
{
    s->damaged = calloc(s->sets.count + 1, sizeof(*s->damaged));
    if (s->damaged == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a list of sets");
    }
    for (size_t i = 0; i < s->sets.count; i++) {
        struct proof proof;
        char text[PROOFS_TEXT];
        s->damaged[i] = proofs_find(s->cli, s->sets.sets[i], &proof) && !proof.good;
        if (s->damaged[i]) {
            problem(s, "set %s is %s; \"orchestrate verify %s\" tells what is hurt",
                    s->sets.sets[i]->name, proofs_text(&proof, s->now_ns, text),
                    s->sets.sets[i]->name);
        }
    }
    return ORCH_OK;
}

static void add_component(struct status *s, const struct config_component *component)
{
    const struct set *newest = NULL;
    bool any = false;
    for (size_t i = 0; newest == NULL && i < s->sets.count; i++) {
        const struct set_component *held = set_component_find(s->sets.sets[i], component->name);
        bool good = held != NULL && held->good;
        newest = good && !s->damaged[i] ? s->sets.sets[i] : NULL;
        any = any || good;
    }
    json_t *json = json_pack("{s:s, s:I}", "component", component->name, "rpo_ms",
                             (json_int_t)component->rpo_ms);
    if (newest == NULL) {
        problem(s, any ? "%s is in no set without damage" : "%s has never been backed up",
                component->name);
    } else {
        int64_t age_ms = (s->now_ns - newest->started_ns) / 1000000;
        (void)json_object_set_new(json, "set", json_string(newest->name));
        (void)json_object_set_new(json, "age_ms", json_integer(age_ms));
        (void)json_object_set_new(json, "started_ns", json_integer(newest->started_ns));
        if (component->rpo_ms > 0 && age_ms > component->rpo_ms) {
            char rpo[RENDER_TEXT], age[RENDER_TEXT];
            problem(s, "%s: the newest good backup is %s old, the objective is %s", component->name,
                    render_duration(age_ms, age), render_duration(component->rpo_ms, rpo));
        }
    }
    (void)json_array_append_new(s->components, json);
}

static int32_t add_unfinished(struct status *s, struct orch_error *err)
{
    const struct config *config = s->cli->run.config;
    for (size_t i = 0; i < config->component_count; i++) {
        const char *name = config->components[i].name;
        CLEANUP_FREE char *runs = NULL;
        int32_t rc = journal_unfinished(config, &name, 1, &runs, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (runs[0] != 0) {
            problem(s, "%s: a restore did not finish (run %s); go on with --resume", name, runs);
        }
    }
    return ORCH_OK;
}

static void add_last_run(struct status *s, const json_t *runs)
{
    const json_t *last = json_array_get(runs, 0);
    const char *state = json_string_value(json_object_get(last, "state"));
    if (state != NULL && (strcmp(state, RUN_FAILED) == 0 || strcmp(state, RUN_PARTIAL) == 0)) {
        const char *kind = json_string_value(json_object_get(last, "kind"));
        problem(s, "the last %s ended %s", kind == NULL ? "run" : kind, state);
    }
}

static void print(const struct status *s, const json_t *leases)
{
    size_t i;
    json_t *entry;
    (void)printf("Repository %s, %s, %zu set%s\n", storage_url(s->cli->run.storage),
                 repo_encrypted(s->cli->run.repo) ? "encrypted" : "NOT encrypted", s->sets.count,
                 s->sets.count == 1 ? "" : "s");
    json_array_foreach(s->components, i, entry)
    {
        const char *set = json_string_value(json_object_get(entry, "set"));
        char age[RENDER_TEXT];
        int64_t started = json_integer_value(json_object_get(entry, "started_ns"));
        (void)printf("  %-16s %-18s %s\n", json_string_value(json_object_get(entry, "component")),
                     set == NULL ? "never" : set,
                     set == NULL ? "" : render_age(started, s->now_ns, age));
    }
    json_array_foreach(leases, i, entry)
    {
        const char *work = json_string_value(json_object_get(entry, "work"));
        const char *host = json_string_value(json_object_get(entry, "host"));
        bool stale = json_is_true(json_object_get(entry, "stale"));
        (void)printf("%s: %s on %s\n", stale ? "Perhaps at work (not renewed of late)" : "At work",
                     work == NULL ? "?" : work, host == NULL ? "?" : host);
    }
    json_array_foreach(s->problems, i, entry)
    {
        (void)printf("ATTENTION: %s\n", json_string_value(entry));
    }
    if (json_array_size(s->problems) == 0) {
        (void)printf("All is well.\n");
    }
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct status s = {.cli = cli,
                       .components = json_array(),
                       .problems = json_array(),
                       .now_ns = clock_wall_ns()};
    json_t *runs = NULL, *leases = NULL;
    int32_t rc = set_list_load(cli->run.repo, on_damaged, &s, &s.sets, &err);
    if (rc == ORCH_OK) {
        rc = add_damaged(&s, &err);
    }
    for (size_t i = 0; rc == ORCH_OK && i < cli->run.config->component_count; i++) {
        add_component(&s, &cli->run.config->components[i]);
    }
    if (rc == ORCH_OK) {
        rc = add_unfinished(&s, &err);
    }
    if (rc == ORCH_OK) {
        rc = runlog_list(cli->run.repo, &runs, &err);
    }
    if (rc == ORCH_OK) {
        rc = lease_list(cli->run.repo, &leases, &err);
    }
    int code = EXIT_DONE;
    if (rc != ORCH_OK) {
        code = cli_fail(cli, &err);
    } else {
        add_last_run(&s, runs);
        code = json_array_size(s.problems) == 0 ? EXIT_DONE : EXIT_FAILED;
        if (cli->json) {
            cli_print_json(cli,
                           json_pack("{s:s, s:b, s:O, s:O, s:O, s:O}", "repository",
                                     storage_url(cli->run.storage), "encrypted",
                                     (int)repo_encrypted(cli->run.repo), "components", s.components,
                                     "problems", s.problems, "leases", leases, "runs", runs));
        } else {
            print(&s, leases);
        }
    }
    json_decref(runs);
    json_decref(leases);
    json_decref(s.components);
    json_decref(s.problems);
    set_list_free(&s.sets);
    free(s.damaged);
    return code;
}

const struct cli_command cmd_status = {
    .name = "status",
    .arguments = "",
    .summary = "health: ages of the newest backups, who is at work, what needs attention",
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
