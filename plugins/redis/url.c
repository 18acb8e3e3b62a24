/* url.c: the address of a Redis server. */
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT 6379
#define DB_MAX 65535

static int32_t number(const char *text, size_t len, int64_t max, const char *what, int64_t *value,
                      struct orch_error *err)
{
    int64_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || sum > max) {
            sum = max + 1;
            break;
        }
        sum = sum * 10 + (text[i] - '0');
    }
    if (len == 0 || sum > max) {
        return orch_fail(err, ORCH_E_CONFIG, "url: the %s must be a number from 0 to %lld", what,
                         (long long)max);
    }
    *value = sum;
    return ORCH_OK;
}

static int32_t socket_url(const char *rest, struct url *url, struct orch_error *err)
{
    const char *query = strchr(rest, '?');
    size_t len = query == NULL ? strlen(rest) : (size_t)(query - rest);
    if (rest[0] != '/' || len < 2) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "url: unix:// needs an absolute path: unix:///run/redis/redis.sock");
    }
    if (len >= sizeof(url->path)) {
        return orch_fail(err, ORCH_E_CONFIG, "url: a socket's path has at most %zu bytes",
                         sizeof(url->path) - 1);
    }
    memcpy(url->path, rest, len);
    if (query == NULL) {
        return ORCH_OK;
    }
    if (strncmp(query, "?db=", 4) != 0) {
        return orch_fail(err, ORCH_E_CONFIG, "url: after a socket's path only ?db=N may follow");
    }
    return number(query + 4, strlen(query + 4), DB_MAX, "database", &url->db, err);
}

/* Takes host and port of "host:port", "[v6]:port" or "host". */
static int32_t host_port(const char *text, size_t len, struct url *url, struct orch_error *err)
{
    const char *host = text;
    const char *after = memchr(text, ':', len);
    size_t host_len = after == NULL ? len : (size_t)(after - text);
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (close == NULL) {
            return orch_fail(err, ORCH_E_CONFIG, "url: the [ of an IPv6 address is not closed");
        }
        host = text + 1;
        host_len = (size_t)(close - host);
        after = (size_t)(close + 1 - text) < len ? close + 1 : NULL;
        if (after != NULL && *after != ':') {
            return orch_fail(err, ORCH_E_CONFIG, "url: after ] only :port may follow");
        }
    }
    if (host_len == 0 || host_len >= sizeof(url->host)) {
        return orch_fail(err, ORCH_E_CONFIG, "url: it names no host: redis://host:port/db");
    }
    memcpy(url->host, host, host_len);
    if (after == NULL) {
        return ORCH_OK;
    }
    int64_t port = 0;
    size_t port_len = len - (size_t)(after + 1 - text);
    int32_t rc = number(after + 1, port_len, 65535, "port", &port, err);
    if (rc == ORCH_OK && port == 0) {
        rc = orch_fail(err, ORCH_E_CONFIG, "url: port 0 cannot be connected to");
    }
    url->port = (int)port;
    return rc;
}

int32_t url_parse(const char *text, struct url *url, struct orch_error *err)
{
    memset(url, 0, sizeof(*url));
    url->port = DEFAULT_PORT;
    url->db = URL_ALL_DATABASES;
    if (strncmp(text, "unix://", 7) == 0) {
        return socket_url(text + 7, url, err);
    }
    if (strncmp(text, "rediss://", 9) == 0) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "url: rediss:// (TLS) is not built; use a unix socket, a private network "
                         "or a tunnel");
    }
    if (strncmp(text, "redis://", 8) != 0) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "url: must begin with redis:// or unix://, as redis://127.0.0.1:6379/0");
    }
    const char *rest = text + 8;
    if (strchr(rest, '@') != NULL) {
        return orch_fail(err, ORCH_E_CONFIG,
                         "url: must hold no user and no password; set user = \"…\" and "
                         "password_file = \"…\"");
    }
    size_t len = strcspn(rest, "/?");
    int32_t rc = host_port(rest, len, url, err);
    if (rc != ORCH_OK || rest[len] == '\0' || strcmp(rest + len, "/") == 0) {
        return rc;
    }
    if (rest[len] == '?') {
        return orch_fail(err, ORCH_E_CONFIG, "url: a query is not known here; the database is /N");
    }
    const char *db = rest + len + 1;
    return number(db, strlen(db), DB_MAX, "database", &url->db, err);
}

void url_server(const struct url *url, char *text, uint32_t size)
{
    if (url->path[0] != '\0') {
        (void)snprintf(text, size, "%s", url->path);
    } else if (strchr(url->host, ':') != NULL) {
        (void)snprintf(text, size, "[%s]:%d", url->host, url->port);
    } else {
        (void)snprintf(text, size, "%s:%d", url->host, url->port);
    }
}
