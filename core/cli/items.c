/* items.c: see items.h. */
#include "cli/items.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/render.h"
#include "engine/content.h"
#include "run/reading.h"

#define BYTE_ESCAPED 4 /* "\xNN" */
#define NAME_SHOWN 4096

/* ---- one document, piece by piece ---- */

static void print_value(const char *before, json_t *value)
{
    (void)printf("%s", before);
    (void)json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(value);
}

static void begin_json(const struct set *set, const char *component)
{
    print_value("{\n  \"set\": ", json_string(set->name));
    print_value(",\n  \"id\": ", json_string(set->id));
    print_value(",\n  \"component\": ", json_string(component));
    (void)printf(",\n  \"items\": [");
}

static void end_json(struct cli *cli, int32_t rc, const struct orch_error *err)
{
    (void)printf("\n  ]");
    if (rc != ORCH_OK) {
        print_value(",\n  \"error\": ", json_pack("{s:s, s:o}", "code", orch_error_name(err->code),
                                                  "message", text_json(err->message)));
        print_value(",\n  \"exit\": ", json_integer(cli_exit_code(rc)));
    }
    (void)printf("\n}\n");
    cli->document_printed = true;
}

static int32_t print_json(const struct orch_object *object, bool first, struct orch_error *err)
{
    size_t size = (size_t)object->name_len * BYTE_ESCAPED + 16;
    CLEANUP_FREE char *name = malloc(size);
    if (name == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the name of an object");
    }
    (void)render_bytes(object->name, object->name_len, name, size);
    char kind[2] = {(char)(object->kind & 0x7f), 0}, when[21];
    clock_iso(object->mtime_ns, when);
    print_value(first ? "\n    " : ",\n    ",
                json_pack("{s:s, s:s, s:I, s:s?}", "name", name, "kind", kind, "size_bytes",
                          (json_int_t)object->size_bytes, "mtime",
                          object->mtime_ns == 0 ? NULL : when));
    return ORCH_OK;
}

/* ---- the list ---- */

static void print_line(const struct orch_object *object)
{
    char name[NAME_SHOWN], when[21];
    clock_iso(object->mtime_ns, when);
    (void)printf("%c %14llu  %s  %s\n", (int)(object->kind & 0x7f),
                 (unsigned long long)object->size_bytes, when,
                 render_bytes(object->name, object->name_len, name, sizeof(name)));
}

static int32_t print_all(const struct cli *cli, struct content_reader *reader,
                         struct orch_error *err)
{
    struct orch_event event = {.type = ORCH_EVENT_OBJECT};
    bool first = true;
    int32_t rc = ORCH_OK;
    while (rc == ORCH_OK && event.type != ORCH_EVENT_END) {
        rc = content_next(reader, &event, err);
        if (rc != ORCH_OK || event.type != ORCH_EVENT_OBJECT) {
            continue;
        }
        if (cli->json) {
            rc = print_json(&event.object, first, err);
        } else {
            print_line(&event.object);
        }
        first = false;
    }
    return rc;
}

int32_t items_print(struct cli *cli, const struct set *set, const char *component,
                    struct orch_error *err)
{
    const struct set_component *held = set_component_find(set, component);
    if (held == NULL || !held->good) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "set %s holds no component \"%s\"", set->name,
                         component);
    }
    CLEANUP(part_cleanup) struct part *part = NULL;
    struct index *index = NULL;
    struct content_reader *reader = NULL;
    struct lease *lease = NULL;
    char run_id[ID_TEXT];
    int32_t rc = id_new(run_id, err);
    if (rc == ORCH_OK) {
        rc = reading_lease(&cli->run, run_id, "show", &lease, err);
    }
    if (rc == ORCH_OK) {
        rc = part_load(cli->run.repo, held->part, &part, err);
    }
    if (rc == ORCH_OK) {
        rc = context_open_index(&cli->run, lease, false, &index, err);
    }
    if (rc == ORCH_OK) {
        rc = content_open(cli->run.repo, index, part, CONTENT_ENTRIES_ONLY, &reader, err);
    }
    if (rc == ORCH_OK && cli->json) {
        begin_json(set, component);
        rc = print_all(cli, reader, err);
        end_json(cli, rc, err);
    } else if (rc == ORCH_OK) {
        rc = print_all(cli, reader, err);
    }
    content_close(reader);
    index_close(index);
    lease_end(lease);
    return rc;
}
