/* server.c: INFO and its relatives, read into a structure. */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Copies the value of "name:value\r\n" out of INFO; empty when it is not there. */
static void field(const char *info, const char *name, char *value, size_t size)
{
    size_t name_len = strlen(name);
    value[0] = '\0';
    for (const char *line = info; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *text = line + name_len + 1;
            (void)snprintf(value, size, "%.*s", (int)strcspn(text, "\r\n"), text);
            return;
        }
        line = end == NULL ? NULL : end + 1;
    }
}

static uint64_t number(const char *info, const char *name)
{
    char text[32];
    field(info, name, text, sizeof(text));
    return strtoull(text, NULL, 10);
}

static int32_t add_db(struct server *server, uint32_t db, uint64_t keys, struct orch_error *err)
{
    if (server->db_count == SERVER_DBS_MAX) {
        return orch_fail(err, ORCH_E_UNSUPPORTED, "the server uses more than %u databases",
                         SERVER_DBS_MAX);
    }
    struct server_db *grown =
        realloc(server->dbs, (server->db_count + 1) * sizeof(struct server_db));
    if (grown == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory");
    }
    server->dbs = grown;
    server->dbs[server->db_count++] = (struct server_db){db, keys};
    return ORCH_OK;
}

/* Lines as "db0:keys=120,expires=3,avg_ttl=0". */
static int32_t keyspace(const char *info, struct server *server, struct orch_error *err)
{
    for (const char *line = info; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        uint32_t db = 0;
        uint64_t keys = 0;
        if (sscanf(line, "db%" SCNu32 ":keys=%" SCNu64, &db, &keys) == 2) {
            int32_t rc = add_db(server, db, keys, err);
            if (rc != ORCH_OK) {
                return rc;
            }
        }
        line = end == NULL ? NULL : end + 1;
    }
    return ORCH_OK;
}

int32_t server_read(struct conn *conn, struct server *server, struct orch_error *err)
{
    memset(server, 0, sizeof(*server));
    CLEANUP_REPLY redisReply *reply = NULL;
    int32_t rc = conn_run(conn, &reply, err, "INFO", NULL);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_STRING) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to INFO is no text");
    }
    const char *info = reply->str;
    char text[32];
    field(info, "redis_version", server->version, sizeof(server->version));
    if (sscanf(server->version, "%" SCNu32 ".%" SCNu32, &server->major, &server->minor) != 2) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server does not say its version in INFO");
    }
    field(info, "valkey_version", text, sizeof(text));
    (void)snprintf(server->product, sizeof(server->product), "%s %s",
                   text[0] != '\0' ? "Valkey" : "Redis", text[0] != '\0' ? text : server->version);
    field(info, "run_id", server->run_id, sizeof(server->run_id));
    field(info, "role", server->role, sizeof(server->role));
    field(info, "maxmemory_policy", server->policy, sizeof(server->policy));
    field(info, "master_link_status", text, sizeof(text));
    server->is_replica = strcmp(server->role, "slave") == 0;
    server->link_up = strcmp(text, "up") == 0;
    server->loading = number(info, "loading") != 0;
    server->cluster = number(info, "cluster_enabled") != 0;
    server->aof = number(info, "aof_enabled") != 0;
    server->used_memory = number(info, "used_memory");
    server->dataset = number(info, "used_memory_dataset");
    server->maxmemory = number(info, "maxmemory");
    return keyspace(info, server, err);
}

void server_free(struct server *server)
{
    free(server->dbs);
    server->dbs = NULL;
    server->db_count = 0;
}

int32_t server_usable(const struct server *server, struct orch_error *err)
{
    if (server->loading) {
        return orch_fail(err, ORCH_E_BUSY,
                         "the Redis server is still loading its data: wait and run again");
    }
    if (server->is_replica && !server->link_up) {
        return orch_fail(err, ORCH_E_UNREACHABLE,
                         "the Redis server is a replica that has lost its primary, so its data may "
                         "be old: repair that, or name the primary in the url");
    }
    return ORCH_OK;
}

uint64_t server_keys(const struct server *server, int64_t db)
{
    uint64_t keys = 0;
    for (uint32_t i = 0; i < server->db_count; i++) {
        if (db == URL_ALL_DATABASES || db == (int64_t)server->dbs[i].db) {
            keys += server->dbs[i].keys;
        }
    }
    return keys;
}

int server_config(struct conn *conn, const char *name, char *value, size_t size)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (conn_run(conn, &reply, &ignored, "CONFIG", "GET", name, NULL) != ORCH_OK ||
        reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        return 0;
    }
    (void)snprintf(value, size, "%s", reply->element[1]->str);
    return 1;
}

uint64_t server_nodes(struct conn *conn, const struct server *server)
{
    if (!server->cluster) {
        return 1;
    }
    CLEANUP_REPLY redisReply *reply = NULL;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (conn_run(conn, &reply, &ignored, "CLUSTER", "INFO", NULL) != ORCH_OK ||
        reply->type != REDIS_REPLY_STRING) {
        return 0;
    }
    return number(reply->str, "cluster_known_nodes");
}

uint32_t server_rdb_version(struct conn *conn, const struct server *server)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (server->major >= 7 &&
        conn_run(conn, &reply, &ignored, "FUNCTION", "DUMP", NULL) == ORCH_OK &&
        reply->type == REDIS_REPLY_STRING && reply->len >= 10) {
        const unsigned char *end = (const unsigned char *)reply->str + reply->len;
        return (uint32_t)end[-10] | (uint32_t)end[-9] << 8;
    }
    switch (server->major) {
    case 4:
        return 8;
    case 5:
    case 6:
        return 9;
    case 7:
        return server->minor < 2 ? 10 : server->minor < 4 ? 11 : 12;
    default:
        return server->major > 7 ? 12 : 0;
    }
}

int64_t server_now_ms(struct conn *conn)
{
    CLEANUP_REPLY redisReply *reply = NULL;
    struct orch_error ignored = ORCH_ERROR_INIT;
    if (conn_run(conn, &reply, &ignored, "TIME", NULL) == ORCH_OK &&
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        reply->element[1]->type == REDIS_REPLY_STRING) {
        return strtoll(reply->element[0]->str, NULL, 10) * 1000 +
               strtoll(reply->element[1]->str, NULL, 10) / 1000;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
