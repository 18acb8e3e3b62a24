/*
 * backup.c: freeze, backup and thaw: every key becomes a record with its DUMP payload.
 */
#include "redis.h"

#include "bytes.h"
#include "facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COPY_MAX 16384u    /* payloads up to this are put together and sent in one go */
#define CANCEL_EVERY 1024u /* keys between two looks at cancelled() */
#define RESTORE_MAX (UINT64_C(512) << 20) /* proto-max-bulk-len as it comes */
#define EXTRA_MAX 9

struct backup {
    struct redis *redis;
    struct facts facts;
    struct bytes payload;
    uint64_t marks; /* marker keys of ours that were left out */
};

int32_t backup_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err)
{
    struct redis *redis = instance;
    CLEANUP_SERVER struct server server = {0};
    CLEANUP_CONN struct conn *conn = NULL;
    struct conn_params params = redis_params(redis);
    int forbidden = redis->method == REDIS_METHOD_SCAN;
    int32_t rc = redis_connect(redis, &conn, err);
    if (rc == ORCH_OK) {
        rc = server_read(conn, &server, err);
    }
    if (rc == ORCH_OK && !forbidden) {
        rc = sync_start(&params, &server, redis->diskless, &redis->sync, &forbidden, err);
        if (rc != ORCH_OK && forbidden && redis->method == REDIS_METHOD_AUTO) {
            orch_log(redis->host, ORCH_LOG_WARNING,
                     "%s; falling back to SCAN and DUMP, which is no point in time", err->message);
            rc = ORCH_OK;
        }
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (redis->sync == NULL) {
        freeze->consistency = ORCH_CONSISTENCY_FUZZY;
        return ORCH_OK;
    }
    freeze->consistency = ORCH_CONSISTENCY_SNAPSHOT;
    freeze->flags = ORCH_FREEZE_COSTLY;
    (void)snprintf(freeze->cost, sizeof(freeze->cost), "%s",
                   sync_diskless(redis->sync) ? "a forked child of the Redis server, and the pages "
                                                "that are written meanwhile"
                                              : "an open dump file of the Redis server");
    return ORCH_OK;
}

int32_t backup_thaw(void *instance, struct orch_error *err)
{
    struct redis *redis = instance;
    (void)err;
    sync_free(redis->sync);
    redis->sync = NULL;
    return ORCH_OK;
}

static int wants(void *ctx, uint32_t db)
{
    const struct backup *backup = ctx;
    int64_t wanted = backup->redis->url.db;
    return wanted == URL_ALL_DATABASES || wanted == (int64_t)db;
}

/* Idle time or use frequency travel along: 'I' and eight bytes, or 'F' and one. */
static uint32_t pack_extra(const struct rdb_event *key, uint8_t extra[EXTRA_MAX])
{
    if ((key->flags & RDB_HAS_IDLE) != 0) {
        extra[0] = 'I';
        for (int i = 0; i < 8; i++) {
            extra[1 + i] = (uint8_t)(key->idle_s >> (8 * i));
        }
        return 9;
    }
    if ((key->flags & RDB_HAS_FREQUENCY) != 0) {
        extra[0] = 'F';
        extra[1] = (uint8_t)key->frequency;
        return 2;
    }
    return 0;
}

static int32_t send_payload(struct backup *backup, const struct orch_record *record,
                            const struct rdb_event *key, struct orch_error *err)
{
    const struct orch_host *host = backup->redis->host;
    uint8_t type = (uint8_t)key->type;
    uint8_t footer[RDB_FOOTER_LEN];
    rdb_footer(&backup->redis->crc, key->version, key->type, key->value, key->value_len, footer);
    if (record->value_len <= COPY_MAX) { /* one call instead of three */
        uint8_t *p = backup->payload.data;
        p[0] = type;
        memcpy(p + 1, key->value, key->value_len);
        memcpy(p + 1 + key->value_len, footer, RDB_FOOTER_LEN);
        return orch_send_record(host, record, p, err);
    }
    int32_t rc = host->record(host->ctx, record, err);
    if (rc == ORCH_OK) {
        rc = host->write(host->ctx, &type, 1, err);
    }
    if (rc == ORCH_OK) {
        rc = host->write(host->ctx, key->value, key->value_len, err);
    }
    if (rc == ORCH_OK) {
        rc = host->write(host->ctx, footer, RDB_FOOTER_LEN, err);
    }
    return rc == ORCH_OK ? host->end_item(host->ctx, err) : rc;
}

static int32_t take_key(void *ctx, const struct rdb_event *key, struct orch_error *err)
{
    struct backup *backup = ctx;
    const struct orch_host *host = backup->redis->host;
    if (key->key_len == sizeof(REDIS_MARKER) - 1 &&
        memcmp(key->key, REDIS_MARKER, key->key_len) == 0) {
        backup->marks++;
        return ORCH_OK;
    }
    uint8_t extra[EXTRA_MAX];
    struct orch_record record = {.struct_size = sizeof(record),
                                 .type = key->type,
                                 .space = key->db,
                                 .key_len = (uint32_t)key->key_len,
                                 .key = key->key,
                                 .value_len = key->value_len + 1 + RDB_FOOTER_LEN,
                                 .expires_ms = key->expires_ms,
                                 .extra = extra,
                                 .extra_len = pack_extra(key, extra)};
    struct facts *facts = &backup->facts;
    facts->rdb_version = key->version;
    if (record.value_len > facts->max_payload_bytes) {
        facts->max_payload_bytes = record.value_len;
    }
    int32_t rc = tally_add(&facts->tally, key->db, key->expires_ms, err);
    if (rc == ORCH_OK) {
        rc = sample_offer(&facts->sample, &backup->redis->crc, key, err);
    }
    if (rc == ORCH_OK && tally_keys(&facts->tally) % CANCEL_EVERY == 0 &&
        host->cancelled(host->ctx)) {
        rc = orch_fail(err, ORCH_E_CANCELLED, "cancelled");
    }
    return rc == ORCH_OK ? send_payload(backup, &record, key, err) : rc;
}

/* The name of a library: "#!lua name=NAME" is its first line. */
static size_t library_name(const uint8_t *code, size_t len, const uint8_t **name)
{
    const uint8_t *line_end = memchr(code, '\n', len);
    size_t line = line_end == NULL ? len : (size_t)(line_end - code);
    const uint8_t *at = memmem(code, line, "name=", 5);
    if (at == NULL) {
        *name = code;
        return 0;
    }
    *name = at + 5;
    size_t left = line - (size_t)(*name - code);
    size_t size = 0;
    while (size < left && (*name)[size] > ' ') {
        size++;
    }
    return size;
}

static int32_t take_function(void *ctx, const struct rdb_event *library, struct orch_error *err)
{
    struct backup *backup = ctx;
    if (!backup->redis->functions) {
        return ORCH_OK;
    }
    const uint8_t *name = NULL;
    size_t len = library_name(library->value, library->value_len, &name);
    struct orch_record record = {.struct_size = sizeof(record),
                                 .type = REDIS_TYPE_FUNCTION,
                                 .space = REDIS_SPACE_FUNCTIONS,
                                 .key_len = (uint32_t)len,
                                 .key = name,
                                 .value_len = library->value_len,
                                 .expires_ms = ORCH_NO_EXPIRY};
    backup->facts.functions++;
    if (library->version != 0) {
        backup->facts.rdb_version = library->version;
    }
    return orch_send_record(backup->redis->host, &record, library->value, err);
}

static int32_t take_aux(void *ctx, const struct rdb_event *aux, struct orch_error *err)
{
    struct backup *backup = ctx;
    static const struct {
        const char *name, *fact;
    } KEPT[] = {{"repl-id", "repl_id"}, {"repl-offset", "repl_offset"}, {"ctime", "snapshot_time"}};
    char value[64];
    if (aux->value_len >= sizeof(value)) {
        return ORCH_OK;
    }
    memcpy(value, aux->value, aux->value_len);
    value[aux->value_len] = '\0';
    backup->facts.rdb_version = aux->version;
    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        if (aux->key_len == strlen(KEPT[i].name) &&
            memcmp(aux->key, KEPT[i].name, aux->key_len) == 0) {
            return orch_fact_string(backup->redis->host, KEPT[i].fact, value, err);
        }
    }
    return ORCH_OK;
}

static int32_t by_scan(struct backup *backup, struct conn *conn, const struct server *server,
                       const struct source_sink *sink, struct orch_error *err)
{
    struct redis *redis = backup->redis;
    backup->facts.rdb_version = server_rdb_version(conn, server);
    return scan_stream(conn, server, redis->batch, redis->functions, &redis->crc, sink, err);
}

/* What one database has of the server's memory, by its number of keys. */
static uint64_t share(const struct server *server, int64_t db)
{
    uint64_t all = server_keys(server, URL_ALL_DATABASES);
    double part = all == 0 ? 0.0 : (double)server_keys(server, db) / (double)all;
    return (uint64_t)((double)server->dataset * part);
}

static int32_t run(struct backup *backup, struct orch_error *err)
{
    struct redis *redis = backup->redis;
    CLEANUP_SERVER struct server server = {0};
    CLEANUP_CONN struct conn *conn = NULL;
    const struct source_sink sink = {backup, wants, take_key, take_function, take_aux};
    backup->facts.scope_db = redis->url.db;
    int32_t rc = bytes_reserve(&backup->payload, COPY_MAX, err);
    if (rc == ORCH_OK) {
        rc = redis_connect(redis, &conn, err);
    }
    if (rc == ORCH_OK) {
        rc = server_read(conn, &server, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    backup->facts.memory_bytes = share(&server, redis->url.db);
    (void)snprintf(backup->facts.redis_version, sizeof(backup->facts.redis_version), "%s",
                   server.version);
    const char *method = redis->sync == NULL          ? "scan"
                         : sync_diskless(redis->sync) ? "sync"
                                                      : "sync-disk";
    rc = redis->sync != NULL ? sync_stream(redis->sync, &redis->crc, &sink, err)
                             : by_scan(backup, conn, &server, &sink, err);
    if (rc == ORCH_OK) {
        rc = orch_fact_string(redis->host, "method", method, err);
    }
    if (rc == ORCH_OK && backup->facts.max_payload_bytes > RESTORE_MAX) {
        orch_log(redis->host, ORCH_LOG_WARNING,
                 "a key of %" PRIu64 " bytes is longer than the usual proto-max-bulk-len; a server "
                 "that it is restored to needs a larger one",
                 backup->facts.max_payload_bytes);
    }
    return rc == ORCH_OK ? facts_state(redis->host, &backup->facts, err) : rc;
}

int32_t backup_run(void *instance, struct orch_error *err)
{
    struct backup backup = {.redis = instance};
    int32_t rc = run(&backup, err);
    facts_free(&backup.facts);
    bytes_free(&backup.payload);
    return rc;
}
