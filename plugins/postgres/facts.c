/* facts.c: see facts.h. */
#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "cleanup.h"

/* Entries of one fact: it travels in a control message, which has a bounded length. */
#define ENTRIES_MAX 1000

int32_t facts_state(const struct orch_host *host, const char *name, const json_t *value,
                    struct orch_error *err)
{
    CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL) {
        return orch_fail(err, ORCH_E_NOMEM, "no memory for fact %s", name);
    }
    return host->fact(host->ctx, name, text, err);
}

static void part_name(const char *name, size_t part, char *out, size_t size)
{
    if (part == 1) {
        (void)snprintf(out, size, "%s", name);
    } else {
        (void)snprintf(out, size, "%s.%zu", name, part);
    }
}

int32_t facts_state_many(const struct orch_host *host, const char *name, json_t *object,
                         struct orch_error *err)
{
    void *at = json_object_iter(object);
    size_t part = 1;
    do {
        CLEANUP_JSON json_t *some = json_object();
        for (size_t n = 0; at != NULL && n < ENTRIES_MAX; n++) {
            if (json_object_set(some, json_object_iter_key(at), json_object_iter_value(at)) != 0) {
                return orch_fail(err, ORCH_E_NOMEM, "no memory for fact %s", name);
            }
            at = json_object_iter_next(object, at);
        }
        char numbered[64];
        part_name(name, part++, numbered, sizeof(numbered));
        int32_t rc = facts_state(host, numbered, some, err);
        if (rc != ORCH_OK) {
            return rc;
        }
    } while (at != NULL);
    return ORCH_OK;
}

json_t *facts_gather(const json_t *facts, const char *name)
{
    json_t *all = json_object();
    for (size_t part = 1; all != NULL; part++) {
        char numbered[64];
        part_name(name, part, numbered, sizeof(numbered));
        json_t *some = json_object_get(facts, numbered);
        if (!json_is_object(some)) {
            break;
        }
        if (json_object_update(all, some) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

const char *facts_database(const json_t *facts, const char *key)
{
    return json_string_value(json_object_get(json_object_get(facts, "database"), key));
}

int32_t facts_parse(const char *text, json_t **out, struct orch_error *err)
{
    json_error_t problem;
    CLEANUP_JSON json_t *facts = json_loads(text == NULL ? "" : text, 0, &problem);
    if (!json_is_object(facts)) {
        return orch_fail(err, ORCH_E_CORRUPT, "the part's facts are not a JSON object");
    }
    static const char *const needed[] = {"name", "encoding", "collate", "ctype", "owner"};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (facts_database(facts, needed[i]) == NULL) {
            return orch_fail(err, ORCH_E_CORRUPT,
                             "the part's facts lack the database's %s: it is not a finished backup "
                             "by this plugin",
                             needed[i]);
        }
    }
    *out = json_incref(facts);
    return ORCH_OK;
}

/* ---- describing ------------------------------------------------------------------------- */

/* Objects that users made have oids from 16384 on; what an extension made comes back with it. */
#define NO_MEMBER(catalog)                                                                         \
    " AND NOT EXISTS (SELECT FROM pg_depend p WHERE p.classid = '" catalog "'::regclass"           \
    " AND p.objid = c.oid AND p.deptype = 'e')"

static const char *locale_columns(int major)
{
    if (major >= 17) {
        return "'provider', d.datlocprovider::text, 'locale', d.datlocale,"
               " 'rules', d.daticurules,";
    }
    if (major >= 16) {
        return "'provider', d.datlocprovider::text, 'locale', d.daticulocale,"
               " 'rules', d.daticurules,";
    }
    if (major >= 15) {
        return "'provider', d.datlocprovider::text, 'locale', d.daticulocale, 'rules', NULL,";
    }
    return "'provider', 'c', 'locale', NULL, 'rules', NULL,";
}

static int32_t describe_one(struct link *link, const struct orch_host *host, const char *name,
                            const char *sql, struct orch_error *err)
{
    CLEANUP_JSON json_t *value = NULL;
    int32_t rc = link_json(link, sql, 0, NULL, &value, err);
    if (rc == ORCH_OK) {
        rc = facts_state(host, name, value, err);
    }
    return rc == ORCH_OK ? rc : orch_wrap(err, "cannot describe the database (%s)", name);
}

static int32_t describe_database(struct link *link, const struct orch_host *host,
                                 struct orch_error *err)
{
    struct text CLEANUP_TEXT sql = TEXT_INIT;
    text_format(
        &sql,
        "SELECT json_build_object('name', d.datname,"
        " 'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate,"
        " 'ctype', d.datctype, %s 'owner', pg_get_userbyid(d.datdba),"
        " 'connections', d.datconnlimit, 'comment', shobj_description(d.oid, 'pg_database'),"
        " 'acl', " CATALOG_ACL_JSON(
            "d.datacl") ","
                        " 'tablespace', t.spcname, 'settings', (SELECT "
                        "coalesce(json_agg(json_build_object("
                        "'role', CASE WHEN s.setrole = 0 THEN NULL ELSE pg_get_userbyid(s.setrole) "
                        "END,"
                        " 'setting', c.setting) ORDER BY s.setrole, c.place), '[]')"
                        " FROM pg_db_role_setting s, unnest(s.setconfig) WITH ORDINALITY AS c "
                        "(setting,"
                        " place) WHERE s.setdatabase = d.oid),"
                        " 'public', EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public'),"
                        " 'size_bytes', pg_database_size(d.oid))"
                        " FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace"
                        " WHERE d.datname = current_database()",
        locale_columns(link_major(link)));
    int32_t rc = text_check(&sql, err);
    return rc == ORCH_OK ? describe_one(link, host, "database", sql.data, err) : rc;
}

int32_t facts_describe(struct link *link, const struct orch_host *host, struct orch_error *err)
{
    static const char *const others[][2] = {
        {"server", "SELECT json_build_object('version', current_setting('server_version'),"
                   " 'major', current_setting('server_version_num')::int / 10000)"},
        {"extensions", "SELECT coalesce(json_object_agg(extname, extversion), '{}')"
                       " FROM pg_extension"},
        /* The bootstrap superuser owns things without an entry in pg_shdepend. */
        {"roles",
         "SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM ("
         " SELECT r.rolname AS name FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid"
         "  WHERE s.refclassid = 'pg_authid'::regclass AND (s.dbid = (SELECT oid FROM pg_database"
         "   WHERE datname = current_database()) OR (s.classid = 'pg_database'::regclass AND"
         "   s.objid = (SELECT oid FROM pg_database WHERE datname = current_database())))"
         " UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
         " UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname !~ '^pg_'"
         "  AND nspname <> 'information_schema'"
         " UNION SELECT pg_get_userbyid(relowner) FROM pg_class c WHERE c.oid >= 16384" NO_MEMBER(
             "pg_class") " UNION SELECT pg_get_userbyid(proowner) FROM pg_proc c WHERE c.oid >= "
                         "16384" NO_MEMBER("pg_proc") " UNION SELECT pg_get_userbyid(typowner) "
                                                      "FROM pg_type c WHERE c.oid >= "
                                                      "16384" NO_MEMBER(
                                                          "pg_type") " UNION SELECT "
                                                                     "pg_get_userbyid(lomowner) "
                                                                     "FROM "
                                                                     "pg_largeobject_metadata) AS "
                                                                     "o"},
        {"tablespaces", "SELECT coalesce(json_agg(DISTINCT t.spcname), '[]') FROM pg_class c"
                        " JOIN pg_tablespace t ON t.oid = c.reltablespace"
                        " WHERE t.spcname <> 'pg_global'"},
    };
    int32_t rc = describe_database(link, host, err);
    for (size_t i = 0; rc == ORCH_OK && i < sizeof(others) / sizeof(others[0]); i++) {
        rc = describe_one(link, host, others[i][0], others[i][1], err);
    }
    return rc;
}
