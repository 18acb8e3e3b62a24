/* probe.c: is the database reachable, what is it, and how much is there. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "clients.h"

/* Host, port, database and, where it may be read, the identifier of the cluster. */
static void identify(struct link *link, const char *database, struct orch_probe *probe)
{
    CLEANUP_FREE char *cluster = NULL;
    struct orch_error ignored = ORCH_ERROR_INIT;
    int32_t rc = link_value(link, "SELECT system_identifier FROM pg_control_system()", 0, NULL,
                            &cluster, &ignored);
    (void)snprintf(probe->identity, sizeof(probe->identity), "%s:%s/%s%s%s", PQhost(link_pg(link)),
                   PQport(link_pg(link)), database, rc == ORCH_OK && cluster != NULL ? " " : "",
                   rc == ORCH_OK && cluster != NULL ? cluster : "");
}

static uint64_t number(const PGresult *row, int column)
{
    return strtoull(PQgetvalue(row, 0, column), NULL, 10);
}

int32_t probe_run(void *instance, struct orch_probe *probe, struct orch_error *err)
{
    struct postgres *pg = instance;
    const char *database = conninfo_database(pg->conninfo);
    struct link CLEANUP_LINK *link = NULL;
    int32_t rc = link_open(pg->host, pg->conninfo, database, &pg->limits, &link, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_FREE char *pg_dump = NULL;
    rc = clients_find("pg_dump", pg->pg_dump, link_major(link), &pg_dump, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    CLEANUP_RESULT PGresult *row = NULL;
    rc = link_query(link,
                    "SELECT split_part(current_setting('server_version'), ' ', 1),"
                    " pg_database_size(current_database()),"
                    " (SELECT count(*) FROM pg_largeobject_metadata)",
                    0, NULL, &row, err);
    if (rc != ORCH_OK) {
        return orch_wrap(err, "cannot measure database %s", database);
    }
    struct catalog CLEANUP_CATALOG catalog = {0};
    rc = catalog_read(link, &catalog, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    uint64_t tables = 0;
    for (size_t i = 0; i < catalog.count; i++) {
        tables += catalog_has_data(&catalog.tables[i]) ? 1 : 0;
    }
    (void)snprintf(probe->version, sizeof(probe->version), "PostgreSQL %s", PQgetvalue(row, 0, 0));
    probe->size_bytes = number(row, 1);
    probe->items = tables + number(row, 2) + 3; /* two scripts, and the sequences */
    identify(link, database, probe);
    return ORCH_OK;
}
