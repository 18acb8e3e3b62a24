/*
 * catalog.h: what a database holds that has data: tables, sequences, large objects.
 *
 * Tables are those that pg_dump would write data for: ordinary tables and leaves of partitioned
 * ones outside the system schemas; of an extension's tables only the ones it declares as
 * configuration (with its condition). Sequences likewise.
 */
#ifndef POSTGRES_CATALOG_H
#define POSTGRES_CATALOG_H

#include <stddef.h>

#include <jansson.h>
#include <orchestrate/error.h>

#include "link.h"
#include "text.h"

struct catalog_table {
    char *schema;
    char *name;
    char *object;    /* the object's name: "2-data/public.users" */
    char *condition; /* "WHERE …" that the extension declares, or NULL */
    json_t *columns; /* names, in order, without generated ones */
    char kind;       /* 'r' table, 'p' partitioned (no data of its own), 'f' foreign */
    int extension;   /* belongs to an extension */
    int skipped;     /* has data that cannot be read: foreign, or unlogged on a standby */
};

struct catalog {
    struct catalog_table *tables; /* in bytewise order of `object` */
    size_t count;
};

int32_t catalog_read(struct link *link, struct catalog *out, struct orch_error *err) ORCH_CHECKED;
void catalog_free(struct catalog *catalog);
#define CLEANUP_CATALOG __attribute__((cleanup(catalog_free)))

/* The table is one whose rows are saved. */
static inline int catalog_has_data(const struct catalog_table *table)
{
    return table->kind == 'r' && !table->skipped;
}

/* "SELECT count(*) …" over the rows of the table that are saved. */
void catalog_count_sql(const struct catalog_table *table, struct text *sql);
/* "COPY … TO STDOUT" of them, in `encoding`. */
void catalog_copy_sql(const struct catalog_table *table, const char *encoding, struct text *sql);

/* The sequences: an array of [schema, name, last value, is called], in order. */
int32_t catalog_sequences(struct link *link, json_t **out, struct orch_error *err) ORCH_CHECKED;

/* SQL for an access list as a JSON array of {role (null: PUBLIC), privilege, grantable}, null when
 * `acl` (an SQL expression) is null. */
#define CATALOG_ACL_JSON(acl)                                                                      \
    "(SELECT CASE WHEN " acl " IS NULL THEN NULL ELSE coalesce(json_agg(json_build_object("        \
    "'role', CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee) END, "              \
    "'privilege', x.privilege, 'grantable', x.grantable) ORDER BY x.place), '[]') END "            \
    "FROM aclexplode(" acl                                                                         \
    ") WITH ORDINALITY AS x (grantor, grantee, privilege, grantable, place))"

/* "public.users" with odd bytes escaped: the key of a table or sequence in the facts. */
char *catalog_key(const char *schema, const char *name);

#define CATALOG_DATA_PREFIX "2-data/"

#endif
