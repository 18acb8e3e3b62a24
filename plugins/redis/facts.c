/* facts.c: what a backup states about its keys. */
#include "facts.h"

#include "cleanup.h"
#include "url.h"

#include <orchestrate/support.h>
#include <stdio.h>
#include <string.h>

/* States a JSON value, whose reference it takes; NULL is "out of memory". */
static int32_t state(const struct orch_host *host, const char *name, json_t *value,
                     struct orch_error *err)
{
    CLEANUP_JSON json_t *owned = value;
    CLEANUP_FREE char *text = owned == NULL ? NULL : json_dumps(owned, JSON_COMPACT);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory for the fact %s", name);
    }
    return host->fact(host->ctx, name, text, err);
}

int32_t facts_state(const struct orch_host *host, const struct facts *facts, struct orch_error *err)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"rdb_version", facts->rdb_version},   {"functions", facts->functions},
        {"memory_bytes", facts->memory_bytes}, {"max_payload_bytes", facts->max_payload_bytes},
        {"keys", tally_keys(&facts->tally)},
    };
    int32_t rc = orch_fact_string(host, "redis_version", facts->redis_version, err);
    for (size_t i = 0; rc == ORCH_OK && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        rc = orch_fact_integer(host, numbers[i].name, (int64_t)numbers[i].value, err);
    }
    if (rc == ORCH_OK && facts->scope_db == URL_ALL_DATABASES) {
        rc = orch_fact_string(host, "scope", "all", err);
    } else if (rc == ORCH_OK) {
        rc = orch_fact_integer(host, "scope", facts->scope_db, err);
    }
    if (rc == ORCH_OK) {
        rc = state(host, "databases", tally_to_json(&facts->tally), err);
    }
    return rc == ORCH_OK ? state(host, "sample", sample_to_json(&facts->sample), err) : rc;
}

static uint64_t natural(const json_t *root, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(root, name));
    return value < 0 ? 0 : (uint64_t)value;
}

int32_t facts_parse(const char *json, struct facts *facts, struct orch_error *err)
{
    memset(facts, 0, sizeof(*facts));
    CLEANUP_JSON json_t *root = json == NULL ? NULL : json_loads(json, 0, NULL);
    const json_t *databases = json_object_get(root, "databases");
    const json_t *scope = json_object_get(root, "scope");
    const char *all = json_string_value(scope);
    int whole = all != NULL && strcmp(all, "all") == 0;
    if (!json_is_object(databases) || (!whole && !json_is_integer(scope))) {
        return orch_fail(
            err, ORCH_E_CORRUPT,
            "the part's facts do not name its databases: it is no part of this plugin, "
            "or it is damaged");
    }
    facts->scope_db = whole ? URL_ALL_DATABASES : json_integer_value(scope);
    if (!whole && (facts->scope_db < 0 || facts->scope_db > 65535)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's facts name no possible database");
    }
    facts->functions = natural(root, "functions");
    facts->memory_bytes = natural(root, "memory_bytes");
    facts->max_payload_bytes = natural(root, "max_payload_bytes");
    facts->rdb_version = (uint32_t)natural(root, "rdb_version");
    const char *version = json_string_value(json_object_get(root, "redis_version"));
    (void)snprintf(facts->redis_version, sizeof(facts->redis_version), "%s",
                   version == NULL ? "" : version);
    int32_t rc = tally_from_json(databases, &facts->tally, err);
    return rc == ORCH_OK ? sample_from_json(json_object_get(root, "sample"), &facts->sample, err)
                         : rc;
}

void facts_free(struct facts *facts)
{
    tally_free(&facts->tally);
    sample_free(&facts->sample);
}
