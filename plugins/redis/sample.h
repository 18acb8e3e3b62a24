/*
 * sample.h: the few keys by which a restore is judged.
 *
 * Of all keys those with the smallest hashes are kept, so that the choice depends on the keys alone
 * and is spread evenly. Each is kept with its expiry and a digest of its value.
 */
#ifndef REDIS_SAMPLE_H
#define REDIS_SAMPLE_H

#include "crc64.h"
#include "rdb.h"

#include <jansson.h>
#include <stdint.h>

#define SAMPLE_KEYS 64u
#define SAMPLE_KEY_MAX 1024u /* longer keys are left out: the sample stands in the part's facts */

struct sample_key {
    uint64_t rank;
    uint32_t db;
    uint32_t type;
    uint8_t *key;
    size_t key_len;
    uint64_t digest;
    uint64_t count; /* elements, or RDB_VALUE_UNCOUNTED */
    int64_t expires_ms;
};

/* Zeroed to begin with. */
struct sample {
    struct sample_key keys[SAMPLE_KEYS];
    uint32_t used;
    uint32_t largest; /* the index of the largest rank, when all are in use */
};

/* Looks at one key, which is copied if it is kept. */
int32_t sample_offer(struct sample *sample, const struct crc64 *crc, const struct rdb_event *key,
                     struct orch_error *err) ORCH_CHECKED;
void sample_free(struct sample *sample);

/* As a JSON array, a new reference; NULL when memory is out. */
json_t *sample_to_json(const struct sample *sample);
/* Reads it back; what is not understood is ORCH_E_CORRUPT. */
int32_t sample_from_json(const json_t *array, struct sample *sample,
                         struct orch_error *err) ORCH_CHECKED;

#endif
