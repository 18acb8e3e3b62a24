/*
 * verify.c: after a restore: key counts by database, and the sampled keys with type, value, expiry.
 */
#include "facts.h"
#include "place.h"
#include "rdb_value.h"
#include "redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY_SLACK_MS 2000 /* for servers that tell only what is left */

struct verification {
    struct redis *redis;
    struct conn *conn;
    struct server server;
    struct facts facts;
    struct place place;
    uint32_t same, recoded, expired, wrong;
    char first[160]; /* what is wrong with the first wrong key */
};

static int32_t judge_counts(struct verification *v, struct orch_error *err)
{
    const struct orch_host *host = v->redis->host;
    /* What was loaded here knows expiries by the second; the facts know the earliest one. */
    const struct tally *tally =
        v->redis->restored.count > 0 ? &v->redis->restored : &v->facts.tally;
    for (uint32_t i = 0; i < v->place.count; i++) {
        const struct place_job *job = &v->place.jobs[i];
        const struct tally_db *part = tally_find(tally, job->part_db);
        uint64_t have = 0;
        int32_t rc = mark_db_size(v->conn, job->target, &have, err);
        if (rc != ORCH_OK) {
            return rc;
        }
        uint64_t most = part == NULL ? 0 : part->keys;
        uint64_t least = tally_alive(tally, part, server_now_ms(v->conn));
        char subject[32];
        (void)snprintf(subject, sizeof(subject), "database %u", job->target);
        int bad = have < least || have > most;
        rc = orch_judge(host, bad ? ORCH_VERDICT_REFUSE : ORCH_VERDICT_GO, 0, "key-count", subject,
                        err,
                        "has %" PRIu64 " keys, the part %" PRIu64 " (%" PRIu64 " of them may "
                        "have expired)%s",
                        have, most, most - least,
                        have > most    ? "; something else writes to it: stop that and run again"
                        : have < least ? "; keys are missing: does the server evict them?"
                                       : "");
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static void blame(struct verification *v, const struct sample_key *key, const char *what)
{
    if (v->wrong++ > 0) {
        return;
    }
    char name[65];
    size_t len = key->key_len < sizeof(name) - 1 ? key->key_len : sizeof(name) - 1;
    for (size_t i = 0; i < len; i++) {
        name[i] = key->key[i] >= ' ' && key->key[i] < 127 ? (char)key->key[i] : '?';
    }
    name[len] = '\0';
    (void)snprintf(v->first, sizeof(v->first), "'%s' of database %u %s", name, key->db, what);
}

/* One command with the key's name, whose reply may be an error only for lack of the command. */
static int32_t ask(struct verification *v, const char *command, const struct sample_key *key,
                   redisReply **reply, struct orch_error *err)
{
    const char *const argv[] = {command, (const char *)key->key};
    const size_t lens[] = {strlen(command), key->key_len};
    return conn_command(v->conn, reply, err, 2, argv, lens);
}

static int32_t expiry_matches(struct verification *v, const struct sample_key *key, int *matches,
                              struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    int old = v->server.major < 7;
    int32_t rc = ask(v, old ? "PTTL" : "PEXPIRETIME", key, &reply, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int64_t live = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -2;
    if (key->expires_ms == ORCH_NO_EXPIRY || live < 0) {
        *matches = key->expires_ms == ORCH_NO_EXPIRY && live == -1;
    } else {
        int64_t at = old ? live + server_now_ms(v->conn) : live;
        *matches = llabs(at - key->expires_ms) <= (old ? EXPIRY_SLACK_MS : 0);
    }
    return ORCH_OK;
}

static int32_t compare(struct verification *v, const struct sample_key *key, struct orch_error *err)
{
    const struct place_job *job = place_job_of(&v->place, key->db);
    CLEANUP_REPLY redisReply *dump = NULL;
    struct rdb_event live;
    int matches = 0;
    if (job == NULL) {
        return ORCH_OK;
    }
    int32_t rc = conn_select(v->conn, job->target, err);
    if (rc == ORCH_OK) {
        rc = ask(v, "DUMP", key, &dump, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (dump->type != REDIS_REPLY_STRING) {
        if (key->expires_ms != ORCH_NO_EXPIRY && key->expires_ms <= server_now_ms(v->conn)) {
            v->expired++;
        } else {
            blame(v, key, "is missing");
        }
        return ORCH_OK;
    }
    rc = rdb_payload(&v->redis->crc, (const uint8_t *)dump->str, (size_t)dump->len, &live, err);
    if (rc == ORCH_OK) {
        rc = expiry_matches(v, key, &matches, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    uint64_t digest = rdb_value_digest(&v->redis->crc, live.type, live.value, live.value_len);
    uint64_t count = rdb_value_count(live.type, live.value, live.value_len);
    if (!matches) {
        blame(v, key, "has another expiry");
    } else if (digest == key->digest) {
        v->same++;
    } else if (strcmp(rdb_value_name(live.type), rdb_value_name(key->type)) != 0) {
        blame(v, key, "has another type");
    } else if (live.type == key->type && live.type == 0) {
        blame(v, key, "has another value");
    } else if (count != RDB_VALUE_UNCOUNTED && key->count != RDB_VALUE_UNCOUNTED &&
               count != key->count) {
        blame(v, key, "has another number of elements");
    } else {
        v->recoded++;
    }
    return ORCH_OK;
}

static int32_t judge_sample(struct verification *v, struct orch_error *err)
{
    const struct orch_host *host = v->redis->host;
    for (uint32_t i = 0; i < v->facts.sample.used; i++) {
        int32_t rc = compare(v, &v->facts.sample.keys[i], err);
        if (rc == ORCH_E_ACCESS) {
            return orch_judge(host, ORCH_VERDICT_WARN, 0, "sample", NULL, err,
                              "the sampled keys cannot be compared: %s", err->message);
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    if (v->wrong > 0) {
        return orch_judge(host, ORCH_VERDICT_REFUSE, 0, "sample", NULL, err,
                          "%u of %u sampled keys are not as they were backed up; key %s", v->wrong,
                          v->facts.sample.used, v->first);
    }
    return orch_judge(host, v->recoded > 0 ? ORCH_VERDICT_WARN : ORCH_VERDICT_GO, 0, "sample", NULL,
                      err,
                      "of %u sampled keys %u are identical, %u have expired, and %u agree in type, "
                      "size and expiry only (this server stores them in another form)",
                      v->facts.sample.used, v->same, v->expired, v->recoded);
}

int32_t verify_run(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct verification v = {.redis = instance};
    int32_t rc = facts_parse(restore->facts_json, &v.facts, err);
    if (rc == ORCH_OK) {
        rc = redis_connect(v.redis, &v.conn, err);
    }
    if (rc == ORCH_OK) {
        rc = server_read(v.conn, &v.server, err);
    }
    if (rc == ORCH_OK) {
        rc = place_plan(v.redis, v.conn, &v.server, &v.facts, restore->run_id, &v.place, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_counts(&v, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_sample(&v, err);
    }
    conn_free(v.conn);
    place_free(&v.place);
    facts_free(&v.facts);
    server_free(&v.server);
    return rc;
}
