/* pruning.c: see pruning.h. */
#include "cli/pruning.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/render.h"

static uint64_t number(const json_t *json, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(json, key));
}

static const char *text(const json_t *json, const char *key)
{
    const char *value = json_string_value(json_object_get(json, key));
    return value == NULL ? "" : value;
}

/* "app-db, kb" or "app-db, kb and 7 more". */
static void name_components(const json_t *list, char *out, size_t size)
{
    size_t i, at = 0, shown = json_array_size(list) > 4 ? 3 : 4;
    json_t *name;
    out[0] = 0;
    json_array_foreach(list, i, name)
    {
        if (i < shown && at < size) {
            at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : ", ",
                                   json_string_value(name));
        }
    }
    if (json_array_size(list) > shown && at < size) {
        (void)snprintf(out + at, size - at, " and %zu more", json_array_size(list) - shown);
    }
}

void pruning_print_sets(const json_t *sets, bool verdicts)
{
    int64_t now = clock_wall_ns();
    size_t i;
    json_t *set;
    json_array_foreach(sets, i, set)
    {
        char age[RENDER_TEXT], size[RENDER_TEXT], stored[RENDER_TEXT], components[320];
        char label[160];
        name_components(json_object_get(set, "components"), components, sizeof(components));
        (void)snprintf(label, sizeof(label), "%s", text(set, "label"));
        text_clean(label, sizeof(label));
        (void)printf("  %-18s %.8s  %-12s %-9s %-15s %9s, stored %9s  ", text(set, "name"),
                     text(set, "id"), text(set, "type"),
                     strcmp(text(set, "state"), "partial") == 0 ? "PARTIAL" : "completed",
                     render_age((int64_t)number(set, "started_ns"), now, age),
                     render_size(number(set, "size_bytes"), size),
                     render_size(number(set, "stored_bytes"), stored));
        if (verdicts) {
            (void)printf("%-6s %-22s ",
                         json_is_true(json_object_get(set, "keep")) ? "keep" : "REMOVE",
                         text(set, "reason"));
        }
        (void)printf(" %s%s%s%s\n", components, label[0] == 0 ? "" : " (", label,
                     label[0] == 0 ? "" : ")");
    }
}

static void print_data(const struct prune_result *r, bool dry_run)
{
    char all[RENDER_TEXT], needed[RENDER_TEXT];
    (void)printf("  %llu packs hold %s, of which %s is needed", (unsigned long long)r->packs,
                 render_size(r->bytes, all), render_size(r->bytes_needed, needed));
    if (r->packs_rewritten > 0) {
        (void)printf("; %llu mostly unused pack%s %s rewritten",
                     (unsigned long long)r->packs_rewritten, r->packs_rewritten == 1 ? "" : "s",
                     dry_run                   ? "would be"
                     : r->packs_rewritten == 1 ? "was"
                                               : "were");
    }
    (void)printf("\n");
}

static void print_end(const struct removal_options *o, const struct removal_result *result)
{
    const struct prune_result *r = &result->prune;
    char freed[RENDER_TEXT], time[RENDER_TEXT];
    const char *plural = r->sets_removed == 1 ? "" : "s";
    (void)render_size(r->bytes_removed, freed);
    print_data(r, o->dry_run);
    if (o->dry_run) {
        (void)printf("Dry run: %llu set%s would be removed, %s freed. Nothing was changed.\n",
                     (unsigned long long)r->sets_removed, plural, freed);
        return;
    }
    (void)printf("%llu set%s removed, %s freed in %s\n", (unsigned long long)r->sets_removed,
                 plural, freed, render_duration(result->elapsed_ms, time));
    if (r->state == PRUNE_MARKED) {
        (void)printf("Marked: %llu pack%s with the next prune, once %s %.8s (host %s, pid %lld) "
                     "has ended\n",
                     (unsigned long long)result->packs_waiting,
                     result->packs_waiting == 1 ? " goes" : "s go", r->blocked.work,
                     r->blocked.run_id, r->blocked.host, (long long)r->blocked.pid);
    }
}

static void print_rules(const struct removal_options *o)
{
    if (o->rule_count == 0) {
        (void)printf("No rule says what to keep (retention in conf.d, or --keep-daily and the "
                     "like): no set is removed, only data that no set needs.\n");
    }
}

static json_t *blocked_json(const struct prune_result *r)
{
    if (r->state == PRUNE_DONE) {
        return json_null();
    }
    return json_pack("{s:o, s:s, s:o, s:I}", "work", text_json(r->blocked.work), "run",
                     r->blocked.run_id, "host", text_json(r->blocked.host), "pid",
                     (json_int_t)r->blocked.pid);
}

static json_t *result_json(const struct removal_options *o, const struct removal_result *result,
                           int32_t rc)
{
    static const char *const states[] = {"completed", "marked", "busy"};
    const struct prune_result *r = &result->prune;
    json_t *json =
        json_pack("{s:s, s:s, s:b, s:b, s:O, s:I, s:I, s:I, s:o, s:I}", "run", r->run_id, "state",
                  rc == ORCH_OK || rc == ORCH_E_BUSY ? states[r->state <= PRUNE_BUSY ? r->state : 0]
                  : rc == ORCH_E_CANCELLED           ? "cancelled"
                                                     : "failed",
                  "dry_run", (int)o->dry_run, "rules", (int)(o->rule_count > 0), "sets",
                  result->sets, "sets_kept", (json_int_t)r->sets_kept, "sets_removed",
                  (json_int_t)r->sets_removed, "packs_waiting", (json_int_t)result->packs_waiting,
                  "blocked", blocked_json(r), "elapsed_ms", (json_int_t)result->elapsed_ms);
    json_t *data =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packs", (json_int_t)r->packs,
                  "packs_removed", (json_int_t)r->packs_removed, "packs_rewritten",
                  (json_int_t)r->packs_rewritten, "packs_pardoned", (json_int_t)r->packs_pardoned,
                  "parts_removed", (json_int_t)r->parts_removed, "bytes", (json_int_t)r->bytes,
                  "bytes_needed", (json_int_t)r->bytes_needed, "bytes_removed",
                  (json_int_t)r->bytes_removed, "bytes_rewritten", (json_int_t)r->bytes_rewritten);
    (void)json_object_set_new(json, "data", data);
    return json;
}

int pruning_run(struct cli *cli, const struct removal_options *options, json_t *collect)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct removal_result result;
    int32_t rc = removal_prune(&cli->run, options, &result, &err);
    progress_end();
    if (!cli->json && rc == ORCH_OK) {
        print_rules(options);
        if (options->dry_run) {
            pruning_print_sets(result.sets, true);
        }
        print_end(options, &result);
    }
    json_t *document = result_json(options, &result, rc);
    if (rc != ORCH_OK) {
        (void)json_object_set_new(document, "error", text_json(err.message));
        (void)fprintf(stderr, "orchestrate: %s\n", err.message);
    }
    if (collect != NULL) {
        (void)json_array_append_new(collect, document);
    } else if (cli->json) {
        cli_print_json(cli, document);
    } else {
        json_decref(document);
    }
    removal_result_clear(&result);
    return cli_exit_code(rc);
}
