/* clients.c: see clients.h. */
#include "clients.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

/* Newest major version that is looked for. */
#define NEWEST_MAJOR 40

static int32_t give(const char *path, char **out, struct orch_error *err)
{
    *out = strdup(path);
    return *out != NULL ? ORCH_OK : orch_fail(err, ORCH_E_NOMEM, "no memory for a path");
}

/* The program in the folder of `chosen`. */
static int beside(const char *program, const char *chosen, char *path, size_t size)
{
    const char *slash = strrchr(chosen, '/');
    int dir_len = slash == NULL ? 0 : (int)(slash - chosen);
    int n = snprintf(path, size, "%.*s/%s", dir_len, chosen, program);
    return n > 0 && (size_t)n < size && access(path, X_OK) == 0;
}

static int of_major(const char *program, int major, char *path, size_t size)
{
    (void)snprintf(path, size, "/usr/lib/postgresql/%d/bin/%s", major, program);
    if (access(path, X_OK) == 0) {
        return 1;
    }
    (void)snprintf(path, size, "/usr/pgsql-%d/bin/%s", major, program);
    return access(path, X_OK) == 0;
}

static int in_search_path(const char *program, char *path, size_t size)
{
    const char *rest = getenv("PATH");
    while (rest != NULL && *rest != 0) {
        size_t len = strcspn(rest, ":");
        int n = snprintf(path, size, "%.*s/%s", (int)len, rest, program);
        if (*rest == '/' && n > 0 && (size_t)n < size && access(path, X_OK) == 0) {
            return 1;
        }
        rest += len + (rest[len] == ':');
    }
    return 0;
}

int32_t clients_find(const char *program, const char *chosen, int major, char **out,
                     struct orch_error *err)
{
    char path[PATH_MAX];
    if (chosen != NULL && strcmp(program, "pg_dump") == 0) {
        if (access(chosen, X_OK) != 0) {
            return orch_fail(err, ORCH_E_NOT_FOUND,
                             "option pg_dump: there is no program %s that may be run", chosen);
        }
        return give(chosen, out, err);
    }
    if (chosen != NULL && beside(program, chosen, path, sizeof(path))) {
        return give(path, out, err);
    }
    for (int m = major; m <= NEWEST_MAJOR; m++) {
        if (of_major(program, m, path, sizeof(path))) {
            return give(path, out, err);
        }
    }
    if (in_search_path(program, path, sizeof(path))) {
        return give(path, out, err);
    }
    return orch_fail(err, ORCH_E_NOT_FOUND,
                     "%s for PostgreSQL %d or newer is neither in /usr/lib/postgresql/*/bin nor in "
                     "/usr/pgsql-*/bin nor in PATH: install postgresql-client-%d, or give the path "
                     "in option pg_dump",
                     program, major, major);
}
