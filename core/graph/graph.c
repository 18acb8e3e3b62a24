/*
 * graph.c: builds the graph of components, finds its stages, and answers what depends on what.
 *
 * Edges lie in one array, grouped by node, so that ten thousand components cost no more than a few
 * sorts and one pass over the edges.
 */
#include "graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define CYCLE_SHOWN 12 /* a longer cycle is shown by its two ends */

/* calloc that never asks for zero bytes, so that NULL always means "no memory". */
static void *new_array(size_t count, size_t size)
{
    return calloc(count == 0 ? 1 : count, size);
}

void graph_free(struct graph *graph)
{
    if (graph == NULL) {
        return;
    }
    free(graph->stage_names);
    free(graph->stage_first);
    free(graph->stage);
    free(graph->edges);
    free(graph->first);
    free(graph->names);
    free(graph);
}

void graph_cleanup(struct graph **slot)
{
    graph_free(*slot);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct graph_node *)a)->name, ((const struct graph_node *)b)->name);
}

static int compare_indices(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return (x > y) - (x < y);
}

size_t graph_index(const struct graph *graph, const char *name)
{
    const char **found =
        bsearch(&name, graph->names, graph->count, sizeof(*graph->names), compare_names);
    return found == NULL ? SIZE_MAX : (size_t)(found - graph->names);
}

/* Sorts edges[from … to) and drops repeats; gives the new end. */
static size_t tidy_edges(size_t *edges, size_t from, size_t to)
{
    if (to - from < 2) {
        return to;
    }
    qsort(edges + from, to - from, sizeof(*edges), compare_indices);
    size_t end = from + 1;
    for (size_t i = from + 1; i < to; i++) {
        if (edges[i] != edges[end - 1]) {
            edges[end++] = edges[i];
        }
    }
    return end;
}

/* Fills first and edges from nodes that are sorted by name. */
static int32_t fill_edges(struct graph *graph, const struct graph_node *nodes,
                          struct orch_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < graph->count; i++) {
        for (const char *const *d = nodes[i].depends_on; d != NULL && *d != NULL; d++) {
            total++;
        }
    }
    graph->edges = new_array(total, sizeof(*graph->edges));
    if (graph->edges == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    size_t end = 0;
    for (size_t i = 0; i < graph->count; i++) {
        graph->first[i] = end;
        for (const char *const *d = nodes[i].depends_on; d != NULL && *d != NULL; d++) {
            size_t index = graph_index(graph, *d);
            if (index == SIZE_MAX) {
                return orch_fail(err, ORCH_E_CONFIG,
                                 "%s depends on %s, but there is no component of that name",
                                 nodes[i].name, *d);
            }
            graph->edges[end++] = index;
        }
        end = tidy_edges(graph->edges, graph->first[i], end);
    }
    graph->first[graph->count] = end;
    return ORCH_OK;
}

/* Checks the names and makes the graph without stages. */
static int32_t make_graph(const struct graph_node *nodes, size_t count, struct graph **out,
                          struct orch_error *err)
{
    CLEANUP(graph_cleanup) struct graph *graph = calloc(1, sizeof(*graph));
    CLEANUP_FREE struct graph_node *sorted = new_array(count, sizeof(*sorted));
    if (graph == NULL || sorted == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    graph->count = count;
    graph->names = new_array(count, sizeof(*graph->names));
    graph->first = new_array(count + 1, sizeof(*graph->first));
    graph->stage = new_array(count, sizeof(*graph->stage));
    if (graph->names == NULL || graph->first == NULL || graph->stage == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    if (count > 0) {
        memcpy(sorted, nodes, count * sizeof(*nodes));
        qsort(sorted, count, sizeof(*sorted), compare_nodes);
    }
    for (size_t i = 0; i < count; i++) {
        graph->names[i] = sorted[i].name;
        if (i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0) {
            return orch_fail(err, ORCH_E_CONFIG, "two components are called %s", sorted[i].name);
        }
    }
    int32_t rc = fill_edges(graph, sorted, err);
    if (rc == ORCH_OK) {
        *out = steal_ptr(&graph);
    }
    return rc;
}

/*
 * Kahn's algorithm: a node's stage is one more than the last stage among what it depends on.
 * *placed counts the nodes that got one; the others lie on a cycle or depend on one, and have -1.
 */
static int32_t place(struct graph *graph, size_t *placed, struct orch_error *err)
{
    size_t n = graph->count;
    size_t edge_count = graph->first[n];
    CLEANUP_FREE size_t *waiting = new_array(n, sizeof(*waiting));
    CLEANUP_FREE size_t *back_first = new_array(n + 2, sizeof(*back_first));
    CLEANUP_FREE size_t *back = new_array(edge_count, sizeof(*back));
    CLEANUP_FREE size_t *queue = new_array(n, sizeof(*queue));
    if (waiting == NULL || back_first == NULL || back == NULL || queue == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    /* The edges the other way round: count, sum up, fill. */
    for (size_t e = 0; e < edge_count; e++) {
        back_first[graph->edges[e] + 2]++;
    }
    for (size_t i = 2; i < n + 2; i++) {
        back_first[i] += back_first[i - 1];
    }
    size_t head = 0;
    size_t tail = 0;
    for (size_t i = 0; i < n; i++) {
        waiting[i] = graph->first[i + 1] - graph->first[i];
        graph->stage[i] = waiting[i] == 0 ? 0 : -1;
        if (waiting[i] == 0) {
            queue[tail++] = i;
        }
        for (size_t e = graph->first[i]; e < graph->first[i + 1]; e++) {
            back[back_first[graph->edges[e] + 1]++] = i;
        }
    }
    /* The queue holds nodes by ascending stage, so the last dependency to come decides. */
    while (head < tail) {
        size_t i = queue[head++];
        for (size_t e = back_first[i]; e < back_first[i + 1]; e++) {
            if (--waiting[back[e]] == 0) {
                graph->stage[back[e]] = graph->stage[i] + 1;
                queue[tail++] = back[e];
            }
        }
    }
    *placed = tail;
    return ORCH_OK;
}

static int32_t group_stages(struct graph *graph, struct orch_error *err)
{
    size_t n = graph->count;
    graph->stages = 0;
    for (size_t i = 0; i < n; i++) {
        if ((size_t)graph->stage[i] + 1 > graph->stages) {
            graph->stages = (size_t)graph->stage[i] + 1;
        }
    }
    graph->stage_first = new_array(graph->stages + 1, sizeof(*graph->stage_first));
    graph->stage_names = new_array(n, sizeof(*graph->stage_names));
    CLEANUP_FREE size_t *next = new_array(graph->stages + 1, sizeof(*next));
    if (graph->stage_first == NULL || graph->stage_names == NULL || next == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    for (size_t i = 0; i < n; i++) {
        graph->stage_first[graph->stage[i] + 1]++;
    }
    for (size_t s = 0; s < graph->stages; s++) {
        graph->stage_first[s + 1] += graph->stage_first[s];
        next[s] = graph->stage_first[s];
    }
    for (size_t i = 0; i < n; i++) {
        graph->stage_names[next[graph->stage[i]]++] = graph->names[i];
    }
    return ORCH_OK;
}

/* From any node without a stage, following such nodes must come round: the first node seen twice
 * lies on a cycle. Gives the member of that cycle whose name is first. */
static size_t node_on_cycle(const struct graph *graph, size_t *seen)
{
    size_t node = 0;
    while (graph->stage[node] >= 0) {
        node++;
    }
    while (seen[node] == 0) {
        seen[node] = 1;
        size_t e = graph->first[node];
        while (graph->stage[graph->edges[e]] >= 0) {
            e++;
        }
        node = graph->edges[e];
    }
    size_t best = node;
    for (size_t at = node;;) {
        size_t e = graph->first[at];
        while (graph->stage[graph->edges[e]] >= 0) {
            e++;
        }
        at = graph->edges[e];
        if (at == node) {
            return best;
        }
        if (at < best) {
            best = at;
        }
    }
}

/* The shortest cycle through `start`, by breadth-first search: cycle[0] is `start`; gives its
 * length. `from` and `queue` have room for every node. */
static size_t shortest_cycle(const struct graph *graph, size_t start, size_t *from, size_t *queue,
                             size_t *cycle)
{
    for (size_t i = 0; i < graph->count; i++) {
        from[i] = SIZE_MAX;
    }
    size_t head = 0;
    size_t tail = 0;
    queue[tail++] = start;
    while (head < tail && from[start] == SIZE_MAX) {
        size_t node = queue[head++];
        for (size_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
            size_t next = graph->edges[e];
            if (graph->stage[next] < 0 && from[next] == SIZE_MAX) {
                from[next] = node;
                queue[tail++] = next;
                if (next == start) {
                    break;
                }
            }
        }
    }
    size_t length = 0;
    for (size_t at = from[start];; at = from[at]) {
        cycle[length++] = at;
        if (at == start) {
            break;
        }
    }
    /* It was walked backwards and ends with `start`: turn it round. */
    for (size_t i = 0, j = length - 1; i < j; i++, j--) {
        size_t swap = cycle[i];
        cycle[i] = cycle[j];
        cycle[j] = swap;
    }
    return length;
}

static int32_t fail_cycle(const struct graph *graph, const char **member, struct orch_error *err)
{
    size_t n = graph->count;
    CLEANUP_FREE size_t *seen = new_array(n, sizeof(*seen));
    CLEANUP_FREE size_t *queue = new_array(n + 1, sizeof(*queue));
    CLEANUP_FREE size_t *cycle = new_array(n, sizeof(*cycle));
    CLEANUP_BUFFER struct buffer text = BUFFER_INIT;
    if (seen == NULL || queue == NULL || cycle == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    size_t start = node_on_cycle(graph, seen);
    size_t length = shortest_cycle(graph, start, seen, queue, cycle);
    for (size_t i = 0; i < length; i++) {
        if (length > CYCLE_SHOWN && i == CYCLE_SHOWN / 2) {
            buffer_printf(&text, "… (%zu more) … -> ", length - CYCLE_SHOWN);
            i = length - CYCLE_SHOWN / 2;
        }
        buffer_printf(&text, "%s -> ", graph->names[cycle[i]]);
    }
    if (buffer_string(&text) == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    if (member != NULL) {
        *member = graph->names[start];
    }
    return orch_fail(err, ORCH_E_CONFIG,
                     "the components depend on each other in a circle: %.*s%s; take one of these "
                     "dependencies away",
                     (int)(text.len), (const char *)text.data, graph->names[start]);
}

int32_t graph_build_at(const struct graph_node *nodes, size_t count, struct graph **out,
                       const char **member, struct orch_error *err)
{
    if (member != NULL) {
        *member = NULL;
    }
    CLEANUP(graph_cleanup) struct graph *graph = NULL;
    int32_t rc = make_graph(nodes, count, &graph, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    size_t placed = 0;
    rc = place(graph, &placed, err);
    if (rc == ORCH_OK && placed < count) {
        rc = fail_cycle(graph, member, err);
    }
    if (rc == ORCH_OK) {
        rc = group_stages(graph, err);
    }
    if (rc == ORCH_OK) {
        *out = steal_ptr(&graph);
    }
    return rc;
}

int32_t graph_build(const struct graph_node *nodes, size_t count, struct graph **out,
                    struct orch_error *err)
{
    return graph_build_at(nodes, count, out, NULL, err);
}

size_t graph_stages(const struct graph *graph)
{
    return graph->stages;
}

const char *const *graph_stage(const struct graph *graph, size_t stage, size_t *count)
{
    if (stage >= graph->stages) {
        *count = 0;
        return NULL;
    }
    *count = graph->stage_first[stage + 1] - graph->stage_first[stage];
    return graph->stage_names + graph->stage_first[stage];
}

int graph_stage_of(const struct graph *graph, const char *name)
{
    size_t index = graph_index(graph, name);
    return index == SIZE_MAX ? -1 : graph->stage[index];
}

/*
 * Walks down from `start`. `seen` holds, for each node, the walk that last saw it, so that it need
 * not be cleared between walks. Nodes in `stop` (NULL: none) are given to `found` and not passed;
 * returns how many were found. `goal` (SIZE_MAX: none) ends the walk, and 1 is returned.
 */
static size_t walk(const struct graph *graph, size_t start, size_t mark, size_t *seen,
                   size_t *stack, const unsigned char *stop, size_t *found, size_t goal)
{
    size_t depth = 0;
    size_t count = 0;
    stack[depth++] = start;
    seen[start] = mark;
    while (depth > 0) {
        size_t node = stack[--depth];
        for (size_t e = graph->first[node]; e < graph->first[node + 1]; e++) {
            size_t next = graph->edges[e];
            if (seen[next] == mark) {
                continue;
            }
            if (next == goal) {
                return 1;
            }
            seen[next] = mark;
            if (stop != NULL && stop[next]) {
                found[count++] = next;
            } else {
                stack[depth++] = next;
            }
        }
    }
    return count;
}

int graph_depends(const struct graph *graph, const char *name, const char *other)
{
    size_t from = graph_index(graph, name);
    size_t to = graph_index(graph, other);
    if (from == SIZE_MAX || to == SIZE_MAX || graph->stage[from] <= graph->stage[to]) {
        return 0;
    }
    CLEANUP_FREE size_t *seen = new_array(graph->count, sizeof(*seen));
    CLEANUP_FREE size_t *stack = new_array(graph->count, sizeof(*stack));
    if (seen == NULL || stack == NULL) {
        /* Without memory to look, the careful answer: an order is kept that may not be needed. */
        return 1;
    }
    return walk(graph, from, 1, seen, stack, NULL, NULL, to) != 0;
}

/* The lists of names that a subset's nodes depend on; see graph_subset. */
struct subset {
    struct graph_node *nodes;
    size_t count;
};

static void free_subset(struct subset *subset)
{
    for (size_t i = 0; i < subset->count; i++) {
        free((void *)(uintptr_t)subset->nodes[i].depends_on);
    }
    free(subset->nodes);
}

static int32_t fill_subset(const struct graph *graph, const unsigned char *chosen,
                           struct subset *subset, struct orch_error *err)
{
    size_t n = graph->count;
    CLEANUP_FREE size_t *seen = new_array(n, sizeof(*seen));
    CLEANUP_FREE size_t *stack = new_array(n, sizeof(*stack));
    CLEANUP_FREE size_t *found = new_array(n, sizeof(*found));
    subset->nodes = new_array(n, sizeof(*subset->nodes));
    if (seen == NULL || stack == NULL || found == NULL || subset->nodes == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    for (size_t i = 0; i < n; i++) {
        if (!chosen[i]) {
            continue;
        }
        size_t count = walk(graph, i, i + 1, seen, stack, chosen, found, SIZE_MAX);
        const char **depends_on = new_array(count + 1, sizeof(*depends_on));
        if (depends_on == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
        }
        for (size_t k = 0; k < count; k++) {
            depends_on[k] = graph->names[found[k]];
        }
        subset->nodes[subset->count].name = graph->names[i];
        subset->nodes[subset->count].depends_on = depends_on;
        subset->count++;
    }
    return ORCH_OK;
}

int32_t graph_subset(const struct graph *graph, const char *const *names, size_t count,
                     struct graph **out, struct orch_error *err)
{
    CLEANUP_FREE unsigned char *chosen = new_array(graph->count, 1);
    if (chosen == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the dependency graph");
    }
    for (size_t i = 0; i < count; i++) {
        size_t index = graph_index(graph, names[i]);
        if (index == SIZE_MAX) {
            return orch_fail(err, ORCH_E_CONFIG, "there is no component called %s", names[i]);
        }
        chosen[index] = 1;
    }
    CLEANUP(free_subset) struct subset subset = {NULL, 0};
    int32_t rc = fill_subset(graph, chosen, &subset, err);
    if (rc == ORCH_OK) {
        rc = graph_build(subset.nodes, subset.count, out, err);
    }
    return rc;
}
