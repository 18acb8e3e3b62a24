/* facts.h: what a backup states about its keys, and what a restore reads of it. */
#ifndef REDIS_FACTS_H
#define REDIS_FACTS_H

#include "sample.h"
#include "tally.h"

#include <orchestrate/plugin.h>
#include <stdint.h>

struct facts {
    int64_t scope_db; /* the one database that was backed up, or URL_ALL_DATABASES */
    struct tally tally;
    struct sample sample;
    uint64_t functions;
    uint64_t memory_bytes;      /* what the part's keys took in the source's memory */
    uint64_t max_payload_bytes; /* of one key */
    uint32_t rdb_version;
    char redis_version[32];
};

/* States all of it through the host. */
int32_t facts_state(const struct orch_host *host, const struct facts *facts,
                    struct orch_error *err) ORCH_CHECKED;
/* Reads the part's facts. ORCH_E_CORRUPT when they are not those of this plugin. */
int32_t facts_parse(const char *json, struct facts *facts, struct orch_error *err) ORCH_CHECKED;
void facts_free(struct facts *facts);
#define CLEANUP_FACTS __attribute__((cleanup(facts_free)))

#endif
