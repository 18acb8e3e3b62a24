/* embedding.c: see embedding.h. The table itself stands in contract.c. */
#include "embedding.h"

#include "canary.h"
#include "cleanup.h"
#include "facts.h"
#include "identity.h"
#include "names.h"
#include "shape.h"

#include <orchestrate/support.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NORM_TOLERANCE 1e-2
#define REFUSAL (ORCH_VERDICT_OVERRIDABLE | ORCH_VERDICT_AUDIT)

/* ---- at a backup ------------------------------------------------------------------------ */

/* The name that an index of this contract's metric bears; NULL when none is declared. */
static const char *index_metric(const struct contract *contract)
{
    switch (contract->metric) {
    case CONTRACT_METRIC_L2:
        return shape_metric_name(SHAPE_METRIC_L2);
    case CONTRACT_METRIC_IP:
    case CONTRACT_METRIC_COSINE:
        return shape_metric_name(SHAPE_METRIC_IP);
    default:
        return NULL;
    }
}

int32_t embedding_fits(const struct contract *contract, const char *name, const json_t *store,
                       struct orch_error *err)
{
    int64_t dimension = facts_integer(store, "dimension", -1);
    const char *metric = facts_text(store, "metric");
    const char *wanted = index_metric(contract);
    const json_t *off = json_object_get(store, "norm_deviation");
    if (dimension < 0) {
        return ORCH_OK; /* carried as plain bytes */
    }
    if (contract->dimension >= 0 && contract->dimension != dimension) {
        return orch_fail(err, ORCH_E_INCOMPATIBLE,
                         "store %s has dimension %" PRId64
                         ", but embedding.dimension declares %" PRId64
                         "; correct the declaration, or rebuild the index with the declared model",
                         name, dimension, contract->dimension);
    }
    if (wanted != NULL && strcmp(wanted, metric) != 0) {
        return orch_fail(err, ORCH_E_INCOMPATIBLE,
                         "store %s searches by metric %s, but embedding.metric declares %s%s; "
                         "correct the declaration, or rebuild the index",
                         name, metric, wanted,
                         contract->metric == CONTRACT_METRIC_COSINE
                             ? " (cosine is the inner product of normalised vectors)"
                             : "");
    }
    if (contract_normalised(contract) && json_is_number(off) &&
        !(json_number_value(off) <= NORM_TOLERANCE)) {
        return orch_fail(
            err, ORCH_E_INCOMPATIBLE,
            "store %s is declared to hold normalised vectors, but the length of a "
            "sampled one is %.4g off 1; correct the declaration (embedding.normalised, "
            "embedding.metric), or rebuild the index",
            name, json_number_value(off));
    }
    return ORCH_OK;
}

/* Tells in log and facts why there are no canaries; that fails the backup only when asked for. */
static int32_t without_canaries(struct vectorstore *self, const struct orch_error *why,
                                struct orch_error *err)
{
    if (self->settings.canaries_required || why->code == ORCH_E_CANCELLED) {
        *err = *why;
        return why->code;
    }
    orch_log(self->host, ORCH_LOG_WARNING,
             "%s; this backup can be compared with a live model by its declaration alone",
             why->message);
    return orch_fact_string(self->host, "canary_note", why->message, err);
}

int32_t embedding_record(struct vectorstore *self, const struct contract *contract,
                         struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    struct canaries canaries;
    int32_t rc = facts_state(self->host, "contract", contract_to_json(contract), err);
    if (rc != ORCH_OK || self->settings.endpoint == NULL) {
        return rc;
    }
    rc = canary_fetch(self->host, &self->settings, contract, &canaries, &why);
    if (rc == ORCH_OK && contract->dimension >= 0 &&
        contract->dimension != (int64_t)canaries.dimension) {
        rc = orch_fail(&why, ORCH_E_INCOMPATIBLE,
                       "the embedding endpoint gives vectors of dimension %u, but %" PRId64
                       " is declared; see which model it serves",
                       canaries.dimension, contract->dimension);
        canary_clear(&canaries);
    }
    if (rc != ORCH_OK) {
        return without_canaries(self, &why, err);
    }
    rc = facts_state(self->host, "canaries", canary_to_json(&canaries), err);
    canary_clear(&canaries);
    return rc;
}

/* ---- at a check ------------------------------------------------------------------------- */

/* What comparing canaries came to. */
struct comparison {
    uint32_t result; /* CONTRACT_CANARIES_* */
    double cosine;   /* unless impossible */
    uint32_t part_dimension, live_dimension;
    char note[400]; /* why it is impossible */
};

static int32_t compare_canaries(struct vectorstore *self, const json_t *facts,
                                const struct contract *live, struct comparison *out,
                                struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    struct canaries then = {0}, now = {0};
    out->result = CONTRACT_CANARIES_IMPOSSIBLE;
    int32_t rc = canary_from_json(json_object_get(facts, "canaries"), &then, &why);
    if (rc == ORCH_OK && self->settings.endpoint == NULL) {
        rc = orch_fail(&why, ORCH_E_NOT_FOUND, "no embedding.endpoint is configured here");
    }
    if (rc == ORCH_OK) {
        rc = canary_fetch(self->host, &self->settings, live, &now, &why);
    }
    if (rc == ORCH_OK) {
        out->part_dimension = then.dimension;
        out->live_dimension = now.dimension;
        out->cosine = canary_min_cosine(&then, &now);
        out->result = contract_canaries(out->cosine);
    }
    canary_clear(&then);
    canary_clear(&now);
    if (rc == ORCH_E_CANCELLED || rc == ORCH_E_NOMEM) {
        *err = why;
        return rc;
    }
    (void)snprintf(out->note, sizeof(out->note), "%.390s", why.message);
    return ORCH_OK;
}

/* The live contract. One that cannot be read counts as absent, and `note` says why. */
static int32_t live_contract(struct vectorstore *self, struct contract *live, char *note,
                             size_t size, struct orch_error *err)
{
    struct orch_error why = ORCH_ERROR_INIT;
    note[0] = 0;
    int32_t rc = identity_resolve(self->host, &self->settings, 1, live, &why);
    if (rc == ORCH_E_NOMEM || rc == ORCH_E_CANCELLED) {
        *err = why;
        return rc;
    }
    if (rc != ORCH_OK) {
        contract_clear(live);
        (void)snprintf(note, size, "%.390s", why.message);
    }
    return ORCH_OK;
}

static int32_t part_contract(const json_t *facts, struct contract *part, struct orch_error *err)
{
    const json_t *json = json_object_get(facts, "contract");
    contract_clear(part);
    return json == NULL ? ORCH_OK : contract_from_json(json, part, err);
}

/* An index of the part that the live declaration excludes by itself. */
static int32_t judge_stores(struct vectorstore *self, const struct orch_restore *restore,
                            const json_t *facts, const struct contract *live, int *refused,
                            struct orch_error *err)
{
    const char *name = NULL;
    json_t *store = NULL;
    json_object_foreach(json_object_get(facts, "stores"), name, store)
    {
        int64_t dimension = facts_integer(store, "dimension", -1);
        const char *wanted = index_metric(live);
        int other_dimension =
            dimension >= 0 && live->dimension >= 0 && live->dimension != dimension;
        int other_metric =
            dimension >= 0 && wanted != NULL && strcmp(wanted, facts_text(store, "metric")) != 0;
        char subject[320];
        if (!facts_store_selected(restore, name, store) || (!other_dimension && !other_metric)) {
            continue;
        }
        (void)snprintf(subject, sizeof(subject), "%.63s/%.250s", self->settings.component, name);
        *refused = 1;
        int32_t rc =
            orch_judge(self->host, ORCH_VERDICT_REFUSE, REFUSAL,
                       other_dimension ? "embedding-dimension" : "embedding-metric", subject, err,
                       "the index in the backup has dimension %" PRId64
                       " and metric %s, but the live model is declared with dimension %" PRId64
                       " and metric %s; restore the settings that fit, or re-embed",
                       dimension, facts_text(store, "metric"), live->dimension,
                       wanted == NULL ? "undeclared" : wanted);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

/* What follows from the judgement for whoever reads it. */
static const char *advice(const struct contract_judgement *judgement)
{
    if (judgement->severity == ORCH_VERDICT_REFUSE) {
        return "; bring back the model or the settings of the backup, re-embed, or go on with "
               "--allow-incompatible";
    }
    return judgement->severity == ORCH_VERDICT_WARN ? "; search a few known texts afterwards" : "";
}

static int32_t say(struct vectorstore *self, const struct contract_judgement *judgement,
                   const struct contract *part, const struct contract *live,
                   const struct comparison *canaries, const char *note, struct orch_error *err)
{
    char then[200], now[200], measured[170];
    contract_describe(part, then, sizeof(then));
    contract_describe(live, now, sizeof(now));
    if (canaries->result == CONTRACT_CANARIES_IMPOSSIBLE) {
        (void)snprintf(measured, sizeof(measured), "canaries not compared: %.140s", canaries->note);
    } else {
        (void)snprintf(measured, sizeof(measured), "least cosine over %d canaries %.6f",
                       CANARY_COUNT, canaries->cosine);
    }
    char text[1000];
    (void)snprintf(text, sizeof(text), "%s [backup: %s | live: %s | %s]%s%.100s%s",
                   judgement->reason, then, now, measured, note[0] == 0 ? "" : "; ", note,
                   advice(judgement));
    names_clean(text); /* a value may have been cut within a character */
    return orch_judge(self->host, judgement->severity, judgement->flags, judgement->code,
                      self->settings.component, err, "%s", text);
}

int32_t embedding_check(struct vectorstore *self, const struct orch_restore *restore,
                        const json_t *facts, struct orch_error *err)
{
    struct contract part, live;
    struct contract_judgement judgement;
    struct comparison canaries = {0};
    char note[400];
    int refused = 0;
    if (json_object_size(json_object_get(facts, "stores")) == 0) {
        return ORCH_OK; /* no vectors, nothing that a model could not read */
    }
    int32_t rc = part_contract(facts, &part, err);
    if (rc == ORCH_OK) {
        rc = live_contract(self, &live, note, sizeof(note), err);
    }
    if (rc == ORCH_OK) {
        rc = judge_stores(self, restore, facts, &live, &refused, err);
    }
    if (rc == ORCH_OK) {
        rc = compare_canaries(self, facts, &live, &canaries, err);
    }
    if (rc != ORCH_OK || refused) {
        return rc;
    }
    contract_judge(&part, &live, canaries.result, &judgement);
    if (canaries.part_dimension != canaries.live_dimension &&
        judgement.severity == ORCH_VERDICT_REFUSE) {
        judgement.code = "embedding-dimension";
        (void)snprintf(judgement.reason, sizeof(judgement.reason),
                       "the model gave vectors of dimension %u at the backup, and gives %u now",
                       canaries.part_dimension, canaries.live_dimension);
    }
    return say(self, &judgement, &part, &live, &canaries, note, err);
}
