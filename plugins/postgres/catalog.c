/* catalog.c: see catalog.h. */
#include "catalog.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* Not in a system schema and not made by an extension, or declared by one as configuration (x). */
#define ORDINARY                                                                                   \
    "(x.relid IS NOT NULL OR (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND "      \
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND "              \
    "d.objid = c.oid AND d.deptype = 'e')))"
#define CONFIGURED                                                                                 \
    "LEFT JOIN (SELECT unnest(extconfig) AS relid, unnest(extcondition) AS condition "             \
    "FROM pg_extension) AS x ON x.relid = c.oid "

static void free_table(struct catalog_table *table)
{
    free(table->schema);
    free(table->name);
    free(table->object);
    free(table->condition);
    json_decref(table->columns);
}

void catalog_free(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++) {
        free_table(&catalog->tables[i]);
    }
    free(catalog->tables);
    *catalog = (struct catalog){0};
}

char *catalog_key(const char *schema, const char *name)
{
    struct text CLEANUP_TEXT key = TEXT_INIT;
    text_escaped(&key, schema);
    text_add(&key, ".");
    text_escaped(&key, name);
    return text_steal(&key);
}

static int by_object(const void *a, const void *b)
{
    return strcmp(((const struct catalog_table *)a)->object,
                  ((const struct catalog_table *)b)->object);
}

/* One row of the query in catalog_read. */
static int32_t take_table(const PGresult *rows, int row, struct catalog_table *table,
                          struct orch_error *err)
{
    const char *condition = PQgetvalue(rows, row, 4);
    struct text CLEANUP_TEXT object = TEXT_INIT;
    text_add(&object, CATALOG_DATA_PREFIX);
    text_escaped(&object, PQgetvalue(rows, row, 0));
    text_add(&object, ".");
    text_escaped(&object, PQgetvalue(rows, row, 1));
    table->schema = strdup(PQgetvalue(rows, row, 0));
    table->name = strdup(PQgetvalue(rows, row, 1));
    table->object = text_steal(&object);
    table->condition = *condition == 0 ? NULL : strdup(condition);
    table->kind = PQgetvalue(rows, row, 2)[0];
    table->extension = PQgetvalue(rows, row, 5)[0] == 't';
    table->skipped = PQgetvalue(rows, row, 6)[0] == 't';
    json_error_t problem;
    table->columns = json_loads(PQgetvalue(rows, row, 3), 0, &problem);
    if (table->schema == NULL || table->name == NULL || table->object == NULL ||
        (*condition != 0 && table->condition == NULL)) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of tables");
    }
    if (table->columns == NULL) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "table %s has a column name that is not valid UTF-8 (%s): rename it",
                         table->object, problem.text);
    }
    CLEANUP_JSON json_t *probe = json_string(table->object);
    if (probe == NULL) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "a table in schema %s has a name that is not valid UTF-8: rename it",
                         table->schema);
    }
    return ORCH_OK;
}

int32_t catalog_read(struct link *link, struct catalog *out, struct orch_error *err)
{
    CLEANUP_RESULT PGresult *rows = NULL;
    *out = (struct catalog){0};
    int32_t rc = link_query(
        link,
        "SELECT n.nspname, c.relname, c.relkind,"
        " coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a"
        "  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        "  AND a.attgenerated = ''), '[]'),"
        " x.condition, x.relid IS NOT NULL,"
        " c.relkind = 'f' OR (c.relpersistence = 'u' AND c.relkind = 'r' AND pg_is_in_recovery())"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace " CONFIGURED
        "WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND " ORDINARY,
        0, NULL, &rows, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    int count = PQntuples(rows);
    out->tables = calloc((size_t)count + 1, sizeof(*out->tables));
    if (out->tables == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of tables");
    }
    for (int i = 0; i < count; i++) {
        struct catalog_table *table = &out->tables[out->count++];
        rc = take_table(rows, i, table, err);
        if (rc != ORCH_OK) {
            catalog_free(out);
            return rc;
        }
    }
    qsort(out->tables, out->count, sizeof(*out->tables), by_object);
    return ORCH_OK;
}

static void add_source(const struct catalog_table *table, struct text *sql)
{
    text_add(sql, " FROM ONLY ");
    text_qualified(sql, table->schema, table->name);
    if (table->condition != NULL) {
        text_add(sql, " ");
        text_add(sql, table->condition);
    }
}

void catalog_count_sql(const struct catalog_table *table, struct text *sql)
{
    text_add(sql, "SELECT count(*)");
    add_source(table, sql);
}

void catalog_copy_sql(const struct catalog_table *table, const char *encoding, struct text *sql)
{
    text_add(sql, "COPY ");
    if (table->condition != NULL) {
        text_add(sql, "(SELECT ");
        text_identifiers(sql, table->columns);
        add_source(table, sql);
        text_add(sql, ")");
    } else {
        /* Without a list, COPY leaves generated columns out itself: right for no columns at all. */
        text_qualified(sql, table->schema, table->name);
        if (json_array_size(table->columns) > 0) {
            text_add(sql, " (");
            text_identifiers(sql, table->columns);
            text_add(sql, ")");
        }
    }
    text_add(sql, " TO STDOUT (FORMAT text, ENCODING ");
    text_literal(sql, encoding);
    text_add(sql, ")");
}

static int32_t sequence_value(struct link *link, const char *schema, const char *name, json_t *list,
                              struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    CLEANUP_RESULT PGresult *row = NULL;
    text_add(&sql, "SELECT last_value, is_called FROM ");
    text_qualified(&sql, schema, name);
    int32_t rc = text_check(&sql, err);
    if (rc == ORCH_OK) {
        rc = link_query(link, sql.data, 0, NULL, &row, err);
    }
    if (rc != ORCH_OK) {
        return orch_wrap(err, "cannot read sequence %s.%s", schema, name);
    }
    json_t *entry = json_pack("[s, s, I, b]", schema, name,
                              (json_int_t)strtoll(PQgetvalue(row, 0, 0), NULL, 10),
                              PQgetvalue(row, 0, 1)[0] == 't');
    if (entry == NULL || json_array_append_new(list, entry) != 0) {
        return orch_fail(err, ORCH_E_UNSUPPORTED,
                         "sequence %s.%s has a name that is not valid UTF-8: rename it", schema,
                         name);
    }
    return ORCH_OK;
}

int32_t catalog_sequences(struct link *link, json_t **out, struct orch_error *err)
{
    CLEANUP_RESULT PGresult *rows = NULL;
    CLEANUP_JSON json_t *list = json_array();
    int32_t rc = link_query(link,
                            "SELECT n.nspname, c.relname FROM pg_class c"
                            " JOIN pg_namespace n ON n.oid = c.relnamespace " CONFIGURED
                            "WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND " ORDINARY
                            " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
                            0, NULL, &rows, err);
    for (int i = 0; rc == ORCH_OK && i < PQntuples(rows); i++) {
        rc = sequence_value(link, PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), list, err);
    }
    if (rc == ORCH_OK) {
        *out = json_incref(list);
    }
    return rc;
}
