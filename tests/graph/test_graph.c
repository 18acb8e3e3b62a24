/* test_graph.c: stages, cycles, subsets and renderings of the dependency graph. */
#include "graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define DEPS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The system of the design: settings, then uploads, app-db and sessions, then hot and kb. */
static const struct graph_node app[] = {
    {"settings", NULL},           {"uploads", DEPS("settings")},
    {"app-db", DEPS("settings")}, {"sessions", DEPS("settings")},
    {"hot", DEPS("sessions")},    {"kb", DEPS("app-db")},
};

static struct graph *build(const struct graph_node *nodes, size_t count)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct graph *graph = NULL;
    ck_assert_msg(graph_build(nodes, count, &graph, &err) == ORCH_OK, "%s", err.message);
    return graph;
}

/* "a b|c" for the stages of a graph. */
static char *stages_text(const struct graph *graph)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    for (size_t s = 0; s < graph_stages(graph); s++) {
        size_t count = 0;
        const char *const *names = graph_stage(graph, s, &count);
        for (size_t i = 0; i < count; i++) {
            (void)fprintf(f, "%s%s", i > 0 ? " " : s > 0 ? "|" : "", names[i]);
        }
    }
    (void)fclose(f);
    return text;
}

START_TEST(test_stages)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(app, 6);
    CLEANUP_FREE char *text = stages_text(graph);
    ck_assert_str_eq(text, "settings|app-db sessions uploads|hot kb");
    ck_assert_int_eq(graph_stage_of(graph, "kb"), 2);
    ck_assert_int_eq(graph_stage_of(graph, "settings"), 0);
    ck_assert_int_eq(graph_stage_of(graph, "nobody"), -1);
    size_t count = 9;
    ck_assert_ptr_null(graph_stage(graph, 3, &count));
    ck_assert_uint_eq(count, 0);
}
END_TEST

/* A node waits for the last of what it depends on, by the longest way. */
START_TEST(test_longest_way)
{
    const struct graph_node nodes[] = {
        {"d", DEPS("a", "c")}, {"c", DEPS("b")}, {"b", DEPS("a")}, {"a", NULL}, {"e", DEPS("a")},
    };
    CLEANUP(graph_cleanup) struct graph *graph = build(nodes, 5);
    CLEANUP_FREE char *text = stages_text(graph);
    ck_assert_str_eq(text, "a|b e|c|d");
}
END_TEST

START_TEST(test_empty)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(NULL, 0);
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *dot = NULL;
    ck_assert_uint_eq(graph_stages(graph), 0);
    ck_assert_int_eq(graph_text(graph, &text, &err), ORCH_OK);
    ck_assert_str_eq(text, "no components\n");
    ck_assert_int_eq(graph_dot(graph, &dot, &err), ORCH_OK);
    json_t *json = graph_json(graph);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "stages")), 0);
    json_decref(json);
}
END_TEST

START_TEST(test_depends)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(app, 6);
    ck_assert_int_eq(graph_depends(graph, "kb", "app-db"), 1);
    ck_assert_int_eq(graph_depends(graph, "kb", "settings"), 1);
    ck_assert_int_eq(graph_depends(graph, "settings", "kb"), 0);
    ck_assert_int_eq(graph_depends(graph, "kb", "sessions"), 0);
    ck_assert_int_eq(graph_depends(graph, "kb", "kb"), 0);
    ck_assert_int_eq(graph_depends(graph, "kb", "nobody"), 0);
    ck_assert_int_eq(graph_depends(graph, "nobody", "kb"), 0);
}
END_TEST

/* Wrong graphs: what the message must hold. */
static const struct {
    struct graph_node nodes[5];
    size_t count;
    const char *fragment;
    const char *member; /* of the cycle, or NULL */
} wrong[] = {
    {{{"a", DEPS("b")}, {"b", DEPS("a")}}, 2, ": a -> b -> a;", "a"},
    {{{"a", DEPS("a")}}, 1, ": a -> a;", "a"},
    {{{"x", DEPS("y")}, {"y", DEPS("z")}, {"z", DEPS("x")}}, 3, ": x -> y -> z -> x;", "x"},
    /* behind the cycle, and before it: neither is shown */
    {{{"a", DEPS("c")}, {"c", DEPS("d")}, {"d", DEPS("c", "z")}, {"z", NULL}},
     4,
     ": c -> d -> c;",
     "c"},
    /* the short way round, though the long one is met first */
    {{{"a", DEPS("b", "d")}, {"b", DEPS("c")}, {"c", DEPS("d")}, {"d", DEPS("a")}},
     4,
     ": a -> d -> a;",
     "a"},
    {{{"a", DEPS("b")}}, 1, "a depends on b, but there is no component", NULL},
    {{{"a", NULL}, {"a", NULL}}, 2, "two components are called a", NULL},
};

START_TEST(test_wrong)
{
    struct orch_error err = ORCH_ERROR_INIT;
    struct graph *graph = NULL;
    const char *member = "unset";
    int32_t rc = graph_build_at(wrong[_i].nodes, wrong[_i].count, &graph, &member, &err);
    ck_assert_int_eq(rc, ORCH_E_CONFIG);
    ck_assert_int_eq(err.code, ORCH_E_CONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_msg(strstr(err.message, wrong[_i].fragment) != NULL, "%s", err.message);
    if (wrong[_i].member == NULL) {
        ck_assert_ptr_null(member);
    } else {
        ck_assert_str_eq(member, wrong[_i].member);
    }
}
END_TEST

static const struct {
    const char *names[6];
    size_t count;
    const char *stages;
} subsets[] = {
    {{"kb", "settings"}, 2, "settings|kb"}, /* app-db between them is left out */
    {{"kb"}, 1, "kb"},
    {{"hot", "kb"}, 2, "hot kb"},
    {{"hot", "sessions", "kb", "kb"}, 4, "kb sessions|hot"},
    {{"hot", "settings", "uploads"}, 3, "settings|hot uploads"},
    {{NULL}, 0, ""},
};

START_TEST(test_subset)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(app, 6);
    CLEANUP(graph_cleanup) struct graph *subset = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(graph_subset(graph, subsets[_i].names, subsets[_i].count, &subset, &err),
                     ORCH_OK);
    CLEANUP_FREE char *text = stages_text(subset);
    ck_assert_str_eq(text, subsets[_i].stages);
}
END_TEST

/* Names given to graph_subset may go away: the new graph keeps those of the old one. */
START_TEST(test_subset_names)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(app, 6);
    CLEANUP(graph_cleanup) struct graph *subset = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    char name[] = "kb";
    const char *names[] = {name};
    ck_assert_int_eq(graph_subset(graph, names, 1, &subset, &err), ORCH_OK);
    memset(name, 'x', 2);
    ck_assert_int_eq(graph_stage_of(subset, "kb"), 0);
    struct graph *none = NULL;
    ck_assert_int_eq(graph_subset(graph, names, 1, &none, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "no component called xx"));
}
END_TEST

START_TEST(test_text)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(app, 6);
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_FREE char *text = NULL;
    ck_assert_int_eq(graph_text(graph, &text, &err), ORCH_OK);
    ck_assert_str_eq(text, "6 components in 3 stages; recovery goes down, backup goes up\n"
                           "\n"
                           "  stage 1    settings\n"
                           "     |\n"
                           "     v\n"
                           "  stage 2    app-db    <- settings\n"
                           "             sessions  <- settings\n"
                           "             uploads   <- settings\n"
                           "     |\n"
                           "     v\n"
                           "  stage 3    hot       <- sessions\n"
                           "             kb        <- app-db\n");
}
END_TEST

START_TEST(test_dot)
{
    const struct graph_node nodes[] = {{"a\"b\\", DEPS("c")}, {"c", NULL}};
    CLEANUP(graph_cleanup) struct graph *graph = build(nodes, 2);
    struct orch_error err = ORCH_ERROR_INIT;
    CLEANUP_FREE char *text = NULL;
    ck_assert_int_eq(graph_dot(graph, &text, &err), ORCH_OK);
    ck_assert_ptr_nonnull(strstr(text, "\"a\\\"b\\\\\" -> \"c\";"));
    ck_assert_ptr_nonnull(strstr(text, "{ rank=same; \"c\"; }"));
    ck_assert_int_eq(strncmp(text + strlen(text) - 2, "}\n", 2), 0);
}
END_TEST

START_TEST(test_json)
{
    CLEANUP(graph_cleanup) struct graph *graph = build(app, 6);
    json_t *json = graph_json(graph);
    json_t *want = json_loads(
        "{\"stages\": [[\"settings\"], [\"app-db\", \"sessions\", \"uploads\"], [\"hot\", \"kb\"]],"
        " \"components\": ["
        "{\"name\": \"app-db\", \"stage\": 2, \"depends_on\": [\"settings\"]},"
        "{\"name\": \"hot\", \"stage\": 3, \"depends_on\": [\"sessions\"]},"
        "{\"name\": \"kb\", \"stage\": 3, \"depends_on\": [\"app-db\"]},"
        "{\"name\": \"sessions\", \"stage\": 2, \"depends_on\": [\"settings\"]},"
        "{\"name\": \"settings\", \"stage\": 1, \"depends_on\": []},"
        "{\"name\": \"uploads\", \"stage\": 2, \"depends_on\": [\"settings\"]}]}",
        0, NULL);
    ck_assert_ptr_nonnull(want);
    ck_assert_int_eq(json_equal(json, want), 1);
    json_decref(json);
    json_decref(want);
}
END_TEST

#define LARGE 10000

/* A large system: node i depends on up to eight of those before it. */
struct large {
    char names[LARGE][16];
    const char *deps[LARGE][9];
    struct graph_node nodes[LARGE];
};

static struct large *make_large(int chain)
{
    struct large *l = calloc(1, sizeof(*l));
    uint32_t random = 1;
    for (size_t i = 0; i < LARGE; i++) {
        (void)snprintf(l->names[i], sizeof(l->names[i]), "n%zu", i);
        size_t count = 0;
        for (; i > 0 && count < (chain ? 1u : 8u); count++) {
            random = random * 1664525u + 1013904223u;
            l->deps[i][count] = l->names[chain ? i - 1 : (random >> 8) % i];
        }
        l->nodes[i] = (struct graph_node){l->names[i], l->deps[i]};
    }
    return l;
}

/* Every edge goes from a later to an earlier stage, and every stage hangs on the one before. */
START_TEST(test_large)
{
    struct large *l = make_large(_i);
    int64_t start = clock_monotonic_ms();
    CLEANUP(graph_cleanup) struct graph *graph = build(l->nodes, LARGE);
    for (size_t i = 0; i < LARGE; i++) {
        int stage = graph_stage_of(graph, l->names[i]);
        int latest = -1;
        for (size_t d = 0; l->deps[i][d] != NULL; d++) {
            int other = graph_stage_of(graph, l->deps[i][d]);
            latest = other > latest ? other : latest;
        }
        ck_assert_int_eq(stage, latest + 1);
    }
    ck_assert_uint_eq(graph_stages(graph), _i ? LARGE : (size_t)graph_stages(graph));
    const char *half[LARGE / 2];
    for (size_t i = 0; i < LARGE / 2; i++) {
        half[i] = l->names[2 * i];
    }
    CLEANUP(graph_cleanup) struct graph *subset = NULL;
    struct orch_error err = ORCH_ERROR_INIT;
    ck_assert_int_eq(graph_subset(graph, half, LARGE / 2, &subset, &err), ORCH_OK);
    if (_i) {
        ck_assert_uint_eq(graph_stages(subset), LARGE / 2);
    }
    ck_assert_int_eq(graph_depends(graph, "n9999", "n0"), 1);
    ck_assert_int_lt(clock_monotonic_ms() - start, 5000);
    free(l);
}
END_TEST

/* A circle of ten thousand is found, and its message stays readable. */
START_TEST(test_large_cycle)
{
    struct large *l = make_large(1);
    struct orch_error err = ORCH_ERROR_INIT;
    struct graph *graph = NULL;
    l->deps[0][0] = l->names[LARGE - 1];
    ck_assert_int_eq(graph_build(l->nodes, LARGE, &graph, &err), ORCH_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "n0 -> n9999 -> n9998"));
    ck_assert_ptr_nonnull(strstr(err.message, "(9988 more)"));
    ck_assert_ptr_nonnull(strstr(err.message, "n1 -> n0;"));
    free(l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *tcase = tcase_create("graph");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_stages);
    tcase_add_test(tcase, test_longest_way);
    tcase_add_test(tcase, test_empty);
    tcase_add_test(tcase, test_depends);
    tcase_add_loop_test(tcase, test_wrong, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_loop_test(tcase, test_subset, 0, sizeof(subsets) / sizeof(subsets[0]));
    tcase_add_test(tcase, test_subset_names);
    tcase_add_test(tcase, test_text);
    tcase_add_test(tcase, test_dot);
    tcase_add_test(tcase, test_json);
    tcase_add_loop_test(tcase, test_large, 0, 2);
    tcase_add_test(tcase, test_large_cycle);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
