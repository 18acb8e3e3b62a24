/* load_table.c: a table's rows by COPY. See loader.h. */
#include "loader.h"

#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "cleanup.h"

static int32_t copy_sql(const struct loader *loader, struct text *sql, struct orch_error *err)
{
    const char *schema = json_string_value(json_object_get(loader->meta, "schema"));
    const char *table = json_string_value(json_object_get(loader->meta, "table"));
    const char *encoding = json_string_value(json_object_get(loader->meta, "encoding"));
    const json_t *columns = json_object_get(loader->meta, "columns");
    if (schema == NULL || table == NULL || encoding == NULL || !json_is_array(columns)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the metadata of object %s is incomplete",
                         loader->object);
    }
    text_add(sql, "COPY ");
    text_qualified(sql, schema, table);
    if (json_array_size(columns) > 0) {
        text_add(sql, " (");
        text_identifiers(sql, columns);
        text_add(sql, ")");
    }
    text_add(sql, " FROM STDIN (FORMAT text, ENCODING ");
    text_literal(sql, encoding);
    text_add(sql, ")");
    return text_check(sql, err);
}

/* Configuration tables of extensions have their foreign keys already, in an order that is not ours:
 * let them be, where we may. */
static int32_t relax(struct loader *loader, const char *role, struct orch_error *err)
{
    if (!json_is_true(json_object_get(loader->meta, "extension"))) {
        return ORCH_OK;
    }
    const char *params[] = {role};
    PGresult *ignored = NULL;
    int32_t rc = link_query(loader->link,
                            "SELECT set_config('session_replication_role', $1, false)"
                            " FROM pg_roles WHERE rolname = current_user AND rolsuper",
                            1, params, &ignored, err);
    PQclear(ignored);
    return rc;
}

static int32_t fail(const struct loader *loader, struct orch_error *err)
{
    return orch_wrap(err, "cannot load table %s", loader->object + strlen(CATALOG_DATA_PREFIX));
}

int32_t load_table_begin(struct loader *loader, struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    CLEANUP_RESULT PGresult *result = NULL;
    int32_t rc = copy_sql(loader, &sql, err);
    if (rc == ORCH_OK) {
        rc = relax(loader, "replica", err);
    }
    if (rc == ORCH_OK) {
        rc = link_query(loader->link, sql.data, 0, NULL, &result, err);
    }
    if (rc != ORCH_OK) {
        return fail(loader, err);
    }
    if (PQresultStatus(result) != PGRES_COPY_IN ||
        PQsetnonblocking(link_pg(loader->link), 1) != 0) {
        return orch_fail(err, ORCH_E_PROTOCOL, "the server did not begin to copy");
    }
    return ORCH_OK;
}

/* Until all that libpq holds is on its way: its buffer must not grow with the table. */
static int32_t flush(struct loader *loader, struct orch_error *err)
{
    for (;;) {
        int left = PQflush(link_pg(loader->link));
        if (left == 0) {
            return ORCH_OK;
        }
        int32_t rc =
            left < 0 ? link_fail(loader->link, NULL, err) : link_wait(loader->link, 1, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
}

int32_t load_table_data(struct loader *loader, const void *data, size_t len, struct orch_error *err)
{
    const char *at = data;
    while (len > 0) {
        size_t some = len < 262144 ? len : 262144;
        int put = PQputCopyData(link_pg(loader->link), at, (int)some);
        int32_t rc = put < 0 ? link_fail(loader->link, NULL, err) : flush(loader, err);
        if (rc != ORCH_OK) {
            return fail(loader, err);
        }
        if (put > 0) {
            at += some;
            len -= some;
        }
    }
    return loader->pg->host->cancelled(loader->pg->host->ctx)
               ? orch_fail(err, ORCH_E_CANCELLED, "cancelled")
               : ORCH_OK;
}

/* The table got as many rows as the backup counted. */
static int32_t compare(const struct loader *loader, uint64_t rows, struct orch_error *err)
{
    const char *key = loader->object + strlen(CATALOG_DATA_PREFIX);
    const json_t *fact = json_object_get(json_object_get(loader->rows, key), "rows");
    if (!json_is_integer(fact)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's facts do not know table %s", key);
    }
    if ((uint64_t)json_integer_value(fact) != rows) {
        return orch_fail(err, ORCH_E_CORRUPT, "table %s got %llu rows, the backup had %lld", key,
                         (unsigned long long)rows, (long long)json_integer_value(fact));
    }
    return ORCH_OK;
}

int32_t load_table_end(struct loader *loader, struct orch_error *err)
{
    PGconn *conn = link_pg(loader->link);
    CLEANUP_RESULT PGresult *result = NULL;
    int32_t rc = ORCH_OK;
    int put = 0;
    while (rc == ORCH_OK && put == 0) {
        put = PQputCopyEnd(conn, NULL);
        rc = put < 0 ? link_fail(loader->link, NULL, err) : flush(loader, err);
    }
    if (rc == ORCH_OK) {
        rc = link_finish(loader->link, &result, err);
    }
    if (rc != ORCH_OK) {
        return fail(loader, err);
    }
    if (PQsetnonblocking(conn, 0) != 0) {
        return link_fail(loader->link, NULL, err);
    }
    rc = compare(loader, strtoull(PQcmdTuples(result), NULL, 10), err);
    return rc == ORCH_OK ? relax(loader, "origin", err) : rc;
}
