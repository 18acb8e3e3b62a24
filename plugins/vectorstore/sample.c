/* sample.c: sampled searches of index.h: made at a backup, repeated after a restore. */
#include "index.h"

#include "cleanup.h"
#include "index_internal.h"

#include <faiss/c_api/error_c.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NEIGHBOURS 5
#define TOLERANCE 1e-4 /* of a distance, relative */

/* One search: what was looked for, and what came. */
struct probe {
    int64_t position; /* of a sampled vector, or the number of a made-up one */
    int64_t id;
    double norm;
    int count; /* neighbours */
    int64_t ids[NEIGHBOURS];
    double distances[NEIGHBOURS];
};

/* ---- the vectors searched for ----------------------------------------------------------- */

/* splitmix64: the same on every machine, for ever. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A made-up vector of length 1, the same for the same number. */
static void make_up(int64_t number, int32_t dimension, float *vector)
{
    uint64_t state = UINT64_C(0x6f72636865737472) + (uint64_t)number;
    double sum = 0;
    for (int32_t i = 0; i < dimension; i++) {
        double value = (double)(next_random(&state) >> 11) / 4503599627370496.0 - 1.0;
        vector[i] = (float)value;
        sum += value * value;
    }
    for (int32_t i = 0; i < dimension; i++) {
        vector[i] = (float)((double)vector[i] / sqrt(sum));
    }
}

static double norm_of(const float *vector, int32_t dimension)
{
    double sum = 0;
    for (int32_t i = 0; i < dimension; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    return sqrt(sum);
}

/* ---- searching -------------------------------------------------------------------------- */

static int32_t search(struct index *index, const float *vector, struct probe *probe,
                      struct orch_error *err)
{
    float distances[NEIGHBOURS];
    idx_t labels[NEIGHBOURS];
    probe->count = index->ntotal < NEIGHBOURS ? (int)index->ntotal : NEIGHBOURS;
    if (faiss_Index_search(index->whole, 1, vector, probe->count, distances, labels) != 0) {
        return orch_fail(err, ORCH_E_CORRUPT, "FAISS cannot search it: %.500s",
                         faiss_get_last_error());
    }
    for (int i = 0; i < probe->count; i++) {
        probe->ids[i] = labels[i];
        /* No neighbour there: FAISS leaves a huge distance, which says nothing. */
        probe->distances[i] = labels[i] < 0 || !isfinite(distances[i]) ? 0 : (double)distances[i];
    }
    return ORCH_OK;
}

/* Fetches the vector at probe->position and searches for it. ORCH_E_UNSUPPORTED: not to be had. */
static int32_t probe_stored(struct index *index, float *vector, struct probe *probe,
                            struct orch_error *err)
{
    if (probe->position < 0 || probe->position >= index->ntotal ||
        (index->ids != NULL && (size_t)probe->position >= index->id_count)) {
        return orch_fail(err, ORCH_E_CORRUPT, "there is no vector %" PRId64, probe->position);
    }
    if (!index->can_reconstruct ||
        faiss_Index_reconstruct(index->vectors, probe->position, vector) != 0) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "it does not give its vectors back");
    }
    probe->id = index->ids == NULL ? probe->position : index->ids[probe->position];
    probe->norm = norm_of(vector, index->dimension);
    return search(index, vector, probe, err);
}

static int32_t probe_made_up(struct index *index, float *vector, struct probe *probe,
                             struct orch_error *err)
{
    make_up(probe->position, index->dimension, vector);
    probe->id = -1;
    probe->norm = 1;
    return search(index, vector, probe, err);
}

/* ---- facts ------------------------------------------------------------------------------ */

static json_t *probe_to_json(const struct probe *probe, int stored)
{
    json_t *ids = json_array();
    json_t *distances = json_array();
    for (int i = 0; i < probe->count; i++) {
        (void)json_array_append_new(ids, json_integer(probe->ids[i]));
        (void)json_array_append_new(distances, json_real(probe->distances[i]));
    }
    json_t *json = json_pack("{s:I, s:o, s:o}", "position", (json_int_t)probe->position, "ids", ids,
                             "distances", distances);
    if (json != NULL && stored) {
        (void)json_object_set_new(json, "id", json_integer(probe->id));
        (void)json_object_set_new(json, "norm", json_real(isfinite(probe->norm) ? probe->norm : 0));
    }
    return json;
}

json_t *index_sample(struct index *index, int count, double *worst_norm, struct orch_error *err)
{
    CLEANUP_FREE float *vector = malloc((size_t)index->dimension * sizeof(float));
    CLEANUP_JSON json_t *queries = json_array();
    int stored = 1;
    *worst_norm = -1;
    if (vector == NULL || queries == NULL) {
        (void)orch_fail(err, ORCH_E_NOMEM, "no memory to sample an index");
        return NULL;
    }
    int64_t wanted = index->ntotal < count ? index->ntotal : count;
    for (int64_t i = 0; i < wanted; i++) {
        struct probe probe = {0};
        int32_t rc = ORCH_E_UNSUPPORTED;
        if (stored) {
            /* From the first to the last, evenly. */
            probe.position =
                wanted == 1 ? 0 : (int64_t)((__int128)(index->ntotal - 1) * i / (wanted - 1));
            rc = probe_stored(index, vector, &probe, err);
            stored = rc != ORCH_E_UNSUPPORTED;
        }
        if (!stored) {
            probe.position = i;
            rc = probe_made_up(index, vector, &probe, err);
        }
        if (rc != ORCH_OK) {
            return NULL;
        }
        if (stored && index->lossless) {
            double off = fabs(probe.norm - 1);
            *worst_norm = !(off <= *worst_norm) ? off : *worst_norm;
        }
        (void)json_array_append_new(queries, probe_to_json(&probe, stored));
    }
    return json_pack("{s:s, s:i, s:O}", "method", stored ? "stored" : "made-up", "k", NEIGHBOURS,
                     "queries", queries);
}

/* ---- comparison ------------------------------------------------------------------------- */

static int close_to(double a, double b)
{
    double scale = fmax(fabs(a), fabs(b));
    /* Distances of vectors of length 1 are differences of numbers near 1: allow for rounding. */
    return fabs(a - b) <= TOLERANCE * fmax(scale, 1e-2);
}

/*
 * At each rank the same distance, and the same id; but among equally near ones the order is chance,
 * and which of them still made it into the list.
 */
static int same_neighbours(const struct probe *then, const struct probe *now)
{
    if (then->count != now->count) {
        return 0;
    }
    for (int i = 0; i < now->count; i++) {
        if (!close_to(then->distances[i], now->distances[i])) {
            return 0;
        }
        int found = now->ids[i] == then->ids[i] ||
                    close_to(now->distances[i], then->distances[then->count - 1]);
        for (int j = 0; j < then->count && !found; j++) {
            found = then->ids[j] == now->ids[i] && close_to(then->distances[j], now->distances[i]);
        }
        if (!found) {
            return 0;
        }
    }
    return 1;
}

static int32_t probe_from_json(const json_t *json, struct probe *probe, struct orch_error *err)
{
    const json_t *ids = json_object_get(json, "ids");
    const json_t *distances = json_object_get(json, "distances");
    size_t n = json_array_size(ids);
    memset(probe, 0, sizeof(*probe));
    if (n > NEIGHBOURS || json_array_size(distances) != n ||
        !json_is_integer(json_object_get(json, "position"))) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's samples make no sense");
    }
    probe->position = json_integer_value(json_object_get(json, "position"));
    const json_t *id = json_object_get(json, "id");
    probe->id = json_is_integer(id) ? json_integer_value(id) : -1;
    probe->count = (int)n;
    for (size_t i = 0; i < n; i++) {
        probe->ids[i] = json_integer_value(json_array_get(ids, i));
        probe->distances[i] = json_number_value(json_array_get(distances, i));
    }
    return ORCH_OK;
}

int32_t index_compare(struct index *index, const json_t *samples, struct orch_error *err)
{
    const char *method = json_string_value(json_object_get(samples, "method"));
    const json_t *queries = json_object_get(samples, "queries");
    CLEANUP_FREE float *vector = malloc((size_t)index->dimension * sizeof(float));
    if (vector == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to search an index");
    }
    if (method == NULL || !json_is_array(queries)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's samples make no sense");
    }
    int stored = strcmp(method, "stored") == 0;
    for (size_t i = 0; i < json_array_size(queries); i++) {
        struct probe then, now = {0};
        int32_t rc = probe_from_json(json_array_get(queries, i), &then, err);
        now.position = then.position;
        if (rc == ORCH_OK) {
            rc = stored ? probe_stored(index, vector, &now, err)
                        : probe_made_up(index, vector, &now, err);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
        if (now.id != then.id || !same_neighbours(&then, &now)) {
            return orch_fail(err, ORCH_E_INCOMPATIBLE,
                             "the search for sample %zu of %zu (%s %" PRId64
                             ") finds other neighbours than at the backup",
                             i + 1, json_array_size(queries), stored ? "vector" : "made-up vector",
                             then.position);
        }
    }
    return ORCH_OK;
}
