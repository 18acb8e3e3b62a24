/*
 * backup.c: one database at one point in time, as objects.
 *
 * The leader connection opens a repeatable-read transaction, exports its snapshot and locks every
 * table against changes of its definition; pg_dump reads the definitions under the same snapshot
 * in a process of its own, and the leader copies the data. Sequences are no part of a snapshot:
 * they are read last, so that no saved row can hold a value that the sequence would give again.
 */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orchestrate/support.h>

#include "child.h"
#include "cleanup.h"
#include "clients.h"
#include "dump.h"
#include "facts.h"

/* ---- freeze and thaw -------------------------------------------------------------------- */

static int32_t lock_table(struct postgres *pg, const struct catalog_table *table,
                          struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_add(&sql, "LOCK TABLE ONLY ");
    text_qualified(&sql, table->schema, table->name);
    text_add(&sql, " IN ACCESS SHARE MODE");
    int32_t rc = text_check(&sql, err);
    if (rc == ORCH_OK) {
        rc = link_run(pg->leader, sql.data, err);
    }
    if (rc == ORCH_E_BUSY) {
        return orch_fail(err, rc,
                         "table %s.%s is locked exclusively by another session, and was for %lld "
                         "ms: end that session or raise option lock_timeout",
                         table->schema, table->name, (long long)pg->limits.lock_timeout_ms);
    }
    const char *state = link_sqlstate(pg->leader);
    if (rc != ORCH_OK && (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)) {
        return orch_fail(err, ORCH_E_CHANGED,
                         "table %s.%s was dropped or renamed as the backup began: try again",
                         table->schema, table->name);
    }
    return rc == ORCH_OK ? rc
                         : orch_wrap(err, "cannot lock table %s.%s", table->schema, table->name);
}

static int32_t begin(struct postgres *pg, struct orch_error *err)
{
    int32_t rc = link_run(pg->leader, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (rc == ORCH_OK) {
        rc = link_value(pg->leader, "SELECT pg_export_snapshot()", 0, NULL, &pg->snapshot, err);
    }
    if (rc != ORCH_OK) {
        return orch_wrap(err, "cannot export a snapshot");
    }
    rc = catalog_read(pg->leader, &pg->catalog, err);
    for (size_t i = 0; rc == ORCH_OK && i < pg->catalog.count; i++) {
        if (pg->catalog.tables[i].kind != 'f') {
            rc = lock_table(pg, &pg->catalog.tables[i], err);
        }
    }
    return rc;
}

int32_t backup_thaw(void *instance, struct orch_error *err)
{
    (void)err;
    struct postgres *pg = instance;
    /* The end of the session is the end of the transaction, also when the server is gone. */
    link_close(pg->leader);
    pg->leader = NULL;
    free(pg->snapshot);
    pg->snapshot = NULL;
    catalog_free(&pg->catalog);
    return ORCH_OK;
}

int32_t backup_freeze(void *instance, struct orch_freeze *freeze, struct orch_error *err)
{
    struct postgres *pg = instance;
    int32_t rc = link_open(pg->host, pg->conninfo, conninfo_database(pg->conninfo), &pg->limits,
                           &pg->leader, err);
    if (rc == ORCH_OK) {
        rc = begin(pg, err);
    }
    if (rc != ORCH_OK) {
        struct orch_error ignored = ORCH_ERROR_INIT;
        (void)backup_thaw(pg, &ignored);
        return rc;
    }
    freeze->consistency = ORCH_CONSISTENCY_SNAPSHOT;
    freeze->flags = ORCH_FREEZE_COSTLY;
    (void)snprintf(freeze->cost, sizeof(freeze->cost),
                   "an open snapshot: dead rows are not vacuumed, tables cannot be altered");
    return ORCH_OK;
}

/* ---- the objects ------------------------------------------------------------------------ */

static int32_t pump_script(const struct orch_host *host, struct child *child,
                           struct orch_error *err)
{
    for (;;) {
        void *space = NULL;
        uint64_t len = 0;
        size_t got = 0;
        int32_t rc = host->reserve(host->ctx, 0, &space, &len, err);
        if (rc == ORCH_OK) {
            rc = child_read(child, space, (size_t)len, &got, err);
        }
        if (rc == ORCH_OK) {
            rc = host->commit(host->ctx, got, err);
        }
        if (rc != ORCH_OK || got == 0) {
            return rc;
        }
    }
}

/* Runs pg_dump for one section. Large objects stay out: some versions put them into pre-data. */
static int32_t send_section(struct postgres *pg, const char *section, const char *object,
                            struct orch_error *err)
{
    CLEANUP_FREE char *program = NULL;
    CLEANUP_FREE char *connect = conninfo_text(pg->conninfo, conninfo_database(pg->conninfo));
    struct text CLEANUP_TEXT section_arg = TEXT_INIT;
    struct text CLEANUP_TEXT snapshot_arg = TEXT_INIT;
    struct text CLEANUP_TEXT wait_arg = TEXT_INIT;
    text_format(&section_arg, "--section=%s", section);
    text_format(&snapshot_arg, "--snapshot=%s", pg->snapshot);
    text_format(&wait_arg, "--lock-wait-timeout=%lld", (long long)pg->limits.lock_timeout_ms);
    if (connect == NULL || section_arg.failed || snapshot_arg.failed || wait_arg.failed) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for the arguments of pg_dump");
    }
    int32_t rc = clients_find("pg_dump", pg->pg_dump, link_major(pg->leader), &program, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    char *const argv[] = {program,
                          (char[]){"--no-password"},
                          (char[]){"--format=plain"},
                          (char[]){"-B"},
                          section_arg.data,
                          snapshot_arg.data,
                          wait_arg.data,
                          (char[]){"--dbname"},
                          connect,
                          NULL};
    struct child CLEANUP_CHILD *child = NULL;
    rc = dump_begin(pg->host, object, 's', NULL, err);
    if (rc == ORCH_OK) {
        rc = child_start(pg->host, argv, CHILD_READ, conninfo_passfile(pg->conninfo), &child, err);
    }
    if (rc == ORCH_OK) {
        rc = pump_script(pg->host, child, err);
    }
    if (rc == ORCH_OK) {
        rc = child_finish(child, err);
    }
    if (rc == ORCH_OK) {
        rc = pg->host->end_item(pg->host->ctx, err);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot dump the definitions (%s)", section);
}

/* Every table's rows; *rows gets {"schema.table": {"rows": n}}, *skipped the reasons. */
static int32_t send_tables(struct postgres *pg, const char *encoding, json_t *rows, json_t *skipped,
                           struct orch_error *err)
{
    for (size_t i = 0; i < pg->catalog.count; i++) {
        const struct catalog_table *table = &pg->catalog.tables[i];
        const char *key = table->object + strlen(CATALOG_DATA_PREFIX);
        uint64_t count = 0;
        if (table->skipped) {
            const char *why = table->kind == 'f' ? "foreign table: its rows live elsewhere"
                                                 : "unlogged table: a standby has no rows of it";
            orch_log(pg->host, ORCH_LOG_WARNING, "table %s: rows not saved (%s)", key, why);
            if (json_object_set_new(skipped, key, json_string(why)) != 0) {
                return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of tables");
            }
        }
        if (!catalog_has_data(table)) {
            continue;
        }
        int32_t rc = dump_table(pg->host, pg->leader, table, encoding, &count, err);
        if (rc != ORCH_OK) {
            return orch_wrap(err, "cannot copy table %s.%s", table->schema, table->name);
        }
        if (json_object_set_new(rows, key, json_pack("{s: I}", "rows", (json_int_t)count)) != 0) {
            return orch_fail(err, ORCH_E_NOMEM, "no memory for the list of tables");
        }
    }
    return ORCH_OK;
}

static int32_t send_data(struct postgres *pg, struct orch_error *err)
{
    CLEANUP_JSON json_t *rows = json_object();
    CLEANUP_JSON json_t *skipped = json_object();
    CLEANUP_JSON json_t *sequences = json_object();
    CLEANUP_FREE char *encoding = NULL;
    uint64_t blobs = 0;
    int32_t rc = link_value(pg->leader, "SELECT current_setting('server_encoding')", 0, NULL,
                            &encoding, err);
    if (rc == ORCH_OK) {
        rc = send_tables(pg, encoding, rows, skipped, err);
    }
    if (rc == ORCH_OK) {
        rc = dump_blobs(pg->host, pg->leader, &blobs, err);
    }
    if (rc == ORCH_OK) {
        rc = dump_sequences(pg->host, pg->leader, sequences, err);
    }
    if (rc == ORCH_OK) {
        rc = facts_state_many(pg->host, "tables", rows, err);
    }
    if (rc == ORCH_OK) {
        rc = facts_state_many(pg->host, "sequences", sequences, err);
    }
    if (rc == ORCH_OK) {
        rc = facts_state(pg->host, "skipped", skipped, err);
    }
    return rc != ORCH_OK ? rc : orch_fact_integer(pg->host, "large_objects", (int64_t)blobs, err);
}

int32_t backup_run(void *instance, struct orch_error *err)
{
    struct postgres *pg = instance;
    if (pg->leader == NULL) {
        return orch_fail(err, ORCH_E_INVALID, "a backup needs the snapshot that freeze takes");
    }
    int32_t rc = facts_describe(pg->leader, pg->host, err);
    if (rc == ORCH_OK) {
        rc = send_section(pg, "pre-data", POSTGRES_PRE_DATA, err);
    }
    if (rc == ORCH_OK) {
        rc = send_data(pg, err);
    }
    if (rc == ORCH_OK) {
        rc = send_section(pg, "post-data", POSTGRES_POST_DATA, err);
    }
    return rc;
}
