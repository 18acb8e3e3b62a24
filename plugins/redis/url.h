/*
 * url.h: the address of a Redis server, as the option `url` gives it.
 *
 *     redis://host[:port][/db]      redis://[::1]:6379/0      unix:///path/to/socket[?db=N]
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include <orchestrate/error.h>
#include <stdint.h>

#define URL_ALL_DATABASES (-1)

struct url {
    char host[256]; /* empty when `path` is set */
    char path[108]; /* of a unix socket */
    int port;
    int64_t db; /* or URL_ALL_DATABASES */
};

/* ORCH_E_CONFIG with the reason for a text that is no such address; a password in it is refused
 * (and not repeated). */
int32_t url_parse(const char *text, struct url *url, struct orch_error *err) ORCH_CHECKED;

/* "host:port" or the path, without the database, for messages. */
void url_server(const struct url *url, char *text, uint32_t size);

#endif
