/* server.h: what a live Redis server says about itself. */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include "conn.h"

#include <stdint.h>

#define SERVER_DBS_MAX 4096u

struct server_db {
    uint32_t db;
    uint64_t keys;
};

struct server {
    char version[32]; /* of Redis, or the one that a Valkey is compatible with */
    char product[48]; /* "Redis 7.0.15", "Valkey 8.0.1" */
    uint32_t major, minor;
    char run_id[48];
    char role[16];   /* "master" or "slave" */
    char policy[32]; /* maxmemory-policy */
    int is_replica;
    int link_up; /* of a replica to its primary */
    int loading;
    int cluster;
    int aof;
    uint64_t used_memory, dataset, maxmemory; /* bytes; maxmemory 0: no limit */
    struct server_db *dbs;                    /* those with keys, in ascending order */
    uint32_t db_count;
};

/* Reads INFO. Free with server_free, also after a failure. */
int32_t server_read(struct conn *conn, struct server *server, struct orch_error *err) ORCH_CHECKED;
void server_free(struct server *server);
#define CLEANUP_SERVER __attribute__((cleanup(server_free)))

/* Fails when it cannot be read from or written to now: it is loading, or a replica cut off. */
int32_t server_usable(const struct server *server, struct orch_error *err) ORCH_CHECKED;

/* The keys of one database, or of all (URL_ALL_DATABASES). */
uint64_t server_keys(const struct server *server, int64_t db);

/* CONFIG GET of one name into `value`: 1, or 0 when it is not to be had (the user may not ask). */
int server_config(struct conn *conn, const char *name, char *value, size_t size);

/* How many nodes its cluster has, as far as it says: 1 when it is none, 0 when it does not say. */
uint64_t server_nodes(struct conn *conn, const struct server *server);

/* The newest RDB version that it reads, asked from it or taken from its version; 0: unknown. */
uint32_t server_rdb_version(struct conn *conn, const struct server *server);

/* The server's clock in milliseconds, or our own when it may not be asked. */
int64_t server_now_ms(struct conn *conn);

#endif
