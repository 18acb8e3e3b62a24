/*
 * graph.h: components and what they depend on, to stages.
 */
#ifndef CORE_GRAPH_GRAPH_H
#define CORE_GRAPH_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <orchestrate/error.h>

struct graph;

/* A node. Names are borrowed and must outlive the graph. `depends_on` ends with NULL, or is NULL.
 */
struct graph_node {
    const char *name;
    const char *const *depends_on;
};

/*
 * Stage 0 holds what depends on nothing; stage n what depends on something of stage n-1 at the
 * latest. Within a stage: name order. ORCH_E_CONFIG for a cycle ("a -> b -> a") or an unknown name.
 */
int32_t graph_build(const struct graph_node *nodes, size_t count, struct graph **out,
                    struct orch_error *err) ORCH_CHECKED;
/* The same; for a cycle *member (may be NULL) is the component that the message begins with, else
 * NULL. */
int32_t graph_build_at(const struct graph_node *nodes, size_t count, struct graph **out,
                       const char **member, struct orch_error *err) ORCH_CHECKED;
void graph_free(struct graph *graph);
void graph_cleanup(struct graph **slot);

size_t graph_stages(const struct graph *graph);
/* The names of recovery stage `stage` (backup goes through them in reverse); *count of them. */
const char *const *graph_stage(const struct graph *graph, size_t stage, size_t *count);
/* The stage of a component, or -1. */
int graph_stage_of(const struct graph *graph, const char *name);
/* 1 when `name` depends on `other`, directly or not; 0 for unknown names. */
int graph_depends(const struct graph *graph, const char *name, const char *other);

/* The graph of the named components alone, keeping indirect dependencies: if a -> b -> c and b is
 * left out, a comes after c. */
int32_t graph_subset(const struct graph *graph, const char *const *names, size_t count,
                     struct graph **out, struct orch_error *err) ORCH_CHECKED;

/*
 * Renderings; *text is new memory. Stages are counted from 1 here, as people do.
 * JSON: {"stages": [["a"], ["b", "c"]], "components": [{"name", "stage", "depends_on": [...]}]}, by
 * name; NULL when memory ran out.
 */
int32_t graph_text(const struct graph *graph, char **text, struct orch_error *err) ORCH_CHECKED;
int32_t graph_dot(const struct graph *graph, char **text, struct orch_error *err) ORCH_CHECKED;
json_t *graph_json(const struct graph *graph);

#endif
