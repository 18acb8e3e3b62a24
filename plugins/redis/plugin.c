/*
 * plugin.c: the descriptor of the redis plugin, its options, open, close and probe.
 */
#include "redis.h"

#include "refusal.h"

#include <stdio.h>
#include <string.h>

#define BATCH_MAX 100000

static const struct orch_option OPTIONS[] = {
    {"url", ORCH_OPTION_STRING, ORCH_OPTION_REQUIRED, NULL,
     "redis://host:port[/db] or unix:///path/to/socket[?db=N]; without a database: all of them"},
    {"user", ORCH_OPTION_STRING, 0, NULL, "the ACL user; without it the default user"},
    {"password", ORCH_OPTION_STRING, ORCH_OPTION_SECRET, NULL, "the password of that user"},
    {"connect_timeout", ORCH_OPTION_DURATION, 0, "5s", "how long to wait for a connection"},
    {"sync_timeout", ORCH_OPTION_DURATION, 0, "60s",
     "how long the server may be silent before it counts as gone"},
    {"method", ORCH_OPTION_STRING, 0, "auto",
     "how to read: sync (a snapshot), scan (fuzzy), or auto (sync where it is allowed)"},
    {"diskless", ORCH_OPTION_STRING, 0, "auto",
     "yes: the server streams the snapshot from memory; no: it saves it to its disk first; auto"},
    {"batch", ORCH_OPTION_INTEGER, 0, "1000",
     "how many keys are asked for, or restored, before the first answer is awaited"},
    {"functions", ORCH_OPTION_BOOLEAN, 0, "true", "carry function libraries along"},
    {"aside", ORCH_OPTION_STRING, 0, "auto",
     "where a restore keeps the old data: database (a spare one), file, or auto"},
};

struct conn_params redis_params(const struct redis *redis)
{
    return (struct conn_params){.host = redis->host,
                                .url = &redis->url,
                                .user = redis->user,
                                .password = redis->password,
                                .connect_timeout_ms = redis->connect_timeout_ms,
                                .silence_timeout_ms = redis->silence_timeout_ms};
}

int32_t redis_connect(const struct redis *redis, struct conn **out, struct orch_error *err)
{
    struct conn_params params = redis_params(redis);
    return conn_open(&params, out, err);
}

static void close_instance(void *instance)
{
    struct redis *redis = instance;
    if (redis == NULL) {
        return;
    }
    sync_free(redis->sync);
    tally_free(&redis->restored);
    if (redis->password != NULL) {
        explicit_bzero(redis->password, strlen(redis->password));
    }
    free(redis->user);
    free(redis->password);
    free(redis->work_dir);
    free(redis);
}

/* The index of an option's text among `words`. */
static int32_t choose(const struct orch_options *options, const char *name,
                      const char *const words[3], int *index, struct orch_error *err)
{
    const char *text = orch_option_string(options, name, words[0]);
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return ORCH_OK;
        }
    }
    return orch_fail(err, ORCH_E_CONFIG, "%s: must be %s, %s or %s, not %s", name, words[0],
                     words[1], words[2], text);
}

/* Copies an option's text; NULL stays NULL. */
static int32_t copy(const char *text, char **out, struct orch_error *err)
{
    *out = text == NULL ? NULL : strdup(text);
    return text != NULL && *out == NULL ? orch_fail(err, ORCH_E_NOMEM, "out of memory") : ORCH_OK;
}

static int32_t read_choices(const struct orch_options *options, struct redis *redis,
                            struct orch_error *err)
{
    static const char *const METHODS[3] = {"auto", "sync", "scan"};
    static const char *const DISKLESS[3] = {"auto", "yes", "no"};
    static const char *const ASIDES[3] = {"auto", "database", "file"};
    int32_t rc = choose(options, "method", METHODS, &redis->method, err);
    if (rc == ORCH_OK) {
        rc = choose(options, "diskless", DISKLESS, &redis->diskless, err);
    }
    return rc == ORCH_OK ? choose(options, "aside", ASIDES, &redis->aside, err) : rc;
}

static int32_t read_options(const struct orch_options *options, struct redis *redis,
                            struct orch_error *err)
{
    int32_t rc = url_parse(orch_option_string(options, "url", ""), &redis->url, err);
    if (rc == ORCH_OK) {
        rc = read_choices(options, redis, err);
    }
    if (rc == ORCH_OK) {
        rc = copy(orch_option_string(options, "user", NULL), &redis->user, err);
    }
    if (rc == ORCH_OK) {
        rc = copy(orch_option_string(options, "password", NULL), &redis->password, err);
    }
    if (rc == ORCH_OK) {
        rc = copy(options->work_dir, &redis->work_dir, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (redis->user != NULL && redis->password == NULL) {
        return orch_fail(err, ORCH_E_CONFIG, "user: needs a password too (password_file)");
    }
    redis->connect_timeout_ms = orch_option_integer(options, "connect_timeout", 5000);
    redis->silence_timeout_ms = orch_option_integer(options, "sync_timeout", 60000);
    redis->functions = orch_option_integer(options, "functions", 1) != 0;
    int64_t batch = orch_option_integer(options, "batch", 1000);
    if (batch < 1 || batch > BATCH_MAX) {
        return orch_fail(err, ORCH_E_CONFIG, "batch: must be 1 to %d", BATCH_MAX);
    }
    if (redis->connect_timeout_ms < 1 || redis->silence_timeout_ms < 1) {
        return orch_fail(err, ORCH_E_CONFIG, "connect_timeout and sync_timeout must be above 0");
    }
    redis->batch = (uint32_t)batch;
    return ORCH_OK;
}

static int32_t open_instance(const struct orch_host *host, const struct orch_options *options,
                             void **instance, struct orch_error *err)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory");
    }
    redis->host = host;
    crc64_init(&redis->crc);
    int32_t rc = read_options(options, redis, err);
    if (rc != ORCH_OK) {
        close_instance(redis);
        return rc;
    }
    *instance = redis;
    return ORCH_OK;
}

static int32_t refuse_cluster(struct conn *conn, const struct server *server,
                              struct orch_error *err)
{
    uint64_t nodes = server_nodes(conn, server);
    if (nodes == 1) {
        return ORCH_OK;
    }
    return orch_fail(
        err, ORCH_E_UNSUPPORTED,
        "the Redis server is a node of a cluster, and the keys of other nodes would be "
        "missing; clusters are not built yet");
}

static int32_t probe(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct redis *redis = instance;
    CLEANUP_SERVER struct server server = {0};
    CLEANUP_CONN struct conn *conn = NULL;
    int32_t rc = redis_connect(redis, &conn, err);
    if (rc == ORCH_OK) {
        rc = server_read(conn, &server, err);
    }
    if (rc == ORCH_OK) {
        rc = server_usable(&server, err);
    }
    if (rc == ORCH_OK) {
        rc = refuse_cluster(conn, &server, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    char address[300], db[24] = "";
    url_server(&redis->url, address, sizeof(address));
    if (redis->url.db != URL_ALL_DATABASES) {
        (void)snprintf(db, sizeof(db), " database %lld", (long long)redis->url.db);
    }
    probe->items = server_keys(&server, redis->url.db);
    probe->size_bytes = server.dataset;
    (void)snprintf(probe->version, sizeof(probe->version), "%s", server.product);
    (void)snprintf(probe->identity, sizeof(probe->identity), "%.220s%s", address, db);
    rc = orch_fact_string(redis->host, "role", server.role, err);
    if (rc == ORCH_OK) {
        rc = orch_fact_string(redis->host, "run_id", server.run_id, err);
    }
    return rc == ORCH_OK ? orch_fact_string(redis->host, "maxmemory_policy", server.policy, err)
                         : rc;
}

ORCH_EXPORT const struct orch_plugin orch_plugin = {
    ORCH_PLUGIN_HEADER,
    .capabilities = ORCH_CAP_RECORDS | ORCH_CAP_EMPTY_OK,
    .name = "redis",
    .version = ORCHESTRATE_VERSION,
    .summary = "keys of a Redis or Valkey server, with type and expiry, from one point in time",
    .data_format = 1,
    .data_format_oldest = 1,
    .options = OPTIONS,
    .option_count = sizeof(OPTIONS) / sizeof(OPTIONS[0]),
    .open = open_instance,
    .close = close_instance,
    .probe = probe,
    .freeze = backup_freeze,
    .thaw = backup_thaw,
    .backup = backup_run,
    .check = check_run,
    .restore = restore_run,
    .verify = verify_run,
    .settle = restore_settle,
};
