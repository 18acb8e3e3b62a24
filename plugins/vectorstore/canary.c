/* canary.c: see canary.h. */
#include "canary.h"

#include "cleanup.h"
#include "http.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define DIMENSION_MAX 65536u

const char *const canary_texts[CANARY_COUNT] = {
    "The quick brown fox jumps over the lazy dog.",
    "How do I restore my account after losing the second factor?",
    "Invoice 2041 is due in thirty days; late payment costs two per cent.",
    "def area(radius): return 3.14159 * radius ** 2",
    "Die Sicherung lief in der Nacht ohne Fehler durch.",
    "Water boils at 100 degrees Celsius at sea level.",
    "She packed her bags and left the village before dawn.",
    "Error: connection refused while reading from the upstream server",
};

void canary_clear(struct canaries *canaries)
{
    free(canaries->values);
    canaries->values = NULL;
    canaries->dimension = 0;
}

/* ---- taking vectors in ------------------------------------------------------------------ */

/* Puts a JSON array of numbers, scaled to length 1, in the place of text `which`. */
static int32_t put_vector(struct canaries *canaries, size_t which, const json_t *array,
                          struct orch_error *err)
{
    size_t n = json_array_size(array);
    if (n == 0 || n > DIMENSION_MAX) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a vector has %zu values", n);
    }
    if (canaries->values == NULL) {
        canaries->dimension = (uint32_t)n;
        canaries->values = calloc((size_t)CANARY_COUNT * n, sizeof(float));
        if (canaries->values == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for canaries");
        }
    }
    if (n != canaries->dimension) {
        return orch_fail(err, ORCH_E_PROTOCOL, "its vectors have different dimensions (%u and %zu)",
                         canaries->dimension, n);
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        double number = json_number_value(value);
        if (!json_is_number(value) || !isfinite(number) || fabs(number) > 1e30) {
            return orch_fail(err, ORCH_E_PROTOCOL, "a vector holds something that is no number");
        }
        sum += number * number;
    }
    if (!(sum > 0)) {
        return orch_fail(err, ORCH_E_PROTOCOL, "a vector is all zeros");
    }
    for (size_t i = 0; i < n; i++) {
        canaries->values[which * n + i] =
            (float)(json_number_value(json_array_get(array, i)) / sqrt(sum));
    }
    return ORCH_OK;
}

int32_t canary_parse(const char *text, size_t len, struct canaries *out, struct orch_error *err)
{
    json_error_t where;
    uint32_t seen = 0;
    memset(out, 0, sizeof(*out));
    CLEANUP_JSON json_t *json = json_loadb(text, len, 0, &where);
    const json_t *data = json_object_get(json, "data");
    if (!json_is_array(data)) {
        return orch_fail(err, ORCH_E_PROTOCOL, "its answer is not JSON with an array \"data\"");
    }
    if (json_array_size(data) != CANARY_COUNT) {
        return orch_fail(err, ORCH_E_PROTOCOL, "it was asked for %d vectors and gave %zu",
                         CANARY_COUNT, json_array_size(data));
    }
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < CANARY_COUNT; i++) {
        const json_t *item = json_array_get(data, i);
        const json_t *index = json_object_get(item, "index");
        json_int_t which = json_is_integer(index) ? json_integer_value(index) : (json_int_t)i;
        if (which < 0 || which >= CANARY_COUNT || (seen & (1u << which)) != 0) {
            rc = orch_fail(err, ORCH_E_PROTOCOL, "its vectors are not numbered 0 to %d",
                           CANARY_COUNT - 1);
            break;
        }
        seen |= 1u << which;
        rc = put_vector(out, (size_t)which, json_object_get(item, "embedding"), err);
    }
    if (rc != ORCH_OK) {
        canary_clear(out);
    }
    return rc;
}

/* ---- asking ----------------------------------------------------------------------------- */

static char *request_body(const struct contract *contract)
{
    CLEANUP_JSON json_t *body = json_object();
    json_t *input = json_array();
    int failed = json_object_set_new(body, "model", json_string(contract->model));
    for (size_t i = 0; i < CANARY_COUNT; i++) {
        char text[CONTRACT_TEXT + 256];
        (void)snprintf(text, sizeof(text), "%s%s", contract->prefix, canary_texts[i]);
        failed |= json_array_append_new(input, json_string(text));
    }
    failed |= json_object_set_new(body, "input", input);
    return failed ? NULL : json_dumps(body, JSON_COMPACT);
}

int32_t canary_fetch(const struct orch_host *host, const struct settings *settings,
                     const struct contract *contract, struct canaries *out, struct orch_error *err)
{
    memset(out, 0, sizeof(*out));
    CLEANUP_FREE char *body = request_body(contract);
    CLEANUP_FREE char *answer = NULL;
    size_t len = 0;
    if (body == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory to ask for canaries");
    }
    int32_t rc = http_post_json(host, settings->endpoint, settings->api_key,
                                settings->endpoint_timeout_ms, body, &answer, &len, err);
    if (rc == ORCH_OK) {
        rc = canary_parse(answer, len, out, err);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "the embedding endpoint gives no canaries");
}

/* ---- facts and comparison --------------------------------------------------------------- */

json_t *canary_to_json(const struct canaries *canaries)
{
    json_t *all = json_array();
    int failed = all == NULL;
    for (size_t i = 0; !failed && i < CANARY_COUNT; i++) {
        json_t *one = json_object();
        json_t *vector = json_array();
        for (uint32_t d = 0; d < canaries->dimension; d++) {
            double value = (double)canaries->values[i * canaries->dimension + d];
            failed |= json_array_append_new(vector, json_real(value));
        }
        failed |= json_object_set_new(one, "text", json_string(canary_texts[i]));
        failed |= json_object_set_new(one, "vector", vector);
        failed |= json_array_append_new(all, one);
    }
    if (failed) {
        json_decref(all);
        return NULL;
    }
    return all;
}

int32_t canary_from_json(const json_t *json, struct canaries *out, struct orch_error *err)
{
    memset(out, 0, sizeof(*out));
    if (json_array_size(json) == 0) {
        return orch_fail(err, ORCH_E_NOT_FOUND, "the part holds no canaries");
    }
    if (json_array_size(json) != CANARY_COUNT) {
        return orch_fail(err, ORCH_E_VERSION, "the part's canaries are not those of this version");
    }
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < CANARY_COUNT; i++) {
        const json_t *one = json_array_get(json, i);
        const char *text = json_string_value(json_object_get(one, "text"));
        if (text == NULL || strcmp(text, canary_texts[i]) != 0) {
            rc =
                orch_fail(err, ORCH_E_VERSION, "the part's canaries are not those of this version");
        } else {
            rc = put_vector(out, i, json_object_get(one, "vector"), err);
        }
    }
    if (rc != ORCH_OK) {
        canary_clear(out);
    }
    return rc;
}

double canary_min_cosine(const struct canaries *a, const struct canaries *b)
{
    double least = 1;
    if (a->dimension != b->dimension || a->dimension == 0) {
        return -1;
    }
    for (size_t i = 0; i < CANARY_COUNT; i++) {
        double dot = 0;
        for (uint32_t d = 0; d < a->dimension; d++) {
            dot +=
                (double)a->values[i * a->dimension + d] * (double)b->values[i * a->dimension + d];
        }
        least = dot < least ? dot : least;
    }
    return least;
}
