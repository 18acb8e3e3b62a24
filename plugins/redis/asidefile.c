/* asidefile.c: from the target, by SYNC or SCAN as in a backup, into an RDB file. */
#include "asidefile.h"

#include "rdbfile.h"
#include "redis.h"

#include <string.h>

struct aside {
    const struct redis *redis;
    const struct place *place;
    struct rdbfile *file;
    uint64_t keys;
};

static int wants(void *ctx, uint32_t db)
{
    const struct aside *aside = ctx;
    for (uint32_t i = 0; i < aside->place->count; i++) {
        if (aside->place->jobs[i].target == db) {
            return !aside->place->jobs[i].has_aside;
        }
    }
    return 0;
}

static int32_t take_key(void *ctx, const struct rdb_event *key, struct orch_error *err)
{
    struct aside *aside = ctx;
    aside->keys++;
    return rdbfile_key(aside->file, key, err);
}

static int32_t take_function(void *ctx, const struct rdb_event *library, struct orch_error *err)
{
    struct aside *aside = ctx;
    return aside->redis->functions ? rdbfile_function(aside->file, library, err) : ORCH_OK;
}

static int32_t stream(const struct redis *redis, struct conn *conn, const struct server *server,
                      const struct source_sink *sink, struct orch_error *err)
{
    struct sync *sync = NULL;
    struct conn_params params = redis_params(redis);
    int forbidden = redis->method == REDIS_METHOD_SCAN;
    int32_t rc = ORCH_OK;
    if (!forbidden) {
        rc = sync_start(&params, server, redis->diskless, &sync, &forbidden, err);
    }
    if (sync != NULL) {
        rc = sync_stream(sync, &redis->crc, sink, err);
    } else if (forbidden && redis->method != REDIS_METHOD_SYNC) {
        rc = scan_stream(conn, server, redis->batch, redis->functions, &redis->crc, sink, err);
    }
    sync_free(sync);
    return rc;
}

int32_t asidefile_write(const struct redis *redis, struct conn *conn, const struct server *server,
                        const struct place *place, const char *path, struct orch_error *err)
{
    struct aside aside = {.redis = redis, .place = place};
    const struct source_sink sink = {&aside, wants, take_key, take_function, NULL};
    int32_t rc = rdbfile_folder(redis->work_dir, err);
    if (rc == ORCH_OK) {
        rc = rdbfile_begin(&redis->crc, path, server_rdb_version(conn, server), &aside.file, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = stream(redis, conn, server, &sink, err);
    if (rc != ORCH_OK) {
        rdbfile_abandon(aside.file);
        return orch_wrap(err, "the old data cannot be set aside in %s; nothing was changed", path);
    }
    rc = rdbfile_end(aside.file, err);
    if (rc == ORCH_OK) {
        orch_log(redis->host, ORCH_LOG_INFO, "set %llu old keys aside in %s",
                 (unsigned long long)aside.keys, path);
    }
    return rc;
}
