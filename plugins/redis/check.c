/*
 * check.c: preflight: does this part fit the live server, and what would be replaced.
 */
#include "facts.h"
#include "place.h"
#include "redis.h"
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct preflight {
    struct redis *redis;
    const struct orch_restore *restore;
    struct conn *conn;
    struct server server;
    struct facts facts;
    struct place place;
};

static int32_t judge_kind(struct preflight *pre, struct orch_error *err)
{
    const struct orch_host *host = pre->redis->host;
    if (pre->restore->strategy != ORCH_STRATEGY_REPLACE || pre->restore->select_count > 0) {
        int32_t rc = orch_judge(host, ORCH_VERDICT_REFUSE, 0, "strategy", NULL, err,
                                "the redis plugin restores whole parts by replacing; merging and "
                                "selecting are not built yet");
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (pre->server.is_replica) {
        int32_t rc = orch_judge(host, ORCH_VERDICT_REFUSE, 0, "replica", NULL, err,
                                "the Redis server is a replica, which takes no writes: name the "
                                "primary in the url");
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (server_nodes(pre->conn, &pre->server) == 1) {
        return ORCH_OK;
    }
    return orch_judge(host, ORCH_VERDICT_REFUSE, 0, "cluster", NULL, err,
                      "the Redis server is a node of a cluster, which takes only the keys of its "
                      "own slots; clusters are not built yet");
}

static int32_t judge_version(struct preflight *pre, struct orch_error *err)
{
    uint32_t reads = server_rdb_version(pre->conn, &pre->server);
    if (reads == 0 || pre->facts.rdb_version <= reads) {
        return ORCH_OK;
    }
    return orch_judge(
        pre->redis->host, ORCH_VERDICT_REFUSE, 0, "server-version", NULL, err,
        "the part comes from Redis %s (RDB version %u) and this server is Redis %s, "
        "which reads up to RDB version %u: restore to a server of the same version or "
        "newer",
        pre->facts.redis_version, pre->facts.rdb_version, pre->server.version, reads);
}

static int32_t judge_memory(struct preflight *pre, struct orch_error *err)
{
    const struct orch_host *host = pre->redis->host;
    char text[32];
    int evicts = strcmp(pre->server.policy, "noeviction") != 0;
    if (!place_fits_alone(&pre->server, &pre->facts, pre->restore)) {
        int32_t rc =
            orch_judge(host, ORCH_VERDICT_WARN, 0, "memory", NULL, err,
                       "the part may not fit into the server's maxmemory of %" PRIu64
                       " bytes; its policy %s would %s",
                       pre->server.maxmemory, pre->server.policy,
                       evicts ? "evict keys, and the restore fail its count" : "stop the restore");
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (pre->redis->aside == REDIS_ASIDE_DATABASE &&
        !place_fits(&pre->server, &pre->facts, pre->restore)) {
        int32_t rc =
            orch_judge(host, ORCH_VERDICT_WARN, 0, "memory", NULL, err,
                       "old and new data may not fit into the server's maxmemory together, "
                       "and aside = \"database\" wants that");
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (server_config(pre->conn, "proto-max-bulk-len", text, sizeof(text)) &&
        strtoull(text, NULL, 10) < pre->facts.max_payload_bytes) {
        return orch_judge(host, ORCH_VERDICT_REFUSE, 0, "value-size", NULL, err,
                          "the part has a value of %" PRIu64
                          " bytes and the server takes up to %s: "
                          "raise its proto-max-bulk-len",
                          pre->facts.max_payload_bytes, text);
    }
    return ORCH_OK;
}

/* What dry-run shows: what is replaced by what, and where the old data goes. */
static int32_t judge_places(struct preflight *pre, struct orch_error *err)
{
    const struct redis *redis = pre->redis;
    uint32_t spares = place_spares(&pre->server, &pre->place);
    int by_file =
        redis->aside == REDIS_ASIDE_FILE || spares < pre->place.count ||
        (redis->aside == REDIS_ASIDE_AUTO && !place_fits(&pre->server, &pre->facts, pre->restore));
    if (redis->aside == REDIS_ASIDE_DATABASE && spares < pre->place.count) {
        int32_t rc = orch_judge(redis->host, ORCH_VERDICT_REFUSE, 0, "spare-databases", NULL, err,
                                "%u databases are to be restored and the server has %u empty ones "
                                "to build them in; empty some, or set aside = \"file\"",
                                pre->place.count, spares);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    for (uint32_t i = 0; i < pre->place.count; i++) {
        const struct place_job *job = &pre->place.jobs[i];
        const struct tally_db *part = tally_find(&pre->facts.tally, job->part_db);
        char subject[32];
        (void)snprintf(subject, sizeof(subject), "database %u", job->target);
        int32_t rc = orch_judge(
            redis->host, ORCH_VERDICT_GO, 0, "replaces", subject, err,
            "replaces %" PRIu64 " keys by %" PRIu64 "; the old ones are kept in %s until the new "
            "are verified",
            job->old_keys, part == NULL ? 0 : part->keys, by_file ? "a file" : "a spare database");
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static int32_t look(struct preflight *pre, struct orch_error *err)
{
    struct state state;
    int32_t rc = state_paths(pre->redis, pre->restore->run_id, &state, err);
    if (rc == ORCH_OK) {
        rc = facts_parse(pre->restore->facts_json, &pre->facts, err);
    }
    if (rc == ORCH_OK) {
        rc = redis_connect(pre->redis, &pre->conn, err);
    }
    if (rc == ORCH_OK) {
        rc = server_read(pre->conn, &pre->server, err);
    }
    if (rc == ORCH_OK) {
        rc = server_usable(&pre->server, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_kind(pre, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_version(pre, err);
    }
    return rc;
}

int32_t check_run(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct preflight pre = {.redis = instance, .restore = restore};
    int32_t rc = look(&pre, err);
    if (rc == ORCH_OK) {
        rc = place_plan(pre.redis, pre.conn, &pre.server, &pre.facts, restore->run_id, &pre.place,
                        err);
        if (rc == ORCH_E_INCOMPATIBLE || rc == ORCH_E_BUSY) { /* it fits not: a refusal */
            rc = orch_judge(pre.redis->host, ORCH_VERDICT_REFUSE, 0, "databases", NULL, err, "%s",
                            err->message);
        } else if (rc == ORCH_OK) {
            rc = judge_memory(&pre, err);
            rc = rc == ORCH_OK ? judge_places(&pre, err) : rc;
        }
    }
    conn_free(pre.conn);
    place_free(&pre.place);
    facts_free(&pre.facts);
    server_free(&pre.server);
    return rc;
}
