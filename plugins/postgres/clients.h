/*
 * clients.h: finds PostgreSQL's client programs.
 */
#ifndef POSTGRES_CLIENTS_H
#define POSTGRES_CLIENTS_H

#include <stdint.h>

#include <orchestrate/error.h>

/*
 * The path of `program` ("pg_dump", "psql") that fits a server of `major`: beside `chosen` (the
 * option pg_dump, or NULL) or `chosen` itself; else that of the server's own major version, else
 * the next newer one that is installed, else what PATH has. The same version is best, since a
 * newer pg_dump writes settings that an older server does not know. The caller frees *out.
 */
int32_t clients_find(const char *program, const char *chosen, int major, char **out,
                     struct orch_error *err) ORCH_CHECKED;

#endif
