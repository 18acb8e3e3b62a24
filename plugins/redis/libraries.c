/* libraries.c: function libraries of a target. */
#include "libraries.h"

#include "hook.h"
#include "rdbfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define ASIDE_MAX (128 << 20)
#define FUNCTION_RDB_VERSION 10u /* the first with functions */

static int32_t restore(struct conn *conn, const uint8_t *payload, size_t len, const char *policy,
                       struct orch_error *err)
{
    const char *const argv[] = {"FUNCTION", "RESTORE", (const char *)payload, policy};
    const size_t lens[] = {8, 7, len, strlen(policy)};
    return conn_command(conn, NULL, err, 4, argv, lens);
}

/* Closes the inside of a payload with its footer. The checksum is over all before it. */
static int32_t compose(const struct redis *redis, const struct load *load,
                       const struct facts *facts, struct bytes *payload, struct orch_error *err)
{
    uint32_t version =
        facts->rdb_version < FUNCTION_RDB_VERSION ? FUNCTION_RDB_VERSION : facts->rdb_version;
    uint8_t footer[RDB_FOOTER_LEN];
    const uint8_t *inside = load->libraries.data;
    size_t len = load->libraries.len;
    int32_t rc = bytes_append(payload, inside, len, err);
    if (rc == ORCH_OK) {
        uint8_t little[2] = {(uint8_t)version, (uint8_t)(version >> 8)};
        uint64_t checksum = crc64_update(&redis->crc, 0, inside, len);
        checksum = crc64_update(&redis->crc, checksum, little, 2);
        memcpy(footer, little, 2);
        for (int i = 0; i < 8; i++) {
            footer[2 + i] = (uint8_t)(checksum >> (8 * i));
        }
        rc = bytes_append(payload, footer, sizeof(footer), err);
    }
    return rc;
}

int32_t libraries_apply(const struct redis *redis, struct conn *conn, const struct server *server,
                        const struct facts *facts, const struct load *load,
                        const struct state *state, int *changed, struct orch_error *err)
{
    int whole = facts->scope_db == URL_ALL_DATABASES && redis->url.db == URL_ALL_DATABASES;
    *changed = 0;
    if (!redis->functions || (load->library_count == 0 && (!whole || server->major < 7))) {
        return ORCH_OK;
    }
    CLEANUP_REPLY redisReply *old = NULL;
    CLEANUP_BYTES struct bytes payload = BYTES_INIT;
    int32_t rc = conn_run(conn, &old, err, "FUNCTION", "DUMP", NULL);
    if (rc == ORCH_E_ACCESS && load->library_count == 0) {
        return ORCH_OK; /* a user without functions, a part without functions */
    }
    if (rc == ORCH_OK) {
        rc = compose(redis, load, facts, &payload, err);
    }
    if (rc != ORCH_OK) {
        return rc;
    }
    if (old->type != REDIS_REPLY_STRING) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server's answer to FUNCTION DUMP is wrong");
    }
    size_t old_len = (size_t)old->len;
    if ((load->library_count == 0 && old_len <= RDB_FOOTER_LEN) ||
        (old_len == payload.len && memcmp(old->str, payload.data, old_len) == 0)) {
        return ORCH_OK;
    }
    const struct orch_host *host = redis->host;
    if (!state_exists(state->functions)) {
        rc = rdbfile_small(state->functions, old->str, old_len, err);
    }
    if (rc == ORCH_OK) {
        rc = host->intent(host->ctx, "functions", "function libraries", state->functions, err);
    }
    if (rc == ORCH_OK) {
        hook_crash("functions-before");
        rc = restore(conn, payload.data, payload.len, whole ? "FLUSH" : "REPLACE", err);
    }
    if (rc == ORCH_OK) {
        *changed = 1;
        hook_crash("functions-after");
        rc = host->done(host->ctx, "functions", "function libraries", err);
    }
    return rc;
}

int32_t libraries_put_back(struct conn *conn, const struct state *state, struct orch_error *err)
{
    struct stat info;
    CLEANUP_FREE uint8_t *data = NULL;
    CLEANUP_FD int fd = open(state->functions, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &info) != 0) {
        return orch_fail_errno(err, errno, "cannot read %s", state->functions);
    }
    if (info.st_size < RDB_FOOTER_LEN || info.st_size > ASIDE_MAX) {
        return orch_fail(err, ORCH_E_CORRUPT, "%s is no dump of functions", state->functions);
    }
    size_t len = (size_t)info.st_size;
    data = malloc(len);
    if (data == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "out of memory");
    }
    if (read(fd, data, len) != (ssize_t)len) {
        return orch_fail(err, ORCH_E_IO, "cannot read %s as a whole", state->functions);
    }
    return restore(conn, data, len, "FLUSH", err);
}
