/*
 * canary.h: fixed texts whose vectors tell one embedding model from another.
 */
#ifndef VECTORSTORE_CANARY_H
#define VECTORSTORE_CANARY_H

#include <jansson.h>

#include "settings.h"

#define CANARY_COUNT 8

/* The texts: short prose of several kinds; they never change, or old parts could not be compared.
 */
extern const char *const canary_texts[CANARY_COUNT];

/* The vectors of the texts, each of length 1, `dimension` values, one after the other. */
struct canaries {
    uint32_t dimension;
    float *values; /* CANARY_COUNT * dimension; owned */
};

void canary_clear(struct canaries *canaries);

/*
 * Asks the endpoint. The prefix and the model's name are the `contract`'s. Any failure is a
 * reason why canaries are not to be had: unreachable, refused, nonsense.
 */
int32_t canary_fetch(const struct orch_host *host, const struct settings *settings,
                     const struct contract *contract, struct canaries *out,
                     struct orch_error *err) ORCH_CHECKED;

/* Takes an endpoint's answer apart. */
int32_t canary_parse(const char *text, size_t len, struct canaries *out,
                     struct orch_error *err) ORCH_CHECKED;

/* To and from the part's facts. NULL: no memory. From: ORCH_E_NOT_FOUND when there are none. */
json_t *canary_to_json(const struct canaries *canaries);
int32_t canary_from_json(const json_t *json, struct canaries *out,
                         struct orch_error *err) ORCH_CHECKED;

/* The least cosine between vectors of the same text; -1 when the dimensions differ. */
double canary_min_cosine(const struct canaries *a, const struct canaries *b);

#endif
