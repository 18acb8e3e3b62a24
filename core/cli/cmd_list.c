/* cmd_list.c: sets, newest first. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/proofs.h"
#include "cli/render.h"
#include "cli/values.h"

struct filter {
    const char *component, *state, *label;
    int64_t max_age_ms; /* 0: any */
};

static bool passes(const struct filter *f, const struct set *set, int64_t now_ns)
{
    const char *state = set->state == SET_COMPLETED ? "completed" : "partial";
    return (f->component == NULL || set_component_find(set, f->component) != NULL) &&
           (f->state == NULL || strcmp(f->state, state) == 0) &&
           (f->label == NULL || strcmp(f->label, set->label) == 0) &&
           (f->max_age_ms == 0 || now_ns - set->started_ns <= f->max_age_ms * 1000000);
}

static void print_set(const struct set *set, const struct proof *proof, int64_t now_ns)
{
    char verified[PROOFS_TEXT];
    char size[RENDER_TEXT], age[RENDER_TEXT], items[RENDER_TEXT];
    uint64_t bytes = 0, count = 0;
    size_t good = 0;
    for (size_t i = 0; i < set->component_count; i++) {
        bytes += set->components[i].size_bytes;
        count += set->components[i].items;
        good += set->components[i].good;
    }
    (void)printf("%-18s %.8s  %-11s %-9s %zu of %zu %12s items %9s  %-16s %-30s %s\n", set->name,
                 set->id, set->type, set->state == SET_COMPLETED ? "completed" : "PARTIAL", good,
                 set->component_count, render_count(count, items), render_size(bytes, size),
                 render_age(set->started_ns, now_ns, age), proofs_text(proof, now_ns, verified),
                 set->label);
}

static void on_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    bool *damaged = ctx;
    *damaged = true;
    (void)fprintf(stderr, "orchestrate: %s cannot be read: %s\n", name, why->message);
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct filter filter = {.component = cli_value(cli, "component"),
                            .state = cli_value(cli, "state"),
                            .label = cli_value(cli, "label")};
    struct set_list sets = {0};
    bool damaged = false;
    int32_t rc = values_duration(cli, "max-age", &filter.max_age_ms, &err);
    if (rc == ORCH_OK && filter.state != NULL && strcmp(filter.state, "completed") != 0 &&
        strcmp(filter.state, "partial") != 0) {
        rc = orch_fail(&err, ORCH_E_CONFIG, "--state is completed or partial");
    }
    if (rc == ORCH_OK) {
        rc = set_list_load(cli->run.repo, on_damaged, &damaged, &sets, &err);
    }
    if (rc != ORCH_OK) {
        return cli_fail(cli, &err);
    }
    json_t *list = json_array();
    int64_t now_ns = clock_wall_ns();
    for (size_t i = 0; i < sets.count; i++) {
        if (!passes(&filter, sets.sets[i], now_ns)) {
            continue;
        }
        struct proof proof;
        bool proven = proofs_find(cli, sets.sets[i], &proof);
        json_t *json = output_set_json(sets.sets[i]);
        (void)json_object_set_new(json, "verified", proofs_json(proven ? &proof : NULL));
        (void)json_array_append_new(list, json);
        if (!cli->json) {
            print_set(sets.sets[i], proven ? &proof : NULL, now_ns);
        }
    }
    if (cli->json) {
        cli_print_json(cli, json_pack("{s:O, s:b}", "sets", list, "damaged", (int)damaged));
    } else if (json_array_size(list) == 0) {
        (void)printf("No sets%s.\n", cli->value_count > 0 ? " that fit" : " yet");
    }
    json_decref(list);
    set_list_free(&sets);
    return damaged ? EXIT_FAILED : EXIT_DONE;
}

static const struct cli_flag flags[] = {
    {"component", "C", false, "only sets that hold this component"},
    {"state", "S", false, "completed or partial"},
    {"label", "L", false, "only sets with this label"},
    {"max-age", "A", false, "not older than this: 36h, 7d"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_list = {
    .name = "list",
    .arguments = "",
    .summary = "list the sets, newest first",
    .flags = flags,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
