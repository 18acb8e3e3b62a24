/*
 * graph_internal.h: what graph.c and graph_render.c share.
 *
 * Nodes are kept in name order and spoken of by their index in that order, so that everything that
 * walks them comes out sorted by itself.
 */
#ifndef CORE_GRAPH_GRAPH_INTERNAL_H
#define CORE_GRAPH_GRAPH_INTERNAL_H

#include "graph/graph.h"

struct graph {
    size_t count;
    const char **names; /* sorted, borrowed */
    size_t *first; /* count + 1: node i depends on edges[first[i]] … edges[first[i + 1] - 1] */
    size_t *edges; /* indices of nodes, ascending, each once */
    int *stage;    /* of each node */
    size_t stages;
    size_t *stage_first; /* stages + 1: where each stage begins in stage_names */
    const char **stage_names;
};

/* The index of `name`, or SIZE_MAX. */
size_t graph_index(const struct graph *graph, const char *name);

#endif
