/*
 * scan.c: keys by SCAN, DUMP and PEXPIRETIME, in pipelines: for servers that forbid SYNC.
 *
 * Keys change while they are read, so this is no point in time. SCAN may name a key twice; hashes
 * of the keys seen keep each one single.
 */
#include "hash.h"
#include "rdb_atom.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAYLOAD_TYPE_FUNCTION 245

struct scan {
    struct conn *conn;
    const struct server *server;
    const struct crc64 *crc;
    const struct source_sink *sink;
    struct hash_set seen; /* of the current database */
    uint64_t seed;
    uint32_t db;
    uint32_t batch;
    int old; /* before 7.0: PTTL instead of PEXPIRETIME */
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int32_t queue_key(struct scan *scan, const redisReply *key, struct orch_error *err)
{
    const char *expiry = scan->old ? "PTTL" : "PEXPIRETIME";
    const char *const names[2] = {"DUMP", expiry};
    int32_t rc = ORCH_OK;
    for (int i = 0; rc == ORCH_OK && i < 2; i++) {
        rc = conn_begin(scan->conn, 2, err);
        if (rc == ORCH_OK) {
            rc = conn_word(scan->conn, names[i], strlen(names[i]), err);
        }
        if (rc == ORCH_OK) {
            rc = conn_word(scan->conn, key->str, (size_t)key->len, err);
        }
    }
    return rc;
}

static int32_t wait_ok(struct scan *scan, const char *what, redisReply **reply,
                       struct orch_error *err)
{
    int32_t rc = conn_wait(scan->conn, reply, err);
    if (rc == ORCH_OK && (*reply)->type == REDIS_REPLY_ERROR) {
        return conn_refused(scan->conn, (*reply)->str, what, err);
    }
    return rc;
}

static int32_t deliver_key(struct scan *scan, const redisReply *key, struct orch_error *err)
{
    CLEANUP_REPLY redisReply *dump = NULL;
    CLEANUP_REPLY redisReply *expiry = NULL;
    int32_t rc = wait_ok(scan, "DUMP", &dump, err);
    if (rc == ORCH_OK) {
        rc = wait_ok(scan, scan->old ? "PTTL" : "PEXPIRETIME", &expiry, err);
    }
    if (rc != ORCH_OK || dump->type == REDIS_REPLY_NIL) {
        return rc; /* gone since SCAN named it */
    }
    if (dump->type != REDIS_REPLY_STRING || expiry->type != REDIS_REPLY_INTEGER) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to DUMP is no payload");
    }
    if (expiry->integer == -2) {
        return ORCH_OK;
    }
    struct rdb_event event;
    rc = rdb_payload(scan->crc, (const uint8_t *)dump->str, (size_t)dump->len, &event, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    event.db = scan->db;
    event.key = (const uint8_t *)key->str;
    event.key_len = (size_t)key->len;
    if (expiry->integer >= 0) {
        event.expires_ms = expiry->integer + (scan->old ? now_ms() : 0);
    }
    return scan->sink->key(scan->sink->ctx, &event, err);
}

/* Asks for all keys of one SCAN answer at once, and takes the replies in their order. */
static int32_t batch(struct scan *scan, const redisReply *keys, struct orch_error *err)
{
    uint8_t fresh[4096];
    size_t count = keys->elements;
    for (size_t base = 0; base < count; base += sizeof(fresh)) {
        size_t part = count - base < sizeof(fresh) ? count - base : sizeof(fresh);
        int32_t rc = ORCH_OK;
        for (size_t i = 0; rc == ORCH_OK && i < part; i++) {
            const redisReply *key = keys->element[base + i];
            int added = 0;
            if (key->type != REDIS_REPLY_STRING) {
                return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to SCAN is no list");
            }
            rc = hash_set_add(&scan->seen, hash_bytes(scan->seed, key->str, (size_t)key->len),
                              &added, err);
            fresh[i] = (uint8_t)added;
            if (rc == ORCH_OK && added) {
                rc = queue_key(scan, key, err);
            }
        }
        for (size_t i = 0; rc == ORCH_OK && i < part; i++) {
            rc = fresh[i] ? deliver_key(scan, keys->element[base + i], err) : ORCH_OK;
        }
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return ORCH_OK;
}

static int32_t database(struct scan *scan, struct orch_error *err)
{
    char cursor[32] = "0", count[16];
    (void)snprintf(count, sizeof(count), "%" PRIu32, scan->batch);
    int32_t rc = conn_select(scan->conn, scan->db, err);
    while (rc == ORCH_OK) {
        CLEANUP_REPLY redisReply *reply = NULL;
        rc = conn_run(scan->conn, &reply, err, "SCAN", cursor, "COUNT", count, NULL);
        if (rc != ORCH_OK) {
            return rc;
        }
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
            reply->element[0]->type != REDIS_REPLY_STRING ||
            reply->element[1]->type != REDIS_REPLY_ARRAY) {
            return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to SCAN is no list");
        }
        (void)snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
        rc = batch(scan, reply->element[1], err);
        if (strcmp(cursor, "0") == 0) {
            break;
        }
    }
    return rc;
}

/* The payload of FUNCTION DUMP: 245 and the library's code, again and again, and the footer. */
static int32_t functions(struct scan *scan, struct orch_error *err)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    CLEANUP_BYTES struct bytes room = BYTES_INIT;
    int32_t rc = conn_run(scan->conn, &reply, err, "FUNCTION", "DUMP", NULL);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_STRING || reply->len < RDB_FOOTER_LEN) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to FUNCTION DUMP is wrong");
    }
    const uint8_t *p = (const uint8_t *)reply->str;
    size_t left = (size_t)reply->len - RDB_FOOTER_LEN;
    while (rc == ORCH_OK && left > 0) {
        struct rdb_event event = {.type = PAYLOAD_TYPE_FUNCTION};
        struct rdb_atom_string code;
        if (p[0] != PAYLOAD_TYPE_FUNCTION ||
            rdb_atom_string(p + 1, left - 1, RDB_ITEM_MAX, &code) != 1 ||
            left - 1 - code.head < code.stored) {
            return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to FUNCTION DUMP is wrong");
        }
        rc = rdb_atom_decode(p + 1, &code, &room, &event.value, &event.value_len, err);
        if (rc == ORCH_OK) {
            rc = scan->sink->function(scan->sink->ctx, &event, err);
        }
        size_t used = 1 + code.head + (size_t)code.stored;
        p += used;
        left -= used;
    }
    return rc;
}

int32_t scan_stream(struct conn *conn, const struct server *server, uint32_t batch_size,
                    int with_functions, const struct crc64 *crc, const struct source_sink *sink,
                    struct orch_error *err)
{
    struct scan scan = {.conn = conn,
                        .server = server,
                        .crc = crc,
                        .sink = sink,
                        .seed = (uint64_t)now_ms() * UINT64_C(0x9e3779b97f4a7c15),
                        .batch = batch_size,
                        .old = server->major < 7};
    int32_t rc = ORCH_OK;
    for (uint32_t i = 0; rc == ORCH_OK && i < server->db_count; i++) {
        scan.db = server->dbs[i].db;
        if (sink->wants(sink->ctx, scan.db)) {
            rc = database(&scan, err);
            hash_set_free(&scan.seen);
        }
    }
    if (rc == ORCH_OK && with_functions && !scan.old) {
        rc = functions(&scan, err);
    }
    return rc;
}
