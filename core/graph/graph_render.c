/*
 * graph_render.c: the graph as text for people, as dot for Graphviz, and as JSON.
 */
#include "graph/graph_internal.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

/* Gives the text of `b` away. */
static int32_t hand_over(struct buffer *b, char **text, struct orch_error *err)
{
    if (buffer_string(b) == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to draw the dependency graph");
    }
    *text = (char *)b->data;
    *b = (struct buffer)BUFFER_INIT;
    return ORCH_OK;
}

static void text_of_node(const struct graph *graph, const char *name, size_t width,
                         struct buffer *b)
{
    size_t i = graph_index(graph, name);
    if (graph->first[i] == graph->first[i + 1]) {
        buffer_printf(b, "%s\n", name);
        return;
    }
    buffer_printf(b, "%-*s  <- ", (int)width, name);
    for (size_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
        buffer_printf(b, "%s%s", e == graph->first[i] ? "" : ", ", graph->names[graph->edges[e]]);
    }
    buffer_append(b, "\n", 1);
}

int32_t graph_text(const struct graph *graph, char **text, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    if (graph->count == 0) {
        buffer_printf(&b, "no components\n");
        return hand_over(&b, text, err);
    }
    size_t width = 0;
    for (size_t i = 0; i < graph->count; i++) {
        size_t len = strlen(graph->names[i]);
        width = len > width ? len : width;
    }
    buffer_printf(&b, "%zu component%s in %zu stage%s; recovery goes down, backup goes up\n\n",
                  graph->count, graph->count == 1 ? "" : "s", graph->stages,
                  graph->stages == 1 ? "" : "s");
    for (size_t s = 0; s < graph->stages; s++) {
        if (s > 0) {
            buffer_printf(&b, "     |\n     v\n");
        }
        size_t count = 0;
        const char *const *names = graph_stage(graph, s, &count);
        for (size_t k = 0; k < count; k++) {
            if (k == 0) {
                buffer_printf(&b, "  stage %-3zu  ", s + 1);
            } else {
                buffer_printf(&b, "             ");
            }
            text_of_node(graph, names[k], width, &b);
        }
    }
    return hand_over(&b, text, err);
}

static void dot_name(struct buffer *b, const char *name)
{
    buffer_append(b, "\"", 1);
    for (const char *p = name; *p != 0; p++) {
        if (*p == '"' || *p == '\\') {
            buffer_append(b, "\\", 1);
        }
        buffer_append(b, p, 1);
    }
    buffer_append(b, "\"", 1);
}

int32_t graph_dot(const struct graph *graph, char **text, struct orch_error *err)
{
    CLEANUP_BUFFER struct buffer b = BUFFER_INIT;
    buffer_printf(&b, "// an arrow means \"depends on\"\n"
                      "digraph components {\n"
                      "    rankdir=BT;\n"
                      "    node [shape=box, style=rounded];\n");
    for (size_t s = 0; s < graph->stages; s++) {
        size_t count = 0;
        const char *const *names = graph_stage(graph, s, &count);
        buffer_printf(&b, "    { rank=same;");
        for (size_t k = 0; k < count; k++) {
            buffer_append(&b, " ", 1);
            dot_name(&b, names[k]);
            buffer_append(&b, ";", 1);
        }
        buffer_printf(&b, " }\n");
    }
    for (size_t i = 0; i < graph->count; i++) {
        for (size_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
            buffer_printf(&b, "    ");
            dot_name(&b, graph->names[i]);
            buffer_printf(&b, " -> ");
            dot_name(&b, graph->names[graph->edges[e]]);
            buffer_printf(&b, ";\n");
        }
    }
    buffer_printf(&b, "}\n");
    return hand_over(&b, text, err);
}

static json_t *json_of_node(const struct graph *graph, size_t i)
{
    json_t *depends_on = json_array();
    for (size_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
        if (json_array_append_new(depends_on, json_string(graph->names[graph->edges[e]])) != 0) {
            json_decref(depends_on);
            return NULL;
        }
    }
    return json_pack("{s:s, s:i, s:o}", "name", graph->names[i], "stage", graph->stage[i] + 1,
                     "depends_on", depends_on);
}

static json_t *json_of_stage(const struct graph *graph, size_t stage)
{
    json_t *array = json_array();
    size_t count = 0;
    const char *const *names = graph_stage(graph, stage, &count);
    for (size_t k = 0; k < count; k++) {
        if (json_array_append_new(array, json_string(names[k])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *graph_json(const struct graph *graph)
{
    json_t *stages = json_array();
    json_t *components = json_array();
    int failed = stages == NULL || components == NULL;
    for (size_t s = 0; !failed && s < graph->stages; s++) {
        failed = json_array_append_new(stages, json_of_stage(graph, s)) != 0;
    }
    for (size_t i = 0; !failed && i < graph->count; i++) {
        failed = json_array_append_new(components, json_of_node(graph, i)) != 0;
    }
    if (failed) {
        json_decref(stages);
        json_decref(components);
        return NULL;
    }
    return json_pack("{s:o, s:o}", "stages", stages, "components", components);
}
