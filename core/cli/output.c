/* output.c: see output.h. */
#include "cli/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/progress.h"
#include "cli/render.h"
#include "plan/plan.h"

const char *output_consistency(uint32_t consistency)
{
    static const char *const names[] = {"fuzzy", "snapshot", "quiesced"};
    return consistency <= 2 ? names[consistency] : "unknown";
}

json_t *output_set_json(const struct set *set)
{
    json_t *components = json_array();
    for (size_t i = 0; i < set->component_count; i++) {
        const struct set_component *c = &set->components[i];
        json_t *json = json_pack("{s:s, s:s, s:s}", "component", c->name, "plugin", c->plugin,
                                 "state", c->good ? "completed" : "failed");
        if (c->good) {
            json_t *more = json_pack("{s:s, s:I, s:I, s:s}", "part", c->part, "items",
                                     (json_int_t)c->items, "size_bytes", (json_int_t)c->size_bytes,
                                     "consistency", output_consistency(c->consistency));
            (void)json_object_update(json, more);
            json_decref(more);
        } else {
            (void)json_object_set_new(json, "error", text_json(c->error));
        }
        (void)json_array_append_new(components, json);
    }
    char started[21], finished[21];
    clock_iso(set->started_ns, started);
    clock_iso(set->finished_ns, finished);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "id", set->id, "name",
                     set->name, "type", set->type, "label", set->label, "state",
                     set->state == SET_COMPLETED ? "completed" : "partial", "host", set->host,
                     "started", started, "finished", finished, "skew_ms",
                     (json_int_t)(set->skew_ns / 1000000), "components", components);
}

static void emit(struct cli *cli, json_t *document, json_t *collect)
{
    if (collect != NULL) {
        (void)json_array_append_new(collect, document);
    } else if (cli->json) {
        cli_print_json(cli, document);
    } else {
        json_decref(document);
    }
}

int output_fail(struct cli *cli, const struct orch_error *err, json_t *collect)
{
    int code = cli_exit_code(err->code);
    if (collect == NULL) {
        return cli_fail(cli, err);
    }
    progress_end();
    (void)fprintf(stderr, "orchestrate: %s\n", err->message);
    (void)json_array_append_new(collect,
                                json_pack("{s:{s:s, s:s}}", "error", "code",
                                          orch_error_name(err->code), "message", err->message));
    return code;
}

/* ---- backup ---- */

static void print_backup_row(const json_t *c)
{
    char items[RENDER_TEXT], size[RENDER_TEXT], stored[RENDER_TEXT], time[RENDER_TEXT];
    const char *name = json_string_value(json_object_get(c, "component"));
    const char *error = json_string_value(json_object_get(c, "error"));
    if (error != NULL) {
        (void)printf("  %-16s FAILED   %s\n", name, error);
        return;
    }
    (void)printf(
        "  %-16s %10s items %9s  new %9s  %9s  %s\n", name,
        render_count((uint64_t)json_integer_value(json_object_get(c, "items")), items),
        render_size((uint64_t)json_integer_value(json_object_get(c, "size_bytes")), size),
        render_size((uint64_t)json_integer_value(json_object_get(c, "bytes_stored")), stored),
        render_duration(json_integer_value(json_object_get(c, "elapsed_ms")), time),
        json_string_value(json_object_get(c, "consistency")));
}

static void print_backup(const struct backup_result *result)
{
    char stored[RENDER_TEXT], time[RENDER_TEXT], verified[RENDER_TEXT], skew[RENDER_TEXT];
    size_t i;
    json_t *c;
    progress_end();
    json_array_foreach(result->components, i, c)
    {
        print_backup_row(c);
    }
    if (result->set == NULL) {
        return;
    }
    const struct set *set = result->set;
    (void)printf("Set %s (%.8s) %s: %s stored in %s, freeze skew %s, verified: %s", set->name,
                 set->id, set->state == SET_COMPLETED ? "completed" : "PARTIAL",
                 render_size(result->stored_bytes, stored),
                 render_duration(result->elapsed_ms, time),
                 render_duration(set->skew_ns / 1000000, skew), result->verified);
    if (result->verified_bytes > 0) {
        (void)printf(" (%s read back)", render_size(result->verified_bytes, verified));
    }
    const char *comma = ". Fuzzy: ";
    for (size_t k = 0; k < set->component_count; k++) {
        if (set->components[k].good && set->components[k].consistency == ORCH_CONSISTENCY_FUZZY) {
            (void)printf("%s%s", comma, set->components[k].name);
            comma = ", ";
        }
    }
    (void)printf("\n");
}

static int32_t check_backup(const struct cli *cli, const struct backup_options *options,
                            struct orch_error *err)
{
    const char *type = options->type;
    if (cli_has(cli, "complete")) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "--complete is not built yet; it comes in a later version");
    }
    static const char *const types[] = {"full", "incremental", "differential", "snapshot"};
    bool known = false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        known = known || strcmp(type, types[i]) == 0;
    }
    if (!known) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "there is no type \"%s\"; choose full, incremental, differential or "
                         "snapshot",
                         type);
    }
    if (options->base != NULL && strcmp(type, "incremental") != 0 &&
        strcmp(type, "differential") != 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "--base goes with --type incremental and --type differential");
    }
    return options->label == NULL ? ORCH_OK : plan_check_label(options->label, err);
}

int output_backup_into(struct cli *cli, const struct backup_options *options, json_t *collect)
{
    struct orch_error err = ORCH_ERROR_INIT;
    if (check_backup(cli, options, &err) != ORCH_OK) {
        return output_fail(cli, &err, collect);
    }
    struct backup_result result;
    int32_t rc = backup_run(&cli->run, options, &result, &err);
    if (!cli->json) {
        print_backup(&result);
    }
    json_t *document =
        json_pack("{s:s, s:s, s:O, s:I, s:I}", "run", result.run_id, "state",
                  rc == ORCH_OK            ? "completed"
                  : result.set != NULL     ? "partial"
                  : rc == ORCH_E_CANCELLED ? "cancelled"
                                           : "failed",
                  "components", result.components, "stored_bytes", (json_int_t)result.stored_bytes,
                  "elapsed_ms", (json_int_t)result.elapsed_ms);
    if (result.set != NULL) {
        (void)json_object_set_new(document, "set", output_set_json(result.set));
        (void)json_object_set_new(document, "verified", json_string(result.verified));
    }
    if (rc != ORCH_OK) {
        (void)json_object_set_new(document, "error", json_string(err.message));
    }
    emit(cli, document, collect);
    int code = EXIT_DONE;
    if (rc != ORCH_OK) {
        code = result.set != NULL ? EXIT_PARTIAL : cli_exit_code(rc);
        (void)fprintf(stderr, "orchestrate: %s\n", err.message);
    }
    backup_result_clear(&result);
    return code;
}

int output_backup(struct cli *cli, const struct backup_options *options)
{
    return output_backup_into(cli, options, NULL);
}

/* ---- restore ---- */

static bool ask(void *ctx, const char *summary)
{
    char answer[16] = "";
    (void)ctx;
    progress_end();
    (void)fprintf(stderr, "%s\nGo on? Type yes: ", summary);
    (void)fflush(stderr);
    return fgets(answer, sizeof(answer), stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

int32_t output_confirmation(struct cli *cli, struct restore_options *options,
                            struct orch_error *err)
{
    if (cli_has(cli, "yes") || options->dry_run) {
        return ORCH_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "a restore replaces what is there: say --yes, or look "
                         "first with --dry-run");
    }
    options->confirm = ask;
    return ORCH_OK;
}

static void print_component(const json_t *c, bool dry_run)
{
    char items[RENDER_TEXT], size[RENDER_TEXT], time[RENDER_TEXT];
    const char *estimate = json_string_value(json_object_get(c, "estimate"));
    if (dry_run && json_object_get(c, "error") == NULL) {
        (void)printf(
            "  %-16s %10s items %9s  about %s (%s)\n",
            json_string_value(json_object_get(c, "component")),
            render_count((uint64_t)json_integer_value(json_object_get(c, "items")), items),
            render_size((uint64_t)json_integer_value(json_object_get(c, "size_bytes")), size),
            render_duration(json_integer_value(json_object_get(c, "estimated_ms")), time),
            estimate == NULL ? "guessed" : estimate);
        return;
    }
    const char *error = json_string_value(json_object_get(c, "error"));
    (void)printf("  %-16s %-9s %10s items %9s  %s%s%s\n",
                 json_string_value(json_object_get(c, "component")),
                 json_string_value(json_object_get(c, "state")),
                 render_count((uint64_t)json_integer_value(json_object_get(c, "items")), items),
                 render_size((uint64_t)json_integer_value(json_object_get(c, "size_bytes")), size),
                 render_duration(json_integer_value(json_object_get(c, "elapsed_ms")), time),
                 error == NULL ? "" : "  ", error == NULL ? "" : error);
}

static void print_plan(const json_t *document)
{
    size_t i, s, k;
    json_t *step, *stage, *name;
    json_array_foreach(json_object_get(document, "steps"), i, step)
    {
        const char *check = json_string_value(json_object_get(step, "check"));
        if (check != NULL) {
            (void)printf("  step %zu: check: %s\n", i + 1, check);
            continue;
        }
        json_array_foreach(json_object_get(step, "restore"), s, stage)
        {
            (void)printf("  step %zu, stage %zu:", i + 1, s + 1);
            json_array_foreach(stage, k, name)
            {
                (void)printf(" %s", json_string_value(name));
            }
            (void)printf("\n");
        }
    }
}

static void print_restore(const json_t *document, const struct restore_options *options,
                          const struct restore_result *result, int32_t rc)
{
    char time[RENDER_TEXT];
    size_t i;
    json_t *c;
    progress_end();
    if (document == NULL) {
        return;
    }
    if (options->dry_run) {
        (void)printf("Dry run: this would be done from set %s\n", result->set_name);
        print_plan(document);
    }
    json_array_foreach(json_object_get(document, "components"), i, c)
    {
        print_component(c, options->dry_run);
    }
    if (rc == ORCH_OK && options->dry_run) {
        (void)printf("Preflight passed. Nothing was changed.\n");
    } else if (rc == ORCH_OK && result->verified == 0) {
        (void)printf("All checks passed in %s, for set %s; nothing was to be restored (run %.8s)\n",
                     render_duration(result->elapsed_ms, time), result->set_name, result->run_id);
    } else if (rc == ORCH_OK) {
        (void)printf("Restored and verified %zu components from set %s in %s (run %.8s)\n",
                     result->verified, result->set_name, render_duration(result->elapsed_ms, time),
                     result->run_id);
    }
}

static size_t overridden(const json_t *document)
{
    size_t i, total = 0;
    json_t *c;
    json_array_foreach(json_object_get(document, "components"), i, c)
    {
        total += (size_t)json_integer_value(json_object_get(c, "overridden"));
    }
    return total;
}

int output_restore_into(struct cli *cli, struct restore_options *options, json_t *collect)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct restore_result result;
    int32_t rc = restore_run(&cli->run, options, &result, &err);
    if (!cli->json) {
        print_restore(result.document, options, &result, rc);
        if (rc == ORCH_OK && overridden(result.document) > 0) {
            (void)printf("OVERRIDDEN: %zu refusal%s by --allow-incompatible; see the audit trail\n",
                         overridden(result.document), overridden(result.document) == 1 ? "" : "s");
        }
    }
    int code = cli_exit_code(rc);
    if (rc != ORCH_OK && result.verified > 0 && rc != ORCH_E_CANCELLED) {
        code = EXIT_PARTIAL;
    }
    if (result.document != NULL) {
        json_t *document = json_incref(result.document);
        const char *state = rc == ORCH_OK            ? options->dry_run ? "planned" : "completed"
                            : code == EXIT_REFUSED   ? "refused"
                            : code == EXIT_PARTIAL   ? "partial"
                            : code == EXIT_CANCELLED ? "cancelled"
                                                     : "failed";
        (void)json_object_set_new(document, "state", json_string(state));
        (void)json_object_set_new(document, "elapsed_ms", json_integer(result.elapsed_ms));
        if (rc != ORCH_OK) {
            (void)json_object_set_new(document, "error", json_string(err.message));
        }
        emit(cli, document, collect);
    }
    if (rc != ORCH_OK) {
        if (result.document != NULL) {
            (void)fprintf(stderr, "orchestrate: %s\n", err.message);
        } else {
            code = output_fail(cli, &err, collect);
        }
    }
    restore_result_clear(&result);
    return code;
}

/* ---- verify ---- */

int output_verify_into(struct cli *cli, const char *set, enum check_level level, json_t *collect)
{
    struct orch_error err = ORCH_ERROR_INIT;
    json_t *document = NULL;
    int32_t rc = verify_run(&cli->run, set, level, &document, &err);
    progress_end();
    if (document == NULL) {
        return output_fail(cli, &err, collect);
    }
    if (!cli->json) {
        char items[RENDER_TEXT], bytes[RENDER_TEXT], time[RENDER_TEXT];
        json_int_t all = json_integer_value(json_object_get(document, "objects")) +
                         json_integer_value(json_object_get(document, "records"));
        (void)printf(
            "%s at level %s: %lld sets, %lld parts, %s items, %lld packs, %s read in %s\n",
            rc == ORCH_OK ? "Verified" : "DAMAGED",
            json_string_value(json_object_get(document, "level")),
            (long long)json_integer_value(json_object_get(document, "sets")),
            (long long)json_integer_value(json_object_get(document, "parts")),
            render_count((uint64_t)all, items),
            (long long)json_integer_value(json_object_get(document, "packs")),
            render_size((uint64_t)json_integer_value(json_object_get(document, "bytes_read")),
                        bytes),
            render_duration(json_integer_value(json_object_get(document, "elapsed_ms")), time));
        if (rc == ORCH_OK && json_integer_value(json_object_get(document, "elsewhere_count")) > 0) {
            (void)printf("The set is whole, but other things in the repository are damaged; see "
                         "orchestrate verify\n");
        }
    }
    emit(cli, document, collect);
    if (rc != ORCH_OK) {
        (void)fprintf(stderr, "orchestrate: %s\n", err.message);
    }
    return cli_exit_code(rc);
}
