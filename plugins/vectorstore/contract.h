/*
 * contract.h: which model the vectors come from, and whether two answers to that fit.
 *
 * A vector means something only beside vectors of the same model. The contract is what is declared
 * about the model; canaries (fixed texts with their vectors) are what can be measured of it.
 * Judging is a pure function of both, so that every cell of the table can be tested.
 */
#ifndef VECTORSTORE_CONTRACT_H
#define VECTORSTORE_CONTRACT_H

#include <jansson.h>
#include <stddef.h>

#include <orchestrate/error.h>

#define CONTRACT_TEXT 256
#define CONTRACT_UNSAID (-1)

#define CONTRACT_METRIC_IP 0
#define CONTRACT_METRIC_L2 1
#define CONTRACT_METRIC_COSINE 2 /* inner product over vectors of length 1 */

/* Texts: "" for what is not declared. */
struct contract {
    char provider[CONTRACT_TEXT];
    char model[CONTRACT_TEXT];
    char revision[CONTRACT_TEXT];
    char pooling[CONTRACT_TEXT];
    char prefix[CONTRACT_TEXT];
    int64_t dimension;  /* or CONTRACT_UNSAID */
    int32_t metric;     /* CONTRACT_METRIC_* or CONTRACT_UNSAID */
    int32_t normalised; /* 0, 1 or CONTRACT_UNSAID */
};

#define CONTRACT_CANARIES_IMPOSSIBLE 0u /* no endpoint, none stored, or it does not answer */
#define CONTRACT_CANARIES_PASS 1u       /* cosine 0.999 or more, for the worst of them */
#define CONTRACT_CANARIES_NEAR 2u       /* 0.99 or more */
#define CONTRACT_CANARIES_DRIFT 3u

struct contract_judgement {
    uint32_t severity; /* ORCH_VERDICT_GO, _WARN, _REFUSE */
    uint32_t flags;    /* ORCH_VERDICT_OVERRIDABLE, _AUDIT */
    const char *code;  /* "embedding-identical" … */
    char reason[160];  /* why, in one sentence without the contracts themselves */
};

void contract_clear(struct contract *contract);

/* Does it name a model at all? One that does not counts as absent. */
int contract_named(const struct contract *contract);

/* Is it 1 by `normalised` or by a cosine metric? */
int contract_normalised(const struct contract *contract);

/*
 * Sets one field by its name ("model", "dimension" …, also "normalized", "dimensions", "dim",
 * "model_name", "name") from text. Returns 1 when it was set, 0 when there is no such field;
 * ORCH_E_CONFIG for a value that makes no sense or is too long.
 */
int32_t contract_set(struct contract *contract, const char *field, const char *text,
                     struct orch_error *err) ORCH_CHECKED;

/* ORCH_E_CONFIG when it contradicts itself (cosine over vectors that are not normalised). */
int32_t contract_check(const struct contract *contract, struct orch_error *err) ORCH_CHECKED;

/* To and from the part's facts. From: unknown members are ignored, bad ones ORCH_E_CORRUPT. */
json_t *contract_to_json(const struct contract *contract);
int32_t contract_from_json(const json_t *json, struct contract *contract,
                           struct orch_error *err) ORCH_CHECKED;

/* "ollama/nomic-embed-text@0a10 dimension=768 metric=cosine normalised=yes", or "none declared". */
void contract_describe(const struct contract *contract, char *text, size_t size);

/* Which of the CONTRACT_CANARIES_* a least cosine stands for. */
uint32_t contract_canaries(double min_cosine);

/* The judgement over the `part`'s contract and the `live` one. */
void contract_judge(const struct contract *part, const struct contract *live, uint32_t canaries,
                    struct contract_judgement *out);

#endif
