/* hnsw.c: see hnsw.h. */
#include "hnsw.h"

#define GRAPH_LEVELS_MAX 1024

/* Reads `count` ints and checks that each lies in low..high. */
static int32_t ints_between(struct cursor *c, uint64_t count, int64_t low, int64_t high,
                            const char *what, struct orch_error *err)
{
    for (uint64_t i = 0; i < count; i++) {
        int32_t value = 0;
        int32_t rc = cursor_take(c, &value, sizeof(value), err);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (value < low || value > high) {
            return cursor_bad(err, what);
        }
    }
    return ORCH_OK;
}

/* What the parts of a graph are checked against. */
struct graph {
    uint64_t ntotal;
    uint64_t levels_at;                   /* where the level of vector 0 stands in the file */
    uint32_t cumulative_count;            /* at least 1 */
    int32_t cumulative[GRAPH_LEVELS_MAX]; /* links of a vector up to each level */
};

/*
 * The offsets into the links: one more than vectors, each the one before plus what that vector's
 * level says. The levels are read again beside them, so that none are kept in memory.
 */
static int32_t read_offsets(struct cursor *c, struct cursor *levels, const struct graph *graph,
                            uint64_t *last, struct orch_error *err)
{
    uint64_t count = 0;
    int32_t rc = cursor_take(c, &count, sizeof(count), err);
    if (rc == ORCH_OK && count != graph->ntotal + 1) {
        return cursor_bad(err, "the graph has not one offset per vector");
    }
    uint64_t expected = 0;
    for (uint64_t i = 0; rc == ORCH_OK && i < count; i++) {
        uint64_t offset = 0;
        int32_t level = 0;
        rc = cursor_take(c, &offset, sizeof(offset), err);
        if (rc == ORCH_OK && offset != expected) {
            return cursor_bad(err, "the graph's offsets and levels differ");
        }
        if (rc == ORCH_OK && i + 1 < count) {
            rc = cursor_take(levels, &level, sizeof(level), err);
        }
        if (level < 0 || (uint32_t)level >= graph->cumulative_count) {
            return cursor_bad(err, "the graph's levels changed while they were read");
        }
        *last = offset;
        expected = offset + (uint64_t)graph->cumulative[level];
    }
    return rc;
}

static int32_t read_levels(struct cursor *c, struct graph *graph, struct orch_error *err)
{
    uint64_t probas = 0, cumulative = 0, levels = 0;
    int32_t rc = cursor_skip_vector(c, 8, &probas, err);
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &cumulative, sizeof(cumulative), err);
    }
    if (rc == ORCH_OK && (cumulative == 0 || cumulative > GRAPH_LEVELS_MAX)) {
        return cursor_bad(err, "the graph's number of levels makes no sense");
    }
    graph->cumulative_count = (uint32_t)cumulative;
    for (uint32_t i = 0; rc == ORCH_OK && i < graph->cumulative_count; i++) {
        rc = cursor_take(c, &graph->cumulative[i], sizeof(graph->cumulative[i]), err);
        if (rc == ORCH_OK && (graph->cumulative[i] > 1 << 24 ||
                              graph->cumulative[i] < (i == 0 ? 0 : graph->cumulative[i - 1]))) {
            return cursor_bad(err, "the graph's level sizes make no sense");
        }
    }
    if (rc == ORCH_OK && graph->cumulative[0] != 0) {
        return cursor_bad(err, "the graph's level sizes make no sense");
    }
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &levels, sizeof(levels), err);
    }
    if (rc == ORCH_OK && levels != graph->ntotal) {
        return cursor_bad(err, "the graph has not one level per vector");
    }
    graph->levels_at = cursor_at(c);
    return rc != ORCH_OK ? rc
                         : ints_between(c, levels, 1, (int64_t)cumulative - 1,
                                        "the graph's levels make no sense", err);
}

/* The entry point must lie on the top level, where every search begins. */
static int32_t read_graph_tail(struct cursor *c, const struct graph *graph, struct orch_error *err)
{
    int32_t tail[5]; /* entry point, max level, efConstruction, efSearch, upper beam */
    int32_t level = 0;
    int32_t rc = cursor_take(c, tail, sizeof(tail), err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (tail[3] < 1 || tail[3] > 1 << 24 || tail[0] < -1 || tail[0] >= (int64_t)graph->ntotal ||
        (tail[0] == -1) != (graph->ntotal == 0)) {
        return cursor_bad(err, "the graph's entry point makes no sense");
    }
    if (tail[0] == -1) {
        return ORCH_OK;
    }
    rc = cursor_peek(c, graph->levels_at + (uint64_t)tail[0] * 4, &level, sizeof(level), err);
    if (rc == ORCH_OK && level != tail[1] + 1) {
        return cursor_bad(err, "the graph's entry point is not on its top level");
    }
    return rc;
}

int32_t hnsw_walk(struct cursor *c, int64_t ntotal, struct orch_error *err)
{
    struct graph graph = {.ntotal = (uint64_t)ntotal};
    uint64_t links = 0, last = 0;
    struct cursor *again = NULL;
    int32_t rc = read_levels(c, &graph, err);
    if (rc == ORCH_OK) {
        rc = cursor_fork(c, graph.levels_at, &again, err);
    }
    if (rc == ORCH_OK) {
        rc = read_offsets(c, again, &graph, &last, err);
    }
    cursor_free(again);
    if (rc == ORCH_OK) {
        rc = cursor_take(c, &links, sizeof(links), err);
    }
    if (rc == ORCH_OK && links != last) {
        return cursor_bad(err, "the graph's links and offsets differ");
    }
    if (rc == ORCH_OK) {
        rc = ints_between(c, links, -1, ntotal - 1, "a link of the graph leads nowhere", err);
    }
    return rc != ORCH_OK ? rc : read_graph_tail(c, &graph, err);
}
