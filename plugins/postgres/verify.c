/* verify.c: measures the restored database and holds it against the part's facts. */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "facts.h"

#define NAMED_MAX 20 /* mismatches that get a verdict of their own */

struct verifier {
    const struct orch_host *host;
    struct link *link;
    json_t *facts;
    uint64_t mismatches;
};

/* One mismatch. The first ones are named, the rest only counted. */
static int32_t mismatch(struct verifier *v, const char *code, const char *subject,
                        const char *message, struct orch_error *err)
{
    if (++v->mismatches > NAMED_MAX) {
        return ORCH_OK;
    }
    return orch_judge(v->host, ORCH_VERDICT_REFUSE, 0, code, subject, err, "%s %s", subject,
                      message);
}

static int32_t mismatch_count(struct verifier *v, const char *code, const char *subject,
                              json_int_t expected, json_int_t found, struct orch_error *err)
{
    struct text CLEANUP_TEXT message = TEXT_INIT;
    text_format(&message, "has %lld rows, the backup had %lld", (long long)found,
                (long long)expected);
    int32_t rc = text_check(&message, err);
    return rc == ORCH_OK ? mismatch(v, code, subject, message.data, err) : rc;
}

static int32_t count_rows(struct verifier *v, const struct catalog_table *table, json_int_t *rows,
                          struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    CLEANUP_FREE char *count = NULL;
    catalog_count_sql(table, &sql);
    int32_t rc = text_check(&sql, err);
    if (rc == ORCH_OK) {
        rc = link_value(v->link, sql.data, 0, NULL, &count, err);
    }
    *rows = count == NULL ? 0 : strtoll(count, NULL, 10);
    return rc == ORCH_OK ? rc
                         : orch_wrap(err, "cannot count table %s.%s", table->schema, table->name);
}

static int32_t verify_tables(struct verifier *v, struct orch_error *err)
{
    struct catalog CLEANUP_CATALOG catalog = {0};
    CLEANUP_JSON json_t *expected = facts_gather(v->facts, "tables");
    const json_t *skipped = json_object_get(v->facts, "skipped");
    int32_t rc = catalog_read(v->link, &catalog, err);
    for (size_t i = 0; rc == ORCH_OK && i < catalog.count; i++) {
        const struct catalog_table *table = &catalog.tables[i];
        const char *key = table->object + strlen(CATALOG_DATA_PREFIX);
        const json_t *fact = json_object_get(json_object_get(expected, key), "rows");
        json_int_t rows = 0;
        if (!catalog_has_data(table) || json_object_get(skipped, key) != NULL) {
            continue;
        }
        if (fact == NULL) {
            rc = mismatch(v, "table-extra", key, "is no table of the backup", err);
            continue;
        }
        rc = count_rows(v, table, &rows, err);
        if (rc == ORCH_OK && rows != json_integer_value(fact)) {
            rc = mismatch_count(v, "row-count", key, json_integer_value(fact), rows, err);
        }
        (void)json_object_del(expected, key);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(expected, key, value)
    {
        if (rc == ORCH_OK) {
            rc = mismatch(v, "table-missing", key, "is missing, the backup had this table", err);
        }
    }
    return rc;
}

static int32_t verify_sequences(struct verifier *v, struct orch_error *err)
{
    CLEANUP_JSON json_t *list = NULL;
    CLEANUP_JSON json_t *expected = facts_gather(v->facts, "sequences");
    int32_t rc = catalog_sequences(v->link, &list, err);
    for (size_t i = 0; rc == ORCH_OK && i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        CLEANUP_FREE char *key = catalog_key(json_string_value(json_array_get(entry, 0)),
                                             json_string_value(json_array_get(entry, 1)));
        if (key == NULL) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for a sequence's name");
        }
        const json_t *fact = json_object_get(expected, key);
        if (fact == NULL) {
            rc = mismatch(v, "sequence-extra", key, "is no sequence of the backup", err);
        } else if (!json_equal(json_object_get(fact, "last"), json_array_get(entry, 2)) ||
                   !json_equal(json_object_get(fact, "called"), json_array_get(entry, 3))) {
            rc = mismatch(v, "sequence-value", key, "stands at another value than in the backup",
                          err);
        }
        (void)json_object_del(expected, key);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(expected, key, value)
    {
        if (rc == ORCH_OK) {
            rc = mismatch(v, "sequence-missing", key, "is missing, the backup had it", err);
        }
    }
    return rc;
}

static int32_t verify_blobs(struct verifier *v, struct orch_error *err)
{
    CLEANUP_FREE char *count = NULL;
    int32_t rc =
        link_value(v->link, "SELECT count(*) FROM pg_largeobject_metadata", 0, NULL, &count, err);
    json_int_t found = count == NULL ? 0 : strtoll(count, NULL, 10);
    json_int_t expected = json_integer_value(json_object_get(v->facts, "large_objects"));
    if (rc == ORCH_OK && found != expected) {
        rc = mismatch_count(v, "large-objects", "pg_largeobject_metadata", expected, found, err);
    }
    return rc;
}

static int32_t verify_all(struct verifier *v, struct orch_error *err)
{
    int32_t rc = link_run(v->link, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (rc == ORCH_OK) {
        rc = verify_tables(v, err);
    }
    if (rc == ORCH_OK) {
        rc = verify_sequences(v, err);
    }
    if (rc == ORCH_OK) {
        rc = verify_blobs(v, err);
    }
    if (rc == ORCH_OK && v->mismatches > NAMED_MAX) {
        rc = orch_judge(v->host, ORCH_VERDICT_REFUSE, 0, "more-mismatches", NULL, err,
                        "%llu more mismatches of the same sorts",
                        (unsigned long long)(v->mismatches - NAMED_MAX));
    }
    return rc;
}

int32_t verify_run(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct postgres *pg = instance;
    struct verifier v = {.host = pg->host};
    int32_t rc = facts_parse(restore->facts_json, &v.facts, err);
    if (rc == ORCH_OK) {
        rc = link_open(pg->host, pg->conninfo, conninfo_database(pg->conninfo), &pg->limits,
                       &v.link, err);
    }
    if (rc == ORCH_OK) {
        rc = verify_all(&v, err);
    }
    link_close(v.link);
    json_decref(v.facts);
    return rc;
}
