/* enginetest_set.c: stores a part and a set of it; see enginetest.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "enginetest.h"

void et_store_set(struct repo *repo, struct part *part, const char *component, char id[ID_TEXT])
{
    struct orch_error err = ORCH_ERROR_INIT;
    strcpy(part->component, component);
    strcpy(part->plugin, "test");
    strcpy(part->plugin_version, "1");
    strcpy(part->type, "full");
    if (part->facts_json == NULL) {
        part->facts_json = strdup("{}");
    }
    et_ok(part_store(repo, part, &err), err);
    struct set_component entry = {.good = true};
    static char *none[1] = {NULL};
    strcpy(entry.name, component);
    strcpy(entry.plugin, "test");
    strcpy(entry.part, part->id);
    entry.items = part->content.objects + part->content.records;
    entry.size_bytes = part->content.object_bytes + part->content.record_bytes;
    entry.depends_on = none;
    struct set set = {.state = SET_COMPLETED, .started_ns = clock_wall_ns()};
    strcpy(set.type, "full");
    et_ok(id_new(set.run_id, &err), err);
    strcpy(set.host, "test");
    strcpy(set.program_version, "0");
    set.finished_ns = set.started_ns;
    set.components = &entry;
    set.component_count = 1;
    et_ok(set_store(repo, &set, &err), err);
    strcpy(id, set.id);
}
