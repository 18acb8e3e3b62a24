/* check.c: does a part fit the live target? Judges only; nothing is changed. */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <orchestrate/support.h>

#include "cleanup.h"
#include "clients.h"
#include "facts.h"
#include "names.h"

struct judge {
    struct postgres *pg;
    struct link *link; /* to the maintenance database */
    json_t *facts;
    struct names names;
};

static int32_t refuse(struct judge *j, const char *code, const char *subject,
                      struct orch_error *err, const char *message)
{
    return orch_judge(j->pg->host, ORCH_VERDICT_REFUSE, 0, code, subject, err, "%s", message);
}

/* Runs a query over a list of the facts ($1, JSON) that gives the names that do not fit, as one
 * text, and refuses with "<before><names><after>" when there are any. */
static int32_t refuse_names(struct judge *j, const char *fact, const char *sql, const char *code,
                            uint32_t severity, const char *before, const char *after,
                            struct orch_error *err)
{
    const json_t *value = json_object_get(j->facts, fact);
    if (value == NULL) {
        return ORCH_OK;
    }
    CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for fact %s", fact);
    }
    CLEANUP_FREE char *names = NULL;
    const char *params[] = {text};
    int32_t rc = link_value(j->link, sql, 1, params, &names, err);
    if (rc == ORCH_OK && names != NULL) {
        rc = orch_judge(j->pg->host, severity, 0, code, NULL, err, "%s%s%s", before, names, after);
    }
    return rc;
}

/* ---- the server ------------------------------------------------------------------------- */

static int32_t judge_server(struct judge *j, struct orch_error *err)
{
    json_int_t source =
        json_integer_value(json_object_get(json_object_get(j->facts, "server"), "major"));
    int target = link_major(j->link);
    CLEANUP_RESULT PGresult *row = NULL;
    CLEANUP_FREE char *psql = NULL;
    int32_t rc = ORCH_OK;
    if (target < source) {
        rc = orch_judge(j->pg->host, ORCH_VERDICT_REFUSE, 0, "server-version", NULL, err,
                        "the backup is of PostgreSQL %d and the target is %d: restore to %d or "
                        "newer",
                        (int)source, target, (int)source);
    }
    if (rc == ORCH_OK) {
        rc = link_query(j->link,
                        "SELECT rolsuper OR rolcreatedb, pg_is_in_recovery() FROM pg_roles"
                        " WHERE rolname = current_user",
                        0, NULL, &row, err);
    }
    if (rc == ORCH_OK && (PQntuples(row) != 1 || PQgetvalue(row, 0, 0)[0] != 't')) {
        rc = refuse(j, "privilege", NULL, err,
                    "the user in conninfo may not create databases: ALTER ROLE … CREATEDB, or use "
                    "a superuser");
    }
    if (rc == ORCH_OK && PQntuples(row) == 1 && PQgetvalue(row, 0, 1)[0] == 't') {
        rc = refuse(j, "standby", NULL, err, "the target is a standby: restore to its primary");
    }
    if (rc == ORCH_OK) {
        struct orch_error missing = ORCH_ERROR_INIT;
        if (clients_find("psql", j->pg->pg_dump, target, &psql, &missing) != ORCH_OK) {
            rc = refuse(j, "client-programs", NULL, err, missing.message);
        }
    }
    return rc;
}

/* A setting whose check asks the operating system for the locale tells, without any change. */
static int32_t judge_libc_locale(struct judge *j, const char *locale, struct orch_error *err)
{
    const char *params[] = {locale};
    struct orch_error missing = ORCH_ERROR_INIT;
    PGresult *ignored = NULL;
    int32_t rc = link_query(j->link, "SELECT set_config('lc_monetary', $1, true)", 1, params,
                            &ignored, &missing);
    PQclear(ignored);
    if (rc == ORCH_OK) {
        return rc;
    }
    if (rc != ORCH_E_FAILED) {
        *err = missing;
        return rc;
    }
    return orch_judge(j->pg->host, ORCH_VERDICT_REFUSE, 0, "locale", locale, err,
                      "the target's system has no locale %s, which the database uses: generate it "
                      "there (locale-gen) and restart the server",
                      locale);
}

static int32_t judge_locale(struct judge *j, struct orch_error *err)
{
    const char *encoding = facts_database(j->facts, "encoding");
    const char *provider = facts_database(j->facts, "provider");
    const char *params[] = {encoding, provider};
    CLEANUP_RESULT PGresult *row = NULL;
    int32_t rc = link_query(j->link,
                            "SELECT pg_char_to_encoding($1::name) >= 0, EXISTS (SELECT FROM"
                            " pg_collation WHERE collprovider::text = $2)",
                            2, params, &row, err);
    if (rc == ORCH_OK && PQgetvalue(row, 0, 0)[0] != 't') {
        rc = refuse(j, "encoding", encoding, err, "the target does not know the encoding");
    }
    int special = provider != NULL && strcmp(provider, "c") != 0;
    if (rc == ORCH_OK && special && (link_major(j->link) < 15 || PQgetvalue(row, 0, 1)[0] != 't')) {
        rc = refuse(j, "locale", provider, err,
                    "the target's server lacks the locale provider that the database uses (i: ICU, "
                    "b: builtin)");
    }
    if (rc == ORCH_OK) {
        rc = judge_libc_locale(j, facts_database(j->facts, "collate"), err);
    }
    return rc == ORCH_OK ? judge_libc_locale(j, facts_database(j->facts, "ctype"), err) : rc;
}

/* ---- what the definitions refer to ------------------------------------------------------ */

static int32_t judge_extensions(struct judge *j, struct orch_error *err)
{
    int32_t rc = refuse_names(
        j, "extensions",
        "SELECT string_agg(e.key, ', ' ORDER BY e.key) FROM json_each_text($1::json) AS e"
        " WHERE NOT EXISTS (SELECT FROM pg_available_extensions a WHERE a.name = e.key)",
        "extensions", ORCH_VERDICT_REFUSE, "the target's server has no extension ",
        ": install the packages that bring them there", err);
    if (rc == ORCH_OK) {
        rc = refuse_names(
            j, "extensions",
            "SELECT string_agg(e.key, ', ' ORDER BY e.key) FROM json_each_text($1::json) AS e"
            " JOIN pg_available_extensions a ON a.name = e.key"
            " JOIN pg_available_extension_versions v ON v.name = a.name AND"
            "  v.version = a.default_version"
            " WHERE e.key <> 'plpgsql' AND v.superuser AND NOT v.trusted AND NOT"
            "  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)",
            "extension-privilege", ORCH_VERDICT_REFUSE, "only a superuser may create extension ",
            ": use one in conninfo for the restore", err);
    }
    if (rc == ORCH_OK) {
        rc = refuse_names(
            j, "extensions",
            "SELECT string_agg(format('%s %s (backup: %s)', e.key, a.default_version, e.value),"
            " ', ' ORDER BY e.key) FROM json_each_text($1::json) AS e"
            " JOIN pg_available_extensions a ON a.name = e.key"
            " WHERE a.default_version <> e.value",
            "extension-version", ORCH_VERDICT_WARN, "another version of an extension is used: ", "",
            err);
    }
    return rc;
}

static int32_t judge_roles(struct judge *j, struct orch_error *err)
{
    int32_t rc = refuse_names(
        j, "roles",
        "SELECT string_agg(r.name, ', ' ORDER BY r.name) FROM json_array_elements_text($1::json)"
        " AS r (name) WHERE NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = r.name)",
        "roles", ORCH_VERDICT_REFUSE,
        "the target lacks roles that own something or hold privileges: ",
        ": create them first (CREATE ROLE …); roles belong to the server, not to a database", err);
    if (rc == ORCH_OK) {
        rc = refuse_names(
            j, "roles",
            "SELECT string_agg(r.name, ', ' ORDER BY r.name)"
            " FROM json_array_elements_text($1::json) AS r (name)"
            " JOIN pg_roles p ON p.rolname = r.name"
            " WHERE r.name !~ '^pg_' AND NOT pg_has_role(current_user, p.oid, 'MEMBER')",
            "role-membership", ORCH_VERDICT_WARN, "the user in conninfo is no member of ",
            ": if they own anything, the restore will fail; use a superuser or GRANT them", err);
    }
    if (rc == ORCH_OK) {
        rc = refuse_names(
            j, "tablespaces",
            "SELECT string_agg(t.name, ', ' ORDER BY t.name)"
            " FROM json_array_elements_text($1::json) AS t (name)"
            " WHERE NOT EXISTS (SELECT FROM pg_tablespace p WHERE p.spcname = t.name)",
            "tablespaces", ORCH_VERDICT_REFUSE, "the target lacks tablespaces that tables use: ",
            ": create them first (CREATE TABLESPACE …)", err);
    }
    if (rc == ORCH_OK) {
        rc =
            refuse_names(j, "database",
                         "SELECT t.name FROM (SELECT $1::json ->> 'tablespace') AS t (name)"
                         " WHERE NOT EXISTS (SELECT FROM pg_tablespace p WHERE p.spcname = t.name)",
                         "tablespaces", ORCH_VERDICT_WARN, "the target has no tablespace ",
                         ", in which the database was; it will be in the default one", err);
    }
    return rc;
}

/* ---- the target database ---------------------------------------------------------------- */

static int32_t judge_existing(struct judge *j, struct orch_error *err)
{
    const char *live = j->names.live;
    const struct orch_host *host = j->pg->host;
    const char *params[] = {live};
    CLEANUP_RESULT PGresult *row = NULL;
    int32_t rc =
        link_query(j->link,
                   "SELECT pg_has_role(current_user, d.datdba, 'MEMBER'),"
                   " (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = d.datname AND"
                   "  a.backend_type IN ('client backend', 'walsender')),"
                   " (SELECT count(*) FROM pg_prepared_xacts p WHERE p.database = d.datname),"
                   " (SELECT count(*) FROM pg_replication_slots s WHERE s.database = d.datname)"
                   " FROM pg_database d WHERE d.datname = $1",
                   1, params, &row, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (PQntuples(row) == 0) {
        return orch_judge(host, ORCH_VERDICT_GO, 0, "target", live, err,
                          "database %s does not exist and will be created", live);
    }
    rc = orch_judge(host, ORCH_VERDICT_GO, 0, "target", live, err,
                    "database %s will be set aside as %s until the restore is verified", live,
                    j->names.aside);
    if (rc == ORCH_OK && PQgetvalue(row, 0, 0)[0] != 't') {
        rc = refuse(j, "privilege", live, err,
                    "the user in conninfo does not own the database and cannot rename it");
    }
    if (rc == ORCH_OK && strcmp(PQgetvalue(row, 0, 1), "0") != 0) {
        rc = orch_judge(host, ORCH_VERDICT_WARN, 0, "sessions", live, err,
                        "%s sessions are connected to database %s and will be disconnected at the "
                        "swap",
                        PQgetvalue(row, 0, 1), live);
    }
    if (rc == ORCH_OK && strcmp(PQgetvalue(row, 0, 2), "0") != 0) {
        rc = refuse(j, "prepared-transactions", live, err,
                    "the database has prepared transactions and cannot be renamed: commit or roll "
                    "them back (pg_prepared_xacts)");
    }
    if (rc == ORCH_OK && strcmp(PQgetvalue(row, 0, 3), "0") != 0) {
        rc = orch_judge(host, ORCH_VERDICT_WARN, 0, "replication-slots", live, err,
                        "logical replication slots stay with the old database, which cannot be "
                        "dropped until they are (pg_replication_slots)");
    }
    return rc;
}

/* Free space can be seen only where the server's folder is on this machine and may be looked at. */
static int32_t judge_space(struct judge *j, struct orch_error *err)
{
    CLEANUP_FREE char *folder = NULL;
    struct orch_error ignored = ORCH_ERROR_INIT;
    const json_t *size = json_object_get(json_object_get(j->facts, "database"), "size_bytes");
    struct statvfs fs;
    if (PQhost(link_pg(j->link))[0] != '/' || !json_is_integer(size) ||
        link_value(j->link, "SELECT current_setting('data_directory', true)", 0, NULL, &folder,
                   &ignored) != ORCH_OK ||
        folder == NULL || statvfs(folder, &fs) != 0) {
        return ORCH_OK;
    }
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t needed = (uint64_t)json_integer_value(size);
    if (available >= needed + needed / 10) {
        return ORCH_OK;
    }
    return orch_judge(
        j->pg->host, ORCH_VERDICT_REFUSE, ORCH_VERDICT_OVERRIDABLE, "space", folder, err,
        "%s has %llu MiB free; the database takes about %llu MiB, and the old one "
        "stays until the restore is verified",
        folder, (unsigned long long)(available >> 20), (unsigned long long)(needed >> 20));
}

static int32_t judge_all(struct judge *j, struct orch_error *err)
{
    int32_t (*const judgements[])(struct judge *, struct orch_error *) = {
        judge_server, judge_locale, judge_extensions, judge_roles, judge_existing, judge_space,
    };
    int32_t rc = ORCH_OK;
    for (size_t i = 0; rc == ORCH_OK && i < sizeof(judgements) / sizeof(judgements[0]); i++) {
        rc = judgements[i](j, err);
    }
    return rc;
}

int32_t check_run(void *instance, const struct orch_restore *restore, struct orch_error *err)
{
    struct postgres *pg = instance;
    struct judge j = {.pg = pg};
    int32_t rc = ORCH_OK;
    if (restore->strategy != ORCH_STRATEGY_REPLACE || restore->select_count > 0) {
        rc = refuse(&j, "strategy", NULL, err,
                    "a database is restored whole, by strategy replace; nothing else is built");
    }
    if (rc == ORCH_OK) {
        rc = names_make(conninfo_database(pg->conninfo), restore->run_id, &j.names, err);
    }
    if (rc == ORCH_OK) {
        rc = facts_parse(restore->facts_json, &j.facts, err);
    }
    if (rc == ORCH_OK) {
        rc = link_open(pg->host, pg->conninfo, pg->maintenance_db, &pg->limits, &j.link, err);
    }
    if (rc == ORCH_OK) {
        rc = judge_all(&j, err);
    }
    link_close(j.link);
    json_decref(j.facts);
    return rc;
}
