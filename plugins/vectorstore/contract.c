/* contract.c: see contract.h. */
#include "contract.h"

#include "names.h"

#include <orchestrate/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COSINE_SAME 0.999
#define COSINE_NEAR 0.99
#define DIMENSION_MAX 1048576

void contract_clear(struct contract *contract)
{
    memset(contract, 0, sizeof(*contract));
    contract->dimension = CONTRACT_UNSAID;
    contract->metric = CONTRACT_UNSAID;
    contract->normalised = CONTRACT_UNSAID;
}

int contract_named(const struct contract *contract)
{
    return contract->model[0] != 0;
}

int contract_normalised(const struct contract *contract)
{
    return contract->normalised == 1 || contract->metric == CONTRACT_METRIC_COSINE;
}

static const char *metric_name(int32_t metric)
{
    switch (metric) {
    case CONTRACT_METRIC_IP:
        return "inner_product";
    case CONTRACT_METRIC_L2:
        return "l2";
    case CONTRACT_METRIC_COSINE:
        return "cosine";
    default:
        return "undeclared";
    }
}

/* ---- setting one field ------------------------------------------------------------------ */

static int32_t set_text(char *slot, const char *field, const char *text, struct orch_error *err)
{
    if (strlen(text) >= CONTRACT_TEXT) {
        return orch_fail(err, ORCH_E_CONFIG, "embedding %s is longer than %d bytes", field,
                         CONTRACT_TEXT - 1);
    }
    (void)snprintf(slot, CONTRACT_TEXT, "%s", text);
    names_clean(slot);
    return 1;
}

static int32_t set_dimension(struct contract *contract, const char *text, struct orch_error *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value < 1 || value > DIMENSION_MAX) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "embedding dimension is '%.64s', which is no number from 1 to %d", text,
                         DIMENSION_MAX);
    }
    contract->dimension = value;
    return 1;
}

static int32_t set_metric(struct contract *contract, const char *text, struct orch_error *err)
{
    static const struct {
        const char *name;
        int32_t metric;
    } names[] = {
        {"cosine", CONTRACT_METRIC_COSINE},
        {"ip", CONTRACT_METRIC_IP},
        {"inner_product", CONTRACT_METRIC_IP},
        {"dot", CONTRACT_METRIC_IP},
        {"l2", CONTRACT_METRIC_L2},
        {"euclidean", CONTRACT_METRIC_L2},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(text, names[i].name) == 0) {
            contract->metric = names[i].metric;
            return 1;
        }
    }
    return orch_fail(err, ORCH_E_CONFIG,
                     "embedding metric is '%.64s'; it may be cosine, inner_product (ip, dot) or l2 "
                     "(euclidean)",
                     text);
}

static int32_t set_normalised(struct contract *contract, const char *text, struct orch_error *err)
{
    static const char *const yes[] = {"true", "yes", "1", "on"};
    static const char *const no[] = {"false", "no", "0", "off"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            contract->normalised = strcasecmp(text, yes[i]) == 0;
            return 1;
        }
    }
    return orch_fail(err, ORCH_E_CONFIG, "embedding normalised is '%.64s', not true or false",
                     text);
}

int32_t contract_set(struct contract *contract, const char *field, const char *text,
                     struct orch_error *err)
{
    const struct {
        const char *name;
        char *slot;
    } texts[] = {
        {"provider", contract->provider}, {"model", contract->model},
        {"model_name", contract->model},  {"name", contract->model},
        {"revision", contract->revision}, {"digest", contract->revision},
        {"pooling", contract->pooling},   {"prefix", contract->prefix},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcasecmp(field, texts[i].name) == 0) {
            return set_text(texts[i].slot, field, text, err);
        }
    }
    if (strcasecmp(field, "dimension") == 0 || strcasecmp(field, "dimensions") == 0 ||
        strcasecmp(field, "dim") == 0) {
        return set_dimension(contract, text, err);
    }
    if (strcasecmp(field, "metric") == 0) {
        return set_metric(contract, text, err);
    }
    if (strcasecmp(field, "normalised") == 0 || strcasecmp(field, "normalized") == 0) {
        return set_normalised(contract, text, err);
    }
    return 0;
}

int32_t contract_check(const struct contract *contract, struct orch_error *err)
{
    if (contract->metric == CONTRACT_METRIC_COSINE && contract->normalised == 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "embedding metric is cosine but normalised is false; cosine is the inner "
                         "product of normalised vectors: declare metric = \"inner_product\" or "
                         "normalised = true");
    }
    return ORCH_OK;
}

/* ---- JSON ------------------------------------------------------------------------------- */

json_t *contract_to_json(const struct contract *contract)
{
    json_t *json = json_object();
    const char *const texts[][2] = {
        {"provider", contract->provider}, {"model", contract->model},
        {"revision", contract->revision}, {"pooling", contract->pooling},
        {"prefix", contract->prefix},
    };
    int failed = json == NULL;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!failed && texts[i][1][0] != 0) {
            failed |= json_object_set_new(json, texts[i][0], json_string(texts[i][1]));
        }
    }
    if (!failed && contract->dimension != CONTRACT_UNSAID) {
        failed |= json_object_set_new(json, "dimension", json_integer(contract->dimension));
    }
    if (!failed && contract->metric != CONTRACT_UNSAID) {
        failed |= json_object_set_new(json, "metric", json_string(metric_name(contract->metric)));
    }
    if (!failed && contract->normalised != CONTRACT_UNSAID) {
        failed |= json_object_set_new(json, "normalised", json_boolean(contract->normalised));
    }
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* The text that contract_set takes for a JSON value. NULL: no text stands for it. */
static const char *value_text(const json_t *value, char *space, size_t size)
{
    if (json_is_string(value)) {
        return json_string_value(value);
    }
    if (json_is_integer(value)) {
        (void)snprintf(space, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return space;
    }
    return json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : NULL;
}

int32_t contract_from_json(const json_t *json, struct contract *contract, struct orch_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    contract_clear(contract);
    if (!json_is_object(json)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the embedding contract is not a JSON object");
    }
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        char space[32];
        const char *text = value_text(value, space, sizeof(space));
        if (json_is_null(value)) {
            continue;
        }
        int32_t rc = contract_set(contract, name, text == NULL ? "" : text, err);
        if (rc < 0 || (rc == 1 && text == NULL)) {
            return orch_fail(err, ORCH_E_CORRUPT, "the embedding contract's %.64s makes no sense",
                             name);
        }
    }
    return ORCH_OK;
}

/* ---- telling and judging ---------------------------------------------------------------- */

static void append(char *text, size_t size, const char *label, const char *value)
{
    size_t used = strlen(text);
    if (value[0] != 0 && used < size) {
        (void)snprintf(text + used, size - used, "%s%.72s", label, value);
    }
}

void contract_describe(const struct contract *contract, char *text, size_t size)
{
    char number[32] = "";
    text[0] = 0;
    if (contract_named(contract)) {
        append(text, size, "", contract->provider);
        append(text, size, contract->provider[0] == 0 ? "" : "/", contract->model);
        append(text, size, "@", contract->revision);
    } else {
        append(text, size, "", "no model declared");
    }
    if (contract->dimension != CONTRACT_UNSAID) {
        (void)snprintf(number, sizeof(number), "%" PRId64, contract->dimension);
    }
    append(text, size, " dimension=", number);
    append(text, size,
           " metric=", contract->metric == CONTRACT_UNSAID ? "" : metric_name(contract->metric));
    append(text, size, " normalised=",
           contract->normalised == CONTRACT_UNSAID ? "" : (contract->normalised ? "yes" : "no"));
    append(text, size, " pooling=", contract->pooling);
    append(text, size, " prefix=", contract->prefix);
}

uint32_t contract_canaries(double min_cosine)
{
    if (min_cosine >= COSINE_SAME) {
        return CONTRACT_CANARIES_PASS;
    }
    /* Written so that a NaN is a drift. */
    return min_cosine >= COSINE_NEAR ? CONTRACT_CANARIES_NEAR : CONTRACT_CANARIES_DRIFT;
}

static void judge(struct contract_judgement *out, uint32_t severity, const char *code,
                  const char *reason)
{
    out->severity = severity;
    out->flags = 0;
    if (severity == ORCH_VERDICT_REFUSE) {
        out->flags = ORCH_VERDICT_OVERRIDABLE | ORCH_VERDICT_AUDIT;
    }
    out->code = code;
    (void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

/* The inner product that cosine stands for. */
static int32_t plain_metric(const struct contract *contract)
{
    return contract->metric == CONTRACT_METRIC_COSINE ? CONTRACT_METRIC_IP : contract->metric;
}

/* 0, 1 or CONTRACT_UNSAID, a cosine metric counting as 1. */
static int32_t plain_normalised(const struct contract *contract)
{
    return contract_normalised(contract) ? 1 : contract->normalised;
}

/* Differences under which no vector can be compared, whatever the names and the canaries say. */
static int judge_geometry(const struct contract *part, const struct contract *live,
                          struct contract_judgement *out)
{
    if (part->dimension >= 0 && live->dimension >= 0 && part->dimension != live->dimension) {
        judge(out, ORCH_VERDICT_REFUSE, "embedding-dimension", "the dimensions differ");
        return 1;
    }
    if (part->metric >= 0 && live->metric >= 0 && plain_metric(part) != plain_metric(live)) {
        judge(out, ORCH_VERDICT_REFUSE, "embedding-metric", "the metrics differ");
        return 1;
    }
    if (plain_normalised(part) >= 0 && plain_normalised(live) >= 0 &&
        plain_normalised(part) != plain_normalised(live)) {
        judge(out, ORCH_VERDICT_REFUSE, "embedding-normalisation",
              "one side normalises its vectors and the other does not");
        return 1;
    }
    return 0;
}

static int same_names(const struct contract *part, const struct contract *live)
{
    return strcmp(part->provider, live->provider) == 0 && strcmp(part->model, live->model) == 0 &&
           strcmp(part->revision, live->revision) == 0 &&
           strcmp(part->pooling, live->pooling) == 0 && strcmp(part->prefix, live->prefix) == 0;
}

static void judge_equal(uint32_t canaries, struct contract_judgement *out)
{
    switch (canaries) {
    case CONTRACT_CANARIES_PASS:
        judge(out, ORCH_VERDICT_GO, "embedding-identical",
              "the same model by declaration and by its vectors");
        break;
    case CONTRACT_CANARIES_NEAR:
        judge(out, ORCH_VERDICT_WARN, "embedding-compatible",
              "the same model by declaration, but its vectors have moved a little");
        break;
    case CONTRACT_CANARIES_DRIFT:
        judge(out, ORCH_VERDICT_REFUSE, "embedding-incompatible",
              "the same names, but the model gives other vectors than it did at the backup");
        break;
    default:
        judge(out, ORCH_VERDICT_WARN, "embedding-unproven",
              "the same model by declaration; no canaries could be compared to prove it");
        break;
    }
}

void contract_judge(const struct contract *part, const struct contract *live, uint32_t canaries,
                    struct contract_judgement *out)
{
    int absent = !contract_named(part) || !contract_named(live);
    if (judge_geometry(part, live, out)) {
        return;
    }
    if (!absent && same_names(part, live)) {
        judge_equal(canaries, out);
        return;
    }
    if (canaries == CONTRACT_CANARIES_PASS) {
        judge(out, ORCH_VERDICT_GO, "embedding-compatible",
              absent ? "no model is declared on one side, but the vectors are the same"
                     : "the declared models differ, but their vectors are the same");
        out->flags = ORCH_VERDICT_AUDIT;
        return;
    }
    if (canaries == CONTRACT_CANARIES_IMPOSSIBLE && absent) {
        judge(out, ORCH_VERDICT_REFUSE, "embedding-unknown",
              "no model is declared on one side, and no canaries could be compared");
        return;
    }
    judge(out, ORCH_VERDICT_REFUSE, "embedding-incompatible",
          canaries == CONTRACT_CANARIES_IMPOSSIBLE
              ? "the declared models differ, and no canaries could be compared"
              : (absent ? "no model is declared on one side, and the vectors differ"
                        : "the declared models differ, and so do their vectors"));
}
