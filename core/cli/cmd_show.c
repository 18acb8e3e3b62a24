/* cmd_show.c: one set whole: its parts, what each read and stored, and on request its items. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/items.h"
#include "cli/output.h"
#include "cli/proofs.h"
#include "cli/render.h"

static json_t *stats_json(const struct part_stats *stats)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "items_read", (json_int_t)stats->items_read,
                     "items_unchanged", (json_int_t)stats->items_unchanged, "bytes_read",
                     (json_int_t)stats->bytes_read, "bytes_reused", (json_int_t)stats->bytes_reused,
                     "bytes_new", (json_int_t)stats->bytes_new, "bytes_stored",
                     (json_int_t)stats->bytes_stored);
}

static json_t *part_json(const struct part *part)
{
    char frozen[21], digest[65];
    clock_iso(part->frozen_ns, frozen);
    hex_encode(part->content.digest, 32, digest);
    json_t *facts = json_loads(part->facts_json, 0, NULL);
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o?}", "part",
        part->id, "component", part->component, "plugin", part->plugin, "plugin_version",
        part->plugin_version, "data_format", (int)part->data_format, "type", part->type,
        "consistency", output_consistency(part->consistency), "frozen", frozen, "source",
        part->source_version, "objects", (json_int_t)part->content.objects, "object_bytes",
        (json_int_t)part->content.object_bytes, "records", (json_int_t)part->content.records,
        "record_bytes", (json_int_t)part->content.record_bytes, "digest", digest, "facts", facts);
    (void)json_object_set_new(json, "stats", stats_json(&part->stats));
    return json;
}

static void print_part(const struct part *part)
{
    char a[RENDER_TEXT], b[RENDER_TEXT], c[RENDER_TEXT], d[RENDER_TEXT], frozen[21];
    const struct part_stats *s = &part->stats;
    clock_iso(part->frozen_ns, frozen);
    (void)printf("\n  %s (%s %s)\n", part->component, part->plugin, part->plugin_version);
    (void)printf("    source      %s, %s\n", part->source_version, part->source_identity);
    (void)printf("    frozen      %s, %s\n", frozen, output_consistency(part->consistency));
    (void)printf("    holds       %s objects, %s; %s records, %s\n",
                 render_count(part->content.objects, a), render_size(part->content.object_bytes, b),
                 render_count(part->content.records, c),
                 render_size(part->content.record_bytes, d));
    (void)printf("    read        %s items, %s; %s items unchanged and not read\n",
                 render_count(s->items_read, a), render_size(s->bytes_read, b),
                 render_count(s->items_unchanged, c));
    (void)printf("    stored      %s new, %s after compression; %s reused\n",
                 render_size(s->bytes_new, a), render_size(s->bytes_stored, b),
                 render_size(s->bytes_reused, c));
}

static void print_set(const struct set *set, const struct proof *proof)
{
    char verified[PROOFS_TEXT];
    char started[21], took[RENDER_TEXT], skew[RENDER_TEXT];
    clock_iso(set->started_ns, started);
    (void)printf("Set %s  %s\n", set->name, set->id);
    (void)printf("  %s, %s%s%s, taken on %s at %s in %s by orchestrate %s\n", set->type,
                 set->state == SET_COMPLETED ? "completed" : "PARTIAL",
                 set->label[0] == 0 ? "" : ", label ", set->label, set->host, started,
                 render_duration((set->finished_ns - set->started_ns) / 1000000, took),
                 set->program_version);
    (void)printf("  freeze skew %s; %s\n", render_duration(set->skew_ns / 1000000, skew),
                 proofs_text(proof, clock_wall_ns(), verified));
    for (size_t i = 0; i < set->component_count; i++) {
        if (!set->components[i].good) {
            (void)printf("\n  %s FAILED: %s\n", set->components[i].name, set->components[i].error);
        }
    }
}

/* Adds what one part read and stored to the totals of its set. */
static void add_stats(struct part_stats *total, const struct part_stats *stats)
{
    total->items_read += stats->items_read;
    total->items_unchanged += stats->items_unchanged;
    total->bytes_read += stats->bytes_read;
    total->bytes_reused += stats->bytes_reused;
    total->bytes_new += stats->bytes_new;
    total->bytes_stored += stats->bytes_stored;
}

static void print_total(const struct part_stats *s)
{
    char a[RENDER_TEXT], b[RENDER_TEXT], c[RENDER_TEXT];
    (void)printf("\n  In all: read %s items, %s; %s items unchanged and not read;\n",
                 render_count(s->items_read, a), render_size(s->bytes_read, b),
                 render_count(s->items_unchanged, c));
    (void)printf("          stored %s new, %s after compression; %s reused\n",
                 render_size(s->bytes_new, a), render_size(s->bytes_stored, b),
                 render_size(s->bytes_reused, c));
}

/* The set's parts, printed or gathered in `parts`; what they add up to in `total`. */
static int32_t show_parts(struct cli *cli, const struct set *set, json_t *parts,
                          struct part_stats *total, struct orch_error *err)
{
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < set->component_count; i++) {
        CLEANUP(part_cleanup) struct part *part = NULL;
        if (!set->components[i].good) {
            continue;
        }
        rc = part_load(cli->run.repo, set->components[i].part, &part, err);
        if (rc != ORCH_OK) {
            break;
        }
        add_stats(total, &part->stats);
        if (cli->json) {
            (void)json_array_append_new(parts, part_json(part));
            continue;
        }
        print_part(part);
        if (cli_has(cli, "facts")) {
            (void)printf("    facts       %s\n", part->facts_json);
        }
    }
    return rc;
}

static int32_t show(struct cli *cli, const struct set *set, struct orch_error *err)
{
    json_t *parts = json_array();
    struct part_stats total = {0};
    struct proof proof;
    bool proven = proofs_find(cli, set, &proof);
    if (!cli->json) {
        print_set(set, proven ? &proof : NULL);
    }
    int32_t rc = show_parts(cli, set, parts, &total, err);
    if (rc == ORCH_OK && cli->json) {
        json_t *document = output_set_json(set);
        (void)json_object_set_new(document, "verified", proofs_json(proven ? &proof : NULL));
        (void)json_object_set_new(document, "stats", stats_json(&total));
        (void)json_object_set(document, "parts", parts);
        cli_print_json(cli, document);
    } else if (rc == ORCH_OK) {
        print_total(&total);
    }
    json_decref(parts);
    return rc;
}

static void on_damaged(void *ctx, const char *name, const struct orch_error *why)
{
    (void)ctx;
    (void)fprintf(stderr, "orchestrate: %s cannot be read: %s\n", name, why->message);
}

static int run(struct cli *cli)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct set_list sets = {0};
    const struct set *set = NULL;
    int32_t rc = set_list_load(cli->run.repo, on_damaged, NULL, &sets, &err);
    if (rc == ORCH_OK) {
        rc = set_find(&sets, cli->arguments[0], NULL, 0, &set, &err);
    }
    if (rc == ORCH_OK) {
        rc = cli_has(cli, "items") ? items_print(cli, set, cli_value(cli, "items"), &err)
                                   : show(cli, set, &err);
    }
    int code = rc == ORCH_OK ? EXIT_DONE : cli_fail(cli, &err);
    set_list_free(&sets);
    return code;
}

static const struct cli_flag flags[] = {
    {"facts", NULL, false, "what the plugins stated too"},
    {"items", "COMPONENT", false, "list the objects of this component instead"},
    {NULL, NULL, false, NULL},
};

const struct cli_command cmd_show = {
    .name = "show",
    .arguments = "SET",
    .summary = "show one set whole: what it holds, read, stored and reused",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .needs = CLI_NEEDS_REPOSITORY,
    .run = run,
};
