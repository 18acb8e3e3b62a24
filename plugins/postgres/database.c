/* database.c: see database.h. */
#include "database.h"

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "cleanup.h"
#include "facts.h"
#include "text.h"

static int32_t run(struct link *link, struct text *sql, struct orch_error *err)
{
    int32_t rc = text_check(sql, err);
    return rc == ORCH_OK ? link_run(link, sql->data, err) : rc;
}

int32_t database_exists(struct link *link, const char *name, int *exists, struct orch_error *err)
{
    CLEANUP_FREE char *found = NULL;
    const char *params[] = {name};
    int32_t rc =
        link_value(link, "SELECT 1 FROM pg_database WHERE datname = $1", 1, params, &found, err);
    *exists = found != NULL;
    return rc;
}

int32_t database_drop(struct link *link, const char *name, struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_add(&sql, "DROP DATABASE IF EXISTS ");
    text_identifier(&sql, name);
    text_add(&sql, " WITH (FORCE)");
    int32_t rc = run(link, &sql, err);
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot drop database %s", name);
}

/* ---- create ----------------------------------------------------------------------------- */

static void add_option(struct text *sql, const char *word, const char *value)
{
    if (value != NULL) {
        text_format(sql, " %s ", word);
        text_literal(sql, value);
    }
}

static void add_locale(struct text *sql, const json_t *facts, int major)
{
    const char *provider = facts_database(facts, "provider");
    add_option(sql, "LC_COLLATE", facts_database(facts, "collate"));
    add_option(sql, "LC_CTYPE", facts_database(facts, "ctype"));
    if (provider == NULL || major < 15) {
        return;
    }
    if (*provider == 'i') {
        text_add(sql, " LOCALE_PROVIDER icu");
        add_option(sql, "ICU_LOCALE", facts_database(facts, "locale"));
        add_option(sql, "ICU_RULES", facts_database(facts, "rules"));
    } else if (*provider == 'b') {
        text_add(sql, " LOCALE_PROVIDER builtin");
        add_option(sql, "BUILTIN_LOCALE", facts_database(facts, "locale"));
    } else {
        text_add(sql, " LOCALE_PROVIDER libc");
    }
}

int32_t database_create(struct link *link, const char *name, const json_t *facts,
                        struct orch_error *err)
{
    const char *tablespace = facts_database(facts, "tablespace");
    const char *params[] = {tablespace};
    CLEANUP_FREE char *has_tablespace = NULL;
    int32_t rc = link_value(link, "SELECT 1 FROM pg_tablespace WHERE spcname = $1", 1, params,
                            &has_tablespace, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_add(&sql, "CREATE DATABASE ");
    text_identifier(&sql, name);
    text_add(&sql, " TEMPLATE template0 OWNER ");
    text_identifier(&sql, facts_database(facts, "owner"));
    add_option(&sql, "ENCODING", facts_database(facts, "encoding"));
    add_locale(&sql, facts, link_major(link));
    /* The default is named by nobody: naming it takes a privilege that using it does not. */
    if (has_tablespace != NULL && strcmp(tablespace, "pg_default") != 0) {
        text_add(&sql, " TABLESPACE ");
        text_identifier(&sql, tablespace);
    }
    rc = run(link, &sql, err);
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot create database %s", name);
}

/* ---- dress ------------------------------------------------------------------------------ */

/* Settings whose value is a list of quoted names: a single literal would become one name. */
static int is_name_list(const char *setting)
{
    static const char *const lists[] = {"search_path", "temp_tablespaces",
                                        "local_preload_libraries", "session_preload_libraries"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (strcmp(setting, lists[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void add_setting_name(struct text *sql, const char *setting)
{
    CLEANUP_FREE char *copy = strdup(setting);
    char *rest = copy;
    if (copy == NULL) {
        sql->failed = 1;
        return;
    }
    for (char *part = strsep(&rest, "."); part != NULL; part = strsep(&rest, ".")) {
        text_identifier(sql, part);
        text_add(sql, rest == NULL ? "" : ".");
    }
}

static int32_t apply_list(struct link *link, struct text *sql, const char *setting,
                          const char *value, struct orch_error *err)
{
    const char *params[] = {setting, value};
    PGresult *ignored = NULL;
    int32_t rc = link_run(link, "BEGIN", err);
    if (rc == ORCH_OK) {
        rc = link_query(link, "SELECT set_config($1, $2, true)", 2, params, &ignored, err);
        PQclear(ignored);
    }
    text_add(sql, " FROM CURRENT");
    if (rc == ORCH_OK) {
        rc = run(link, sql, err);
    }
    struct orch_error second = ORCH_ERROR_INIT;
    int32_t ended = link_run(link, rc == ORCH_OK ? "COMMIT" : "ROLLBACK", &second);
    if (rc == ORCH_OK && ended != ORCH_OK) {
        *err = second;
        rc = ended;
    }
    return rc;
}

static int32_t apply_setting(struct link *link, const char *name, const json_t *entry,
                             struct orch_error *err)
{
    const char *role = json_string_value(json_object_get(entry, "role"));
    const char *whole = json_string_value(json_object_get(entry, "setting"));
    const char *equals = whole == NULL ? NULL : strchr(whole, '=');
    if (equals == NULL) {
        return orch_fail(err, ORCH_E_CORRUPT, "a setting of the database is not name=value");
    }
    CLEANUP_FREE char *setting = strndup(whole, (size_t)(equals - whole));
    if (setting == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for a setting");
    }
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    if (role != NULL) {
        text_add(&sql, "ALTER ROLE ");
        text_identifier(&sql, role);
        text_add(&sql, " IN DATABASE ");
    } else {
        text_add(&sql, "ALTER DATABASE ");
    }
    text_identifier(&sql, name);
    text_add(&sql, " SET ");
    add_setting_name(&sql, setting);
    int32_t rc = ORCH_OK;
    if (is_name_list(setting)) {
        rc = apply_list(link, &sql, setting, equals + 1, err);
    } else {
        text_add(&sql, " TO ");
        text_literal(&sql, equals + 1);
        rc = run(link, &sql, err);
    }
    return rc == ORCH_OK ? rc
                         : orch_wrap(err, "cannot give database %s the setting %s of the original",
                                     name, setting);
}

static int32_t apply_comment(struct link *link, const char *name, const json_t *facts,
                             struct orch_error *err)
{
    const char *comment = facts_database(facts, "comment");
    if (comment == NULL) {
        return ORCH_OK;
    }
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_add(&sql, "COMMENT ON DATABASE ");
    text_identifier(&sql, name);
    text_add(&sql, " IS ");
    text_literal(&sql, comment);
    return run(link, &sql, err);
}

int32_t database_dress(struct link *link, const char *name, const json_t *facts,
                       struct orch_error *err)
{
    const json_t *database = json_object_get(facts, "database");
    const json_t *settings = json_object_get(database, "settings");
    int32_t rc = apply_comment(link, name, facts, err);
    for (size_t i = 0; rc == ORCH_OK && i < json_array_size(settings); i++) {
        rc = apply_setting(link, name, json_array_get(settings, i), err);
    }
    struct text CLEANUP_TEXT object = TEXT_INIT;
    text_add(&object, "DATABASE ");
    text_identifier(&object, name);
    if (rc == ORCH_OK) {
        rc = text_check(&object, err);
    }
    if (rc == ORCH_OK) {
        rc = access_apply(link, object.data, facts_database(facts, "owner"),
                          json_object_get(database, "acl"), err);
    }
    json_int_t connections = json_integer_value(json_object_get(database, "connections"));
    if (rc == ORCH_OK && json_is_integer(json_object_get(database, "connections")) &&
        connections >= 0) {
        struct text CLEANUP_TEXT sql = TEXT_INIT;
        text_add(&sql, "ALTER DATABASE ");
        text_identifier(&sql, name);
        text_format(&sql, " CONNECTION LIMIT %lld", (long long)connections);
        rc = run(link, &sql, err);
    }
    return rc;
}

/* ---- swap ------------------------------------------------------------------------------- */

#define SWAP_TRIES 3 /* the server itself waits 5 s in each for sessions to end */

static void add_rename(struct text *sql, const char *from, const char *to)
{
    text_add(sql, "ALTER DATABASE ");
    text_identifier(sql, from);
    text_add(sql, " RENAME TO ");
    text_identifier(sql, to);
}

/* Renames while `helper` ends the sessions in it. The rename takes its lock first and counts
 * sessions then, so that whoever reconnects meanwhile waits at the lock and finds the new one. */
static int32_t rename_used(struct link *link, struct link *helper, const char *from, const char *to,
                           struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    add_rename(&sql, from, to);
    int32_t rc = text_check(&sql, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    if (PQsendQuery(link_pg(link), sql.data) == 0) {
        return link_fail(link, NULL, err);
    }
    const char *params[] = {from};
    while (PQisBusy(link_pg(link))) {
        PGresult *ignored = NULL;
        rc = link_query(helper,
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
                        " AND backend_type IN ('client backend', 'walsender')",
                        1, params, &ignored, err);
        PQclear(ignored);
        if (rc != ORCH_OK) {
            struct orch_error unread = ORCH_ERROR_INIT;
            int32_t gave_up = link_finish(link, NULL, &unread); /* by itself, after 5 s */
            (void)gave_up;
            return orch_wrap(err, "cannot end the other sessions in database %s", from);
        }
        rc = link_wait(link, 0, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    }
    return link_finish(link, NULL, err);
}

static int32_t try_swap(struct link *link, struct link *helper, const char *live, const char *away,
                        const char *fresh, struct orch_error *err)
{
    int32_t rc = link_run(link, "BEGIN", err);
    if (rc == ORCH_OK && away != NULL) {
        rc = rename_used(link, helper, live, away, err);
    }
    if (rc == ORCH_OK) {
        rc = rename_used(link, helper, fresh, live, err);
    }
    if (rc == ORCH_OK) {
        return link_run(link, "COMMIT", err);
    }
    struct orch_error second = ORCH_ERROR_INIT;
    link_persist(link);
    int32_t rolled_back = link_run(link, "ROLLBACK", &second);
    (void)rolled_back; /* a lost connection has rolled back, too */
    return rc;
}

/* No waiting ends a prepared transaction. */
static int32_t refuse_prepared(struct link *link, const char *live, struct orch_error *err)
{
    CLEANUP_FREE char *name = NULL;
    const char *params[] = {live};
    int32_t rc = link_value(link, "SELECT gid FROM pg_prepared_xacts WHERE database = $1 LIMIT 1",
                            1, params, &name, err);
    if (rc == ORCH_OK && name != NULL) {
        rc = orch_fail(err, ORCH_E_REFUSED,
                       "database %s has prepared transaction '%s' and cannot be renamed: commit "
                       "or roll it back",
                       live, name);
    }
    return rc;
}

int32_t database_swap(struct link *link, struct link *helper, const char *live, const char *away,
                      const char *fresh, struct orch_error *err)
{
    int32_t rc = refuse_prepared(link, live, err);
    if (rc != ORCH_OK) {
        return rc;
    }
    rc = ORCH_E_BUSY;
    for (int i = 0; i < SWAP_TRIES && rc == ORCH_E_BUSY; i++) {
        rc = try_swap(link, helper, live, away, fresh, err);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot put the new database in place of %s", live);
}
